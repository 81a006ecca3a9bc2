"""What travels to a compute target, and what came of it: calls, exits, records and the names of data.

A *call* is a step with every input bound: the only thing that travels to a compute target. A *record* is what happened.
An *artifact* is the name of data, never data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from stepwell.model.definitions import StepDefinition
from stepwell.model.fingerprint import Fingerprint
from stepwell.model.jsonable import Jsonable


@dataclass(frozen=True, slots=True)
class Artifact(Jsonable):
    """The name of data: where it stands, its content digest and size. `kept`: the store holds it under its digest."""

    datastore: str
    path: str
    digest: str
    size: int
    kept: bool


@dataclass(frozen=True, slots=True)
class StepCall(Jsonable):
    """A step with every input bound."""

    definition: StepDefinition
    snapshot: str
    inputs: dict[str, Artifact]
    parameters: dict[str, str]
    fingerprint: Fingerprint
    declared: tuple[str, ...]
    """Snapshot paths that the fingerprint covers."""

    @property
    def key(self) -> str:
        """The name of the result."""
        return self.fingerprint.key


@dataclass(frozen=True, slots=True)
class Exit(Jsonable):
    """How a process ended: its code (negative: the signal), whether it was stopped, and seconds of wall time.

    `guard` is what held its descendants, so that none outlived it: a `cgroup`, or the `marks` that they bear.
    """

    code: int
    seconds: float
    timed_out: bool = False
    cancelled: bool = False
    guard: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with code 0."""
        return self.code == 0 and not self.timed_out and not self.cancelled


@dataclass(frozen=True, slots=True)
class StepRecord(Jsonable):
    """What happened when a step ran: enough to reuse it, to explain it, and to find its logs."""

    key: str
    step: str
    fingerprint: Fingerprint
    outputs: dict[str, Artifact]
    run_id: str
    step_run_id: str
    started: str
    seconds: float
    sequence: int = 0
    metrics: tuple[dict[str, Any], ...] = ()
    reused: bool = False


class StepResult(dict[str, Artifact]):
    """What a step wrote, by output name, and the whole `record` of how."""

    def __init__(self, record: StepRecord) -> None:
        super().__init__(record.outputs)
        self.record = record

    def __reduce__(self) -> tuple[Any, ...]:
        return StepResult, (self.record,)


Action = Literal["run", "reuse", "depends"]


@dataclass(frozen=True, slots=True)
class Decision(Jsonable):
    """What will happen to a step and why, in words, the weightiest reason first."""

    step: str
    action: Action
    why: tuple[str, ...]
