"""The folder that one job runs in: a copy of its snapshot, folders for its data, and what the script finds there.

source/    working directory: the snapshot, `outputs/` and `logs/`
inputs/    downloads; data that is mounted stays where it is
outputs/   what the step writes, until it is committed
code/      copies of modules that people work on outside of the source directory
channel    the socket over which the script asks the host of its run; received/ has what the host sent
tmp/       TMPDIR, unless the job has one at a shorter path
bin/       what starts the interpreter in use, if it is not called `python` where it stands
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stepwell.blocks.compute.access_times import accesses, mark
from stepwell.blocks.compute.files_beside import with_files_beside
from stepwell.blocks.compute.job import Job, parameter_variable, path_of_input, shown_input
from stepwell.blocks.compute.own_code import WITH_CHILDREN, OwnCode, Python
from stepwell.blocks.compute.tracking import mlflow_runs
from stepwell.blocks.processes.command import PAYLOAD, Command
from stepwell.blocks.processes.output import Redact
from stepwell.blocks.processes.python_command import python_call
from stepwell.blocks.processes.shell_quoting import line_of
from stepwell.blocks.system.files import FileState, copy_tree, file_state, relink, replace_file, take
from stepwell.errors import StepFailedException, UserErrorException
from stepwell.model.definitions import Argument, InputPort, OutputPort
from stepwell.model.nofollow import append_file, files_below, open_file, open_folder
from stepwell.model.records import BESIDE, StepCall
from stepwell.script import channel
from stepwell.script.events import EVENTS, masked_events

OWN_VARIABLES = ("PREFECT_", "STEPWELL_")
_PYTHONS = ("python", "python3")
_LARGEST_LOG = 64 << 20
_KEPT = {"outputs": "outputs", "logs": "user_logs"}
_AGE_NANOSECONDS = 10**10
_BASH = 'command -v bash > /dev/null 2>&1 && exec bash -eo pipefail -c -- "$0"; exec /bin/sh -ec -- "$0"'
_SHELL = ("/bin/sh", "-c", _BASH)
"""Only where the command runs is it known whether there is bash."""

_IN_SHELL = (*_SHELL[:2], WITH_CHILDREN + _BASH)
_METADATA = re.compile(r"\.(egg|dist)-info/")


@dataclass(frozen=True, slots=True)
class WorkingDirectory:
    """Where a job runs (`folder`), where its logs and metrics go (`record`), and the path of each port.

    `temporary` is its TMPDIR; `found` are the files of `outputs/` and `logs/` that the step found there.
    `marked`: what `access_times.mark` returned for the copy of the snapshot.
    """

    folder: Path
    record: Path
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    temporary: Path
    found: frozenset[FileState] = frozenset()
    marked: int = 0
    own_code: dict[str, Path] = field(default_factory=dict)

    @property
    def channel(self) -> Path:
        """Where the socket is over which the script asks the host of its run."""
        return self.folder / "channel"

    @property
    def source(self) -> Path:
        """The process's current directory: the snapshot, `outputs/` and `logs/`."""
        return self.folder / "source"

    @property
    def written(self) -> dict[str, Path]:
        """The outputs, and last the folder that they stand in: what is left there once they are taken."""
        return {**self.outputs, BESIDE: self.folder / "outputs"}

    def seen_at(self, folder: Path, record: Path, inputs: Mapping[str, Path]) -> WorkingDirectory:
        """Return the same directory at the paths where another process sees it; `inputs` are those outside of it."""

        def moved(path: Path) -> Path:
            return folder / path.relative_to(self.folder)

        seen = {
            name: inputs[name] if name in inputs and not path.is_relative_to(self.folder) else moved(path)
            for name, path in self.inputs.items()
        }
        outputs = {name: moved(path) for name, path in self.outputs.items()}
        own_code = {name: moved(path) for name, path in self.own_code.items()}
        return WorkingDirectory(folder, record, seen, outputs, moved(self.temporary), own_code=own_code)


def prepare(job: Job, folder: Path, temporary: Path | None = None) -> WorkingDirectory:
    """Make the working directory of a job in the empty `folder`; `temporary` is by default a folder in it."""
    found, marked = frozenset[FileState](), 0
    if job.snapshot is not None:
        job.snapshot.copy_to(folder / "source")
        marked = mark(folder / "source")
        found = frozenset(state for name in _KEPT for state in _aged(folder / "source" / name))
    directory = WorkingDirectory(folder, job.record, {}, {}, temporary or folder / "tmp", found, marked)
    for made in (
        directory.source,
        directory.source / "outputs",
        directory.source / "logs",
        folder / "outputs",
        directory.temporary,
    ):
        made.mkdir(exist_ok=True)
    for made in (job.control, job.logs):
        made.mkdir(parents=True, exist_ok=True)
    for number, (place, kept) in enumerate(sorted(job.own_code.items())):
        directory.own_code[place] = folder / "code" / str(number) / os.path.basename(place)
        kept.copy_to(directory.own_code[place])
    for port in job.call.definition.inputs:
        path = _input_path(port, job.inputs[port.name], directory)
        directory.inputs[port.name] = with_files_beside(port, path, job.inputs, folder)
    for output in job.call.definition.outputs:
        directory.outputs[output.name] = _output_path(output, directory)
    return directory


def write_programs(names: Iterable[str], interpreter: str, folder: Path) -> None:
    """Write programs of these names to `bin/` of the job's folder; they start the interpreter."""
    for name in names:
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_bytes(b'#!/bin/sh\nexec %s "$@"\n' % os.fsencode(shlex.quote(interpreter)))
        program.chmod(0o755)


def _aged(folder: Path) -> Iterator[FileState]:
    """Let the files below a folder be some seconds old, so that any write is told by its time, and yield their states."""
    for name in files_below(folder.parent, folder.name):
        path = folder / name
        status = path.lstat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - _AGE_NANOSECONDS))
        yield file_state(path.lstat())


def note_reads(job: Job, directory: WorkingDirectory, *, folders: bool = True) -> None:
    """Add to the job's notes what the access times of its working copy tell; `folders`: also which ones were listed."""
    if not directory.marked or job.snapshot is None:
        return
    own = [
        *(directory.source / name for name in _KEPT),
        *directory.inputs.values(),
        *directory.outputs.values(),
    ]
    quiet = tuple(f"{path.relative_to(directory.source)}/" for path in own if path.is_relative_to(directory.source))
    lines = []
    for path, written in accesses(directory.source, directory.marked):
        folder = path.endswith("/")
        if (folder and not folders) or f"{path}/".startswith(quiet) or _METADATA.search(path):
            continue
        if (folder or written) and not job.snapshot.holds(path.rstrip("/")):  # the script made it
            continue
        lines.append(json.dumps({"path": path, "inside": True, **({"silent": True} if written else {})}))
    if lines:
        with suppress(OSError), append_file(job.record, f"{job.control.name}/{job.reads.name}") as stream:
            stream.write("".join(f"{line}\n" for line in lines).encode())


def keep_files(job: Job, directory: WorkingDirectory) -> None:
    """Copy what the script wrote to `outputs/` and `logs/` to the record, without what the source directory had there."""
    for name, kept in _KEPT.items():
        with suppress(OSError):
            left = directory.source / name
            folder = open_folder(directory.folder, left.relative_to(directory.folder))
            try:
                empty = not os.listdir(folder)
            finally:
                os.close(folder)
            if not empty:
                copy_tree(left, job.record / kept, below=directory.folder, without=directory.found)


def take_output(job: Job, name: str, path: Path, place: Path, seen_at: Path | None = None) -> None:
    """Move an output out of the step's reach, to `place`, its links into itself made relative.

    `seen_at`: the path where the step saw it, by default `path`. A missing one raises FileNotFoundError, a link or special file in its place or on the way StepFailedException.
    """
    names = dict.fromkeys(map(str, (seen_at or path, path, os.path.realpath(path))))
    try:
        take(path, place, below=job.folder)
        relink(place, names)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EINVAL):
            raise
        raise StepFailedException(
            f"The output {name!r} of step {job.call.definition.name!r} is a link or special file, so its result was not kept",
            {"path": path},
            "Let the script write a file or folder at the path that it is given, and put no link on the way.",
        ) from error


def _input_path(port: InputPort, data: Path, directory: WorkingDirectory) -> Path:
    if port.mode != "download":
        return data
    target = (
        _below(directory.source, port.path_on_compute)
        if port.path_on_compute
        else directory.folder / "inputs" / port.name
    )
    if data.is_file() and not target.suffix:
        target = target / data.name
    copy_tree(data, target)
    return target


def _output_path(port: OutputPort, directory: WorkingDirectory) -> Path:
    if port.path_on_compute:
        path = _below(directory.source, port.path_on_compute)
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        path = directory.folder / "outputs" / port.name
    if port.variable == port.name and port.mode != "hdfs":  # an OutputFileDatasetConfig: the script finds a folder
        path.mkdir(parents=True, exist_ok=True)
    return path


def _below(folder: Path, path: str) -> Path:
    """Return `path` below the working directory; an absolute one is relative to it too, as a mount point would be."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UserErrorException("A path on the compute target leads out of it", {"path": path}, "Use a relative path.")
    return folder.joinpath(*parts)


def redact_record(job: Job, redact: Redact, *, logs: bool = False) -> None:
    """Replace the secrets in texts and notebooks that the script left for the record; `logs`: in its output, too."""
    events = masked_events(job.control, redact)
    if events is not None:
        replace_file(job.record, f"{job.control.name}/{EVENTS}", events)
    folders = ("user_logs", *([job.logs.name] if logs else ()))
    paths = [f"{folder}/{name}" for folder in folders for name in files_below(job.record, folder)]
    for path in (
        *paths,
        *(f"outputs/{name}" for name in files_below(job.record, "outputs") if name.endswith(".ipynb")),
    ):
        with suppress(OSError):
            with open_file(job.record, path) as stream:
                if os.fstat(stream.fileno()).st_size > _LARGEST_LOG:
                    continue
                text = stream.read().decode(errors="surrogateescape")
            if redact(text) != text:
                replace_file(job.record, path, redact(text).encode(errors="surrogateescape"))


def command(
    job: Job, directory: WorkingDirectory, python: Python, inherited: Mapping[str, str], *, here: bool = False
) -> Command:
    """Return the process of a job: argv, environment and launch spec, in the paths of `directory` that it sees.

    `here`: these are the paths of this machine.
    """
    call, definition = job.call, job.call.definition
    _write_context(job, directory)
    argv = tuple(_rendered(argument, call, directory, shell=definition.shell) for argument in definition.arguments)
    notes = directory.record / "control" / job.imported.name
    tracking = mlflow_runs.variables(directory.record / "control")
    own_code = OwnCode.of(job.call, directory.own_code, directory.source, notes, python.paths)
    variables = own_code.moved({**tracking, **inherited, **_variables(job, directory)})
    payload: bytes | None = None
    called = python_call(argv) if argv and argv[0] in _PYTHONS and not definition.shell else None
    if definition.script is not None or definition.driver is not None:
        driver = (
            {"module": definition.driver.module, "settings": settings_of(call, directory)} if definition.driver else {}
        )
        payload = _launch_spec(argv, own_code, directory, python, script=definition.script or "", **driver)
        argv = (python.interpreter, python.launcher, PAYLOAD)
    elif called and (called.script or called.module):
        rest = argv[called.length :]
        payload = _launch_spec(rest, own_code, directory, python, script=called.script, module=called.module)
        argv = (python.interpreter, *called.options, python.launcher, PAYLOAD)
    else:
        if definition.shell:
            argv = (*(definition.shell_command or _SHELL), *argv)
        elif argv[0] in _PYTHONS:
            argv = (python.interpreter, *argv[1:])
        package = os.path.join(python.module_path, "stepwell")
        if here:
            variables = own_code.started(variables, package)
        elif definition.shell and not definition.shell_command:  # only there it is known what PYTHONPATH is
            variables = own_code.told(variables, package)
            argv = (*_IN_SHELL, *argv[len(_SHELL) :])
    return Command(
        argv=argv,
        folder=directory.source,
        variables=variables,
        marker=f"stepwell-{job.step_run_id}-{secrets.token_hex(4)}",  # a dead attempt's watchdog must not meet the next one
        stdout=job.logs / "stdout.txt",
        stderr=job.logs / "stderr.txt",
        combined=job.logs / "70_driver_log.txt",
        payload=payload,
        timeout_seconds=definition.timeout_seconds,
    )


def inherited() -> dict[str, str]:
    """Return this process's variables but for those of Prefect and Stepwell; PYTHONPATH leads to the same folders."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    if "PYTHONPATH" in variables:
        folders = variables["PYTHONPATH"].split(os.pathsep)
        variables["PYTHONPATH"] = os.pathsep.join(folder and os.path.abspath(folder) for folder in folders)
    return variables


def _write_context(job: Job, directory: WorkingDirectory) -> None:
    context = {
        **job.context,
        "id": job.step_run_id,
        "name": job.call.definition.name,
        "input_datasets": {name: str(path_of_input(job.call, name, path)) for name, path in directory.inputs.items()},
        "output_datasets": {name: str(path) for name, path in directory.outputs.items()},
        "datasets": job.call.datasets,
        "secret_variables": [parameter_variable(p.name) for p in job.call.definition.parameters if p.secret],
    }
    (job.control / "context.json").write_text(json.dumps(context))


def _rendered(argument: Argument, call: StepCall, directory: WorkingDirectory, *, shell: bool = False) -> str:
    inputs = {name: shown_input(call, name, path) for name, path in directory.inputs.items()}
    values = {"input": inputs, "output": directory.outputs, "parameter": call.parameters}
    parts = ((p.kind, p.value if p.kind == "text" else str(values[p.kind][p.value])) for p in argument)  # type: ignore[index]
    return line_of(parts) if shell else "".join(text for _, text in parts)


def settings_of(call: StepCall, directory: WorkingDirectory) -> dict[str, str]:
    """Return the settings and hints of a step's driver, with the values of its parameters and the paths of its ports."""
    told = {**driver.hints, **driver.settings} if (driver := call.definition.driver) else {}
    return {name: _rendered(value, call, directory) for name, value in told.items()}


def _launch_spec(
    argv: tuple[str, ...],
    own_code: OwnCode,
    directory: WorkingDirectory,
    python: Python,
    *,
    script: str = "",
    **more: Any,
) -> bytes:
    quiet = [
        directory.folder,
        *(directory.folder / name for name in ("inputs", "outputs")),
        directory.channel.with_name(channel.RECEIVED),
        directory.temporary,
        directory.record,
        *directory.own_code.values(),
        directory.source / "outputs",
        directory.source / "logs",
        *directory.inputs.values(),
        *directory.outputs.values(),
    ]
    return json.dumps(
        {
            "script": script,
            "argv": argv,
            "cwd": str(directory.source),
            "module_path": [str(directory.source), *python.paths],
            "watch": True,
            "quiet": [
                python.ours,
                *python.companions,
                *map(str, quiet),
                *(os.path.realpath(path) for path in directory.inputs.values()),
            ],
            "reads": str(directory.record / "control" / "reads.jsonl"),
            "own_code": asdict(own_code),
            **more,
        }
    ).encode()


def _variables(job: Job, directory: WorkingDirectory) -> dict[str, str]:
    call, definition = job.call, job.call.definition
    data = {port.variable: shown_input(call, port.name, directory.inputs[port.name]) for port in definition.inputs}
    data |= {port.variable: str(directory.outputs[port.name]) for port in definition.outputs}
    values = {parameter_variable(name): text for name, text in call.parameters.items()}
    values |= {parameter_variable(name): _rendered(value, call, directory) for name, value in definition.params.items()}
    own = {
        "AZUREML_RUN_ID": job.step_run_id,
        "STEPWELL_CONTROL": str(directory.record / "control"),
        "TMPDIR": str(directory.temporary),
    }
    if job.token:
        own |= {channel.SOCKET: str(directory.channel), channel.TOKEN: job.token}
    return {**data, **values, **own, **definition.environment.variables}
