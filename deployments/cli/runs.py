"""The commands about pipelines and runs: run, plan, show, logs, outputs, cancel, rerun, check."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from stepwell.blocks.store.run_folder import RunFolder
    from stepwell.flows.engine.reproduction import Comparison
    from stepwell.flows.public.pipeline import Pipeline
    from stepwell.flows.public.pipeline_run import PipelineRun
    from stepwell.flows.public.step_run import StepRun
    from stepwell.flows.runs.summary import RunSummary

T = TypeVar("T")
_FILE = typer.Argument(..., help="A Python file that defines a Pipeline: FILE or FILE:NAME.", metavar="FILE")
_PARAMETERS = typer.Option(
    [],
    "-p",
    "--parameter",
    help="A pipeline parameter: name=value, or @FILE (.yaml, .json, .toml).",
    metavar="NAME=VALUE",
)
_RUN = typer.Argument(..., help="`digits#12`, `#12`, the run's id, its beginning, or `last`.", metavar="RUN")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_COMPUTE = typer.Option("", "--compute", help="Run every step on this compute target.", metavar="NAME")
_REGENERATE = typer.Option(False, "--regenerate", help="Run every step anew.")
_CLEAR = "\r\x1b[K"  # what a progress bar left on a terminal's line
_VERIFY = typer.Option(False, "--verify", help="Read every byte, whatever digests are remembered.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (run, plan, show, logs, outputs, cancel, rerun, check):
        app.command()(command)


def run(
    file: str = _FILE,
    parameters: list[str] = _PARAMETERS,
    compute: str = _COMPUTE,
    regenerate: bool = _REGENERATE,
    verify: bool = _VERIFY,
    keep_going: bool = typer.Option(False, "--continue", help="Go on with steps that don't depend on a failed one."),
    experiment: str = typer.Option("", "--experiment", help="The run's experiment; by default the pipeline's name."),
    show_logs: bool = typer.Option(False, "--logs", help="Show what the scripts write, as it comes."),
    sweep: bool = typer.Option(False, "--sweep", help="Run once for each combination of values: -p rate=1,2,3."),
    at_once: int = typer.Option(
        0,
        "--at-once",
        min=0,
        help="How many runs of a sweep at once; 0: as many as targets have room for.",
        metavar="N",
    ),
    as_json: bool = _JSON,
) -> None:
    """Run a pipeline here and now; Ctrl-C cancels it."""
    from stepwell.deployments.cli.server import start_for
    from stepwell.errors import UserErrorException

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    if at_once and not sweep:
        raise UserErrorException("--at-once is about the runs of a sweep", hint="Pass --sweep, or leave it out.")
    start_for(file, parameters)
    from stepwell.deployments.cli.comparing import sweeping
    from stepwell.deployments.lookup.pipelines import read_grid, read_parameters
    from stepwell.deployments.reports.json_text import json_text
    from stepwell.deployments.reports.report import in_json
    from stepwell.flows.runs.flow_run import RunOptions
    from stepwell.flows.runs.launch import execute, leave, register
    from stepwell.flows.runs.live.progress import Progress
    from stepwell.flows.runs.live.step_logs import StepLogs

    pipeline = load(file)
    pipeline = pipeline.on(compute) if compute else pipeline
    options = RunOptions(regenerate=regenerate, continue_on_failure=keep_going, verify=verify)
    experiment = experiment or pipeline.name
    if sweep:
        points = read_grid(pipeline, parameters)
        leave(
            *sweeping.sweep(
                pipeline, experiment, points, options, at_once=at_once, as_json=as_json, show_logs=show_logs
            )
        )
    values = read_parameters(pipeline, parameters)
    together = not as_json and _same_place()
    progress = Progress.of_terminal(before_report=together)
    folder = register(pipeline, experiment, values, {}, options)
    logs = StepLogs(folder, progress.line, progress.update)
    listeners = (logs, progress) if show_logs else (progress,)
    with progress, logs.looking() if show_logs else contextlib.nullcontext():
        summary = execute(pipeline, folder, values, replace(options, listeners=listeners))
    told = progress.warnings if together else ()
    print(json_text(in_json(summary)) if as_json else _text(folder, told=told, summary=summary))
    leave(folder, {"Finished": 0, "Canceled": 130}.get(summary.status, 1))


def plan(
    file: str = _FILE,
    parameters: list[str] = _PARAMETERS,
    compute: str = _COMPUTE,
    regenerate: bool = _REGENERATE,
    verify: bool = _VERIFY,
    as_json: bool = _JSON,
) -> None:
    """Say for every step whether it would run, and why; run nothing."""
    from stepwell.deployments.cli.server import start_for

    start_for(file, parameters)
    from stepwell.deployments.lookup.pipelines import read_parameters

    pipeline = load(file)
    pipeline = pipeline.on(compute) if compute else pipeline
    values = read_parameters(pipeline, parameters)
    decisions = pipeline.plan(regenerate_outputs=regenerate, verify_digests=verify, **values)
    if as_json:
        print(
            json.dumps(
                {"steps": [{"name": d.step, "action": d.action, "why": list(d.why)} for d in decisions]}, indent=1
            )
        )
        return
    width = max((len(decision.step) for decision in decisions), default=0)
    for decision in decisions:
        print(f"{decision.step:<{width}}  {decision.action}")
        for reason in decision.why:
            print(f"{'':<{width}}    {reason}")


def show(run_id: str = _RUN, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """Show what happened to each step of a run, and why."""
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.deployments.reports.json_text import json_text
    from stepwell.deployments.reports.report import in_json

    found = find_run(run_id, workspace)
    if as_json:
        shown = {**in_json(found.summary(), found.folder), "metrics": found.get_metrics(recursive=True)}
        print(json_text(shown))
    else:
        print(_text(found.folder, guards=True))


def logs(
    run_id: str = _RUN,
    step: str = typer.Argument(
        "", help="The step's name; none is needed of a run that has one step.", metavar="[STEP]"
    ),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on until the step ends."),
    workspace: str = _WORKSPACE,
) -> None:
    """Print what a step's script wrote."""
    from stepwell.deployments.lookup.runs import find_run

    found = _steps_of(find_run(run_id, workspace), step)[0]
    printed = False
    for text, is_line in found.follow_log() if follow else ():
        printed = printed or is_line
        if is_line or sys.stdout.isatty():  # of a progress bar, what it shows last is a line
            print(f"{_CLEAR}{text}" if sys.stdout.isatty() else text, end="\n" if is_line else "", flush=True)
    if not printed:
        sys.stdout.write(found.get_job_log())


def outputs(
    run_id: str = _RUN,
    step: str = typer.Option("", "--step", help="Only the outputs of the step of this name.", metavar="STEP"),
    to: str = typer.Option("", "--to", help="Copy the outputs to this folder."),
    digests: bool = typer.Option(False, "--hash", help="Print each output's content digest."),
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """List a run's outputs, or copy them out of the store; exit code 1 if the store no longer has some."""
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.flows.public.port_data_reference import gone_error

    found = find_run(run_id, workspace)
    chosen = [one.name for one in _steps_of(found, step)] if step else None
    rows = [
        (whose, name, data)
        for whose, outputs in sorted(found.get_outputs().items())
        for name, data in sorted(outputs.items())
        if chosen is None or whose in chosen
    ]
    if to:
        copied = found.download(to, overwrite=True, steps=chosen)
        print(f"Copied {copied} file{'' if copied == 1 else 's'} to {to}")
    elif as_json:
        listed = [
            {"step": s, "output": n, "digest": d.artifact.digest, "bytes": d.artifact.size, "path": str(d.local_path)}
            for s, n, d in rows
        ]
        print(json.dumps(listed, indent=1))
    else:
        for whose, name, data in rows:
            print(f"{data.artifact.digest if digests else data.local_path}  {whose}/{name}")
    gone = {whose: names for whose, names in found.gone_outputs().items() if chosen is None or whose in chosen}
    if gone:
        raise gone_error(gone)


def _steps_of(run: PipelineRun, name: str) -> list[StepRun]:
    """Return the steps of that name, or without one the only step; raise UserErrorException if there are none."""
    from stepwell.errors import UserErrorException

    known = [step.id for step in run.summary().steps]
    steps = run.find_step_run(name or (known[0] if len(known) == 1 else ""))
    if not steps:
        raise UserErrorException(
            f"The run has no step {name!r}" if name else f"The run {run.name} has {len(known)} steps",
            {"steps": ", ".join(known)} if known else {},
            "Correct the name." if name else "Name one of them." if known else "Look at it with `stepwell show`.",
        )
    return steps


def cancel(run_id: str = _RUN, workspace: str = _WORKSPACE) -> None:
    """Cancel a run, wherever it was started."""
    from stepwell.deployments.lookup.runs import find_run

    found = find_run(run_id, workspace)
    found.cancel()
    print(f"Run {found.name}: {found.get_status()}")


def rerun(
    run_id: str = _RUN,
    exact: bool = typer.Option(
        False, "--exact", help="With the run's own snapshots, inputs, parameters and environment; nothing is kept."
    ),
    parameters: list[str] = _PARAMETERS,
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """Run a run's steps again and compare the bytes that they write with those that it recorded.

    What differs is named by file and place, what was collected or changed since by name; exit code 1 if there is any.
    Secret parameters are not kept: pass them with -p.
    """
    from stepwell.deployments.lookup.runs import find_run
    from stepwell.errors import UserErrorException
    from stepwell.flows.engine.reproduction import definition_of
    from stepwell.flows.engine.reproduction import rerun as repeat
    from stepwell.flows.parameters.assignments import read_values

    if not exact:
        raise UserErrorException(
            "A run is run again exactly, or not at all",
            hint="Pass --exact; to run what is on disk now, use `stepwell run`.",
        )
    found = _connected(lambda: find_run(run_id, workspace))
    given = read_values(definition_of(found.folder).parameters, parameters)
    _print_comparisons(repeat(found.workspace, found.folder, given, _ignore), as_json=as_json, words="as recorded")


def check(
    target: str = typer.Argument(
        ..., help="A step of the last run, or a Python file that defines a Pipeline.", metavar="STEP|FILE"
    ),
    twice: bool = typer.Option(False, "--twice", help="Run each step twice, in fresh folders; nothing is kept."),
    parameters: list[str] = _PARAMETERS,
    run_id: str = typer.Option("last", "--run", help="The run that STEP is of.", metavar="RUN"),
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """Run a step, or every step of a pipeline, twice and compare what it writes, byte by byte.

    What differs is named by file and place; exit code 1 if there is any. A step of a run gets the snapshot and inputs that it
    had there, the steps of a file what is on disk now.
    """
    from stepwell.deployments.lookup.pipelines import read_parameters
    from stepwell.deployments.lookup.reading_ahead import file_of, refuse_mistakes
    from stepwell.errors import UserErrorException
    from stepwell.flows.engine.reproduction import definition_of, run_twice, step_twice
    from stepwell.flows.parameters.assignments import read_values

    if not twice:
        raise UserErrorException("There is one check, --twice", hint="Pass --twice.")
    known = _connected(lambda: _run_with_step(target, run_id, workspace))
    if known:
        print(f"Step {target} of run {known.name}", file=sys.stderr)
        given = read_values(definition_of(known.folder).parameters, parameters)
        comparisons = step_twice(known.workspace, known.folder, target, given, _ignore)
    else:
        refuse_mistakes(file_of(target)[0], parameters)
        pipeline = load(target)
        values = read_parameters(pipeline, parameters)
        comparisons = run_twice(pipeline.workspace, pipeline.definition, values, _ignore)
    _print_comparisons(comparisons, as_json=as_json, words="the same twice")


def _run_with_step(target: str, run_id: str, workspace: str) -> PipelineRun | None:
    """Return the run if it has a step of that name, else None; without either a file, raise what is wrong with the name."""
    from pathlib import Path

    from stepwell.deployments.lookup.runs import find_run
    from stepwell.errors import UserErrorException
    from stepwell.flows.engine.reproduction import definition_of

    is_file = Path(target).exists() or Path(target.rpartition(":")[0]).is_file()
    try:
        found = find_run(run_id, workspace)
        steps = definition_of(found.folder).steps
    except UserErrorException:
        if is_file:
            return None
        raise
    if any(target in (step.id, step.name) for step in steps):
        return found
    if is_file:
        return None
    raise UserErrorException(
        f"{target!r} is no step of run {found.name}, and no file",
        {"steps": ", ".join(step.id for step in steps)},
        "Name a step of that run or a file, or another run with --run.",
    )


def _print_comparisons(comparisons: Generator[Comparison], *, as_json: bool, words: str) -> None:
    """Print each comparison as it comes; exit with code 1 if anything differs or could not be repeated."""
    from stepwell.deployments.reports.report import comparison_text

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    seen = []
    with contextlib.closing(comparisons):
        for one in comparisons:
            seen.append(one)
            if not as_json:
                print(comparison_text(one, words), flush=True)
    if as_json:
        rows = [
            {"step": c.step, "same": c.same, "differs": list(c.differs), "not_repeated": list(c.obstacles)}
            for c in seen
        ]
        print(json.dumps({"steps": rows}, indent=1))
    if not all(one.same for one in seen):
        raise typer.Exit(1)


def _ignore(_: str) -> None:
    """Let the output of a script go."""


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: the steps are being stopped
    raise KeyboardInterrupt


def load(file: str) -> Pipeline:
    """Return the pipeline in `FILE` or `FILE:NAME`, which has been read for mistakes."""
    from stepwell.deployments.lookup.pipelines import load_pipeline
    from stepwell.deployments.lookup.reading_ahead import file_of, may_define

    path, _ = file_of(file)
    with contextlib.redirect_stdout(sys.stderr):  # what the file prints is no result of ours
        found = None if may_define(path) else load_pipeline(file)
        return _connected(lambda: found or load_pipeline(file))


def _connected(find: Callable[[], T]) -> T:
    """Return what is found, once Prefect's server answers."""
    from stepwell.blocks.server.connection import ensure_server
    from stepwell.deployments.cli.server import log

    ensure_server(log)
    return find()


def _text(
    run: RunFolder, *, guards: bool = False, told: Collection[str] = (), summary: RunSummary | None = None
) -> str:
    from stepwell.deployments.reports.report import report

    return report(run, guards=guards, told=told, summary=summary)


def _same_place() -> bool:
    """Return whether standard output and error go to the same terminal, file or pipe."""
    with contextlib.suppress(OSError, ValueError):
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return False
