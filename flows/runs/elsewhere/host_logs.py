"""The logs of runs and steps as others than their scripts see them and add to them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.additions import OWN, taken
from stepwell.blocks.store.runs.words import GONE, Gone, Subject
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import DatastoreException
from stepwell.flows.runs.elsewhere.finding import summary_now
from stepwell.flows.runs.elsewhere.saying import add, hear, hear_now, say
from stepwell.flows.runs.summary import StepSummary, added_to, summarize
from stepwell.model.redaction import here, redacted
from stepwell.script.events import FOLDERS, read_events
from stepwell.script.log import FolderLog

if TYPE_CHECKING:
    from stepwell.script.metrics import Scope


class HostLog(FolderLog):
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
        if not self._is_its_process():
            _hear(self._workspace, self._folder)
        summary = summarize(self._folder)
        found = [*summary.events, *(event for step in summary.steps for event in step.events)]
        return sorted(found, key=lambda event: float(event["time"]))

    def append(self, event: dict[str, Any]) -> None:
        """Append an event to the run's own log; what somebody else than the run's own process marks it with is said of it."""
        if event["type"] in ("tag", "untag") and not self._is_its_process():
            said = self.masked(event)
            self.say({Subject("tag", said["name"]): GONE if event["type"] == "untag" else said["value"]})
            return
        make_folder(self._folder.path / OWN)
        super().append(event)
        if not self._is_its_process():
            add(self._workspace, self._folder, self._folder.path / OWN, self.masked(event))

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
        found = next((path for path in paths[1:] if os.path.lexists(path)), paths[0])
        if any(event["value"] == name and event["type"] in ("file", "image") for event in read_events(places[0])):
            _bring_file(self._workspace, self._folder, found)
        return found

    def _steps(self) -> Iterable[Any]:
        return [step for step in summarize(self._folder).steps if step.step_run_id]


class StepLog(FolderLog):
    """What a step's script logged; what is added goes to the folder of the run that it is a step of."""

    is_of_step = False

    def __init__(self, workspace: BaseWorkspace, run: RunFolder, step_id: str) -> None:
        super().__init__(str(added_to(run, step_id)))
        self._workspace, self._run, self._step_id = workspace, run, step_id

    @property
    def context(self) -> dict[str, Any]:
        """The empty context: there is no script to ask for more."""
        return {}

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged for the step so far."""
        _hear(self._workspace, self._run)
        step = self._step()
        return list(step.events) if step else []

    def append(self, event: dict[str, Any]) -> None:
        """Append an event to what was added; a mark is said of the step, wherever its run is or was at work."""
        if event["type"] in ("tag", "untag"):
            said = self.masked(event)
            word = GONE if event["type"] == "untag" else said["value"]
            say(self._workspace, self._run, {Subject("tag", said["name"], self._step_id): word})
            return
        folder = added_to(self._run, self._step_id)
        make_folder(folder)
        super().append(event)
        add(self._workspace, self._run, folder, self.masked(event))

    def place(self, scope: Scope, name: str) -> str:
        """Return the path of a kept file: one that the script kept, or one that was added."""
        step = self._step()
        made = step and step.step_run_id and step.folder(self._run) / "control" / FOLDERS[scope] / name
        if made and os.path.lexists(made):
            return str(made)
        added = super().place(scope, name)
        _bring_file(self._workspace, self._run, added)
        return added

    def _step(self) -> StepSummary | None:
        summary = summary_now(self._workspace, self._run)
        return next((step for step in summary.steps if step.id == self._step_id), None)


def _hear(workspace: BaseWorkspace, run: RunFolder) -> None:
    with suppress(DatastoreException):
        hear_now(workspace, run)


def _bring_file(workspace: BaseWorkspace, run: RunFolder, path: str) -> None:
    """Bring what is too large to come unasked, if something of the run came and the file did not."""
    if not os.path.lexists(path) and taken(run):
        hear(workspace, run.run_id, files=True)
