"""A run at work in one place of a notebook, which shows it as it stands; below it the lines of its scripts."""

from __future__ import annotations

import io
import sys
import time

from rich.console import Console

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.errors import printable
from stepwell.flows.pages.notebook import display, in_notebook, run_html
from stepwell.flows.runs.live.progress import Progress

_LEAST_SECONDS = 0.3


class NotebookProgress(Progress):
    """A listener to a run's events that draws the run anew where it was drawn first. What is drawn last stays in the notebook."""

    def __init__(self, run: RunFolder, *, names: bool = True) -> None:
        super().__init__(Console(file=io.StringIO()), lines=sys.stdout, names=names)
        self._run = run
        self._place = self._drawn = ""
        self._at = 0.0

    def __enter__(self) -> NotebookProgress:
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()

    def __call__(self, event: Event) -> None:
        """Show the event, unless something was shown just now: the next one, or the end, shows it, too."""
        if time.monotonic() - self._at >= _LEAST_SECONDS:
            self._draw()

    def _draw(self) -> None:
        html = run_html(self._run)
        if html != self._drawn:
            self._place = display(html, f"Run {printable(self._run.label)}", self._place)
            self._drawn, self._at = html, time.monotonic()


def progress_here(run: RunFolder, *, names: bool) -> Progress:
    """Return progress where people look: in the notebook that this process is the kernel of, or on the terminal.

    The lines of scripts go to standard output; `names`: with their step in front.
    """
    return NotebookProgress(run, names=names) if in_notebook() else Progress.of_terminal(lines=sys.stdout, names=names)
