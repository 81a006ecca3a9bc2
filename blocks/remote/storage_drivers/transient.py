"""Failures that pass by themselves: told from those that stay, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")

PAUSES = (0.0, 1.0, 4.0)
"""The seconds before each further try."""

_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_LASTING = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
_WORDS = (
    "timeout",
    "timedout",
    "throttl",
    "serverbusy",
    "temporar",
    "connection",
    "servicere",
    "slowdown",
    "incomplete",
)


def is_transient(error: BaseException) -> bool:
    """Return whether an error may pass by itself: a connection that broke, a server that is busy or takes too long."""
    if isinstance(error, _LASTING):
        return False
    if isinstance(error, (ConnectionError, TimeoutError, EOFError)):
        return True
    for name in ("status_code", "status", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int):
            return status in _STATUSES
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):  # S3's
        return answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in _STATUSES
    names = " ".join(kind.__name__.lower() for kind in type(error).__mro__ if kind.__module__ != "builtins")
    cause = error.__cause__
    return any(word in names for word in _WORDS) or (cause is not None and is_transient(cause))


def was_awaited(error: BaseException | None) -> bool:
    """Return whether an error tells that an answer was waited for in vain."""
    while error is not None:
        if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
            return True
        error = error.__cause__
    return False


def patiently(
    action: Callable[[], _T],
    again: Callable[[], object] = lambda: None,
    transient: Callable[[Exception], bool] = is_transient,
    pauses: Iterable[float] | None = None,
) -> _T:
    """Return what the action returns, tried again after a while as long as what fails may pass; `again` goes before."""
    for pause in PAUSES if pauses is None else pauses:
        try:
            return action()
        except Exception as error:
            if not transient(error):
                raise
        time.sleep(pause)
        again()
    return action()
