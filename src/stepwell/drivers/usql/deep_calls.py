"""Calls of functions that call themselves deeply, as translations of long expressions do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_CALLS, _STACK = 100_000, 256 << 20


def deeply(action: Callable[[], _T]) -> _T:
    """Return what an action returns, made in a thread that has room for many calls within calls."""
    made: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.append(action())
        except BaseException as error:  # noqa: BLE001  (it is raised where it is waited for)
            failed.append(error)

    calls, size = sys.getrecursionlimit(), threading.stack_size(_STACK)
    sys.setrecursionlimit(max(calls, _CALLS))
    try:
        thread = threading.Thread(target=run, name="usql")
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(calls)
    if failed:
        raise failed[0]
    return made[0]
