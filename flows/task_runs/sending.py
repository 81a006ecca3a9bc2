"""What Prefect's server can be told late: lines of logs, many at once, and at the end of a run what keeps the server busy.

Prefect's own worker for lines begins with an event loop, two threads and a client, which cost more than a short run.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings

from stepwell.blocks.server.connection import is_hung
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.guard.early_answers import AT_ONCE
from stepwell.blocks.server.patience import note_missed
from stepwell.errors import ServerException

try:  # a door that is no public name of Prefect's
    from prefect.logging import handlers
    from prefect.logging.handlers import set_api_log_sink
except ImportError:
    set_api_log_sink = None  # type: ignore[assignment]

_AT_ONCE, _BYTES_AT_ONCE = 1000, 2_000_000
_MOST_WAITING = 50_000
"""How many lines wait for a server that is away; of more, the oldest are let go."""

_SIZE = "__payload_size__"
"""What Prefect's handler notes of a line."""

Line = dict[str, Any]


@contextmanager
def sent_together() -> Iterator[None]:
    """Send what runs log while the block runs: every now and then, as Prefect does, and the rest at its end."""
    _sender.enter()
    try:
        yield
    finally:
        _sender.leave()


def take(line: Line) -> bool:
    """Send the line with others, and return whether that is what happens to lines now."""
    return _sender.take(line)


def at_end(send: Callable[[], object]) -> bool:
    """Have `send` called at the end of the block, after all lines, and return whether there is one."""
    return _sender.at_end(send)


def send_lines(api: SyncPrefectClient, lines: Sequence[Line]) -> None:
    """Send the lines; this home's own server takes them at once, and stores them later."""
    api.request("POST", "/logs/", json=list(lines), headers=AT_ONCE)  # type: ignore[arg-type]


class _Sender:
    """The lines that wait to be sent, of all runs of this process."""

    def __init__(self) -> None:
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._waiting: deque[Line] = deque(maxlen=_MOST_WAITING)
        self._last: list[Callable[[], object]] = []
        self._blocks = 0
        self._timer: threading.Timer | None = None

    def enter(self) -> None:
        """Take the lines from now on, unless somebody else does."""
        with self._lock:
            if self._blocks or _is_free():
                self._blocks += 1
                set_api_log_sink(self.take)  # type: ignore[arg-type]  # (what it returns is nobody's business there)

    def leave(self) -> None:
        """Send what waits; after the last block that entered, leave lines to Prefect again."""
        with self._lock:
            if not self._blocks:
                return
            self._blocks -= 1
            if not self._blocks:
                set_api_log_sink(None)
            timer, self._timer = self._timer, None
            last, self._last = self._last, []
        if timer is not None:
            timer.cancel()
        if not self._send():
            note_missed()
        for send in last:
            send()

    def take(self, line: Line) -> bool:
        """Let the line wait, and return True; return False if no block has been entered."""
        with self._lock:
            if not self._blocks:
                return False
            self._waiting.append(line)
            if self._timer is None:
                seconds = get_current_settings().logging.to_api.batch_interval
                self._timer = threading.Timer(seconds, self._send_now_and_then, [copy_context()])
                self._timer.daemon = True
                self._timer.start()
        return True

    def at_end(self, send: Callable[[], object]) -> bool:
        """Keep what is to be called by the next `leave`, and return True; return False if no block has been entered."""
        with self._lock:
            if self._blocks:
                self._last.append(send)
        return bool(self._blocks)

    def _send_now_and_then(self, context: Context) -> None:
        context.run(self._send)
        with self._lock:
            self._timer = None

    def _send(self) -> bool:
        """Send what waits, and return whether the server took it; what it did not take waits again."""
        if is_hung():
            return False
        with self._sending:
            while lines := self._next():
                try:
                    with client() as api:
                        send_lines(api, lines)
                except ServerException:  # it may answer later
                    with self._lock:
                        self._waiting.extendleft(reversed(lines))
                    return False
                except Exception:  # noqa: BLE001  (it does not take these; the run goes on)
                    note_missed()
        return True

    def _next(self) -> list[Line]:
        found, size = list[Line](), 0
        with self._lock:
            while self._waiting and len(found) < _AT_ONCE and size < _BYTES_AT_ONCE:
                line = self._waiting.popleft()
                size += line.pop(_SIZE, None) or len(json.dumps(line))
                found.append(line)
        return found


_sender = _Sender()


def _is_free() -> bool:
    return set_api_log_sink is not None and getattr(handlers, "_api_log_sink", _sender) is None
