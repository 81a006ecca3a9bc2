"""The words that all rooms share: frozen, JSON-able values that say what a step is, what fills it, and what came of it.

A *definition* is a step or pipeline as its author wrote it, with holes. A *call* is a step with every hole filled: the
only thing that travels to a compute target. A *record* is what happened. An *artifact* is the name of data, never data.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple, Self, Union, get_args, get_origin, get_type_hints

from stepwell.fingerprint import Fingerprint, Row

Mode = Literal["mount", "download", "upload"]
Scalar = int | float | bool | str | None


class Piece(NamedTuple):
    """Part of one argument: plain `text`, or the name of an `input`, `output` or `parameter` that fills it."""

    kind: Literal["text", "input", "output", "parameter"]
    value: str


Argument = tuple[Piece, ...]
"""One `argv` element; its pieces are joined without a separator."""


class Jsonable:
    """Turns a frozen dataclass into plain JSON values and back, by its type hints."""

    def to_json(self) -> dict[str, Any]:
        """Field names to plain values, nested ones included."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The value that `to_json` wrote; missing or foreign fields raise TypeError, wrong shapes that or ValueError."""
        hints, found = _hints(cls), _object(data)  # type: ignore[arg-type]
        return cls(**{name: _revive(hints[name], value) if name in hints else value for name, value in found.items()})


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _plain(value: Any) -> Any:
    if isinstance(value, Jsonable):
        return value.to_json()
    if isinstance(value, Fingerprint):
        return [list(row) for row in value.rows]
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _revive(hint: Any, value: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        if isinstance(value, list):
            return next((_revive(arg, value) for arg in args if get_origin(arg) is tuple), value)
        classes = [arg for arg in args if isinstance(arg, type) and issubclass(arg, Jsonable)]
        fitting = [
            cls
            for cls in classes
            if isinstance(value, dict) and {f.name for f in dataclasses.fields(cls)} == set(value)  # type: ignore[arg-type]
        ]
        return fitting[0].from_json(value) if fitting else value
    if hint is Fingerprint:
        return Fingerprint(tuple(Row(*row) for row in value))
    if origin is tuple:
        items = args[:1] * len(value) if args[-1] is Ellipsis else args
        return tuple(_revive(item, entry) for item, entry in zip(items, value, strict=True))
    if origin is dict:
        return {name: _revive(args[1], entry) for name, entry in _object(value).items()}
    if isinstance(hint, type) and issubclass(hint, Jsonable):
        return hint.from_json(value)
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return hint(*value)
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"there is a {type(value).__name__} where an object should be")
    return value


# What fills an input ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DataSource(Jsonable):
    """A file or folder that stands in a datastore before the run."""

    datastore: str
    path: str


@dataclass(frozen=True, slots=True)
class ParameterSource(Jsonable):
    """A file or folder that a pipeline parameter names at the run (a DataPath)."""

    parameter: str


@dataclass(frozen=True, slots=True)
class OutputSource(Jsonable):
    """What another step of the pipeline writes."""

    step: str
    output: str


@dataclass(frozen=True, slots=True)
class HoleSource(Jsonable):
    """Nothing yet: the caller of the step names the data, by the input's name."""

    hole: str


Source = DataSource | ParameterSource | OutputSource | HoleSource


# A step as its author wrote it --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputPort(Jsonable):
    """A named hole for data to read. `variable` is the environment variable that holds its local path."""

    name: str
    source: Source
    variable: str
    mode: Mode = "mount"
    path_on_compute: str | None = None


@dataclass(frozen=True, slots=True)
class OutputPort(Jsonable):
    """A named hole for data to write; `destination` is a path template on `datastore` for outputs delivered there too."""

    name: str
    variable: str
    datastore: str | None = None
    mode: Mode = "mount"
    path_on_compute: str | None = None
    destination: str | None = None
    pipeline_output: str | None = None


@dataclass(frozen=True, slots=True)
class ParameterDefinition(Jsonable):
    """A pipeline parameter: its type's name, its default (a DataPath's is `{datastore, path}`), and what it may be.

    `choices`, `minimum` and `maximum` of a list are those of its items, whose type is `item_type`. None is a value only of
    `nullable` ones.
    """

    name: str
    type: Literal["int", "float", "bool", "str", "list", "data"]
    default: Scalar | DataSource | tuple[Scalar, ...]
    secret: bool = False
    nullable: bool = False
    choices: tuple[Scalar, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    item_type: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class EnvironmentDefinition(Jsonable):
    """What a step runs in. Without requirements or an image of its own, it inherits the packages in use.

    `requirements` are lines for pip, `conda` are conda's specifications, `python` is a version such as `3.11` ('' is any).
    `image` is what containers start from, `dockerfile` the text that makes it; only containers look at them.
    """

    interpreter: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    python: str = ""
    index_url: str = ""
    image: str = ""
    dockerfile: str = ""
    shm_size: str = ""

    @property
    def isolated(self) -> bool:
        """Whether it has packages of its own."""
        return bool(self.requirements or self.conda)


@dataclass(frozen=True, slots=True)
class Resources(Jsonable):
    """What a step takes of its compute target while it runs: processors, bytes of memory, GPUs (parts of one are shared)."""

    cpus: float = 1
    memory: int = 0
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class StepDefinition(Jsonable):
    """A step with holes. `id` is unique in its pipeline; `arguments` of a command are the whole command."""

    id: str
    name: str
    type: str
    source_directory: str
    script: str | None = None
    arguments: tuple[Argument, ...] = ()
    shell: bool = False
    inputs: tuple[InputPort, ...] = ()
    outputs: tuple[OutputPort, ...] = ()
    parameters: tuple[ParameterDefinition, ...] = ()
    params: dict[str, Argument] = field(default_factory=dict)
    hash_paths: tuple[str, ...] = ()
    environment: EnvironmentDefinition = field(default_factory=EnvironmentDefinition)
    compute_target: str = "local"
    resources: Resources | None = None
    run_after: tuple[str, ...] = ()
    allow_reuse: bool = True
    version: str = ""
    strict: bool = False
    retries: int = 0
    retry_delay_seconds: float = 0
    timeout_seconds: float | None = None

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of the steps that must end before this one starts, each once, data first."""
        data = [port.source.step for port in self.inputs if isinstance(port.source, OutputSource)]
        return tuple(dict.fromkeys((*data, *self.run_after)))


@dataclass(frozen=True, slots=True)
class PipelineDefinition(Jsonable):
    """Steps in an order in which they can run, and the parameters that they use."""

    name: str
    description: str
    workspace: str
    steps: tuple[StepDefinition, ...]
    parameters: tuple[ParameterDefinition, ...]


# Data, calls and records --------------------------------------------------------------------------------------------


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
    """A step with every hole filled."""

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
    """How a process ended: its code (negative: the signal), whether it was stopped, and seconds of wall time."""

    code: int
    seconds: float
    timed_out: bool = False
    cancelled: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with code 0."""
        return self.code == 0 and not self.timed_out and not self.cancelled


@dataclass(frozen=True, slots=True)
class StepRecord(Jsonable):
    """What happened when a step ran: enough to serve it again, to explain it, and to find its logs."""

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
