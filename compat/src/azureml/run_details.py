"""`RunDetails`: the table of a run that a notebook or a terminal shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepwell.deployments.reports.report import report

if TYPE_CHECKING:
    from stepwell import PipelineRun


class RunDetails:
    """Shows a run, as far as it is.

    Args:
        run_instance: The run.
    """

    def __init__(self, run_instance: PipelineRun) -> None:
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Print the run's report as it is now.

        Args:
            render_lib: Taken and passed over.
            widget_settings: Taken and passed over.
        """
        print(self._text())

    def get_widget_data(self, widget_settings: Any = None) -> dict[str, Any]:
        """Return what is known of the run.

        Args:
            widget_settings: Taken and passed over.

        Returns:
            The run's id, status and further facts, as `PipelineRun.get_details` has them.
        """
        return dict(self._run.get_details())

    def _text(self) -> str:
        try:
            return report(self._run.folder)
        except Exception as error:  # noqa: BLE001  (a look at a run must not end a notebook)
            return f"{self._run!r} ({error})"
