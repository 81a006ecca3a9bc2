"""A run at work in one place of a notebook, which shows it as it stands; below it the lines of its scripts."""

from __future__ import annotations

import io
import sys
import time
from typing import Any, Protocol

from rich.console import Console

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.errors import printable
from stepwell.flows.pages.notebook import as_data, display, in_notebook, run_html
from stepwell.flows.runs.live.progress import Progress
from stepwell.flows.runs.summary import ENDED_STEP, RunSummary, summarize

_LEAST_SECONDS = 0.3


class View(Protocol):
    """A place in a notebook that shows a run, again and again."""

    def show(self, html: str, summary: RunSummary) -> None:
        """Show the run as it stands."""

    def end(self, html: str, summary: RunSummary) -> None:
        """Show the run as it stays, also in the saved notebook."""


class OutputView:
    """A cell's output that is replaced; every notebook can do that."""

    _shown = ""

    def show(self, html: str, summary: RunSummary) -> None:
        """Show the run as it stands."""
        self._shown = display(as_data(html, _text(summary)), self._shown)

    def end(self, html: str, summary: RunSummary) -> None:
        """Show the run as it stays."""
        self.show(html, summary)


class WidgetView:
    """A widget of ipywidgets with a bar of the steps that have ended; at the end plain output stays in its place."""

    def __init__(self) -> None:
        import ipywidgets

        self._bar: Any = ipywidgets.IntProgress(min=0, max=1, layout=ipywidgets.Layout(width="24em"))
        self._page: Any = ipywidgets.HTML()
        self._box: Any = ipywidgets.VBox([self._bar, self._page])
        self._shown = ""

    def show(self, html: str, summary: RunSummary) -> None:
        """Show the run as it stands."""
        self._page.value = html
        self._bar.max = max(1, len(summary.steps))
        self._bar.value = ended = sum(step.status in ENDED_STEP for step in summary.steps)
        self._bar.description = f"{ended} of {len(summary.steps)}"
        if not self._shown:
            widget = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
            data = {"application/vnd.jupyter.widget-view+json": widget, **as_data(html, _text(summary))}
            self._shown = display(data)

    def end(self, html: str, summary: RunSummary) -> None:
        """Show the run as it stays, and let the widget go."""
        self.show(html, summary)
        display(as_data(html, _text(summary)), self._shown)
        for part in (self._box, self._bar, self._page):
            part.close()


def _text(summary: RunSummary) -> str:
    return f"Run {printable(summary.label)}"


def view_here() -> View:
    """Return a view for the notebook that this process is the kernel of: a widget where there are such."""
    try:
        return WidgetView()
    except Exception:  # noqa: BLE001  (whatever is not as it should be of a package that is not ours)
        return OutputView()


class NotebookProgress(Progress):
    """A listener to a run's events that draws the run anew where it was drawn first. What is drawn last stays in the notebook."""

    def __init__(self, run: RunFolder, view: View, *, names: bool = True) -> None:
        super().__init__(Console(file=io.StringIO()), lines=sys.stdout, names=names)
        self._run = run
        self._view = view
        self._drawn = ""
        self._at = 0.0

    def __enter__(self) -> NotebookProgress:
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        summary = summarize(self._run)
        self._view.end(run_html(self._run, summary), summary)

    def __call__(self, event: Event) -> None:
        """Show the event, unless something was shown just now: the next one, or the end, shows it, too."""
        if time.monotonic() - self._at >= _LEAST_SECONDS:
            self._draw()

    def _draw(self) -> None:
        summary = summarize(self._run)
        html = run_html(self._run, summary)
        if html != self._drawn:
            self._view.show(html, summary)
            self._drawn, self._at = html, time.monotonic()


def progress_here(run: RunFolder, *, names: bool) -> Progress:
    """Return progress where people look: in the notebook that this process is the kernel of, or on the terminal.

    The lines of scripts go to standard output; `names`: with their step in front.
    """
    if in_notebook():
        return NotebookProgress(run, view_here(), names=names)
    return Progress.of_terminal(lines=sys.stdout, names=names)
