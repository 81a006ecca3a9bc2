"""The commands about pipelines and runs: run, plan, runs, show, logs, outputs, cancel."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stepwell.blocks.store.run_folder import RunFolder
    from stepwell.flows.runs.summary import RunSummary

_FILE = typer.Argument(..., help="A Python file that defines a Pipeline: FILE or FILE:NAME.", metavar="FILE")
_PARAMETERS = typer.Option([], "-p", "--parameter", help="A pipeline parameter: name=value.", metavar="NAME=VALUE")
_RUN = typer.Argument(..., help="The run's id, its beginning, or `last`.", metavar="RUN")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_COMPUTE = typer.Option("", "--compute", help="Run every step on this compute target.", metavar="NAME")
_REGENERATE = typer.Option(False, "--regenerate", help="Run every step anew.")
_VERIFY = typer.Option(False, "--verify", help="Read every byte, whatever digests are remembered.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (run, plan, runs, show, logs, outputs, cancel):
        app.command()(command)


def run(
    file: str = _FILE,
    parameters: list[str] = _PARAMETERS,
    compute: str = _COMPUTE,
    regenerate: bool = _REGENERATE,
    verify: bool = _VERIFY,
    keep_going: bool = typer.Option(False, "--continue", help="Go on with steps that don't depend on a failed one."),
    experiment: str = typer.Option("", "--experiment", help="The run's experiment; by default the pipeline's name."),
    as_json: bool = _JSON,
) -> None:
    """Run a pipeline here and now; Ctrl-C cancels it."""
    from stepwell.deployments.cli.lookup import load_pipeline, read_parameters
    from stepwell.flows.runs.flow_run import RunOptions
    from stepwell.flows.runs.launch import execute, leave, register
    from stepwell.flows.runs.progress import Progress

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    pipeline = _load(file, load_pipeline)
    pipeline = pipeline.on(compute) if compute else pipeline
    values = read_parameters(pipeline, parameters)
    progress = Progress.of_terminal()
    options = RunOptions(regenerate=regenerate, continue_on_failure=keep_going, verify=verify, listeners=(progress,))
    folder = register(pipeline, experiment or pipeline.name, values, {}, options)
    with progress:
        summary = execute(pipeline, folder, values, options)
    print(json.dumps(_as_json(summary), indent=1) if as_json else _text(folder))
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
    from stepwell.deployments.cli.lookup import load_pipeline, read_parameters

    pipeline = _load(file, load_pipeline)
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


def runs(
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
    limit: int = typer.Option(20, "--limit", "-n", help="How many runs to list."),
) -> None:
    """List runs, newest first."""
    from stepwell.deployments.cli.lookup import find_workspaces
    from stepwell.flows.public.pipeline_run import all_runs

    known = [run for ws in find_workspaces(workspace) for run in all_runs(ws)[:limit]]
    known.sort(key=lambda run: float(run.folder.facts().get("created", 0)), reverse=True)
    found = [run.summary() for run in known[:limit]]
    if as_json:
        print(json.dumps([_as_json(summary) for summary in found], indent=1))
        return
    for summary in found:
        started = summary.started[:19].replace("T", " ")
        print(f"{summary.run_id[:8]}  {started}  {summary.facts.get('experiment', '')}  {summary.headline}")


def show(run_id: str = _RUN, workspace: str = _WORKSPACE, as_json: bool = _JSON) -> None:
    """Show what happened to each step of a run, and why. RUN is an id, its beginning, or `last`."""
    from stepwell.deployments.cli.lookup import find_run

    found = find_run(run_id, workspace)
    if as_json:
        print(
            json.dumps(
                {**_as_json(found.summary()), "metrics": found.get_metrics(recursive=True)}, indent=1, default=str
            )
        )
    else:
        print(_text(found.folder))


def logs(
    run_id: str = _RUN,
    step: str = typer.Argument(..., help="The step's name.", metavar="STEP"),
    workspace: str = _WORKSPACE,
) -> None:
    """Print what a step's script wrote."""
    from stepwell.deployments.cli.lookup import find_run
    from stepwell.errors import UserErrorException

    found = find_run(run_id, workspace)
    steps = found.find_step_run(step)
    if not steps:
        raise UserErrorException(
            f"The run has no step {step!r}",
            {"steps": ", ".join(s.name for s in found.get_steps())},
            "Correct the name.",
        )
    sys.stdout.write(steps[0].get_job_log())


def outputs(
    run_id: str = _RUN,
    to: str = typer.Option("", "--to", help="Copy the outputs to this folder."),
    digests: bool = typer.Option(False, "--hash", help="Print each output's content digest."),
    workspace: str = _WORKSPACE,
    as_json: bool = _JSON,
) -> None:
    """List a run's outputs, or copy them out of the store; exit code 1 if the store no longer has some."""
    from stepwell.deployments.cli.lookup import find_run
    from stepwell.flows.public.pipeline_run import gone_error

    found = find_run(run_id, workspace)
    rows = [
        (step, name, data)
        for step, outputs in sorted(found.get_outputs().items())
        for name, data in sorted(outputs.items())
    ]
    if to:
        print(f"Copied {found.download(to, overwrite=True)} files to {to}")
    elif as_json:
        listed = [
            {"step": s, "output": n, "digest": d.artifact.digest, "bytes": d.artifact.size, "path": str(d.local_path)}
            for s, n, d in rows
        ]
        print(json.dumps(listed, indent=1))
    else:
        for step, name, data in rows:
            print(f"{data.artifact.digest if digests else data.local_path}  {step}/{name}")
    if gone := found.gone_outputs():
        raise gone_error(gone)


def cancel(run_id: str = _RUN, workspace: str = _WORKSPACE) -> None:
    """Cancel a run, wherever it was started."""
    from stepwell.deployments.cli.lookup import find_run

    found = find_run(run_id, workspace)
    found.cancel()
    print(f"Run {found.id[:8]}: {found.get_status()}")


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: the steps are being stopped
    raise KeyboardInterrupt


def _load(file: str, load: Any) -> Any:
    from stepwell.blocks.server.connection import ensure_server
    from stepwell.deployments.cli.server import log

    ensure_server(log)
    with contextlib.redirect_stdout(sys.stderr):  # what the file prints is no result of ours
        return load(file)


def _as_json(summary: RunSummary) -> dict[str, Any]:
    return {
        "id": summary.run_id,
        "status": summary.status,
        "experiment": summary.facts.get("experiment"),
        "parameters": summary.facts.get("parameters", {}),
        "steps": [
            {
                "name": step.id,
                "happened": step.happened,
                "why": list(step.why),
                "seconds": step.seconds,
                "saved": step.saved,
                "error": step.error or None,
            }
            for step in summary.steps
        ],
        "warnings": list(summary.warnings),
        "problem": summary.problem or None,
    }


def _text(run: RunFolder) -> str:
    from stepwell.deployments.cli.report import report

    return report(run)
