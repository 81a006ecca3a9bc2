"""`ModuleStep`: a step made of a version of a module, its ports bound to data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, Unpack, runtime_checkable

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import ModuleVersionBlock
from stepwell.errors import UserErrorException
from stepwell.flows.engine.run_sources import fetch_snapshot
from stepwell.flows.steps.argument_types import Argument, Configuration, Input, Output, StepOptions, Target, Value
from stepwell.flows.steps.data.adla_step import AdlaStep
from stepwell.flows.steps.outputs import REFERENCE, OutputInput, PipelineData
from stepwell.flows.steps.ports import name_of, original, port_of
from stepwell.flows.steps.scripts.azure_batch_step import AzureBatchStep
from stepwell.flows.steps.scripts.python_script_step import PythonScriptStep
from stepwell.flows.steps.step import Producers, Step
from stepwell.model.definitions import EnvironmentDefinition, Piece, StepDefinition


@runtime_checkable
class Version(Protocol):
    """A version of a module: what a `ModuleVersion` is."""

    @property
    def workspace(self) -> BaseWorkspace:
        """The workspace that knows it."""
        ...

    @property
    def block(self) -> ModuleVersionBlock:
        """The document that is kept of it."""
        ...


@runtime_checkable
class Versions(Protocol):
    """A name over versions: what a `Module` is."""

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def status(self) -> str:
        """`Active`, `Deprecated` or `Disabled`."""
        ...

    def resolve(self, version: str | None = None) -> Version:
        """Return a version, by default the default one."""
        ...


class ModuleOptions(StepOptions, total=False):
    """The keyword arguments of `Step` that a `ModuleStep` takes beside its own."""

    allow_reuse: bool


@checked
class ModuleStep(Step):
    """A step made of a version of a module: its snapshot is the source, its ports are bound to data.

    The result depends on what the version runs, as of a step of its script, so that steps of any pipeline use each
    other's results. The step's inputs and outputs are called as the module's ports.

    Args:
        module: The module.
        version: Which version of it; None: its default version, else the newest that is active.
        module_version: A version, in place of both.
        inputs_map: For the name of each input port, the data that are read there.
        outputs_map: For the names of output ports, PipelineData and the like; others become PipelineData of the port's
            name.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: that of `runconfig`, else that of
            the version, else `local`.
        runconfig: A RunConfiguration; None: the version's environment.
        runconfig_pipeline_params: Accepted for v1's sake; not used.
        arguments: The script's arguments, data among them; None: those that the version was published with.
        params: Values of the module's parameters; the others have their defaults.
        name: The step's name; None: that of the module.
        **more: Further keyword arguments of `Step`.

    Attributes:
        module_version: The version.

    Raises:
        UserErrorException: There is no such version, it is disabled, or a port is unknown or not bound.
        SnapshotException: The version's snapshot is gone.
    """

    def __init__(
        self,
        module: Versions | None = None,
        version: str | None = None,
        module_version: Version | None = None,
        inputs_map: Mapping[str, Input] | None = None,
        outputs_map: Mapping[str, Output] | None = None,
        compute_target: Target | None = None,
        runconfig: Configuration | None = None,
        runconfig_pipeline_params: Any = None,
        arguments: Sequence[Argument] | None = None,
        params: Mapping[str, Value] | None = None,
        name: str | None = None,
        **more: Unpack[ModuleOptions],
    ) -> None:
        if (module is None) == (module_version is None):
            raise UserErrorException(
                "A ModuleStep needs a module, or a version of one",
                hint="Pass either `module=`, perhaps with `version=`, or `module_version=`.",
            )
        chosen = module.resolve(version) if module is not None else module_version
        assert chosen is not None
        called = module.name if module is not None else chosen.block.script
        _refuse_disabled(called, getattr(module, "status", "Active"), chosen.block)
        inputs = _bound_inputs(called, chosen.block, inputs_map or {})
        outputs = _bound_outputs(called, chosen, outputs_map or {})
        _refuse_params(called, chosen.block, params or {})
        given: dict[str, Any] = {
            "name": name or called,
            "arguments": _arguments(chosen.block, inputs, outputs) if arguments is None else arguments,
            "compute_target": compute_target or getattr(runconfig, "target", None),
            "runconfig": runconfig,
            "inputs": list(inputs.values()),
            "outputs": list(outputs.values()),
            "params": {**chosen.block.params, **(params or {})},
            "source_directory": _snapshot(called, chosen),
            "workspace": chosen.workspace,
            **more,
        }
        if runconfig is None and chosen.block.environment is not None and more.get("environment") is None:
            given["environment"] = EnvironmentDefinition.from_json(chosen.block.environment)
        made = _made(chosen.block, given, {"input": inputs, "output": outputs})
        vars(self).update(vars(made))  # it is that step, but for its type and the names of its ports
        self._needs_source = made._needs_source  # noqa: SLF001
        self.module_version = chosen
        self._ports = {
            "input": {self._input_names[id(item)]: port for port, item in zip(inputs, self.inputs, strict=False)},
            "output": {port_of(item).name: port for port, item in outputs.items()},
        }
        for item in self.outputs:
            data = original(item)
            if hasattr(data, "producer"):
                data.producer = self

    @property
    def produced(self) -> dict[int, str]:
        """The names of the outputs, by the identity of the objects in `outputs`."""
        names = self._ports["output"]
        return {made: names.get(name, name) for made, name in super().produced.items()}

    def define(
        self, *, step_id: str, producers: Producers, ids: Mapping[Step, str], source_directory: Path | None = None
    ) -> StepDefinition:
        """Return the step as plain values, its inputs and outputs called as the module's ports.

        Args:
            step_id: The step's id in its pipeline.
            producers: The step's id and the output's name for each object that a step of the pipeline writes.
            ids: The ids of the pipeline's steps.
            source_directory: Not used: the version's snapshot is the source.

        Returns:
            The definition.
        """
        made = super().define(step_id=step_id, producers=producers, ids=ids, source_directory=source_directory)
        return _renamed(made, self._ports)


def _refuse_disabled(name: str, status: str, block: ModuleVersionBlock) -> None:
    """Raise UserErrorException for what is disabled; warn of what is deprecated."""
    if "Disabled" in (status, block.status):
        raise UserErrorException(
            f"The version {block.version!r} of the module {name!r} is disabled",
            hint="Name another version, or enable it again with `enable()`.",
        )
    if "Deprecated" in (status, block.status):
        warnings.warn(f"The version {block.version!r} of the module {name!r} is deprecated", stacklevel=4)


def _refuse_unknown(name: str, what: str, given: Mapping[str, Any], ports: Mapping[str, Any]) -> None:
    unknown = sorted(set(given) - set(ports))
    if unknown:
        raise UserErrorException(
            f"The module {name!r} has no {what} port {unknown[0]!r}",
            {"ports": ", ".join(ports) or "none"},
            f"Correct the names in `{what}s_map`.",
        )


def _refuse_params(name: str, block: ModuleVersionBlock, given: Mapping[str, Any]) -> None:
    """Raise UserErrorException for a value of a parameter that the module was not published with."""
    unknown = [] if block.kind == "azure_batch" else sorted(set(given) - set(block.params))
    if unknown:
        near = get_close_matches(unknown[0], block.params, 1, 0.5)
        raise UserErrorException(
            f"The module {name!r} has no parameter {unknown[0]!r}",
            {"parameters": ", ".join(block.params) or "none"},
            f"Write `{near[0]}`." if near else "Remove it, or publish a version whose `params` have it.",
        )


def _bound_inputs(name: str, block: ModuleVersionBlock, given: Mapping[str, Any]) -> dict[str, Any]:
    ports = {port["name"]: port for port in block.inputs}
    _refuse_unknown(name, "input", given, ports)
    missing = [port for port, facts in ports.items() if port not in given and not facts.get("is_optional")]
    if missing:
        raise UserErrorException(
            f"The input port {missing[0]!r} of the module {name!r} is bound to nothing",
            {"ports": ", ".join(ports)},
            "Name its data in `inputs_map`.",
        )
    found = {}
    for port, facts in ports.items():
        if port in given:
            item = given[port]
            if isinstance(item, PipelineData):
                mode: Any = facts.get("default_datastore_mode") or "mount"
                item = OutputInput(item, port, mode, facts.get("default_path_on_compute"))
            found[port] = item
    return found


def _bound_outputs(name: str, version: Version, given: Mapping[str, Any]) -> dict[str, Any]:
    ports = {port["name"]: port for port in version.block.outputs}
    _refuse_unknown(name, "output", given, ports)
    return {port: given[port] if port in given else _made_up(version, facts) for port, facts in ports.items()}


def _made_up(version: Version, facts: Mapping[str, Any]) -> PipelineData:
    """Return PipelineData for a port that is bound to nothing."""
    datastore = facts.get("default_datastore_name")
    return PipelineData(
        facts["name"],
        version.workspace.datastores[datastore] if datastore else None,
        output_mode=facts.get("default_datastore_mode") or "mount",
        output_path_on_compute=facts.get("default_path_on_compute"),
    )


def _arguments(block: ModuleVersionBlock, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[Any]:
    """Return the published arguments; that of an optional port that is bound to nothing is left out, its flag too."""
    found: list[Any] = []
    for argument in block.arguments:
        if not isinstance(argument, dict):
            found.append(argument)
        elif (port := argument["port"]) in inputs or port in outputs:
            found.append(inputs.get(port, outputs.get(port)))
        elif found and isinstance(found[-1], str) and found[-1].startswith("-"):
            found.pop()
    return found


def _snapshot(name: str, version: Version) -> str | None:
    """Return the folder of the version's snapshot in the store; what is not there is fetched."""
    digest, store = version.block.snapshot, version.workspace.store
    if not digest:
        return None
    if damage := store.snapshot_damage(digest):
        remote_store = version.workspace.get_default_datastore().remote_store
        fetch_snapshot(store, remote_store, f"the module {name}, version {version.block.version}", digest, damage)
    return str(store.snapshot_folder(digest))


def _made(block: ModuleVersionBlock, given: dict[str, Any], ports: Mapping[str, Mapping[str, Any]]) -> Step:
    """Return the step of the type that was published."""
    if block.kind == "python":
        return PythonScriptStep(block.script, hash_paths=block.hash_paths, **given)
    target = given.pop("compute_target") or block.settings.get("compute_target")
    settings = {name: value for name, value in block.settings.items() if name != "compute_target"}
    given.pop("runconfig")
    if block.kind == "azure_batch":
        if given.pop("params"):
            raise UserErrorException(
                f"The module of the program {block.script!r} has no parameters", hint="Pass its `arguments`."
            )
        return AzureBatchStep(executable=block.script, compute_target=target, **settings, **given)
    given.pop("arguments")
    made = AdlaStep(block.script, compute_target=target, hash_paths=block.hash_paths, **settings, **given)
    driver = made._driver  # noqa: SLF001
    assert driver is not None
    called = {f"{kind}s.{name_of(item)}": f"{kind}s.{port}" for kind in ports for port, item in ports[kind].items()}
    named = {called.get(name, name): value for name, value in driver.settings.items()}  # @@port@@ in the script
    made._driver = replace(driver, settings=named)  # noqa: SLF001
    return made


def _renamed(definition: StepDefinition, names: Mapping[str, Mapping[str, str]]) -> StepDefinition:
    """Return the definition with other names of inputs and outputs."""

    def pieces(argument: Sequence[Piece]) -> tuple[Piece, ...]:
        return tuple(Piece(kind, names.get(kind, {}).get(value, value)) for kind, value in argument)

    def port(kind: str, one: Any) -> Any:
        name = names[kind].get(one.name, one.name)
        variable = REFERENCE + name if one.variable.startswith(REFERENCE) else name
        return replace(one, name=name, variable=variable)

    driver = definition.driver
    if driver is not None:
        driver = replace(driver, settings={name: pieces(value) for name, value in driver.settings.items()})
    return replace(
        definition,
        driver=driver,
        arguments=tuple(pieces(one) for one in definition.arguments),
        params={name: pieces(value) for name, value in definition.params.items()},
        inputs=tuple(port("input", one) for one in definition.inputs),
        outputs=tuple(port("output", one) for one in definition.outputs),
    )
