"""A run at work tells a shared store of itself: one thread, which never is in the run's way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from stepwell.blocks.store.run_folder import DEAD_SECONDS, RunFolder
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.errors import StepwellError

BEAT_SECONDS = 20.0
_LOOK_SECONDS, _STATE_SECONDS, _NEWS_SECONDS, _PATIENCE_SECONDS = 0.5, 2.0, 5.0, 30.0
_LEFT = ("done", "failed", "cancelled")


@contextmanager
def telling(run: RunFolder, shared: SharedRuns | None) -> Iterator[None]:
    """Tell the shared store, if there is one, how the run stands for as long as the block lasts, and then how it ended."""
    if shared is None or shared.read_only:
        yield
        return
    teller = Teller(run, shared)
    teller.start()
    try:
        yield
    finally:
        reason = teller.stop()
        if reason:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            with suppress(OSError):
                run.append({"at": at, "warning": f"Other machines can't see how this run stands: {reason}"})


class Teller:
    """Tells of a run: at once, when it changes its state, every few seconds while steps end, and in any case as a heartbeat."""

    def __init__(self, run: RunFolder, shared: SharedRuns) -> None:
        self._run, self._shared = run, shared
        self._done = threading.Event()
        self._reason = self._state = ""
        self._parts: list[int] = []
        self._read = 0
        self._announced = self._taken = False
        self._answered = 0.0
        self._told_at, self._told_size, self._told_state = 0.0, -1, ""
        self._steps: dict[str, str] = {}
        self._waiting: set[str] = set()
        self._thread = threading.Thread(target=self._tell_on, name="stepwell-telling", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self, state: str = "") -> str:
        """Tell the rest, and return why that could not be done, '' if it was; `state`: what the journal doesn't say.

        What could not be told is noted, and told when the next run of this store begins, or somebody lists its runs.
        """
        self._state = state
        self._done.set()
        self._thread.join(_PATIENCE_SECONDS)
        reason = "the datastore does not answer" if self._thread.is_alive() else self._reason
        if reason and not self._taken:
            self._shared.untold.note(self._run.run_id)
        return reason

    def _tell_on(self) -> None:
        tell_missed(self._shared)
        while not self._done.wait(_LOOK_SECONDS if self._announced else 0.0):
            self._tell(last=False)
        self._tell(last=True)

    def _tell(self, *, last: bool) -> None:
        if self._taken:
            return
        self._tell_words()
        state = self._look()
        size, silent = self._read, time.monotonic() - self._told_at
        patience = _NEWS_SECONDS if state == self._told_state else _STATE_SECONDS  # short runs are told of twice
        news = size != self._told_size and silent > patience
        if not (last or news or silent > BEAT_SECONDS or not self._announced):
            return
        try:
            if self._answered and time.time() - self._answered > DEAD_SECONDS and self._shared.is_taken(self._run):
                self._reason = "another machine, which did not hear of it, goes on with it"
                self._taken = True
                return
            self._tell_steps()
            if last:
                self._shared.tell_own(self._run)
            self._parts = self._shared.tell(self._run, self._parts, self._state)
            if not self._announced:
                self._shared.announce(self._run)
            self._announced, self._reason, self._answered = True, "", time.time()
        except Exception as error:  # noqa: BLE001  (nothing of this may end a run)
            self._announced = True  # the rest of the time goes on as usual
            self._reason = error.title if isinstance(error, StepwellError) else str(error)
        self._told_at, self._told_size, self._told_state = time.monotonic(), size, state

    def _look(self) -> str:
        """Read what came to the journal, and return the run's state."""
        state = self._told_state
        with suppress(OSError), open(self._run.path / "journal.jsonl", "rb") as stream:
            stream.seek(self._read)
            new = stream.read()
            end = new.rfind(b"\n") + 1
            self._read += end
            for line in new[:end].splitlines():
                with suppress(ValueError, TypeError, RecursionError):
                    event = json.loads(line)
                    if "step" not in event and "status" in event:
                        state = str(event["status"])
                    elif "step" in event:
                        self._steps[event["step"]] = str(event.get("step_run_id") or self._steps.get(event["step"], ""))
                        if event.get("status") in _LEFT and self._steps[event["step"]]:
                            self._waiting.add(self._steps[event["step"]])
        return state

    def _tell_words(self) -> None:
        """Tell what somebody says of the run while it is at work; if that fails, it is told later."""
        if self._shared.words.untold.has(self._run.run_id):
            with suppress(Exception):  # nothing of this may end a run
                self._shared.words.tell(self._run)

    def _tell_steps(self) -> None:
        if self._waiting:
            with ThreadPoolExecutor(8, thread_name_prefix="stepwell-telling") as pool:
                for step in list(pool.map(self._tell_step, sorted(self._waiting))):
                    self._waiting.discard(step)

    def _tell_step(self, step: str) -> str:
        self._shared.tell_step(self._run, step)
        return step


def tell_now(run: RunFolder, shared: SharedRuns) -> bool:
    """Tell how the run stands, once, with what all of its steps left; return whether that was done."""
    teller = Teller(run, shared)
    teller._tell(last=True)  # noqa: SLF001  (its own)
    return not teller._reason  # noqa: SLF001


def tell_missed(shared: SharedRuns) -> None:
    """Tell of the runs of this machine that could not be told of when they ended, and what could not be told of any run."""
    for run in shared.untold_runs():
        if not run.is_alive() and not run.heard() and not tell_now(run, shared):
            return
        shared.untold.forget(run.run_id)
    with suppress(StepwellError):
        shared.words.tell_missed()
