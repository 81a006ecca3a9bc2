"""`Step`: what every kind of step has in common, from the author's arguments to a definition of plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

from stepwell.blocks.arguments.callers import folder_of_caller
from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.datasets.sources import dataset_source
from stepwell.blocks.processes.shell_quoting import quote_after
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.references import DataReference, check_port_name
from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.step_values import conditions_of
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter, merge
from stepwell.flows.steps.argument_types import Argument as StepArgument
from stepwell.flows.steps.argument_types import (
    Conditions,
    Configuration,
    Input,
    Output,
    Params,
    Plain,
    Requirements,
    Target,
)
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.dynamic_step import DynamicStep
from stepwell.flows.steps.outputs import REFERENCE, OutputFileDatasetConfig, OutputInput, PipelineData
from stepwell.flows.steps.own_flows import NamedWorkspaces
from stepwell.flows.steps.ports import (
    INPUT,
    OUTPUT,
    PARAMETER,
    access_of,
    adopted,
    as_input,
    is_dataset,
    is_port,
    name_of,
    original,
    parameter_of,
    pieces_of,
    port_of,
    reading_of,
    workspace_of,
)
from stepwell.flows.steps.settings import (
    at_least,
    environment_of,
    params_of,
    resources_of,
    secret_argument,
    shell_of,
    step_name,
    target_name,
    timeout_of,
    usual_folder,
)
from stepwell.model.definitions import (
    Argument,
    InputPort,
    OutputPort,
    OutputSource,
    ParameterDefinition,
    ParameterSource,
    Piece,
    Resources,
    Source,
    StepDefinition,
    UnboundInput,
)
from stepwell.rules import STEPWELL, Rules

Producers = Mapping[int, tuple[str, str]]
"""For the identity of each output's object: the id of the step that writes it, and the output's name."""


@checked
class Step(DynamicStep):
    """A step of a pipeline. It reads nothing, hashes nothing and starts nothing until it is run.

    Inside a flow of your own it is a Prefect task: call, `submit` or `map` it, with its inputs and parameters.

    A new step type is one file with a subclass, whose `__init__` makes a `script` with `arguments`, or a command of them,
    for the base class, and names the `driver` that runs it, if that isn't Python; one that needs no source folder sets
    `_needs_source = False`. The engine knows no types; the public ones are named in `stepwell/__init__.pyi`.

    Args:
        name: The step's name in pipelines, runs and logs.
        arguments: Texts and numbers, parameters, and inputs and outputs, which become paths.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: `target`, that of `runconfig`, or
            `local`.
        target: The same as `compute_target`.
        runconfig: A RunConfiguration, or a ScriptRunConfig, with environment, target and time limit.
        inputs: What it reads: DataReference, datasets, PipelineData, OutputFileDatasetConfig, or what their `as_…` methods
            return, or `(PipelineParameter, DataPathComputeBinding)`.
        outputs: What it writes: PipelineData, OutputFileDatasetConfig or DataReference.
        params: Values by name, for environment variables `AML_PARAMETER_<name>`; the argument `parameter:<name>` is one. Or
            a list of keys of `params.yaml`, which the script reads itself; a mapping of values may be among them.
        source_directory: The folder whose snapshot is the working directory; None: the pipeline's
            `default_source_directory`, else the folder of the file that makes the step, if the script is there, else
            the current directory.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        hash_paths: Files, folders, and patterns as in `.gitignore`, of the source directory whose content counts too.
        environment_variables: Variables of its process; they win over those of `runconfig` and the environment.
        retries: How many more attempts follow one that failed.
        retry_delay_seconds: The pause before each of them, in seconds.
        timeout_seconds: The limit of one attempt, in seconds; None: that of `runconfig`, else no limit.
        strict: Whether reading a file that nothing declares is an error, not a warning.
        workspace: The workspace of its results in a flow of your own, unless `with ws:` names one; None: that of its
            datastores, of its inputs, or of the run's steps before it, else that of `config.json`.
        resources: What it takes of its compute target, such as `{"cpus": 2, "memory": "4GB", "gpus": 0.5}`; None: what
            the target counts for a step by default.
        environment: An Environment, or a list of requirements for pip; None: that of `runconfig`, else the packages in
            use.
        script: The Python script that it runs, if it runs one.
        shell: Whether the arguments are one command line for a shell, or which: its name, or the command that starts it.
        driver: What runs the script, or works without one, in place of Python itself.
        run_if: The condition under which it runs in a pipeline, or a list of those that all have to hold: a text such as
            `train/accuracy > 0.9`, or a comparison such as `train.metric("accuracy") > 0.9`. What depends on a step that
            is skipped is skipped too.
        run_after_skipped: Whether it runs though a step before it was skipped, whose outputs are then empty folders.

    Attributes:
        name: As the argument.
        inputs: As the argument, and configs that stand only among the arguments.
        outputs: As the argument, and configs that stand only among the arguments.
        source_directory: As the argument.
        workspace: The workspace, None if nothing names one.
        compute_target: The name of the compute target.
        parameters: The definitions of the parameters that it uses, by name.

    Raises:
        UserErrorException: An argument, input, output, number or name can't be used.
    """

    def __init__(
        self,
        *,
        name: str,
        arguments: Sequence[StepArgument] | None = None,
        compute_target: Target | None = None,
        target: Target | None = None,
        runconfig: Configuration | None = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        params: Params | None = None,
        source_directory: str | PurePath | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        environment_variables: Mapping[str, Plain] | None = None,
        retries: int = 0,
        retry_delay_seconds: float = 0,
        timeout_seconds: float | None = None,
        strict: bool = False,
        workspace: BaseWorkspace | None = None,
        resources: Resources | Mapping[str, Any] | None = None,
        environment: Requirements | None = None,
        script: str | None = None,
        shell: bool | str = False,
        driver: DriverOptions | None = None,
        run_if: Conditions | None = None,
        run_after_skipped: bool = False,
    ) -> None:
        self.name = step_name(name)
        self._made_in = folder_of_caller()
        self.inputs = list(map(as_input, inputs or ()))
        self.outputs = list(outputs or ())
        self.source_directory = None if source_directory is None else Path(source_directory)
        self.workspace = workspace or workspace_of((*self.inputs, *self.outputs))
        self.compute_target = target_name(compute_target or target or getattr(runconfig, "target", None))
        limit = timeout_of(runconfig, timeout_seconds)
        self._arguments = adopted(arguments or (), self.inputs, self.outputs)
        self._input_names = self._name_inputs()
        self._params, self._keys = params_of(params, self.source_directory or usual_folder(script, self._made_in))
        self._driver = driver
        self._run_after: list[Step] = []
        self._conditions = conditions_of(run_if)
        self._settings: dict[str, Any] = {
            "script": script,
            "shell": shell is not False,
            "shell_command": shell_of(shell),
            "hash_paths": tuple(str(path) for path in hash_paths or ()),
            "environment": environment_of(runconfig, environment, environment_variables or {}),
            "resources": resources_of(resources),
            "allow_reuse": bool(allow_reuse),
            "version": str(version or ""),
            "strict": bool(strict),
            "retries": int(at_least(0, "retries", retries)),
            "retry_delay_seconds": at_least(0, "retry_delay_seconds", retry_delay_seconds),
            "values": {},
            "run_after_skipped": run_after_skipped,
            "timeout_seconds": None if limit is None else at_least(0, "timeout_seconds", limit),
        }
        self.parameters = self._all_parameters = merge(self._used_parameters())
        self._check_names()
        self._pieces = [self._argument(value) for value in self._arguments]
        for data in map(original, self.outputs):
            if isinstance(data, (PipelineData, OutputFileDatasetConfig)):
                data.producer = self

    # What pipelines ask of a step -----------------------------------------------------------------------------------

    def run_after(self, step: Step) -> None:
        """Let this step start only when another has ended, as in Azure ML SDK v1.

        Args:
            step: The step to wait for; call this before the pipeline is made.
        """
        if step not in self._run_after:
            self._run_after.append(step)

    @property
    def predecessors(self) -> tuple[Step, ...]:
        """The steps that `run_after` named."""
        return tuple(self._run_after)

    @property
    def produced(self) -> dict[int, str]:
        """The names of the outputs, by the identity of the objects in `outputs`."""
        return {id(original(item)): port_of(item).name for item in self.outputs}

    @property
    def consumed(self) -> tuple[Any, ...]:
        """The objects in `inputs` that some step has to write."""
        return tuple(original(item) for item in self.inputs if not isinstance(item, tuple))

    def define(
        self, *, step_id: str, producers: Producers, ids: Mapping[Step, str], source_directory: Path | None = None
    ) -> StepDefinition:
        """Return the step as plain values, its inputs tied to the steps that write them; others may stay unbound.

        Args:
            step_id: The step's id in its pipeline.
            producers: The step's id and the output's name for each object that a step of the pipeline writes.
            ids: The ids of the pipeline's steps.
            source_directory: The source directory of a step that names none; None: the folder of the file that made
                the step, if its script is there, else the current directory.

        Returns:
            The definition.
        """
        folder = self.source_directory or source_directory or usual_folder(self._settings["script"], self._made_in)
        return StepDefinition(
            id=step_id,
            name=self.name,
            type=type(self).__name__,
            source_directory=str(folder.absolute()) if folder and self._needs_source else "",
            arguments=tuple(self._pieces),
            inputs=tuple(self._input_port(item, producers) for item in self.inputs),
            outputs=tuple(port_of(item) for item in self.outputs),
            parameters=self._all_parameters,
            params={str(name): self._argument(value, seen=False) for name, value in sorted(self._params.items())},
            compute_target=self.compute_target,
            run_after=tuple(ids[step] for step in self._run_after if step in ids),
            rules=self.default_rules,
            driver=self._driver.definition(lambda value: self._argument(value, seen=False)) if self._driver else None,
            parameter_files=tuple(named.below(folder, self.name) for named in self._keys),
            **self._settings,
        )

    default_rules: ClassVar[Rules] = STEPWELL
    """The rules of the step in a flow of your own; in a pipeline it has those of the pipeline."""

    _needs_source = True

    @property
    def _named(self) -> NamedWorkspaces:
        return NamedWorkspaces(self.workspace, workspace_of((*self.inputs, *self.outputs)))

    def _define_alone(self) -> StepDefinition:
        self.refuse_alone()
        return self.define(step_id=self.name, producers={}, ids={})

    # ----------------------------------------------------------------------------------------------------------------

    def _name_inputs(self) -> dict[int, str]:
        taken = {port_of(item).name for item in self.outputs} | {name_of(item) for item in self.outputs}
        names: dict[int, str] = {}
        for item in self.inputs:
            name = check_port_name(name_of(item))
            names[id(item)] = f"INPUT_{name}" if name in taken else name
        return names

    def _check_names(self) -> None:
        for kind, names in (
            ("input", list(self._input_names.values())),
            ("output", [port_of(item).name for item in self.outputs]),
        ):
            for name in (name for name, count in Counter(names).items() if count > 1):
                raise UserErrorException(
                    f"The step {self.name!r} has two {kind}s called {name!r}", hint=f"Name each {kind} differently."
                )
        used = {parameter.name for parameter in self.parameters}
        clash = sorted(name for name in used & set(self._params) if getattr(self._params[name], "name", None) != name)
        if clash:
            raise UserErrorException(
                f"The step {self.name!r} names {clash[0]!r} both in `params` and as a pipeline parameter",
                hint="Rename one of them.",
            )

    def _used_parameters(self) -> Iterable[ParameterDefinition]:
        settings = self._driver.settings.values() if self._driver else ()
        for value in (*self._arguments, *self._params.values(), *self.inputs, *settings):
            parameter = value if isinstance(value, PipelineParameter) else parameter_of(value)
            if parameter is not None:
                yield parameter.definition
        yield from (known for named in self._keys for known in named.parameters())

    def _input_port(self, item: Any, producers: Producers) -> InputPort:
        name = self._input_names[id(item)]
        mode, place = access_of(item)
        variable = name if is_dataset(item) else REFERENCE + name
        follow = getattr(item[1] if isinstance(item, tuple) else item, "follow_links", None)
        reading = reading_of(item) if mode == "direct" else ""
        return InputPort(name, self._source(item, name, producers), variable, mode, place, follow, reading)

    @staticmethod
    def _source(item: Any, name: str, producers: Producers) -> Source:
        parameter = parameter_of(item)
        if parameter is not None:
            return ParameterSource(parameter.name)
        made = producers.get(id(original(item)))
        if made:
            return OutputSource(*made)
        if isinstance(item, DataReference):
            return item.source
        return dataset_source(original(item)) or UnboundInput(name)

    def _argument(self, value: Any, *, seen: bool = True) -> Argument:
        """Return the pieces of one argument; text may name ports and parameters the way `str(port)` does.

        `seen`: it will stand on a command line, where no secret may be.
        """
        if isinstance(value, PipelineParameter):
            if seen and value.definition.secret:
                raise secret_argument(self.name, value.definition)
            return (Piece("parameter", value.name),)
        if is_port(value):
            return (self._port_piece(value),)
        if value is None or isinstance(value, (list, dict, set)) or getattr(value, "ndim", None):
            raise UserErrorException(
                f"An argument of step {self.name!r} can't be passed to a script",
                {"argument": repr(value)},
                "Pass a text, a number, a PipelineParameter, or an input or output of the step.",
            )
        text = value if isinstance(value, str) else str(value)
        return self._line_pieces(text) if self._settings["shell"] and seen else self._text_pieces(text)

    def _port_piece(self, value: Any) -> Piece:
        for item in self.inputs:
            other_name = isinstance(value, (OutputInput, DatasetConsumptionConfig))
            if item is value or (original(item) is original(value) and not other_name):
                return Piece("input", self._input_names[id(item)])
            named = isinstance(value, (DataReference, OutputInput, DatasetConsumptionConfig))
            if named and name_of(item) == name_of(value):
                return Piece("input", self._input_names[id(item)])
        for item in self.outputs:
            if original(item) is original(value):
                return Piece("output", port_of(item).name)
        raise UserErrorException(
            f"{name_of(value)!r} appears in arguments list but is not in the input list",
            {"step": self.name},
            "Add it to the step's `inputs` or `outputs`.",
        )

    def _text_pieces(self, text: str) -> Argument:
        if text.startswith("parameter:") and text.removeprefix("parameter:") in self._params:
            return self._argument(self._params[text.removeprefix("parameter:")])
        return pieces_of(text, self._named_in_texts())

    def _line_pieces(self, line: str) -> Argument:
        """Return the pieces of a line for a shell, which finds itself what variables of the step hold, but in '…'."""
        known = {**self._named_in_texts(), PARAMETER: {}}
        ports: list[InputPort | OutputPort] = [
            *(port_of(item) for item in self.outputs),
            *(self._input_port(item, {}) for item in self.inputs),
        ]
        found = {port.variable for port in ports}
        return pieces_of(line, known, lambda name, start: name in found and quote_after(line[:start]) != "'")

    def _named_in_texts(self) -> dict[str, dict[str, Piece]]:
        outputs = {name_of(item): Piece("output", port_of(item).name) for item in self.outputs}
        inputs = {name: Piece("input", name) for name in self._input_names.values()}
        return {
            REFERENCE: {**outputs, **inputs},
            OUTPUT: {**{piece.value: piece for piece in outputs.values()}, **outputs},
            INPUT: {**inputs, **{name_of(item): inputs[self._input_names[id(item)]] for item in self.inputs}},
            PARAMETER: {known.variable: Piece("parameter", known.name) for known in self.parameters},
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"
