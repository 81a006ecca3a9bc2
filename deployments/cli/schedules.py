"""`stepwell schedule`: when published pipelines are run by themselves."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from stepwell.deployments.schedules.recurrence import ScheduleRecurrence
    from stepwell.deployments.schedules.schedule import Schedule

app = typer.Typer(help="When published pipelines are run by themselves.", no_args_is_help=True)
_WORKSPACE = typer.Option("", "--workspace", "-w", help="The workspace, if there are several.")
_ID = typer.Argument(..., help="The schedule's id, or its name.", metavar="SCHEDULE")
_DAYS = typer.Option([], "--on", help="A day of the week, with --every week.", metavar="DAY")
_PARAMETERS = typer.Option([], "-p", "--parameter", help="A parameter: name=value, or @FILE.", metavar="NAME=VALUE")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def create(
    name: str = typer.Argument(..., help="The published pipeline's name, NAME@VERSION, or id.", metavar="PIPELINE"),
    every: str = typer.Option("", "--every", help="minute, hour, day, week, month, or a number of them: '2 hours'."),
    cron: str = typer.Option("", "--cron", help="A line of cron instead, such as '30 6 * * 1-5'.", metavar="LINE"),
    at: str = typer.Option("", "--at", help="The time of day, with --every day or week.", metavar="HH:MM"),
    on: list[str] = _DAYS,
    start: str = typer.Option(
        "", "--start", help="When it begins; without it the first run is at once.", metavar="TIME"
    ),
    time_zone: str = typer.Option("UTC", "--time-zone", help="Europe/Warsaw, or a name of Windows."),
    datastore: str = typer.Option("", "--datastore", help="Run when files change here, instead of at times."),
    path: str = typer.Option("", "--path", help="The folder on the datastore that is watched."),
    minutes: float = typer.Option(5, "--poll-minutes", help="How often the folder is looked at."),
    data_parameter: str = typer.Option("", "--data-parameter", help="The parameter that is given the changed file."),
    parameters: list[str] = _PARAMETERS,
    experiment: str = typer.Option("", "--experiment", help="The runs' experiment; by default made of the name."),
    label: str = typer.Option("", "--name", help="The schedule's name; by default the pipeline's."),
    workspace: str = _WORKSPACE,
) -> None:
    """Make a schedule for a published pipeline."""
    from stepwell.deployments.cli.published import find_published
    from stepwell.deployments.schedules.schedule import Schedule
    from stepwell.flows.parameters.assignments import read_values
    from stepwell.flows.publishing.submission import definitions_of
    from stepwell.flows.runs.names import usual_experiment

    recurrence = _recurrence(every, cron, at, on, start, time_zone, bool(datastore))
    published = find_published(name, workspace)
    made = Schedule.create(
        published.workspace,
        label or published.name,
        published.id,
        experiment or usual_experiment(published.name),
        recurrence,
        pipeline_parameters=read_values(definitions_of(published.block), parameters),
        datastore=datastore or None,
        path_on_datastore=path or None,
        polling_interval=minutes,
        data_path_parameter_name=data_parameter or None,
    )
    print(f"Schedule {made.id}: {_when(made)}")
    print(_first_run(made))


@app.command(name="list")
def list_schedules(
    workspace: str = _WORKSPACE,
    everything: bool = typer.Option(False, "--all", help="Also those that are disabled."),
    as_json: bool = _JSON,
) -> None:
    """List schedules, newest first, with their next and last runs."""
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.deployments.schedules.prefect_schedules import last_run_of, next_run_of
    from stepwell.deployments.schedules.schedule import Schedule

    found = [one for ws in find_workspaces(workspace) for one in Schedule.list(ws, active_only=not everything)]
    if as_json:
        print(json.dumps([_as_json(one) for one in found], indent=1))
        return
    rows = [("ID", "STATUS", "NAME", "WHEN", "NEXT RUN", "LAST RUN")]
    for one in found:
        due, last = next_run_of(one.block), last_run_of(one.block)
        ended = f"{_shown(one, last['expected_start_time'])} {last['state']['name']}" if last else "none yet"
        rows.append((one.id, one.status, one.name, _when(one), _shown(one, due) if due else "-", ended))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows if found else []:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if not found:
        print("There is no schedule: `stepwell schedule create PIPELINE --every day`")


@app.command()
def enable(schedule: str = _ID, workspace: str = _WORKSPACE) -> None:
    """Let a schedule start runs again."""
    _find_schedule(schedule, workspace).enable()
    print("The schedule is active")


@app.command()
def disable(schedule: str = _ID, workspace: str = _WORKSPACE) -> None:
    """Start no more runs of a schedule."""
    _find_schedule(schedule, workspace).disable()
    print("The schedule is disabled")


@app.command()
def delete(schedule: str = _ID, workspace: str = _WORKSPACE) -> None:
    """Remove a schedule. The runs that it started stay."""
    _find_schedule(schedule, workspace).delete()
    print("The schedule is deleted")


@app.command()
def backfill(
    schedule: str = _ID,
    start: str = typer.Option(..., "--from", help="The first time: 2026-05-01, or how long ago: 7d.", metavar="TIME"),
    end: str = typer.Option("", "--to", help="The last time; by default now.", metavar="TIME"),
    parameter: str = typer.Option(
        "", "--time-parameter", help="The parameter that is given the time of each run.", metavar="NAME"
    ),
    time_format: str = typer.Option(
        "", "--time-format", help="How it is written: '%Y-%m-%d'; by default ISO 8601.", metavar="FORMAT"
    ),
    again: bool = typer.Option(False, "--again", help="Also for times that were backfilled before."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only tell for which times."),
    workspace: str = _WORKSPACE,
) -> None:
    """Start a run for each past time at which a schedule was due, or would have been, and did not run."""
    from datetime import UTC

    from stepwell.deployments.schedules.backfill import TimeParameter, missed
    from stepwell.deployments.schedules.backfill import backfill as submit
    from stepwell.errors import UserErrorException
    from stepwell.flows.runs.comparing.run_filter import read_moment

    if time_format and not parameter:
        raise UserErrorException("--time-format goes with --time-parameter", hint="Name the parameter, too.")
    found = _find_schedule(schedule, workspace)
    zone = _zone(found)
    begin = datetime.fromtimestamp(read_moment(start, zone=zone), UTC)
    until = datetime.fromtimestamp(read_moment(end, zone=zone), UTC) if end else datetime.now(UTC)
    times = missed(found.block, begin, until)
    if not times:
        print("The schedule was due at no time that it did not run")
    if dry_run:
        for due in times:
            print(f"{due:%Y-%m-%d %H:%M}")
        return
    given = TimeParameter(parameter, time_format) if parameter else None
    for due, run in submit(found.workspace, found.block, times, given, again=again):
        print(f"{due:%Y-%m-%d %H:%M}  {run.name}{'' if run.is_new else ', which was started before'}")


def _first_run(schedule: Schedule) -> str:
    """Say when the schedule runs first."""
    from stepwell.deployments.schedules.prefect_schedules import next_run_of

    if schedule.recurrence is None:
        return "The first run is when files change"
    due = next_run_of(schedule.block)
    then = f"{_shown(schedule, due)} {_zone(schedule).key}" if due else ""
    if schedule.recurrence.runs_at_once:
        return "The first run is at once" + (f", the next at {then}" if then else "")
    return f"The first run is at {then}" if then else "Prefect has planned no run of it yet"


def _zone(schedule: Schedule) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(schedule.recurrence.time_zone if schedule.recurrence else "UTC")


def _find_schedule(word: str, workspace: str) -> Schedule:
    from stepwell.deployments.lookup.workspaces import find_workspaces
    from stepwell.deployments.schedules.schedule import Schedule
    from stepwell.errors import UserErrorException

    known = [one for ws in find_workspaces(workspace) for one in Schedule.list(ws, active_only=False)]
    found = [one for one in known if one.id == word] or [one for one in known if one.name == word]
    if len(found) != 1:
        raise UserErrorException(
            f"There is no schedule {word!r}" if not found else f"Several schedules are called {word!r}",
            {"ids": ", ".join(one.id for one in found)} if found else {},
            "List them with `stepwell schedule list --all`, and name one by its id.",
        )
    return found[0]


def _recurrence(
    every: str, cron: str, at: str, on: list[str], start: str, time_zone: str, has_data: bool
) -> ScheduleRecurrence | None:
    from stepwell.deployments.schedules.recurrence import ScheduleRecurrence
    from stepwell.errors import UserErrorException

    ways = [option for option, given in (("--every", every), ("--cron", cron), ("--datastore", has_data)) if given]
    if len(ways) != 1:
        raise UserErrorException(
            f"A schedule has one of {' and '.join(ways)}, not both" if ways else "Nothing says when the schedule runs",
            hint="Pass --every day, --cron '30 6 * * 1-5', or --datastore NAME.",
        )
    if not every and (at or on or start):
        raise UserErrorException("--at, --on and --start go with --every only", hint="Leave them out.")
    if cron:
        return ScheduleRecurrence.of_cron(cron, time_zone)
    if not every:
        return None
    words = every.lower().split()
    number = words[0] if len(words) == 2 else "1"
    if not 1 <= len(words) <= 2 or not (number.isascii() and number.isdecimal()):
        raise UserErrorException(f"{every!r} is no interval", hint="Write --every day, or --every '2 hours'.")
    return ScheduleRecurrence(
        words[-1].removesuffix("s").capitalize(),
        int(number),
        start or None,
        time_zone,
        time_of_day=at or None,
        week_days=[day.capitalize() for day in on] or None,
    )


def _as_json(schedule: Schedule) -> dict[str, Any]:
    from stepwell.deployments.schedules.prefect_schedules import last_run_of, next_run_of

    due, last = next_run_of(schedule.block), last_run_of(schedule.block)
    return {
        **schedule.block.model_dump(mode="json", exclude={"seen"}),
        "next_run": due.isoformat() if due else None,
        "last_run": {"id": last["id"], "due": last["expected_start_time"], "state": last["state"]["name"]}
        if last
        else None,
    }


def _shown(schedule: Schedule, moment: datetime | str) -> str:
    """Return the moment by the clock of the schedule's time zone."""
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{time.astimezone(_zone(schedule)):%Y-%m-%d %H:%M}"


def _when(schedule: Schedule) -> str:
    if schedule.recurrence is not None:
        return str(schedule.recurrence)
    block = schedule.block
    return f"when files of {block.datastore}/{block.path_on_datastore} change, looked at every {block.polling_minutes:g} min"
