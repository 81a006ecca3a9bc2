"""Requests to a server of Prefect's that may be away for a moment, because it is busy or starts again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError

from stepwell.errors import ServerException

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_SERVERS_FAULT = 500

ONCE = "stepwell.once"
"""The extension of a request that is not sent again, whatever comes back."""


def with_retries(ask: Callable[[], T], seconds: float) -> T:
    """Return what `ask` does, asked again while the server is away or at fault; raise ServerException after `seconds`.

    What the server refuses for good is raised as Prefect's PrefectHTTPStatusError.
    """
    deadline = time.monotonic() + seconds
    for pause in pauses():
        try:
            return ask()
        except ServerException:
            if time.monotonic() + pause > deadline:
                raise
        except PrefectHTTPStatusError as error:
            if error.response.status_code < _SERVERS_FAULT:
                raise
            if time.monotonic() + pause > deadline:
                raise cannot_answer(error) from None
        time.sleep(pause)
    raise AssertionError


def cannot_answer(error: PrefectHTTPStatusError) -> ServerException:
    """Return what a user is told of a server that is at fault."""
    facts = {"status": error.response.status_code, "reason": error.response.text[:300]}
    return ServerException("Prefect's server can't answer", facts, "Try again; if that does not help, look at its log.")


def send_once(api: SyncPrefectClient, method: str, path: str, body: Any) -> httpx.Response:
    """Return the server's response to one request; Prefect's own client waits for two seconds and more after a 503.

    What is no success is raised as PrefectHTTPStatusError.
    """
    inner = api._client  # noqa: SLF001  (the one with the address, and with whatever opens the server)
    if getattr(inner, "enable_csrf_support", False):  # true before the first request, and where the server wants tokens
        return api.request(method, path, json=body)  # type: ignore[arg-type]
    response = httpx.Client.send(inner, inner.build_request(method, path, json=body, extensions={ONCE: True}))
    try:
        return response.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise PrefectHTTPStatusError.from_httpx_error(error) from error


def pauses() -> Iterator[float]:
    """Yield the seconds between one try and the next, more and more, without an end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311  (lest all come back at once)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
