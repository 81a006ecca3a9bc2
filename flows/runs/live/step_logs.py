"""What the scripts of a run write, line by line as it comes: read from the logs, so that any process can follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stepwell.blocks.store.log_tail import LogTail
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.flows.runs.summary import ENDED_STEP, FINAL, summarize

LOG = "logs/70_driver_log.txt"
"""The log of both, standard output and standard error, below a step's folder."""

_LOOK_SECONDS = 0.1

Show = Callable[[str, str], None]
"""Takes a step and a line of its script."""


class StepLogs:
    """A listener to a run's events that shows the lines of the steps at work: at each look, and the rest when one ends.

    Args:
        run: The run.
        line: Shows a line.
        update: Shows what a progress bar has now; '' if none is at work any more.
    """

    def __init__(self, run: RunFolder, line: Show, update: Show) -> None:
        self._run, self._line, self._update = run, line, update
        self._tails: dict[str, LogTail] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Note which step began, and show the rest of one that ended."""
        step, status = event.get("step"), event.get("status")
        if not isinstance(step, str):
            return
        with self._lock:
            if status == "running" and event.get("step_run_id"):
                self._tails[step] = LogTail(self._run.step_folder(str(event["step_run_id"])), LOG)
            elif status in ENDED_STEP and step in self._tails:
                self._look_at(step, self._tails.pop(step), to_end=True)

    def look(self, *, to_end: bool = False) -> None:
        """Show what came since the last look."""
        with self._lock:
            for step, tail in self._tails.items():
                self._look_at(step, tail, to_end=to_end)

    def _look_at(self, step: str, tail: LogTail, *, to_end: bool = False) -> None:
        before = tail.update
        for line in tail.lines(to_end=to_end):
            self._line(step, line)
        if tail.update != before:
            self._update(step, tail.update)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again while the block runs."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK_SECONDS):
                self.look()

        thread = threading.Thread(target=look, name="stepwell-logs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.look(to_end=True)


def follow_step(
    run: RunFolder, step: str, *, until: float = float("inf"), renew: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, bool]]:
    """Yield each line of a step's log and that it is one, or False and what a progress bar shows now.

    It ends with the step or the run, or when the monotonic clock reaches `until`. `renew` brings what another machine has told.
    """
    tail, folder = None, None
    while True:
        renew()
        late = time.monotonic() >= until
        summary = summarize(run)
        known = next((one for one in summary.steps if one.id == step), None)
        ended = summary.status in FINAL or (known is not None and known.status in ENDED_STEP)
        if known is not None and known.step_run_id:
            if known.folder(run) != folder:
                folder = known.folder(run)
                tail = LogTail(folder, LOG)
            assert tail is not None
            before = tail.update
            yield from ((line, True) for line in tail.lines(to_end=ended))
            if tail.update != before:
                yield tail.update, False
        if ended or late:
            return
        time.sleep(_LOOK_SECONDS)
