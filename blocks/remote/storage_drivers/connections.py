"""Connections that are dear to make: one user's at a time, and kept for a minute for whoever in this process comes next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from stepwell.blocks.remote.storage_drivers.transient import is_transient

_KEPT_SECONDS = 60.0
"""Firewalls forget connections on which nothing is said."""

_MOST_KEPT = 8


class _Kept(NamedTuple):
    connection: Any
    since: float


_kept: dict[tuple[int, str], list[_Kept]] = {}
"""By process, since a forked one can't speak on what its parent has open, and by server. Threads add and take whole entries."""


class Connections:
    """Connections to one server, opened as needed.

    Args:
        server: The server and how one signs in there: who names the same one shares what is kept.
        opened: Makes a connection.
        alive: Tells whether a connection is open, as far as this side knows.
        closed: Closes a connection.
    """

    def __init__(
        self,
        server: str,
        opened: Callable[[], Any],
        alive: Callable[[Any], bool],
        closed: Callable[[Any], object],
    ) -> None:
        self._server, self._opened, self._alive, self._closed = server, opened, alive, closed

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """Yield a connection that is nobody else's while the block runs; it is closed if it may be what failed there."""
        connection = self._taken() or self._opened()
        try:
            yield connection
        except BaseException as error:
            if not isinstance(error, OSError) or is_transient(error):
                self._closed(connection)
            else:
                self._give_back(connection)
            raise
        self._give_back(connection)

    def close_kept(self) -> None:
        """Close those that nobody uses."""
        for kept in _kept.pop((os.getpid(), self._server), []):
            self._closed(kept.connection)

    def _taken(self) -> Any:
        """Return the connection that was used last, None if all are too old or closed."""
        known = _kept.get((os.getpid(), self._server), [])
        while kept := _popped(known, -1):
            if time.monotonic() - kept.since < _KEPT_SECONDS and self._alive(kept.connection):
                return kept.connection
            self._closed(kept.connection)
        return None

    def _give_back(self, connection: Any) -> None:
        known = _kept.setdefault((os.getpid(), self._server), [])
        known.append(_Kept(connection, time.monotonic()))
        while len(known) > _MOST_KEPT and (oldest := _popped(known, 0)):
            self._closed(oldest.connection)


def _popped(known: list[_Kept], place: int) -> _Kept | None:
    """Return the entry, taken out of the list, None if another thread was faster and there is none."""
    try:
        return known.pop(place)
    except IndexError:
        return None
