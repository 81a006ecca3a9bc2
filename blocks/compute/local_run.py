"""A job as a process of the machine that this runs on: the user's, or a Dask worker's."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.worker_bundle import bundle_folder
from stepwell.blocks.compute.working_directory import Python, command, inherited, keep_files, prepare, redact_record
from stepwell.blocks.environments.virtual_environment import activated, interpreter_of
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import run_process

if TYPE_CHECKING:
    from stepwell.blocks.processes.runner import StopSignal


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
    python = python_for(job, cache, on_output, stop)
    own = {name: value for name, value in inherited().items() if name not in without}
    if job.call.definition.environment.isolated:
        own = activated(python.interpreter, own)
    directory = prepare(job, folder or job.folder)
    process = command(job, directory, python, {**own, **(variables or {})})
    end = run_process(process, on_output, stop, redact)
    keep_files(job, directory)
    redact_record(job, redact)
    return Finished(end, directory.outputs, facts={"guard": end.guard} if end.guard else {})


def python_for(job: Job, cache: Path, on_output: OnOutput, stop: StopSignal | None = None) -> Python:
    """Return how the job's script is started here."""
    interpreter = interpreter_of(job.call.definition.environment, cache, on_output, stop)
    return Python.other(interpreter, bundle_folder(cache)) if interpreter else Python.own()
