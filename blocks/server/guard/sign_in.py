"""Signing in to Prefect's UI by a link that works once: nothing that could be used again is in an address or a command.

POST /stepwell/sign-in/code   with the auth string   → a code
GET  /stepwell/sign-in#CODE   a page, which sends its code; after it may stand which of the UI's pages comes then
POST /stepwell/sign-in        the code               → what Prefect's UI keeps in the browser, and sends with its calls
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
import urllib.request
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PATH = "/stepwell/"
_PAGE_PATH = f"{PATH}sign-in"
_CODE_PATH = f"{_PAGE_PATH}/code"
_SECONDS_VALID = 60.0
_MOST_CODES = 100
_LONGEST_CODE = 100
_SCRIPT = """
(async () => {
  const [code, ...page] = location.hash.slice(1).split("/").filter(Boolean);
  history.replaceState(null, "", location.pathname);
  const answer = await fetch(location.pathname, {method: "POST", body: code});
  const text = await answer.text();
  if (!answer.ok) { document.body.textContent = text; return; }
  localStorage.setItem("prefect-password", text);
  location.replace("/" + page.join("/"));
})();
"""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Stepwell: signing in</title>
<body>Signing in to Prefect's UI …<script nonce="{nonce}">{script}</script></body></html>
"""


class SignIn:
    """The ASGI app behind `PATH`. Requests have passed the guard."""

    def __init__(self, auth_string: str) -> None:
        self._token = base64.b64encode(auth_string.encode())
        self._codes: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = (scope["method"], scope["path"])
        if request == ("GET", _PAGE_PATH):
            nonce = secrets.token_urlsafe(16)
            policy = f"default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; frame-ancestors 'none'"
            page = _PAGE.format(nonce=nonce, script=_SCRIPT)
            await answer(send, 200, page, "text/html", ("content-security-policy", policy))
        elif request == ("POST", _PAGE_PATH):
            if self._redeem(await _body(receive)):
                await answer(send, 200, self._token.decode())
            else:
                text = "This link was used already, or is older than a minute. Run `stepwell server open` again.\n"
                await answer(send, 403, text)
        elif request == ("POST", _CODE_PATH):
            sent = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
            if len(sent) == 1 and hmac.compare_digest(sent[0], b"Basic " + self._token):
                await answer(send, 200, self._issue())
            else:
                await answer(send, 401, "The auth string is missing or wrong.\n")
        else:
            await answer(send, 404, "There is nothing here.\n")

    def _issue(self) -> str:
        now = time.monotonic()
        valid = [(code, until) for code, until in self._codes.items() if until > now]
        code = secrets.token_urlsafe(32)
        self._codes = dict([*valid, (code, now + _SECONDS_VALID)][-_MOST_CODES:])
        return code

    def _redeem(self, code: str) -> bool:
        return self._codes.pop(code, 0.0) > time.monotonic()


async def answer(send: Send, status: int, text: str, kind: str = "text/plain", *more: tuple[str, str]) -> None:
    """Send a whole HTTP response, which nobody keeps."""
    body = text.encode()
    headers = [
        ("content-type", f"{kind}; charset=utf-8"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        *more,
    ]
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> str:
    """Return the body of a request as text; '' if it is longer than any code."""
    body, more = b"", True
    while more and len(body) <= _LONGEST_CODE:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body.decode("ascii", "replace") if len(body) <= _LONGEST_CODE else ""


def link(api_url: str, auth_string: str, path: str = "") -> str:
    """Return an address that signs a browser in to a page of the UI of this home's server, once and within a minute."""
    address = api_url.removesuffix("/api")
    token = base64.b64encode(auth_string.encode()).decode()
    request = urllib.request.Request(  # noqa: S310  (our own server's address)
        f"{address}{_CODE_PATH}", data=b"", headers={"Authorization": f"Basic {token}"}, method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        return f"{address}{_PAGE_PATH}#{response.read().decode()}{path}"
