"""What travels to a compute target, and what came of it: calls, exits, records and the names of data.

A *call* is a step with every input bound: the only thing that travels to a compute target. A *record* is what happened.
An *artifact* is the name of data, never data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from stepwell.model.definitions import DatasetSource, OutputSource, StepDefinition
from stepwell.model.fingerprint import Fingerprint
from stepwell.model.jsonable import Jsonable

BESIDE = "files beside the outputs"
"""The name under which a record has what the script wrote beside its outputs; no port can have it."""


def is_own(name: str) -> bool:
    """Return whether an output is Stepwell's own business, and none that a user named: no port has a blank in its name."""
    return " " in name and name != BESIDE


def beside(name: str) -> str:
    """Return the name under which a call has what stands beside an input."""
    return f"files beside {name}"


@dataclass(frozen=True, slots=True)
class Artifact(Jsonable):
    """The name of data: where it stands, its content digest and size. `kept`: the store holds it under its digest.

    `workspace` is that of the run which handed the data out, '' if none did; `dataset` is the one that the data are to the
    step that reads them. No record keeps them.
    """

    datastore: str
    path: str
    digest: str
    size: int
    kept: bool
    workspace: str = field(default="", compare=False)
    dataset: DatasetSource | None = field(default=None, compare=False)

    def items(self, pattern: str = "") -> WrittenItems:
        """Return what a step of the same flow can be mapped over: what is in this folder, or the files in it that fit a pattern."""
        return WrittenItems(self, pattern)

    def to_json(self) -> dict[str, Any]:
        """Return the field names and their plain values, without a workspace and a dataset that are not known."""
        known = {"workspace": self.workspace, "dataset": self.dataset}
        return {name: value for name, value in Jsonable.to_json(self).items() if known.get(name, True)}


@dataclass(frozen=True, slots=True)
class WrittenItems:
    """The files and folders in what a step wrote, for `step.map` in a flow; `pattern` is '' for all at the top."""

    artifact: Artifact
    pattern: str = ""


class FileFacts(NamedTuple):
    """A file of an input: its name below the input's folder ('' for a lone file), its content's digest and its size."""

    name: str
    digest: str
    size: int


class Contents(NamedTuple):
    """What is known of an input before a step runs: its files, the dataset that it is as JSON text, its path if it is kept."""

    files: Iterable[FileFacts]
    document: str = ""
    path: str = ""


class Known(NamedTuple):
    """What is known of a step on the machine of its run before it runs: what its driver may refuse.

    `source` is its source directory and `script` the script's path on this machine, '' if there is none; `settings` are with the values of parameters, '' for paths of outputs and
    inputs; `inputs` those that no other step writes, with a `path` if they stand on this machine; `target` the names of the
    classes that its compute target is of.
    """

    step: str
    source: str
    script: str
    settings: Mapping[str, str]
    inputs: Mapping[str, Contents]
    target: tuple[str, ...]


def facts_of(entries: Iterable[Any]) -> Iterator[FileFacts]:
    """Yield the files among the entries of a tree, or of its plain values; links and folders have no content."""
    return (FileFacts(str(path), str(digest), int(size)) for path, kind, digest, size, *_ in entries if kind == "file")


@dataclass(frozen=True, slots=True)
class OwnModule(Jsonable):
    """A top-level module that a step imports from where people work on it: at `place`, an absolute path on this machine.

    `digest` is that of its copy in the store, '' if it stands in the source directory.
    """

    name: str
    place: str
    digest: str = ""


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
    own_code: tuple[OwnModule, ...] = ()

    @property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """The datasets among the inputs, by the input's name, with their `mode` and the `digest` of their files."""
        return {
            port.name: {"mode": port.mode, "digest": artifact.digest, **artifact.dataset.to_json()}
            for port in self.definition.inputs
            if (artifact := self.inputs.get(port.name)) is not None and artifact.dataset is not None
        }

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
    """What happened when a step ran: enough to reuse it, to explain it, and to find its logs.

    `incomplete` says what the result lacks, '' of one that may be used again by later runs.
    """

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
    incomplete: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the field names and their plain values; `incomplete` only of one that is."""
        plain = Jsonable.to_json(self)
        if not self.incomplete:
            del plain["incomplete"]
        return plain

    @property
    def written(self) -> dict[str, Artifact]:
        """The outputs that the step has, without what stands beside them, and what only later executions of it read."""
        return {name: artifact for name, artifact in self.outputs.items() if name != BESIDE and not is_own(name)}


def with_files_beside(
    step: StepDefinition, known: Mapping[str, Artifact], written: Callable[[str], Artifact | None]
) -> dict[str, Artifact]:
    """Return the inputs that are known, and what stands beside them where the step can see that.

    `written` returns what the step of an id wrote beside its outputs.
    """
    found = dict(known)
    for port in step.inputs if step.switches.files_beside_outputs_are_kept else ():
        if port.name in known and port.shows_folder and isinstance(port.source, OutputSource):
            artifact = written(port.source.step)
            found |= {beside(port.name): artifact} if artifact else {}
    return found


class StepResult(dict[str, Artifact]):
    """What a step wrote, by output name, and the whole `record` of how; `workspace` is that of the run."""

    def __init__(self, record: StepRecord, workspace: str = "") -> None:
        super().__init__({name: replace(data, workspace=workspace) for name, data in record.written.items()})
        self.record = record
        self.workspace = workspace

    def __reduce__(self) -> tuple[Any, ...]:
        return StepResult, (self.record, self.workspace)


Action = Literal["run", "reuse", "depends", "skip"]


@dataclass(frozen=True, slots=True)
class Decision(Jsonable):
    """What will happen to a step and why, in words, the weightiest reason first."""

    step: str
    action: Action
    why: tuple[str, ...]
