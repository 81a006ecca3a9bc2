"""The logs of runs and steps as others than their scripts see them and add to them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.words import GONE, Gone, Subject
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.runs.elsewhere.saying import say
from stepwell.flows.runs.summary import OWN, StepSummary, summarize
from stepwell.model.redaction import here, redacted
from stepwell.script.events import FOLDERS
from stepwell.script.log import FolderLog

if TYPE_CHECKING:
    from stepwell.script.metrics import Scope


class RunLike(Protocol):
    """What a log has to know of a run."""

    workspace: BaseWorkspace
    folder: RunFolder


class StepLike(Protocol):
    """What a log has to know of a step."""

    @property
    def id(self) -> str:
        """The id of the step run that made the result."""
        ...

    @property
    def folder(self) -> Path:
        """The folder of what its script left."""
        ...

    @property
    def added(self) -> Path:
        """The folder of what others log for it."""
        ...

    @property
    def parent(self) -> RunLike:
        """The run that it is a step of."""
        ...

    def current(self) -> StepSummary:
        """Return what is known of it now."""
        ...


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

    def __init__(self, step: StepLike, step_id: str) -> None:
        super().__init__(str(step.added))
        self._step, self._step_id = step, step_id

    @property
    def context(self) -> dict[str, Any]:
        """The empty context: there is no script to ask for more."""
        return {}

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged for the step so far."""
        return list(self._step.current().events)

    def append(self, event: dict[str, Any]) -> None:
        """Append an event to what was added; a mark is said of the step, wherever its run is or was at work."""
        if event["type"] in ("tag", "untag"):
            said = self.masked(event)
            word = GONE if event["type"] == "untag" else said["value"]
            subject = Subject("tag", said["name"], self._step_id)
            say(self._step.parent.workspace, self._step.parent.folder, {subject: word})
            return
        make_folder(self._step.added)
        super().append(event)

    def place(self, scope: Scope, name: str) -> str:
        """Return the path of a kept file: one that the script kept, or one that was added."""
        made = self._step.folder / "control" / FOLDERS[scope] / name
        return str(made) if self._step.id and os.path.lexists(made) else super().place(scope, name)
