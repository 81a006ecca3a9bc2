"""A step or pipeline as its author wrote it, with inputs that are still to be bound: frozen, JSON-able values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from stepwell.conditions import Condition, Finding
from stepwell.model.jsonable import Jsonable
from stepwell.rules import STEPWELL, Rules, Switches, switches_of

Mode = Literal["mount", "download", "upload"]
DatasetMode = Literal["direct", "mount", "download", "hdfs"]
"""How a dataset gets to a step: as an object, or as the path of its files; `hdfs` is a mount."""

Scalar = int | float | bool | str | None


class Piece(NamedTuple):
    """Part of one argument: plain `text`, or the name of an `input`, `output` or `parameter` that fills it."""

    kind: Literal["text", "input", "output", "parameter"]
    value: str


Argument = tuple[Piece, ...]
"""One `argv` element; its pieces are joined without a separator."""


# What fills an input ------------------------------------------------------------------------------------------------


THIS_MACHINE = "this machine"
"""Stands for a datastore where data are read in the file system of the machine that runs the pipeline; no datastore can have the name."""


@dataclass(frozen=True, slots=True)
class DataSource(Jsonable):
    """A file or folder that stands in a datastore before the run, or at a path of this machine."""

    datastore: str
    path: str


@dataclass(frozen=True, slots=True)
class DatasetSource(Jsonable):
    """A dataset: its `document`, a DatasetDefinition as JSON text, or, if that is '', what the workspace has registered.

    It is found there by `id`, or by `name` and `version` (0 is the latest); of one with a document they are for people.
    """

    document: str = ""
    name: str = ""
    version: int = 0
    id: str = ""


@dataclass(frozen=True, slots=True)
class ParameterSource(Jsonable):
    """A file or folder that a pipeline parameter names at the run (a DataPath or dataset)."""

    parameter: str


@dataclass(frozen=True, slots=True)
class OutputSource(Jsonable):
    """What another step of the pipeline writes."""

    step: str
    output: str


@dataclass(frozen=True, slots=True)
class UnboundInput(Jsonable):
    """An input that is not bound yet: who calls the step names the data, by the input's name."""

    hole: str


@dataclass(frozen=True, slots=True)
class EarlierSource(Jsonable):
    """What the latest execution of the same step left as its output `written`; an empty folder if there was none.

    That execution differs from this one in the content of the inputs `varying` at most: code, settings, packages and other
    inputs are the same. It is no part of the key.
    """

    written: str
    varying: tuple[str, ...]


Source = DataSource | DatasetSource | ParameterSource | OutputSource | UnboundInput | EarlierSource


OUTPUT = "{output}"
"""Stands for the datastore in a place of an output's dataset, whose path is then a pattern of the files in the output."""


# A step as its author wrote it --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputPort(Jsonable):
    """A named place for data to read. `variable` is the environment variable that holds its local path.

    `follow_links`: whether links that lead out of the datastore are followed; None: they are, with a warning.
    `reading`: how another step's output is read as a dataset, a DatasetDefinition without places as JSON text.
    `entry`: the file or folder of the data that alone the step gets, with its path, '' for all of them.
    """

    name: str
    source: Source
    variable: str
    mode: Mode | DatasetMode = "mount"
    path_on_compute: str | None = None
    follow_links: bool | None = None
    reading: str = ""
    entry: str = ""

    @property
    def shows_folder(self) -> bool:
        """Whether it is read where it stands, in the folder of the step that wrote it: PipelineData that are mounted."""
        return self.mode == "mount" and self.variable != self.name and not self.entry


@dataclass(frozen=True, slots=True)
class Registration(Jsonable):
    """The name under which an output becomes a dataset of the workspace when its step is complete.

    `reading` is how its files are read, a DatasetDefinition without places as JSON text. `new_version`: there may be a
    dataset of the name already.
    """

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    reading: str = ""
    new_version: bool = True


@dataclass(frozen=True, slots=True)
class OutputPort(Jsonable):
    """A named place for data to write; `destination` is a path template on `datastore` for outputs copied there.

    `overwrite`: what somebody else put in an output's way there, or changed since the last delivery, is replaced.
    `register`: the dataset that the output becomes, None for none. `source_globs`: the pattern of its files, '' for all.
    """

    name: str
    variable: str
    datastore: str | None = None
    mode: Mode | DatasetMode = "mount"
    path_on_compute: str | None = None
    destination: str | None = None
    pipeline_output: str | None = None
    overwrite: bool = False
    register: Registration | None = None
    source_globs: str = ""

    @property
    def is_intermediate(self) -> bool:
        """Whether it is data between steps (PipelineData): it has no destination, and the script makes what is there."""
        return self.destination is None and self.variable != self.name


@dataclass(frozen=True, slots=True)
class ParameterDefinition(Jsonable):
    """A pipeline parameter: its type's name, its default (data are their source), and what it may be.

    `choices`, `minimum` and `maximum` of a list are those of its items, whose type is `item_type`. None is a value of
    `nullable` ones only.
    """

    name: str
    type: Literal["int", "float", "bool", "str", "list", "data", "dataset"]
    default: Scalar | DataSource | DatasetSource | tuple[Scalar, ...]
    secret: bool = False
    nullable: bool = False
    choices: tuple[Scalar, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    item_type: str = ""
    description: str = ""

    @property
    def variable(self) -> str:
        """Its name where only letters, digits and underscores can stand: in variables of scripts, and in Prefect."""
        return re.sub(r"\W", "_", self.name)


@dataclass(frozen=True, slots=True)
class ParameterKeys(Jsonable):
    """Keys of a file of the source directory that the script reads itself, such as `train.rate` or `train`; '' is all of them.

    The script finds the file with these keys alone, and with the run's values for parameters of their names.
    """

    path: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Each(Jsonable):
    """A list that only a run tells, of whose items a mapped step gets one: as its `input`, or else as its `parameter`."""

    items: Finding
    input: str = ""
    parameter: ParameterDefinition | None = None


@dataclass(frozen=True, slots=True)
class RunIf(Jsonable):
    """A condition under which a step runs: on one number or text that a step before it tells."""

    finding: Finding
    condition: Condition


@dataclass(frozen=True, slots=True)
class EnvironmentDefinition(Jsonable):
    """What a step runs in. Without requirements or an image of its own, it inherits the packages in use.

    `requirements` are lines for pip, `conda` are conda's specifications, `python` is a version such as 3.11 ('' is any).
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
    """What a step takes of its compute target: processors, bytes of memory, GPUs (parts of one are shared)."""

    cpus: float = 1
    memory: int = 0
    gpus: float = 0


Language = Literal["python", "notebook", "r", "text"]
"""How the imports of a script are found: in Python, in the code cells of a notebook, in R, or not at all."""


@dataclass(frozen=True, slots=True)
class Driver(Jsonable):
    """What runs the script of a step in its place: a module of `stepwell.drivers`, or any other by its whole name.

    `modules` are those that it imports itself; the packages behind them count as the script's own do, and are installed
    with the extra `extra`. `provides` are modules that it makes up for the script. `version` is another one when its results
    are. `hints` are settings that decide no result, such as the size of a cluster: they are in no key. `on_host`: it runs on
    the machine of the run, with Stepwell's own Python; target and environment of the step are those of the runs that it made.
    """

    name: str
    settings: dict[str, Argument] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    extra: str = ""
    provides: tuple[str, ...] = ()
    language: Language = "python"
    version: int = 1
    hints: dict[str, Argument] = field(default_factory=dict)
    on_host: bool = False

    @property
    def module(self) -> str:
        """The whole name of its module."""
        return self.name if "." in self.name else f"stepwell.drivers.{self.name}"


@dataclass(frozen=True, slots=True)
class StepDefinition(Jsonable):
    """A step with unbound inputs. `id` is unique in its pipeline; `arguments` of a command are the whole command.

    `shell`: they are one line for a shell, which `shell_command` starts; () is bash where there is one, else sh.
    With a `driver`, `script` is what this runs, None if it needs none. `values` are those of parameters that are no
    pipeline's. With `each` it is a mapped step, which stands for one step for each item and one that `joins`: that runs
    nothing, and its outputs are folders of what its inputs are, which are called `<output>/<name in the folder>`.
    """

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
    shell_command: tuple[str, ...] = ()
    rules: Rules = STEPWELL
    driver: Driver | None = None
    values: dict[str, Scalar | tuple[Scalar, ...]] = field(default_factory=dict)
    each: tuple[Each, ...] = ()
    joins: bool = False
    run_if: tuple[RunIf, ...] = ()
    run_after_skipped: bool = False
    parameter_files: tuple[ParameterKeys, ...] = ()

    @property
    def as_job(self) -> StepDefinition:
        """The step as its own process runs: on this machine, with the packages in use, if its driver runs on the host."""
        if self.driver is None or not self.driver.on_host:
            return self
        return replace(self, compute_target="local", environment=EnvironmentDefinition(), resources=None)

    @property
    def switches(self) -> Switches:
        """What its rules switch."""
        return switches_of(self.rules)

    @property
    def may_leave_empty(self) -> frozenset[str]:
        """The outputs that are empty if its script writes nothing there; the step fails without others."""
        lenient = self.switches.unwritten_outputs_are_empty and not self.strict
        return frozenset(port.name for port in self.outputs if port.is_intermediate) if lenient else frozenset()

    @property
    def keeps_files_beside(self) -> bool:
        """Whether what its script writes beside its outputs is kept: in the folder that is mounted for PipelineData."""
        mounted = (port.is_intermediate and port.mode == "mount" and not port.path_on_compute for port in self.outputs)
        return self.switches.files_beside_outputs_are_kept and any(mounted)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of the steps that must end before this one starts, each once, data first."""
        data = [port.source.step for port in self.inputs if isinstance(port.source, OutputSource)]
        told = [finding.step for finding in self.findings]
        return tuple(dict.fromkeys((*data, *self.run_after, *told)))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What steps before it tell that decides whether it runs, and for what."""
        return (*(condition.finding for condition in self.run_if), *(each.items for each in self.each))


@dataclass(frozen=True, slots=True)
class PipelineDefinition(Jsonable):
    """Steps in an order in which they can run, the parameters that they use, and the rules that it and its steps have."""

    name: str
    description: str
    workspace: str
    steps: tuple[StepDefinition, ...]
    parameters: tuple[ParameterDefinition, ...]
    rules: Rules = STEPWELL

    @property
    def switches(self) -> Switches:
        """What its rules switch."""
        return switches_of(self.rules)

    @property
    def circle(self) -> tuple[str, ...]:
        """The ids of steps that wait for one another, or for such; () if there are none."""
        known = {step.id for step in self.steps}
        left = {step.id: known.intersection(step.upstream) for step in self.steps}
        after: dict[str, list[str]] = {name: [] for name in left}
        for name, upstream in left.items():
            for before in upstream:
                after[before].append(name)
        ready = [name for name, upstream in left.items() if not upstream]
        for name in ready:  # grows
            del left[name]
            for later in after[name]:
                left[later].discard(name)
                if not left[later]:
                    ready.append(later)
        return tuple(left)
