"""What a terminal shows of a run: a live table of steps, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.flows.runs.states import fetch_status
from stepwell.flows.runs.summary import FINAL, summarize

_COLOURS = {
    "ran": "green",
    "reused": "cyan",
    "failed": "red",
    "skipped": "yellow",
    "cancelled": "yellow",
    "running": "bold",
}
_LOOK_SECONDS = 0.1
_WORDS = {"done": "ran", "starting": "waiting"}


class Progress:
    """A listener to a run's events that shows where it is. Use as a context manager while events come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, Event] = {}
        self._began: dict[str, float] = {}
        self._live = Live(self, console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    @classmethod
    def of_terminal(cls, stream: TextIO | None = None) -> Progress:
        """Return progress on standard error, live if that is a terminal."""
        return cls(Console(file=stream or sys.stderr, highlight=False, soft_wrap=True))

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._console.print(self._table(elapsed=False))

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if "warning" in event:
            self._console.print(Text(f"Warning: {event['warning']}", style="yellow"))
        if "step" not in event:
            return
        step = str(event["step"])
        known = self._steps.setdefault(step, {})
        before = known.get("status")
        known.update(event)
        if known["status"] == "running" and before != "running":
            self._began[step] = time.monotonic()
        if self._live is None and event.get("progress"):
            self._console.print(Text(f"{step}: {event['progress']}"), style=None)
        if self._live is None and known["status"] not in ("waiting", "starting", before):
            self._console.print(_line(step, known), style=None)

    def __rich__(self) -> Table:
        return self._table(elapsed=True)

    def _table(self, *, elapsed: bool) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for step, state in self._steps.items():
            word = _word(state)
            seconds = state.get("seconds")
            if elapsed and word == "running":
                seconds = time.monotonic() - self._began.get(step, time.monotonic())
            reason = "; ".join(state.get("why", ())) if word in ("ran", "running", "failed", "waiting") else ""
            reason = str(state.get("progress") or reason) if elapsed and word == "running" else reason
            table.add_row(
                Text(step),
                Text(word, style=_COLOURS.get(word, "dim")),
                Text("" if seconds is None else f"{seconds:.1f} s", justify="right"),
                Text(reason, style="dim", overflow="ellipsis", no_wrap=True),
            )
        return table


def _word(state: Event) -> str:
    status = str(state["status"])
    return _WORDS.get(status, status)


def _line(step: str, state: Event) -> Text:
    word = _word(state)
    seconds = f" in {state['seconds']:.1f} s" if word == "ran" and "seconds" in state else ""
    why = f" ({'; '.join(state['why'])})" if state.get("why") and word in ("running", "reused") else ""
    return Text(f"{step}: {word}{seconds}{why}")


def follow(run: RunFolder, progress: Progress, *, until: float, renew: Callable[[], object] = lambda: None) -> None:
    """Show the run's events as they come, until it ends or the monotonic clock reaches `until`.

    `renew` brings what another machine has told of it.
    """
    shown = 0
    with progress:
        while True:
            renew()
            status = summarize(run).status
            if status == "NotStarted":
                status = fetch_status(run)
                time.sleep(_LOOK_SECONDS)
            events = run.journal()
            for event in events[shown:]:
                progress(event)
            shown = len(events)
            if status in FINAL or time.monotonic() >= until:
                return
            time.sleep(_LOOK_SECONDS)
