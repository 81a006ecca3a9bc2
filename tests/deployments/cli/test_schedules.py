"""`stepwell schedule`: what is asked for, what is listed, and what is gone."""

from __future__ import annotations

import json

import prefect_api
import pytest
from published import every_kind
from typer.testing import CliRunner

from stepwell import Schedule
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException


@pytest.fixture
def schedule(project):
    return schedule_of(project)


@pytest.fixture(scope="module")
def shared_schedule(shared_project):
    return schedule_of(shared_project)


def schedule_of(project):
    """Return what runs `stepwell schedule` in the project's workspace; it knows a published pipeline."""
    published = every_kind(project).publish()

    def call(*words):
        done = CliRunner().invoke(app, ["schedule", *words, "-w", project.workspace.name])
        if isinstance(done.exception, Exception):
            raise done.exception
        return done.output

    call.published = published
    return call


def test_a_schedule_of_cron_is_made_listed_with_its_runs_and_deleted(server, project, schedule):
    made = schedule(
        "create", schedule.published.id, "--cron", "30 6 * * 1-5", "--time-zone", "Europe/Warsaw", "--name", "early"
    )
    assert "cron 30 6 * * 1-5 Europe/Warsaw" in made
    in_prefect = prefect_api.get(f"{server}/deployments/{schedule.published.block.deployment_id}").json()["schedules"]
    assert [(one["schedule"]["cron"], one["schedule"]["timezone"]) for one in in_prefect] == [
        ("30 6 * * 1-5", "Europe/Warsaw")
    ]
    header, row = schedule("list").splitlines()
    assert header.split("  ")[0] == "ID" and "NEXT RUN" in header and "LAST RUN" in header
    assert " 06:30" in row and row.endswith("none yet") and "early" in row
    [listed] = json.loads(schedule("list", "--json"))
    assert (
        listed["next_run"]
        and listed["last_run"] is None
        and listed["recurrence"] == {"cron": "30 6 * * 1-5", "time_zone": "Europe/Warsaw"}
    )
    schedule("disable", "early")
    assert " -  " in schedule("list", "--all") + " " and schedule("list").startswith("There is no schedule")
    schedule("delete", "early")
    assert Schedule.list(project.workspace, active_only=False) == []
    assert prefect_api.get(f"{server}/deployments/{schedule.published.block.deployment_id}").json()["schedules"] == []


def test_the_last_run_is_listed(server, project, schedule):
    schedule("create", schedule.published.id, "--every", "day")
    [one] = Schedule.list(project.workspace)
    [run] = project.workspace.experiments[one.block.experiment_name].get_runs()
    state = {"state": {"type": "COMPLETED", "name": "Completed"}, "force": True}
    prefect_api.post(f"{server}/flow_runs/{run.id}/set_state", json=state)
    [listed] = json.loads(schedule("list", "--json"))
    assert listed["last_run"]["id"] == run.id and schedule("list").rstrip().endswith("Completed")


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "Nothing says when"), (("--every", "day", "--cron", "0 6 * * *"), "not both"), (("--cron", "0 6 * *"), "no line of cron"),
     (("--cron", "0 6 * * *", "--at", "7:00"), "go with --every only"), (("--cron", "0 99 * * *"), "no line of cron"),
     (("--every", "day", "--datastore", "x"), "not both")],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_in_the_words_of_the_command_line(shared_schedule, words, said):
    with pytest.raises(UserErrorException) as caught:
        shared_schedule("create", shared_schedule.published.id, *words)
    assert said in caught.value.title and "=" not in caught.value.hint


def test_the_answer_says_when_the_first_run_is(schedule):
    at = schedule(
        "create", schedule.published.id, "--cron", "30 6 1 1 *", "--time-zone", "Europe/Warsaw", "--name", "a"
    )
    assert at.splitlines()[-1].startswith("The first run is at ") and at.endswith("-01-01 06:30 Europe/Warsaw\n")
    assert "The first run is at once, the next at " in schedule("create", schedule.published.id, "--every", "day")


def test_a_backfill_submits_a_run_for_each_time_that_was_due_once(server, project, schedule):
    schedule("create", schedule.published.id, "--cron", "30 6 * * *", "--time-zone", "Europe/Warsaw", "--name", "early")
    period = ("early", "--from", "2026-05-01", "--to", "2026-05-03 12:00")
    times = ["2026-05-01 06:30", "2026-05-02 06:30", "2026-05-03 06:30"]
    assert schedule("backfill", *period, "--dry-run").splitlines() == times
    told = ("--time-parameter", "text", "--time-format", "%Y-%m-%d")
    lines = schedule("backfill", *period, *told).splitlines()
    assert [line.partition("  ")[0] for line in lines] == times
    again = schedule("backfill", *period, *told).splitlines()
    assert again == [f"{line}, which was started before" for line in lines]
    body = {"flow_runs": {"tags": {"any_": ["backfill:2026-05-02T06:30:00+02:00"]}}}
    [run] = prefect_api.post(f"{server}/flow_runs/filter", json=body).json()
    assert run["parameters"]["text"] == "2026-05-02"
    for words, said in (
        ((*period, "--time-parameter", "none"), "no parameter 'none'"),
        (("early", "--from", "2999-01-01"), "times that are past"),
    ):
        with pytest.raises(UserErrorException, match=said):
            schedule("backfill", *words)
