"""The folder that one job runs in: a copy of its snapshot, places for its data, and what the script finds there.

source/    working directory: the snapshot, `outputs/` and `logs/`
inputs/    downloads; data that is mounted stays where it is
outputs/   what the step writes, until it is committed
tmp/       TMPDIR
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.compute.job import Job
from stepwell.blocks.processes.command import PAYLOAD, Command
from stepwell.blocks.processes.output import Redact
from stepwell.blocks.system.files import copy_tree
from stepwell.errors import UserErrorException
from stepwell.model.definitions import Argument, InputPort, OutputPort
from stepwell.model.records import StepCall
from stepwell.script import launcher

OWN_VARIABLES = ("PREFECT_", "STEPWELL_")
_LARGEST_LOG = 64 << 20


@dataclass(frozen=True, slots=True)
class WorkingDirectory:
    """Where a job runs (`folder`), where its logs and metrics go (`record`), and the path of each port."""

    folder: Path
    record: Path
    inputs: dict[str, Path]
    outputs: dict[str, Path]

    @property
    def source(self) -> Path:
        """The working directory."""
        return self.folder / "source"

    def seen_at(self, folder: Path, record: Path, inputs: Mapping[str, Path]) -> WorkingDirectory:
        """The same place as seen by a process to which it appears at other paths; `inputs` are those outside of it."""

        def moved(path: Path) -> Path:
            return folder / path.relative_to(self.folder)

        seen = {
            name: inputs[name] if name in inputs and not path.is_relative_to(self.folder) else moved(path)
            for name, path in self.inputs.items()
        }
        return WorkingDirectory(folder, record, seen, {name: moved(path) for name, path in self.outputs.items()})


@dataclass(frozen=True, slots=True)
class Python:
    """How scripts are started: an interpreter, the launcher's file, and the folder with `stepwell` for their imports."""

    interpreter: str
    launcher: str
    module_path: str

    @classmethod
    def own(cls) -> Python:
        """The interpreter in use; with the compiled launcher, which starts some milliseconds sooner."""
        package = Path(launcher.__file__).parents[1]
        compiled = str(getattr(launcher, "__cached__", ""))
        with suppress(OSError):
            if os.stat(compiled).st_mtime >= os.stat(launcher.__file__).st_mtime:
                return cls(sys.executable, compiled, str(package.parent))
        return cls(sys.executable, launcher.__file__, str(package.parent))

    @classmethod
    def other(cls, interpreter: str, bundle: Path) -> Python:
        """Return how another interpreter starts scripts, with the worker bundle at the path where it sees it."""
        return cls(interpreter, str(bundle / "stepwell" / "script" / "launcher.py"), str(bundle))


def prepare(job: Job, folder: Path) -> WorkingDirectory:
    """The workplace of a job, made in the empty `folder`."""
    place = WorkingDirectory(folder, job.record, {}, {})
    if job.snapshot is not None:
        copy_tree(job.snapshot, place.source)
    for made in (place.source, place.source / "outputs", place.source / "logs", folder / "outputs", folder / "tmp"):
        made.mkdir(exist_ok=True)
    for made in (job.control, job.logs):
        made.mkdir(parents=True, exist_ok=True)
    for port in job.call.definition.inputs:
        place.inputs[port.name] = _bring(port, job.inputs[port.name], place)
    for output in job.call.definition.outputs:
        place.outputs[output.name] = _ready(output, place)
    return place


def keep_files(job: Job, place: WorkingDirectory) -> None:
    """Nothing; what the script left in `outputs/` and `logs/` stands in the record."""
    for name, kept in (("outputs", "outputs"), ("logs", "user_logs")):
        with suppress(OSError):
            if any((place.source / name).iterdir()):
                copy_tree(place.source / name, job.record / kept)


def _bring(port: InputPort, data: Path, place: WorkingDirectory) -> Path:
    if port.mode != "download":
        return data
    target = _below(place.source, port.path_on_compute) if port.path_on_compute else place.folder / "inputs" / port.name
    if data.is_file() and not target.suffix:
        target = target / data.name
    copy_tree(data, target)
    return target


def _ready(port: OutputPort, place: WorkingDirectory) -> Path:
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


def redact_record(job: Job, redact: Redact) -> None:
    """Nothing; the texts that the script left for the record hold no secrets."""
    for path in (job.control / "events.jsonl", *(job.record / "user_logs").rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_LOG:
            continue
        text = path.read_bytes().decode(errors="surrogateescape")
        if redact(text) != text:
            path.write_bytes(redact(text).encode(errors="surrogateescape"))


def command(job: Job, place: WorkingDirectory, python: Python, inherited: Mapping[str, str]) -> Command:
    """The process of a job: its argv, environment and order, all in the paths of `place`, which may be seen from elsewhere."""
    call, definition = job.call, job.call.definition
    _leave_context(job, place)
    argv = tuple(_filled(argument, call, place) for argument in definition.arguments)
    payload: bytes | None = None
    if definition.script is not None:
        payload = _launch_spec(definition.script, argv, place, python)
        argv = (python.interpreter, python.launcher, PAYLOAD)
    elif definition.shell:
        argv = ("/bin/sh", "-c", *argv)
    elif argv[0] in ("python", "python3"):
        argv = (python.interpreter, *argv[1:])
    return Command(
        argv=argv,
        folder=place.source,
        variables={**inherited, **_variables(job, place)},
        marker=f"stepwell-{job.step_run_id}-{secrets.token_hex(4)}",  # a dead attempt's watchdog must not meet the next one
        stdout=job.logs / "stdout.txt",
        stderr=job.logs / "stderr.txt",
        combined=job.logs / "70_driver_log.txt",
        payload=payload,
        timeout_seconds=definition.timeout_seconds,
    )


def inherited() -> dict[str, str]:
    """This process's variables but for those of Prefect and Stepwell."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}


def _leave_context(job: Job, place: WorkingDirectory) -> None:
    context = {
        **job.context,
        "id": job.step_run_id,
        "name": job.call.definition.name,
        "input_datasets": {name: str(path) for name, path in place.inputs.items()},
        "output_datasets": {name: str(path) for name, path in place.outputs.items()},
    }
    (job.control / "context.json").write_text(json.dumps(context))


def _filled(argument: Argument, call: StepCall, place: WorkingDirectory) -> str:
    values = {"input": place.inputs, "output": place.outputs, "parameter": call.parameters}
    return "".join(piece.value if piece.kind == "text" else str(values[piece.kind][piece.value]) for piece in argument)  # type: ignore[index]


def _launch_spec(script: str, argv: tuple[str, ...], place: WorkingDirectory, python: Python) -> bytes:
    quiet = [place.folder / "inputs", place.folder / "outputs", place.folder / "tmp", place.record]
    quiet += [place.source / "outputs", place.source / "logs", *place.inputs.values(), *place.outputs.values()]
    package = os.path.join(python.module_path, "stepwell")
    return json.dumps(
        {
            "script": script,
            "argv": argv,
            "cwd": str(place.source),
            "module_path": [str(place.source), python.module_path],
            "watch": True,
            "quiet": [package, *map(str, quiet), *(os.path.realpath(path) for path in place.inputs.values())],
            "reads": str(place.record / "reads.jsonl"),
        }
    ).encode()


def _variables(job: Job, place: WorkingDirectory) -> dict[str, str]:
    call, definition = job.call, job.call.definition
    data = {port.variable: str(place.inputs[port.name]) for port in definition.inputs}
    data |= {port.variable: str(place.outputs[port.name]) for port in definition.outputs}
    values = {f"AML_PARAMETER_{_word(name)}": text for name, text in call.parameters.items()}
    values |= {f"AML_PARAMETER_{_word(name)}": _filled(value, call, place) for name, value in definition.params.items()}
    own = {
        "AZUREML_RUN_ID": job.step_run_id,
        "STEPWELL_CONTROL": str(place.record / "control"),
        "TMPDIR": str(place.folder / "tmp"),
    }
    return {**data, **values, **own, **definition.environment.variables}


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)
