"""Health check of a Prefect server, made without Prefect, and always in time."""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from functools import cache
from urllib.parse import urlsplit

_SECONDS_TO_ANSWER = 2.5


def trouble(url: str, seconds: float = _SECONDS_TO_ANSWER) -> str | None:
    """Return why the server can't be used, or None if it answers in time."""
    found: list[str | None] = []
    # A timeout of urllib holds for each read of each address alone, and for no name look-up.
    request = threading.Thread(target=lambda: found.append(_request_health(url, seconds)), daemon=True)
    request.start()
    request.join(seconds)
    return found[0] if found else f"no answer within {seconds:g} s"


def _request_health(url: str, seconds: float) -> str | None:
    try:
        opener = _opener(urlsplit(url).hostname or "")
        with opener.open(f"{url.rstrip('/')}/health", timeout=seconds) as response:
            answer = response.read(1000)
    except urllib.error.HTTPError as error:
        # Prefect Cloud wants a key, which only Prefect itself should hand out.
        known = error.code in (401, 403) or (error.code == 404 and "/workspaces/" in url)
        return None if known else f"{error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except Exception as error:  # noqa: BLE001  (whatever is wrong, the server is of no use)
        return str(error) or type(error).__name__
    return None if answer.strip() == b"true" else "what answers is no Prefect API; its address mostly ends in /api"


@cache
def _opener(host: str) -> urllib.request.OpenerDirector:
    # Whether a certificate is to be trusted is for Prefect's settings to say; nothing secret is sent here.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    local = host in ("127.0.0.1", "localhost", "::1")
    proxies = urllib.request.ProxyHandler({} if local else None)
    return urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=unverified))
