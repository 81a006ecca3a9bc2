"""Who asks, of whom, and what an answer is: the words that the handlers of requests share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stepwell.blocks.compute.base import Compute
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.store import Store
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.step_requests.run_state import RunState, StepState
from stepwell.model.definitions import DataSource
from stepwell.model.records import Artifact, StepCall, StepRecord
from stepwell.model.redaction import Redactor


class Host(Protocol):
    """The run that a step is part of, as far as requests need it."""

    workspace: BaseWorkspace
    store: Store
    run: RunFolder
    stop: StopSignal

    @property
    def redactor(self) -> Redactor:
        """What takes secrets out of what people see."""
        ...

    def emit(self, event: Event) -> None:
        """Append an event to the run's journal, and tell those who follow it."""
        ...

    def hide(self, secrets: Iterable[str], declared: Iterable[str] = ()) -> None:
        """Keep the values out of every log from now on."""
        ...

    def fetched(self, data: DataSource) -> Path:
        """Return a local copy of data on a datastore elsewhere."""
        ...

    def digest_data(self, data: DataSource) -> Artifact:
        """Return data with their content's digest as it is now."""
        ...

    def compute(self, name: str) -> Compute:
        """Return the compute target of that name."""
        ...

    def run_state(self) -> RunState:
        """Return what the steps of the run have set so far."""
        ...


class Trials(Protocol):
    """Runs of a step's own script that it has made, and that end with it."""

    @property
    def slots(self) -> int:
        """How many may run at once."""
        ...

    def submit(
        self, arguments: Sequence[str], about: Mapping[str, Any], outputs: Sequence[str], seconds: float | None
    ) -> str:
        """Start one, and return its run's id."""
        ...

    def look(self) -> dict[str, dict[str, Any]]:
        """Return how those stand that have come farther since the last look."""
        ...

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return all metrics of each."""
        ...

    def cancel(self, run_id: str, why: str) -> None:
        """Stop one."""
        ...

    def step_of(self, run_id: str) -> tuple[RunFolder, StepState]:
        """Return the run of one and its step."""
        ...

    def record_of(self, run_id: str) -> StepRecord | None:
        """Return the record of one that has ended well."""
        ...

    def seen(self) -> set[str]:
        """Return what they were seen to read and to ask, though it was not declared."""
        ...

    def close(self) -> None:
        """Stop those that still run, and wait for their ends."""
        ...


@dataclass(frozen=True)
class Asker:
    """The step that asks: none, if what it asked in an earlier run is asked again to decide on it.

    `folder` makes an empty folder that lasts as long as the step. `rehearses`: nothing may be changed for good. `trials`
    returns the runs that it has made of itself.
    """

    host: Host
    call: StepCall | None = None
    step_run_id: str = ""
    folder: Callable[[], Path] | None = None
    rehearses: bool = False
    trials: Callable[[], Trials] | None = None

    @property
    def step(self) -> str:
        """The step's id in its pipeline, '' if it is not known."""
        return self.call.definition.id if self.call else ""


@dataclass(frozen=True)
class Answer:
    """Plain values or a path for the script, and what identifies them in the step's fingerprint.

    `identity` is by default the value; `words` are what people are told of it, such as `version 4`. `read_in_place` are
    files that the path leads to and that others may write to meanwhile.
    """

    value: Any = None
    path: Path | None = None
    identity: Any = field(default=...)
    words: str = ""
    read_in_place: tuple[str, ...] = ()

    @property
    def identified_by(self) -> Any:
        """All of the answer that a result can depend on, as plain values."""
        return self.value if self.identity is ... else self.identity


class Sent(NamedTuple):
    """A file or folder that a script gave to the host."""

    path: Path


Handler = Callable[..., Answer]
"""Called with the asker, the arguments by name, and `sent` if the script gives a file or folder."""


@dataclass(frozen=True)
class Operation:
    """One thing that a script may ask for.

    `look`: the answer counts in the step's fingerprint; `again` finds its identity alone, by default the handler does.
    `sends`: the script gives a file or folder.
    """

    handler: Handler
    look: bool = True
    sends: bool = False
    again: Handler | None = None

    def identified(self, asker: Asker, arguments: Mapping[str, Any]) -> Answer:
        """Return an answer of which only the identity and the words are of use."""
        return (self.again or self.handler)(asker, **arguments)
