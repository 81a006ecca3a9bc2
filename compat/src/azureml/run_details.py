"""`RunDetails`: a run as a table that follows it, in a notebook or a terminal."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepwell.blocks.store.run_folder import RunFolder

_SECONDS_BETWEEN_LOOKS = 1.0


class RunDetails:
    """Shows a run, as far as it is.

    Args:
        run_instance: The run: of a pipeline, of a step, or one that was started to log to.
    """

    def __init__(self, run_instance: Any) -> None:
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Show the run: in a notebook a table that changes until the run ends, in a terminal one that is waited for, else as text.

        Args:
            render_lib: Taken and passed over.
            widget_settings: Taken and passed over.
        """
        try:
            self._show()
        except Exception as error:  # noqa: BLE001  (a look at a run must not end a notebook)
            print(f"{self._run!r} ({error})")

    def get_widget_data(self, widget_settings: Any = None) -> dict[str, Any]:
        """Return what is known of the run.

        Args:
            widget_settings: Taken and passed over.

        Returns:
            The run's id, status and further facts, as `get_details` has them.
        """
        return dict(self._run.get_details())

    def _show(self) -> None:
        from stepwell.deployments.reports.report import report
        from stepwell.flows.pages.notebook import as_data, display, in_notebook, run_html
        from stepwell.flows.runs.live.progress import Progress, follow

        run = _folder_of(self._run)
        if run is None:
            print(repr(self._run))
            return
        if in_notebook():
            shown = display(as_data(run_html(run), report(run)))
            threading.Thread(target=_keep_up, args=(run, shown), daemon=True).start()
            return
        if sys.stdout.isatty():
            try:
                follow(run, Progress.of_terminal(sys.stdout, before_report=True), until=float("inf"))
            except KeyboardInterrupt:  # who looks away leaves the run alone
                print()
        print(report(run))


def _folder_of(run: Any) -> RunFolder | None:
    """Return the folder of a run, of a step's that of its pipeline's run."""
    for one in (run, getattr(run, "_run", None)):
        folder = getattr(one, "folder", None)
        if folder is not None and hasattr(folder, "journal"):
            found: RunFolder = folder
            return found
    return None


def _keep_up(run: RunFolder, shown: str) -> None:
    """Show the run again and again in the same place, until it ends."""
    from stepwell.deployments.reports.report import report
    from stepwell.flows.pages.notebook import as_data, display, run_html
    from stepwell.flows.runs.summary import FINAL, summarize

    try:
        last = ""
        while True:
            ended = summarize(run).status in FINAL
            html = run_html(run)
            if html != last:
                display(as_data(html, report(run)), shown)
                last = html
            if ended:
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except Exception:  # noqa: BLE001, S110  (the notebook may be closed; what was shown stays)
        pass
