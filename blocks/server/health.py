"""What a Prefect server answers to anybody: that it is healthy, or too much. Asked without Prefect, and always in time."""

from __future__ import annotations

import base64
import hmac
import secrets
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

from stepwell.blocks.server.guarded_app import SERVER_PATH, proof

T = TypeVar("T")

SECONDS_TO_ANSWER = 2.5


def trouble(url: str, seconds: float = SECONDS_TO_ANSWER) -> str | None:
    """Return why the server can't be used, or None if it answers in time."""
    found = _in_time(lambda: _request_health(url, seconds), seconds)
    return found[0] if found else f"no answer within {seconds:g} s"


def is_own(url: str, auth_string: str, seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Return whether what answers is this home's server: it proves to know the auth string, which it isn't told."""
    nonce = secrets.token_hex(16)
    address = f"{url.removesuffix('/api')}{SERVER_PATH}{nonce}"
    found = _in_time(lambda: _request_text(address, seconds), seconds)
    return bool(found) and hmac.compare_digest(found[0], proof(auth_string, nonce).encode())


def ask_to_end(url: str, auth_string: str, seconds: float = SECONDS_TO_ANSWER) -> None:
    """Ask this home's server, which proved that it is, to end."""
    request = urllib.request.Request(  # noqa: S310  (our own server's address)
        f"{url.removesuffix('/api')}{SERVER_PATH}stop", data=b"", method="POST",
        headers={"Authorization": f"Basic {base64.b64encode(auth_string.encode()).decode()}"},
    )  # fmt: skip
    with suppress(OSError), _opener(urlsplit(url).hostname or "").open(request, timeout=seconds):
        pass


def lets_in_everybody(url: str, seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Return whether the server tells its version, which is behind its password, to somebody without one."""
    address = f"{url.rstrip('/')}/admin/version"
    found = _in_time(lambda: _request_text(address, seconds), seconds)
    return bool(found and found[0])


def _in_time(ask: Callable[[], T], seconds: float) -> list[T]:
    """Return what was asked as a list of one; an empty list if that takes longer."""
    found: list[T] = []
    # A timeout of urllib holds for each read of each address alone, and for no name look-up.
    request = threading.Thread(target=lambda: found.append(ask()), daemon=True)
    request.start()
    request.join(seconds)
    return found


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


def _request_text(address: str, seconds: float) -> bytes:
    """Return the beginning of what is answered; b'' if that is no success."""
    try:
        with _opener(urlsplit(address).hostname or "").open(address, timeout=seconds) as response:
            return bytes(response.read(1000))
    except Exception:  # noqa: BLE001  (whatever is wrong, nobody is let in)
        return b""


@cache
def _opener(host: str) -> urllib.request.OpenerDirector:
    # Whether a certificate is to be trusted is for Prefect's settings to say; nothing secret is sent here.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    local = host in ("127.0.0.1", "localhost", "::1")
    proxies = urllib.request.ProxyHandler({} if local else None)
    return urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=unverified))
