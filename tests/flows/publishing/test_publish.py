"""Publishing: what is frozen, found, disabled and cleaned up, and runs of it."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace

import pytest
from published import every_kind, work

from stepwell import DataPath, Datastore, Pipeline, PipelineParameter, PublishedPipeline, PythonScriptStep, Workspace
from stepwell.blocks.server import documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.system.files import remove
from stepwell.blocks.store.claims import claimed
from stepwell.blocks.workspace.publications import FrozenPipelineBlock, RunSecretsBlock
from stepwell.blocks.store.maintenance import collect
from stepwell.errors import DatastoreException, ExperimentExecutionException, UserErrorException
from stepwell.flows.publishing import publish
from stepwell.flows.publishing.submission import RunRequest, check_request, submit_run
from stepwell.flows.runs import run_labels


def test_what_was_published_runs_though_the_source_changed(project):
    published = project.pipeline(project.step("a.py", "print('old')"), name="p").publish()
    project.script("a.py", "raise SystemExit(1)")
    run = published.submit(project.workspace, "e")
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert run.folder.facts()["published"] == {"id": published.id, "name": "p", "version": "1"}
    assert (run.experiment_name, run.number) == ("e", 1)


def test_versions_count_up_and_are_found(project):
    pipeline = project.pipeline(project.step("a.py", "pass"), name="p")
    first, second = pipeline.publish(), pipeline.publish()
    named = pipeline.publish(version="beta")
    other = pipeline.publish("q", "words")
    assert [one.version for one in (first, second, named, other)] == ["1", "2", "beta", "1"]
    find = PublishedPipeline.get
    assert find(project.workspace, first.id).version == "1"
    assert find(project.workspace, name="p").id == named.id
    assert find(project.workspace, name="p", version="2").id == second.id
    named.disable()
    assert find(project.workspace, name="p").id == second.id
    assert [one.id for one in PublishedPipeline.list(project.workspace)] == [other.id, second.id, first.id]
    duplicate = pipeline.publish(version="2")
    assert duplicate.deployment != second.deployment
    with pytest.raises(UserErrorException, match="Several"):
        find(project.workspace, name="p", version="2")
    for unknown in ({"id": "x"}, {"name": "x"}, {"name": "p", "version": "9"}):
        with pytest.raises(ExperimentExecutionException):
            find(project.workspace, **unknown)


def test_two_workspaces_publish_under_one_name_at_once(tmp_path, server, monkeypatch):
    name, made = f"p-{uuid.uuid4().hex[:10]}", []
    (tmp_path / "a.py").write_text("")
    pipelines = [
        Pipeline(Workspace.create(f"{name}-{end}"), [PythonScriptStep("a.py", source_directory=tmp_path)], name=name)
        for end in "ab"
    ]
    real = publish._deploy

    def deploy(pipeline, pool):
        if not made:  # the other publishes between our look at the names that are taken and our creation
            made.append(None)
            with monkeypatch.context() as patch:
                patch.setattr(publish, "_free_name", lambda api, block: during(taken(api, block)))
                return real(pipeline, pool)
        return real(pipeline, pool)

    def during(free):
        monkeypatch.setattr(publish, "_free_name", taken)
        made[0] = pipelines[1].publish()
        return free

    taken = publish._free_name
    monkeypatch.setattr(publish, "_deploy", deploy)
    first = pipelines[0].publish()
    assert first.deployment != made[0].deployment
    with client() as api:
        for one in (first, made[0]):
            deployment = api.read_deployment_by_name(one.deployment)
            assert deployment.entrypoint.endswith(one.id.replace("-", ""))


def test_only_versions_in_plain_digits_are_counted(project):
    pipeline = project.pipeline(project.step("a.py", "pass"), name="p")
    assert [pipeline.publish(version=version).version for version in ("٣", None, None)] == ["٣", "1", "2"]


def test_the_deployment_has_a_strict_described_form(project):
    published = every_kind(project).publish(description="All kinds")
    with client() as api:
        deployment = api.read_deployment_by_name(published.deployment)
    schema = deployment.parameter_openapi_schema
    assert (deployment.description, deployment.enforce_parameter_schema, schema["additionalProperties"]) == (
        "All kinds",
        True,
        False,
    )
    assert schema["properties"]["whole"]["description"] == "How many."
    assert schema["properties"]["experiment_name"]["default"] == "every_kind"


def test_nothing_is_left_of_what_could_not_be_published(project, monkeypatch):
    pipeline = project.pipeline(project.step("a.py", "pass"), name=f"p-{project.workspace.name}")

    def fail(block, name):
        raise RuntimeError("no more")

    before = len(documents.load_all(FrozenPipelineBlock, workspace=project.workspace.name))
    real = publish.documents.save
    with monkeypatch.context() as patch:
        patch.setattr(
            publish.documents,
            "save",
            lambda block, name: real(block, name) if isinstance(block, FrozenPipelineBlock) else fail(block, name),
        )
        with pytest.raises(RuntimeError, match="no more"):
            pipeline.publish()
    with pytest.raises(UserErrorException, match="work pool"):
        pipeline.publish(work_pool="nowhere")
    assert len(documents.load_all(FrozenPipelineBlock, workspace=project.workspace.name)) == before
    assert claimed(project.workspace.store) == set()
    with client() as api:
        assert not [one for one in api.read_deployments(limit=200) if project.workspace.name in one.name]
    assert PublishedPipeline.list(project.workspace) == []


@pytest.mark.parametrize("name", ["a/b", "", " ", "x" * 201, "a\nb", "50%"])
def test_names_that_could_not_stand_in_addresses_are_refused(project, name):
    pipeline = project.pipeline(project.step("a.py", "pass"))
    if name:
        with pytest.raises(UserErrorException):
            pipeline.publish(name)
    else:
        assert pipeline.publish(name).name == "pipeline"


def test_the_collector_keeps_what_is_published(project):
    published = project.pipeline(project.step("a.py", "print(1)"), name="p").publish()
    collect(project.workspace.store, days=0)
    run = published.submit(project.workspace, "e")
    assert run.wait_for_completion(show_output=False) == "Finished"


def test_a_run_can_be_published_unless_its_record_hides_something(project):
    step = project.step("a.py", "print(args)", arguments=[PipelineParameter("n", 1)])
    summary = project.run(project.pipeline(step, name="p"), n=5)
    project.script("a.py", "raise SystemExit(1)")
    run = project.workspace.get_run(summary.run_id)
    published = run.publish_pipeline("again", "words", None)
    assert (published.name, published.version, published.description) == ("again", "1", "words")
    again = published.submit(project.workspace, "e", {"n": 5})
    assert again.wait_for_completion(show_output=False) == "Finished"
    assert dict(project.executions) == {"a.py": 1}

    secret = project.step("s.py", "pass", params={"token": PipelineParameter("token", "s3cret")})
    run = project.workspace.get_run(project.run(project.pipeline(secret)).run_id)
    with pytest.raises(UserErrorException, match="secrets"):
        run.publish_pipeline("no", "", None)


def test_what_is_disabled_cannot_be_submitted(project):
    published = project.pipeline(project.step("a.py", "pass")).publish()
    published.disable()
    with pytest.raises(UserErrorException, match="disabled"):
        published.submit(project.workspace, "e")
    published.enable()
    assert published.submit(project.workspace, "e").wait_for_completion(show_output=False) == "Finished"


def test_a_run_that_waits_is_refused_once_its_pipeline_is_disabled(project):
    """Prefect's own check is not asked: runs are created as a caller who switched it off would."""
    published = project.pipeline(
        project.step("a.py", "pass", params={"token": PipelineParameter("token", "")})
    ).publish()
    run_id = submit_run(published.block, RunRequest("e", {"token": "s3cret-of-the-call"}), project.workspace).run_id
    published.disable()
    assert (work(run_id), dict(project.executions)) == ("Failed", {})
    with client() as api:
        state, labels = (run := api.read_flow_run(run_id)).state, run.labels
    assert "is disabled" in state.message
    assert documents.load(RunSecretsBlock, labels[run_labels.SECRETS]) is None
    (known,) = project.workspace.experiments["e"].get_runs()
    assert (known.get_status(), "is disabled" in known.summary().problem) == ("Failed", True)
    published.enable()
    run_id = submit_run(published.block, RunRequest("e"), project.workspace).run_id
    assert (work(run_id), dict(project.executions)) == ("Completed", {"a.py": 1})


def test_who_runs_here_may_name_data_behind_a_link_out_of_a_datastore(project):
    published = every_kind(project).publish()
    (project.folder / "elsewhere.csv").write_text("2")
    (project.folder / "data" / "link.csv").symlink_to("../elsewhere.csv")
    request = RunRequest("e", {"data": DataPath(Datastore.get(project.workspace, "given"), "link.csv")})
    assert check_request(published.block, request, project.workspace)["data"].path == "link.csv"
    with pytest.raises(DatastoreException, match="leads out"):
        check_request(published.block, replace(request, confined=True), project.workspace)


def test_wrong_requests_start_nothing(project):
    published = every_kind(project).publish()
    for parameters in ({"whole": 0}, {"nope": 1}, {"text": "x" * 200_000}):
        with pytest.raises(UserErrorException):
            published.submit(project.workspace, "e", parameters)
    with pytest.raises(UserErrorException):
        published.submit(project.workspace, "no name", {})
    assert project.workspace.experiments == {}


def test_snapshots_travel_through_a_remote_default_datastore(project):
    """Run it as another machine would: the workspace's folder there holds nothing."""
    Datastore.register(project.workspace, "far", f"memory://{project.workspace.name}")
    project.workspace.set_default_datastore("far")
    workspace = Workspace.get(project.workspace.name)
    step = PythonScriptStep(project.script("a.py", "print(1)"), source_directory=project.source)
    published = Pipeline(workspace, [step], name="p").publish()
    run_id = submit_run(published.block, RunRequest("e"), workspace).run_id
    remove(workspace.folder)
    shutil.rmtree(project.source)
    assert work(run_id) == "Completed"
    assert dict(project.executions) == {"a.py": 1}
