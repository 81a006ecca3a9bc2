"""The keeper: a thread that does its chores over and over, whatever happens to one of them."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence

from stepwell.deployments.serve.child_output import ChildLog
from stepwell.errors import ServerException, StepwellError

Chore = Callable[[], None]
_PAUSE_SECONDS = 2.0


class Reconciler:
    """Does the chores, in their order, every few seconds. A chore's error is told once until it changes."""

    def __init__(self, chores: Sequence[Chore], log: ChildLog, pause: float = _PAUSE_SECONDS) -> None:
        self._chores = chores
        self._log = log
        self._pause = pause
        self._told: dict[int, str] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="stepwell-keeper", daemon=True)

    def start(self) -> None:
        """Nothing; the first round has begun."""
        self._thread.start()

    def stop(self, patience: float = 2.0) -> None:
        """Nothing; no further round begins, and the one at work has ended if it did so within `patience` seconds."""
        self._stopped.set()
        self._thread.join(patience)

    def round(self) -> None:
        """Nothing; every chore was tried once. While Prefect's server is away, those that need it wait."""
        for number, chore in enumerate(self._chores):
            if self._stopped.is_set():
                return
            try:
                chore()
            except Exception as error:  # noqa: BLE001  (the next round may go better)
                self._tell(number, error)
            else:
                self._told.pop(number, None)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            self.round()
            self._stopped.wait(self._pause)

    def _tell(self, number: int, error: Exception) -> None:
        words = error.title if isinstance(error, StepwellError) else f"{type(error).__name__}: {error}"
        if self._told.get(number) != words:
            self._told[number] = words
            self._log.tell(words)
            if not isinstance(error, ServerException):
                self._log.write(traceback.format_exc().rstrip())
