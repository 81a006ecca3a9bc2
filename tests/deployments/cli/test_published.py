"""The commands about published pipelines, where several have a name."""

from __future__ import annotations

import uuid

import pytest
from typer.testing import CliRunner

from prefect.client.schemas.actions import WorkPoolUpdate
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import RUN_COMMAND, ensure_pool
from stepwell import Pipeline, PipelineEndpoint, PublishedPipeline, Workspace
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException


def command(*words: str):
    return CliRunner().invoke(app, [*words])


@pytest.fixture
def twice(project, server):
    """Returns a name that two workspaces have, and the published pipelines."""
    other, name = Workspace.create(f"o-{uuid.uuid4().hex[:12]}"), f"twice-{uuid.uuid4().hex[:6]}"
    steps = [project.step("a.py", "") for _ in range(2)]
    pairs = zip((project.workspace, other), steps, strict=True)
    return name, [Pipeline(workspace, [step], name=name).publish() for workspace, step in pairs]


def test_a_name_that_two_workspaces_have_is_an_error_that_lists_them(twice):
    name, published = twice
    for before, after in ((["disable"], []), (["enable"], []), (["schedule", "create"], ["--every", "day"])):
        error = command(*before, name, *after).exception
        assert isinstance(error, UserErrorException), error
        assert error.facts == {"choices": ", ".join(sorted(f"{one.block.workspace}/{name}" for one in published))}
        for chosen in (f"{published[1].block.workspace}/{name}", published[0].id):
            done = command(*before, chosen, *after)
            assert done.exit_code == 0, done.exception


def test_disable_refuses_every_version_and_the_endpoint_of_a_name_or_the_version_that_is_named(project):
    pipeline = project.pipeline(project.step("a.py", ""), name="p")
    endpoint = PipelineEndpoint.publish(project.workspace, "p", "", pipeline)
    endpoint.add(pipeline.publish())

    def state():
        return [one.status for one in PublishedPipeline.list(project.workspace, active_only=False)]

    assert command("disable", "p@1", "-w", project.workspace.name).exit_code == 0
    assert state() == ["Disabled", "Active"]
    said = command("disable", "p", "-w", project.workspace.name).stdout
    assert (state(), said.count("is disabled")) == (["Disabled", "Disabled"], 2)
    assert PipelineEndpoint.get(project.workspace, name="p").status == "Disabled"
    assert command("enable", "p", "-w", project.workspace.name).exit_code == 0
    assert state() == ["Active", "Disabled"]
    assert PipelineEndpoint.get(project.workspace, name="p").status == "Active"


def test_the_versions_of_an_endpoint_are_listed(project):
    pipeline = project.pipeline(project.step("a.py", ""), name="p")
    endpoint = PipelineEndpoint.publish(project.workspace, "p", "", pipeline)
    endpoint.add_default(pipeline.publish())
    lines = command("endpoints", "p", "-w", project.workspace.name).stdout.splitlines()
    assert [line.split()[:5] for line in lines[1:]] == [
        ["p", "0", "Active", "p@0", endpoint.get_pipeline("0").id],
        ["p", "1", "*", "Active", "p@1"],
    ]
    assert isinstance(command("endpoints", "q", "-w", project.workspace.name).exception, UserErrorException)


def test_a_pipeline_is_published_to_the_pool_that_is_named_and_its_own_deployment_says_how_it_starts(project):
    pool = f"boxes-{project.workspace.name}"
    ensure_pool(pool, "docker", "registry.example/stepwell:1")
    project.script("a.py")
    file = project.folder / "pipeline.py"
    file.write_text(
        "from stepwell import *\n"
        f"ws = Workspace.get({project.workspace.name!r})\n"
        f"pipeline = Pipeline(ws, [PythonScriptStep('a.py', source_directory={str(project.source)!r})], name='p')\n"
    )
    assert command("publish", str(file), "--pool", pool).exit_code == 0
    (published,) = PublishedPipeline.list(project.workspace)
    with client() as api:
        known = api.read_deployment(published.block.deployment_id)
        assert (known.work_pool_name, known.job_variables) == (pool, {})
        template = api.read_work_pool(pool).base_job_template
        template["variables"]["properties"]["command"]["default"] = None  # as in one that somebody else made
        api.update_work_pool(pool, WorkPoolUpdate(base_job_template=template))
        assert command("publish", str(file), "--pool", pool).exit_code == 0
        newest = PublishedPipeline.list(project.workspace)[0]
        assert api.read_deployment(newest.block.deployment_id).job_variables == {"command": RUN_COMMAND}
    refused = command("publish", str(file), "--pool", "nowhere").exception
    assert "stepwell worker --pool nowhere" in str(refused)
