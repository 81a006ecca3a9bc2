"""Prefect's API as the owner of the tests' home calls it, past Stepwell."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx
from waiting import PATIENCE


def auth() -> tuple[str, str]:
    """Return user and password of the server in force."""
    user, _, password = os.environ["PREFECT_API_AUTH_STRING"].partition(":")
    return user, password


def request(method: str, url: str, **more: Any) -> httpx.Response:
    """Return the server's answer to a signed-in request; raise if that is an error.

    While its database is locked, a server answers 503 and has done nothing; Prefect's client asks again, too.
    """
    for _ in range(50):
        answer = httpx.request(method, url, auth=auth(), trust_env=False, timeout=PATIENCE, **more)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.2)
    return answer.raise_for_status()


def get(url: str, **more: Any) -> httpx.Response:
    return request("GET", url, **more)


def post(url: str, **more: Any) -> httpx.Response:
    return request("POST", url, **more)


def patch(url: str, **more: Any) -> httpx.Response:
    return request("PATCH", url, **more)
