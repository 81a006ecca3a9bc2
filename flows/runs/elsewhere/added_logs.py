"""What is logged for a run or a step of it, and what others than its script add to that: marks, metrics, files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.words import GONE, Gone, Subject
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.runs.elsewhere.saying import say
from stepwell.flows.runs.summary import OWN, StepSummary, added_to, summarize
from stepwell.model.redaction import here, redacted
from stepwell.script.events import FOLDERS
from stepwell.script.log import FolderLog

if TYPE_CHECKING:
    from stepwell.script.metrics import Scope

_MARKS = ("tag", "untag")


class RunLog(FolderLog):
    """What the run has of itself, and what its steps' scripts logged for it; what is added goes to the run's own folder."""

    is_of_step = False

    def __init__(self, folder: RunFolder, workspace: BaseWorkspace) -> None:
        super().__init__(str(folder.path / OWN))
        self._folder, self._workspace = folder, workspace
        self._gathered: dict[Subject, str | Gone | None] | None = None

    @property
    def context(self) -> dict[str, Any]:
        """What the run was submitted with."""
        facts = self._folder.facts()
        return {f"parent_{name}": redacted(facts.get(name, {}), here().redact) for name in ("tags", "properties")}

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged for the run so far, the oldest first."""
        summary = summarize(self._folder)
        found = [*summary.events, *(event for step in summary.steps for event in step.events)]
        return sorted(found, key=lambda event: float(event["time"]))

    def append(self, event: dict[str, Any]) -> None:
        """Append an event to the run's own log; what somebody else than the run's own process marks it with is said of it."""
        if event["type"] in _MARKS and not self._is_its_process():
            self.say(_marked(self.masked(event)))
            return
        make_folder(self._folder.path / OWN)
        super().append(event)

    def say(self, said: Mapping[Subject, str | Gone | None]) -> None:
        """Say it of the run, at once or with all that is gathered."""
        if self._gathered is None:
            say(self._workspace, self._folder, said)
        else:
            self._gathered |= said

    @contextmanager
    def together(self) -> Iterator[None]:
        """Say all that is said within the block at its end, as one; nothing of it if that fails."""
        if self._gathered is not None:
            yield
            return
        self._gathered = {}
        try:
            yield
            if self._gathered:
                say(self._workspace, self._folder, self._gathered)
        finally:
            self._gathered = None

    def _is_its_process(self) -> bool:
        facts = self._folder.facts()
        return facts.get("kind") == "interactive" and facts.get("pid") == os.getpid() and self._folder.is_alive()

    def place(self, scope: Scope, name: str) -> str:
        """Return the path of a kept file: the run's own, or one that a step's script kept for it."""
        places = [self._folder.path / OWN, *(step.folder(self._folder) / "control" for step in self._steps())]
        paths = [str(place / FOLDERS[scope] / name) for place in places]
        return next((path for path in paths[1:] if os.path.lexists(path)), paths[0])

    def _steps(self) -> Iterable[Any]:
        return [step for step in summarize(self._folder).steps if step.step_run_id]


class StepLog(FolderLog):
    """What a step's script logged; what is added goes to the folder of the run that it is a step of."""

    is_of_step = False

    def __init__(
        self, workspace: BaseWorkspace, run: RunFolder, step: StepSummary, current: Callable[[], StepSummary]
    ) -> None:
        self._added = added_to(run, step.id)
        super().__init__(str(self._added))
        self._workspace, self._run, self._step, self._current = workspace, run, step, current

    @property
    def context(self) -> dict[str, Any]:
        """The empty context: there is no script to ask for more."""
        return {}

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged for the step so far."""
        return list(self._current().events)

    def append(self, event: dict[str, Any]) -> None:
        """Append an event to what was added; a mark is said of the step, wherever its run is or was at work."""
        if event["type"] in _MARKS:
            say(self._workspace, self._run, _marked(self.masked(event), self._step.id))
            return
        make_folder(self._added)
        super().append(event)

    def place(self, scope: Scope, name: str) -> str:
        """Return the path of a kept file: one that the script kept, or one that was added."""
        made = self._step.folder(self._run) / "control" / FOLDERS[scope] / name
        return str(made) if self._step.step_run_id and os.path.lexists(made) else super().place(scope, name)


def _marked(event: Mapping[str, Any], step: str = "") -> dict[Subject, str | Gone]:
    """Return what the event of a mark says, and of what."""
    return {Subject("tag", event["name"], step): GONE if event["type"] == "untag" else event["value"]}
