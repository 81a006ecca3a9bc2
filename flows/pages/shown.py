"""`ShownRun`: what a run is to those who look at it in a notebook or a browser."""

from __future__ import annotations

import os
from pathlib import Path

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.pages.notebook import run_html
from stepwell.flows.pages.report import usual_file, write_report
from stepwell.flows.runs.elsewhere.finding import bring_steps, renew
from stepwell.model.records import StepRecord


@checked
class ShownRun:
    """The part of a run that shows it."""

    workspace: BaseWorkspace
    folder: RunFolder

    def report(self, path: str | os.PathLike[str] = ".") -> Path:
        """Write what is known of the run to one HTML file that needs nothing else: to read, to print, to send.

        It holds the graph of the steps, what ran and why, times, metrics with curves, pictures, tables, parameters, data,
        where the code is from, packages, and the ends of the logs of failed steps.

        Args:
            path: The file; in a folder, it is called as the run, such as `digits-12.html`. A report there is replaced.

        Returns:
            The file.

        Raises:
            UserErrorException: Something else than a report stands there, or the file can't be written.
        """
        self._renew()
        place = Path(path)
        target = place / usual_file(self.folder) if place.is_dir() else place
        return write_report(self.folder, self._known_record, target)

    def _renew(self) -> None:
        renew(self.workspace, self.folder)
        if self.folder.heard():
            bring_steps(self.workspace, self.folder)

    def _known_record(self, key: str) -> StepRecord | None:
        store = self.workspace.store
        found = store.lookup(key) if self.folder.heard() else store.read_record(key)
        return found if isinstance(found, StepRecord) else None

    def _repr_html_(self) -> str:
        self._renew()
        return run_html(self.folder)
