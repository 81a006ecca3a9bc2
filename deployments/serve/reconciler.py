"""The reconciler: a thread that does its chores over and over, whatever happens to one of them."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence

from stepwell.deployments.serve.child_output import ChildLog
from stepwell.errors import ServerException, StepwellError

Chore = Callable[[], None]
_PAUSE_SECONDS = 2.0


class Reconciler:
    """Does the chores, in their order, every few seconds. A chore's error is logged once until it changes."""

    def __init__(self, chores: Sequence[Chore], log: ChildLog, pause: float = _PAUSE_SECONDS) -> None:
        self._chores = chores
        self._log = log
        self._pause = pause
        self._reported: dict[int, str] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepwell-reconciler", daemon=True)

    def start(self) -> None:
        """Begin the first round."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Begin no further round, and wait `timeout` seconds at most for the end of the one at work."""
        self._stopped.set()
        self._thread.join(timeout)

    def round(self) -> None:
        """Try every chore once. While Prefect's server is away, those that need it wait."""
        for number, chore in enumerate(self._chores):
            if self._stopped.is_set():
                return
            try:
                chore()
            except Exception as error:  # noqa: BLE001  (the next round may go better)
                self._report(number, error)
            else:
                self._reported.pop(number, None)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.round()
            self._stopped.wait(self._pause)

    def _report(self, number: int, error: Exception) -> None:
        words = error.title if isinstance(error, StepwellError) else f"{type(error).__name__}: {error}"
        if self._reported.get(number) != words:
            self._reported[number] = words
            self._log.emit(words)
            if not isinstance(error, ServerException):
                self._log.write(traceback.format_exc().rstrip())
