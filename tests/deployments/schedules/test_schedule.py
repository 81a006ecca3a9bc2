from __future__ import annotations

import prefect_api
import pytest
from published import every_kind, work

from stepwell import PipelineEndpoint, PipelineParameter, Schedule, ScheduleRecurrence
from stepwell.errors import ExperimentExecutionException, StepwellError, UserErrorException

HOURLY = ScheduleRecurrence("Hour", 1, "2026-01-01T00:00:00")


@pytest.fixture
def published(project):
    return every_kind(project).publish()


def in_prefect(server, published):
    return prefect_api.get(f"{server}/deployments/{published.block.deployment_id}").json()["schedules"]


def test_prefect_gets_the_times_and_all_values(server, project, published):
    values = {"whole": 7, "sizes": [3]}
    made = Schedule.create(project.workspace, "hourly", published.id, "timed", HOURLY, "why", values)
    (schedule,) = in_prefect(server, published)
    assert schedule["schedule"]["interval"] == 3600.0
    assert schedule["parameters"]["whole"] == 7
    assert schedule["parameters"]["sizes"] == [3]
    assert schedule["parameters"]["data"] == "given/a.csv"
    assert schedule["parameters"]["experiment_name"] == "timed"
    found = Schedule.get(project.workspace, made.id)
    assert (found.name, found.status, found.description, found.schedule_type) == (
        "hourly",
        "Active",
        "why",
        "Recurrence",
    )
    assert [one.id for one in Schedule.list(project.workspace, pipeline_id=published.id)] == [made.id]
    assert made.get_last_pipeline_run() is None


def test_a_schedule_without_a_start_runs_at_once(project, published):
    made = Schedule.create(project.workspace, "now", published.id, "timed", ScheduleRecurrence("Day", 1))
    run = made.get_last_pipeline_run()
    assert run is None  # it waits for a worker
    (waiting,) = project.workspace.experiments["timed"].get_runs()
    assert work(waiting.id) == "Completed"
    assert made.get_last_pipeline_run().id == waiting.id
    assert waiting.tags == {"ScheduleId": made.id}


def test_what_is_disabled_rests(server, project, published):
    made = Schedule.create(project.workspace, "s", published.id, "timed", HOURLY)
    made.disable()
    assert in_prefect(server, published) == []
    assert Schedule.list(project.workspace) == []
    assert len(Schedule.list(project.workspace, active_only=False)) == 1
    made.enable()
    assert len(in_prefect(server, published)) == 1


def test_an_update_is_whole_or_nothing(server, project, published):
    made = Schedule.create(project.workspace, "s", published.id, "timed", HOURLY)
    made.update(
        name="t", recurrence=ScheduleRecurrence("Hour", 2, "2026-01-01T00:00:00"), pipeline_parameters={"whole": 2}
    )
    (schedule,) = in_prefect(server, published)
    assert (schedule["schedule"]["interval"], schedule["parameters"]["whole"]) == (7200.0, 2)
    with pytest.raises(UserErrorException):
        made.update(name="u", pipeline_parameters={"whole": 99})
    assert in_prefect(server, published) == [schedule]
    assert Schedule.get(project.workspace, made.id).name == "t"


def test_a_schedule_of_an_endpoint_follows_its_default(server, project, published):
    second = project.pipeline(
        project.step("other.py", "pass", arguments=[PipelineParameter("whole", 1)]), name="o"
    ).publish()
    endpoint = PipelineEndpoint.publish(project.workspace, "stable", "", published)
    made = Schedule.create_for_pipeline_endpoint(
        project.workspace, "s", endpoint.id, "timed", HOURLY, pipeline_parameters={"whole": 5}
    )
    assert len(in_prefect(server, published)) == 1
    endpoint.add_default(second)
    assert in_prefect(server, published) == []
    (schedule,) = in_prefect(server, second)
    assert schedule["parameters"]["whole"] == 5
    assert [one.id for one in Schedule.list(project.workspace, pipeline_endpoint_id=endpoint.id)] == [made.id]


def test_what_cannot_run_is_not_scheduled(server, project, published):
    def create(**more):
        return Schedule.create(
            project.workspace,
            **{"name": "s", "pipeline_id": published.id, "experiment_name": "e", "recurrence": HOURLY, **more},
        )

    for wrong in (
        {"pipeline_parameters": {"whole": 0}},
        {"pipeline_parameters": {"nope": 0}},
        {"experiment_name": "a b"},
        {"recurrence": None},
        {"datastore": "given"},
        {"recurrence": None, "datastore": "nowhere"},
        {"recurrence": None, "datastore": "given", "path_on_datastore": "../x"},
        {"recurrence": None, "datastore": "given", "data_path_parameter_name": "whole"},
        {"name": "a/b"},
    ):
        with pytest.raises(StepwellError) as caught:
            create(**wrong)
        assert caught.value.hint, wrong
    with pytest.raises(ExperimentExecutionException):
        create(pipeline_id="nope")
    assert in_prefect(server, published) == []
    assert Schedule.list(project.workspace, active_only=False) == []


def test_what_is_disabled_is_not_scheduled(server, project, published):
    endpoint = PipelineEndpoint.publish(project.workspace, "stable", "", published)
    rests = Schedule.create(project.workspace, "rests", published.id, "e", HOURLY)
    rests.disable()
    made = Schedule.create(project.workspace, "s", published.id, "e", HOURLY)
    published.disable()
    now, data = {"recurrence": ScheduleRecurrence("Day", 1)}, {"datastore": "given"}
    for more in ({"recurrence": HOURLY}, now, data):
        with pytest.raises(UserErrorException, match="is disabled") as caught:
            Schedule.create(project.workspace, "s", published.id, "e", **more)
        assert published.id in caught.value.hint
        with pytest.raises(UserErrorException, match="is disabled"):
            Schedule.create_for_pipeline_endpoint(project.workspace, "s", endpoint.id, "e", **more)
    for wake in (rests.enable, lambda: rests.update(status="Active")):
        with pytest.raises(UserErrorException, match="is disabled"):
            wake()
    made.update(name="t")
    assert [one.name for one in Schedule.list(project.workspace)] == ["t"]
    published.enable()
    for close, word in ((endpoint.disable, "disabled"), (endpoint.archive, "archived")):
        close()
        with pytest.raises(UserErrorException, match=f"'stable' is {word}"):
            Schedule.create_for_pipeline_endpoint(project.workspace, "s", endpoint.id, "e", HOURLY)
    rests.enable()
    assert len(Schedule.list(project.workspace)) == 2


def test_schedules_hold_no_secrets(project):
    step = project.step("s.py", "pass", params={"token": PipelineParameter("token", "x")})
    published = project.pipeline(step).publish("secret")
    with pytest.raises(UserErrorException, match="secret"):
        Schedule.create(project.workspace, "s", published.id, "e", HOURLY, pipeline_parameters={"token": "y"})
