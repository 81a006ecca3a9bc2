"""A job as a process of the machine that this runs on: the user's, or a Dask worker's."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.own_code import Python, naming_user_files
from stepwell.blocks.compute.tracking import mlflow_runs
from stepwell.blocks.compute.worker_bundle import bundle_folder
from stepwell.blocks.compute.working_directory import (
    WorkingDirectory,
    command,
    inherited,
    keep_files,
    note_reads,
    prepare,
    redact_record,
    write_programs,
)
from stepwell.blocks.environments.virtual_environment import activated, interpreter_of
from stepwell.blocks.processes.command import Command
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import run_process
from stepwell.blocks.processes.step_channel import listening
from stepwell.blocks.system.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from stepwell.blocks.processes.runner import StopSignal

_PYTHONS = ("python", "python3")


@dataclass(frozen=True, slots=True)
class ReadyHere:
    """A process that is ready to be started, the directory that it will work in, and what is to be closed at its end."""

    directory: WorkingDirectory
    process: Command
    resources: ExitStack

    def close(self) -> None:
        """Let go of all: the process is never started."""
        self.resources.close()


def run_here(
    job: Job,
    cache: Path,
    on_output: OnOutput,
    stop: StopSignal,
    redact: Redact,
    *,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    without: Container[str] = (),
) -> Finished:
    """Run the job as a process here; its environment is made first if need be, in the folder `cache`.

    It runs in `folder`, by default the job's own; `variables` are added to its environment, `without` are left out.
    """
    ready = job.ready or ready_here(job, cache, on_output, stop, folder=folder, variables=variables, without=without)
    directory = ready.directory
    with ready.resources:
        named = naming_user_files(redact, job.call, directory.source, job.snapshot, directory.own_code)
        with listening(job.requests, directory.channel, same_files=True):
            end = run_process(ready.process, on_output, stop, named)
    note_reads(job, directory)
    keep_files(job, directory)
    mlflow_runs.keep(job.record, job.control)
    redact_record(job, redact)
    return Finished(end, directory.written, facts={"guard": end.guard} if end.guard else {})


def ready_here(
    job: Job,
    cache: Path,
    on_output: OnOutput = lambda _: None,
    stop: StopSignal | None = None,
    *,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    without: Container[str] = (),
) -> ReadyHere:
    """Return the job's process, to be started, after its environment and its working directory were made; see `run_here`."""
    python = python_for(job, cache, on_output, stop)
    own = {name: value for name, value in inherited().items() if name not in without}
    if job.call.definition.environment.isolated:
        own = activated(python.interpreter, own)
    else:
        own["PATH"] = path_of(python.interpreter, own.get("PATH", os.defpath), folder or job.folder)
    with ExitStack() as resources:
        temporary = resources.enter_context(temporary_folder())
        directory = prepare(job, folder or job.folder, temporary)
        process = command(job, directory, python, {**own, **(variables or {})}, here=True)
        return ReadyHere(directory, replace(process, temporary=temporary), resources.pop_all())


def path_of(interpreter: str, path: str, folder: Path) -> str:
    """Return PATH with the interpreter's programs first: `python` and `python3` are the interpreter, or start it.

    What starts it is put below `folder`, if need be: not every interpreter is called so where it stands.
    """
    if not os.path.isabs(interpreter):
        return path
    place = os.path.dirname(interpreter)
    names = _missing_names(interpreter, os.stat(place).st_mtime_ns) if os.path.isdir(place) else _PYTHONS
    write_programs(names, interpreter, folder)
    return os.pathsep.join([*([str(folder / "bin")] if names else []), place, *([path] if path else [])])


@lru_cache(maxsize=64)
def _missing_names(interpreter: str, _: int) -> tuple[str, ...]:
    """Return by which of its usual names the interpreter can't be started in its folder, which was last changed then."""
    place = os.path.dirname(interpreter)
    return tuple(name for name in _PYTHONS if not _is_same(os.path.join(place, name), interpreter))


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other) and os.access(one, os.X_OK)


def python_for(job: Job, cache: Path, on_output: OnOutput, stop: StopSignal | None = None) -> Python:
    """Return how the job's script is started here."""
    interpreter = interpreter_of(job.call.definition.environment, cache, on_output, stop)
    return Python.other(interpreter, bundle_folder(cache)) if interpreter else Python.own(cache)
