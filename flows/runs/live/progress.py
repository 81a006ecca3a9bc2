"""What a terminal shows of a run: a live table of steps, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.errors import printable
from stepwell.flows.runs.live.step_logs import StepLogs
from stepwell.flows.runs.states import fetch_status
from stepwell.flows.runs.summary import FINAL, in_order, summarize

_COLOURS = {
    "ran": "green",
    "reused": "cyan",
    "failed": "red",
    "skipped": "yellow",
    "cancelled": "yellow",
    "running": "bold",
}
_LOOK_SECONDS = 0.1
_RANKS = {"failed": -3, "running": -2, "retrying": -2, "cancelled": -1, "ran": 1, "reused": 2, "skipped": 2}
"""Which steps are shown before others, those with lower ranks first, where there are more than lines; what waits has 0."""
_WORDS = {"done": "ran", "starting": "waiting"}


class Progress:
    """A listener to a run's events that shows where it is. Use as a context manager while events come."""

    def __init__(
        self, console: Console, *, lines: TextIO | None = None, names: bool = True, before_report: bool = False
    ) -> None:
        self._console = console
        self._lines = lines
        self._names = names
        self._before_report = before_report
        self._shows_lines = False
        self.warnings: list[str] = []
        """What was warned of."""
        self._steps: dict[str, Event] = {}
        self._began: dict[str, float] = {}
        self._reused: set[str] = set()
        self._live = Live(self, console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    @classmethod
    def of_terminal(
        cls,
        stream: TextIO | None = None,
        *,
        lines: TextIO | None = None,
        names: bool = True,
        before_report: bool = False,
    ) -> Progress:
        """Return progress on standard error, live if that is a terminal.

        `lines`: where the lines of scripts go where nothing is live, by default there too; `names`: with their step in front.
        `before_report`: a report of the run follows at the same place, so that what stands there is not told before.
        """
        console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        return cls(console, lines=lines, names=names, before_report=before_report)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            if not self._before_report:
                self._console.print(self._table(elapsed=False))
        elif self._reused and not self._before_report:
            self._say(f"{len(self._reused)} step{'s' * (len(self._reused) > 1)} reused")

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if "warning" in event:
            self.warnings.append(str(event["warning"]))
            self._console.print(Text(f"Warning: {event['warning']}", style="yellow"))
        if "step" not in event:
            return
        step = str(event["step"])
        known = self._steps.setdefault(step, {})
        before = known.get("status")
        known.update(event)
        if known["status"] == "running" and before != "running":
            self._began[step] = time.monotonic()
        if self._live is None:
            self._tell(step, known, event, before)

    def _tell(self, step: str, known: Event, event: Event, before: str | None) -> None:
        """Say what is new of the step; of all that are reused there is one line, at the end."""
        if event.get("progress"):
            self._say(f"{step}: {event['progress']}")
        if known["status"] == "reused":
            self._reused.add(step)
        elif known["status"] not in ("waiting", "starting", before):
            self._reused.discard(step)
            self._say(_line(step, known, reasons=not self._before_report))

    def _say(self, line: str) -> None:
        self._console.file.write(printable(line) + "\n")  # as rich would, for nothing of it has a style
        self._console.file.flush()

    def line(self, step: str, text: str) -> None:
        """Show a line that the script of a step wrote."""
        self._shows_lines = True
        name = f"{printable(step)} | " if self._names else ""
        if self._live or self._lines is None:
            self._console.print(Text.assemble((name, "dim"), Text.from_ansi(text)), style=None)
        else:
            print(f"{name}{text}", file=self._lines, flush=True)

    def update(self, step: str, text: str) -> None:
        """Show what a progress bar of a step has now, where the table is live."""
        self._steps.setdefault(step, {"status": "running"})["bar"] = printable(Text.from_ansi(text).plain.strip())

    def __rich__(self) -> Table:
        return self._table(elapsed=True)

    def _table(self, *, elapsed: bool) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        steps, rest = self._in_sight() if elapsed else (self._ordered(), "")
        for step, state in steps.items():
            word = _word(state)
            seconds = state.get("seconds")
            if elapsed and word == "running":
                seconds = time.monotonic() - self._began.get(step, time.monotonic())
            reason = (
                "; ".join(state.get("why", ())) if word in ("ran", "running", "failed", "waiting", "skipped") else ""
            )
            reason = (
                str(state.get("bar") or state.get("progress") or reason) if elapsed and word == "running" else reason
            )
            table.add_row(
                Text(printable(step)),
                Text(word, style=_COLOURS.get(word, "dim")),
                Text("" if seconds is None else f"{seconds:.1f} s", justify="right"),
                Text(reason, style="dim", overflow="ellipsis", no_wrap=True),
            )
        if rest:
            table.add_row(Text("…", style="dim"), "", "", Text(rest, style="dim", overflow="ellipsis", no_wrap=True))
        return table

    def _ordered(self) -> dict[str, Event]:
        """Return the steps in the order of the report: what is run for each item before the step that joins it."""
        return dict(in_order(dict(self._steps)))

    def _in_sight(self) -> tuple[Mapping[str, Event], str]:
        """Return the steps that the terminal has lines for, those first that people wait for, and in words what the others do."""
        height = self._console.size.height
        most = max(height // 2 if self._shows_lines else height - 2, 1)  # above it lines of scripts scroll by
        steps = self._ordered()
        if len(steps) <= most:
            return steps, ""
        places = {step: (_RANKS.get(_word(state), 0), number) for number, (step, state) in enumerate(steps.items())}
        shown = set(sorted(places, key=places.__getitem__)[:most])
        counts = Counter(_word(state) for step, state in steps.items() if step not in shown)
        words = ", ".join(f"{count} {word}" for word, count in counts.items())
        return {step: state for step, state in steps.items() if step in shown}, f"and {counts.total()} more: {words}"


def _word(state: Event) -> str:
    status = str(state["status"])
    return _WORDS.get(status, status)


def _line(step: str, state: Event, *, reasons: bool = True) -> str:
    word = _word(state)
    seconds = f" in {state['seconds']:.1f} s" if word == "ran" and "seconds" in state else ""
    why = f" ({'; '.join(state['why'])})" if reasons and state.get("why") and word in ("running", "skipped") else ""
    return f"{step}: {word}{seconds}{why}"


def follow(run: RunFolder, progress: Progress, *, until: float, renew: Callable[[], object] = lambda: None) -> None:
    """Show the run's events, and the lines of its scripts, as they come, until it ends or the monotonic clock reaches `until`.

    `renew` brings what another machine has told of it.
    """
    shown, logs = 0, StepLogs(run, progress.line, progress.update)
    with progress:
        while True:
            renew()
            status = summarize(run).status
            if status == "NotStarted":
                status = fetch_status(run)
                time.sleep(_LOOK_SECONDS)
            events = run.journal()
            for event in events[shown:]:
                logs(event)  # its last lines come before its end
                progress(event)
            shown = len(events)
            logs.look(to_end=status in FINAL)
            if status in FINAL or time.monotonic() >= until:
                return
            time.sleep(_LOOK_SECONDS)
