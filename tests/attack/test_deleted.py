"""What is in hand when its document is deleted elsewhere: a change says so, and makes nothing come back."""

from __future__ import annotations

import threading
import uuid

import pytest

from stepwell import (
    AmlCompute,
    ComputeTarget,
    Dataset,
    Datastore,
    Model,
    Module,
    ModuleVersion,
    PipelineDraft,
    Workspace,
)
from stepwell import Pipeline, PipelineEndpoint, PublishedPipeline, Schedule, ScheduleRecurrence
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.publications import ModuleBlock, ModuleVersionBlock
from stepwell.errors import ComputeTargetException, ExperimentExecutionException, UserErrorException


def test_a_draft_that_is_deleted_stays_deleted(project):
    step = project.step("a.py", "", name="a")
    draft = PipelineDraft.create(project.workspace, Pipeline(project.workspace, [step], name="idea"))
    PipelineDraft.get(project.workspace, draft.id).delete()
    for change in (
        lambda: draft.update(name="again"),
        lambda: draft.update(pipeline=Pipeline(project.workspace, [step], name="again")),
        draft.submit_run,
        draft.publish,
        draft.clone,
        lambda: PipelineDraft.create(project.workspace, draft),
    ):
        with pytest.raises(UserErrorException, match="The pipeline draft 'idea' was deleted"):
            change()
    assert PipelineDraft.list(project.workspace) == []
    assert PublishedPipeline.list(project.workspace) == []
    claims = [*(project.workspace.store.root.rglob(f"*{draft.block.claim}*"))]
    assert claims == []


def test_two_who_change_a_draft_at_once_lose_nothing(project):
    step = project.step("a.py", "", name="a")
    draft = PipelineDraft.create(project.workspace, Pipeline(project.workspace, [step], name="idea"))
    other = PipelineDraft.get(project.workspace, draft.id)
    changes = [
        threading.Thread(target=draft.update, kwargs={"description": "new"}),
        threading.Thread(target=other.update, kwargs={"tags": {"a": 1}}),
    ]
    for change in changes:
        change.start()
    for change in changes:
        change.join()
    found = PipelineDraft.get(project.workspace, draft.id)
    assert (found.description, found.tags) == ("new", {"a": "1"})


def test_published_pipelines_endpoints_and_schedules_stay_deleted(server, project):
    published = project.pipeline(project.step("a.py", "", name="a")).publish(name="rents")
    endpoint = PipelineEndpoint.publish(project.workspace, "rents", "", published)
    schedule = Schedule.create(
        project.workspace, "daily", published.id, "e", ScheduleRecurrence("Day", 1, "2030-01-01T08:00:00")
    )
    Schedule.get(project.workspace, schedule.id).delete()
    for change in (schedule.enable, schedule.disable, lambda: schedule.update(description="x")):
        with pytest.raises(UserErrorException, match="The schedule 'daily' was deleted"):
            change()
    schedule.delete()
    assert Schedule.list(project.workspace, active_only=False) == []
    with documents.client() as api:
        assert api.read_deployment(published.block.deployment_id).schedules == []
    documents.delete(type(endpoint.block), endpoint.block.document)
    for change in (endpoint.disable, lambda: endpoint.add(published), lambda: endpoint.submit("e")):
        with pytest.raises(UserErrorException, match="The pipeline endpoint 'rents' was deleted"):
            change()
    documents.delete(type(published.block), published.block.document)
    with pytest.raises(UserErrorException, match="The published pipeline 'rents' was deleted"):
        published.submit(experiment_name="e")
    for change in (published.enable, published.disable):
        with pytest.raises(ExperimentExecutionException, match="There is no published pipeline"):
            change()
    assert PublishedPipeline.list(project.workspace, active_only=False) == []


def test_modules_and_versions_stay_deleted(project):
    project.write("a.py", "")
    module = Module.create(project.workspace, "clean", "")
    version = module.publish_python_script("a.py", "", inputs=[], outputs=[], source_directory=project.source)
    seen = ModuleVersion.get(project.workspace, version.id)
    version.set_description("new")
    seen.disable()  # what it does not know by now is kept
    assert ModuleVersion.get(project.workspace, version.id).description == "new"
    documents.delete(ModuleVersionBlock, version.block.document)
    with pytest.raises(UserErrorException, match="The version '1' of the module was deleted"):
        seen.enable()
    documents.delete(ModuleBlock, module.block.document)
    for change in (
        module.disable,
        lambda: module.set_name("other"),
        module.resolve,
        lambda: module.publish_python_script("a.py", "", inputs=[], outputs=[], source_directory=project.source),
    ):
        with pytest.raises(UserErrorException, match="The module 'clean' was deleted"):
            change()
    assert Module.list(project.workspace) == []
    assert documents.load_any([ModuleVersionBlock], workspace=project.workspace.name) == []


def test_models_datasets_and_targets_stay_deleted(workspace, tmp_path):
    (tmp_path / "m.txt").write_text("first")
    model = Model.register(workspace, str(tmp_path / "m.txt"), "m")
    Model(workspace, "m").delete()
    (tmp_path / "m.txt").write_text("second")
    newer = Model.register(workspace, str(tmp_path / "m.txt"), "m")
    assert newer.version == model.version
    for change in (lambda: model.add_tags({"a": 1}), lambda: model.update(description="x")):
        with pytest.raises(UserErrorException, match="The model 'm:1' was deleted"):
            change()
    assert Model(workspace, "m").tags == {}
    newer.delete()

    store = Datastore.get(workspace, "workspaceblobstore")
    dataset = Dataset.File.from_files((store, "x/**"), validate=False).register(workspace, "d")
    Dataset.get_by_name(workspace, "d").unregister_all_versions()
    for change in (lambda: dataset.update(description="x"), lambda: dataset.add_tags({"a": 1})):
        with pytest.raises(UserErrorException, match="The version 1 of the dataset 'd' was deleted"):
            change()
    assert Dataset.get_all(workspace) == {}

    target = ComputeTarget.create(workspace, "nodes", AmlCompute.provisioning_configuration("STANDARD_D2", max_nodes=1))
    ComputeTarget(workspace, "nodes").delete()
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        target.update(max_nodes=2)
    assert "nodes" not in workspace.compute_targets


def test_a_workspace_stays_deleted(server):
    workspace = Workspace.create(f"w-{uuid.uuid4().hex[:8]}")
    Workspace.get(workspace.name).update(description="new")
    workspace.update(friendly_name="F")
    found = Workspace.get(workspace.name)
    assert found.get_details()["description"] == "new"
    found.delete()
    for change in (
        lambda: workspace.update(description="x"),
        lambda: workspace.lay_datastore("a", "/tmp/a"),
        lambda: workspace.set_stand_ins(gpu="cpu"),
    ):
        with pytest.raises(UserErrorException, match="was deleted"):
            change()
    assert workspace.name not in [one for one in Workspace.list()]
