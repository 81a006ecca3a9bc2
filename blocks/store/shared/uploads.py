"""A datastore that may be slow or away: uploads in the background, tried again for as long as patience lasts, and questions without an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from stepwell.blocks.remote.storage_drivers.transient import is_transient, was_awaited
from stepwell.blocks.store.sharing import SharingReport
from stepwell.errors import DatastoreException, ServerException, StepwellError

_T = TypeVar("_T")
PATIENCE = 30.0
"""The seconds for which an upload that fails is tried again before the results wait for a later run."""

_AT_ONCE = 4
_PAUSE = 2.0
_ATTEMPTS, _AWAY_SECONDS = 2, 60.0
SLOW_SECONDS = 8.0
"""After how long a wait for uploads it is asked whether the datastore answers at all."""


class Uploads:
    """Results and other things on their way to the shared store; each is done once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._going: dict[str, Future[None]] = {}
        self._shared, self._waiting, self._reason, self._away = 0, 0, "", False
        self._put_off: set[str] = set()
        self._warnings: list[str] = []
        self._given_up = threading.Event()

    def submit(self, name: str, action: Callable[[], str | None], *, counted: bool = True) -> None:
        """Do it in the background. It returns what is worth a warning, '' if nothing, None if it had nothing to do.

        What was put off, since the datastore did not answer, is done when it is submitted again.
        """
        with self._guard:
            known = self._going.get(name)
            if known is not None and not (known.done() and name in self._put_off):
                return
            self._put_off.discard(name)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stepwell-sharing")
            self._going[name] = self._pool.submit(self._do, name, action, counted=counted)

    def note_away(self, reason: str) -> None:
        """Tell at the end of the run that the datastore did not answer."""
        with self._guard:
            self._away, self._reason = True, self._reason or reason

    def warn(self, text: str) -> None:
        """Tell it at the end of the run, once."""
        with self._guard:
            if text not in self._warnings:
                self._warnings.append(text)

    def finish(self, silent: Callable[[], str] = lambda: "", *, soon: bool = False) -> SharingReport:
        """Wait for all of it, and return what became of it.

        `silent` returns why the datastore does not answer, '' if it does: then what is under way is not waited for. It is asked
        after a while, or `soon`.
        """
        why, patience = "", 0.0 if soon else SLOW_SECONDS
        while not why and (going := [future for future in list(self._going.values()) if not future.done()]):
            if wait(going, patience).not_done:
                why = silent()
            patience = SLOW_SECONDS
        with self._guard:
            done = [future for future in self._going.values() if future.done()]
            self._reason = self._reason or why
            warnings = tuple(self._warnings)
            report = SharingReport(self._shared, self._waiting, self._reason, self._away, warnings)
            self._shared, self._waiting, self._reason, self._away = 0, 0, "", False
            self._warnings, self._going, self._put_off = [], {}, set()
            self._given_up.clear()
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None
        for future in done:
            future.result()
        return report

    def _do(self, name: str, action: Callable[[], str | None], *, counted: bool) -> None:
        try:
            told = self._patiently(action)
        except Exception as error:  # noqa: BLE001  (what can't be shared must not end a run)
            self._given_up.set()
            known = error.facts.get("reason") or error.title if isinstance(error, StepwellError) else None
            with self._guard:
                self._waiting += counted
                if was_awaited(error):
                    self._put_off.add(name)
                self._reason = self._reason or str(known or f"{type(error).__name__}: {error}")
            return
        with self._guard:
            self._shared += counted and told is not None
        if told:
            self.warn(told)

    def _patiently(self, action: Callable[[], str | None]) -> str | None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return action()
            except DatastoreException as error:
                cause = error.__cause__
                passes = cause is not None and is_transient(cause) and not was_awaited(cause)
                if not passes or self._given_up.is_set() or time.monotonic() > until:
                    raise
            self._given_up.wait(_PAUSE)


class Patience:
    """What is known of whether a datastore answers; `note_away` is told why it does not."""

    def __init__(self, note_away: Callable[[str], None]) -> None:
        self._note_away = note_away
        self._failures = 0
        self._away_until = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the datastore did not answer a moment ago."""
        return time.monotonic() < self._away_until

    def ask(self, question: Callable[[], _T], otherwise: _T) -> _T:
        """Return the datastore's answer, or `otherwise` if it has none in time: then it counts as away for a while."""
        if self.is_over:
            return otherwise
        try:
            answer = question()
        except (DatastoreException, ServerException) as error:
            self._failures += 1
            if self._failures >= _ATTEMPTS:
                self._away_until = time.monotonic() + _AWAY_SECONDS
                self._note_away(str(error.facts.get("reason") or error.title))
            return otherwise
        self._failures = 0
        return answer
