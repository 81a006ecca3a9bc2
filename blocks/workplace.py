"""The folder that one call runs in: a copy of its snapshot, places for its data, and what the script finds there.

source/    working directory: the snapshot, `outputs/` and `logs/`
inputs/    downloads; data that is mounted stays where it is
outputs/   what the step writes, until it is committed
tmp/       TMPDIR
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell import launcher
from stepwell.blocks.command import Command
from stepwell.blocks.files import copy_tree
from stepwell.errors import UserErrorException
from stepwell.vocabulary import Argument, Artifact, InputPort, OutputPort, StepCall

OWN_VARIABLES = ("PREFECT_", "STEPWELL_")


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a call runs (`folder`), where its logs and metrics go (`record`), and the local path of each port."""

    folder: Path
    record: Path
    inputs: dict[str, Path]
    outputs: dict[str, Path]

    @property
    def source(self) -> Path:
        """The working directory."""
        return self.folder / "source"

    @property
    def control(self) -> Path:
        """Where the script leaves metrics, tags and files for the run."""
        return self.record / "control"

    @property
    def reads(self) -> Path:
        """Where the launcher notes what the script reads."""
        return self.record / "reads.jsonl"


def prepare(
    call: StepCall, folder: Path, record: Path, snapshot: Path | None, locate: Callable[[Artifact], Path]
) -> Workplace:
    """The workplace of a call, made in the empty `folder`."""
    place = Workplace(folder, record, {}, {})
    if snapshot is not None:
        copy_tree(snapshot, place.source)
    for made in (place.source, place.source / "outputs", place.source / "logs", folder / "outputs", folder / "tmp"):
        made.mkdir(exist_ok=True)
    place.control.mkdir(parents=True, exist_ok=True)
    for port in call.definition.inputs:
        place.inputs[port.name] = _bring(port, locate(call.inputs[port.name]), place)
    for output in call.definition.outputs:
        place.outputs[output.name] = _ready(output, place)
    return place


def _bring(port: InputPort, data: Path, place: Workplace) -> Path:
    if port.mode != "download":
        return data
    target = _below(place.source, port.path_on_compute) if port.path_on_compute else place.folder / "inputs" / port.name
    if data.is_file() and not target.suffix:
        target = target / data.name
    copy_tree(data, target)
    return target


def _ready(port: OutputPort, place: Workplace) -> Path:
    if port.path_on_compute:
        path = _below(place.source, port.path_on_compute)
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        path = place.folder / "outputs" / port.name
    if port.variable == port.name:  # an OutputFileDatasetConfig: the script finds a folder
        path.mkdir(parents=True, exist_ok=True)
    return path


def _below(folder: Path, path: str) -> Path:
    """`path` below the working directory; an absolute one is taken as relative to it, as a mount point would be."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UserErrorException("A path on the compute target leads out of it", {"path": path}, "Use a relative path.")
    return folder.joinpath(*parts)


def command(call: StepCall, place: Workplace, step_run_id: str) -> Command:
    """The process of a call: its argv, environment and order."""
    definition = call.definition
    argv = tuple(_filled(argument, call, place) for argument in definition.arguments)
    order: bytes | None = None
    if definition.script is not None:
        order = _order(definition.script, argv, place)
        argv = (
            definition.environment.interpreter or sys.executable,
            _launcher(definition.environment.interpreter),
            "{order}",
        )
    elif definition.shell:
        argv = ("/bin/sh", "-c", *argv)
    elif argv[0] in ("python", "python3"):
        argv = (definition.environment.interpreter or sys.executable, *argv[1:])
    logs = place.record / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return Command(
        argv=argv,
        folder=place.source,
        variables={**_inherited(), **_variables(call, place, step_run_id)},
        marker=f"stepwell-{step_run_id}",
        stdout=logs / "stdout.txt",
        stderr=logs / "stderr.txt",
        combined=logs / "70_driver_log.txt",
        order=order,
        timeout_seconds=definition.timeout_seconds,
    )


def _launcher(interpreter: str) -> str:
    """The launcher's file; for our own interpreter the compiled one, which starts some milliseconds sooner."""
    compiled = str(getattr(launcher, "__cached__", ""))
    with suppress(OSError):
        if not interpreter and os.stat(compiled).st_mtime >= os.stat(launcher.__file__).st_mtime:
            return compiled
    return launcher.__file__


def _filled(argument: Argument, call: StepCall, place: Workplace) -> str:
    values = {"input": place.inputs, "output": place.outputs, "parameter": call.parameters}
    return "".join(piece.value if piece.kind == "text" else str(values[piece.kind][piece.value]) for piece in argument)  # type: ignore[index]


def _order(script: str, argv: tuple[str, ...], place: Workplace) -> bytes:
    quiet = [place.folder / "inputs", place.folder / "outputs", place.folder / "tmp", place.record]
    quiet.append(Path(launcher.__file__).parent)
    quiet += [place.source / "outputs", place.source / "logs", *place.inputs.values(), *place.outputs.values()]
    return json.dumps(
        {
            "script": script,
            "argv": argv,
            "cwd": str(place.source),
            "module_path": [str(place.source), str(Path(launcher.__file__).parent.parent)],
            "watch": True,
            "quiet": [str(path) for path in quiet] + [os.path.realpath(path) for path in place.inputs.values()],
            "reads": str(place.reads),
        }
    ).encode()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}


def _variables(call: StepCall, place: Workplace, step_run_id: str) -> dict[str, str]:
    definition = call.definition
    data = {port.variable: str(place.inputs[port.name]) for port in definition.inputs}
    data |= {port.variable: str(place.outputs[port.name]) for port in definition.outputs}
    values = {f"AML_PARAMETER_{_word(name)}": text for name, text in call.parameters.items()}
    values |= {f"AML_PARAMETER_{_word(name)}": _filled(value, call, place) for name, value in definition.params.items()}
    own = {"AZUREML_RUN_ID": step_run_id, "STEPWELL_CONTROL": str(place.control), "TMPDIR": str(place.folder / "tmp")}
    return {**data, **values, **own, **definition.environment.variables}


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)
