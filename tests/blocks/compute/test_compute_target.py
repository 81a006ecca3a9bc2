"""Compute targets as v1's users find, make, list and delete them; and what a target must not change."""

from __future__ import annotations

import pytest
from waiting import eventually

from stepwell import AmlCompute, ComputeTarget, CudaCompute, DaskCompute, DockerCompute, LocalCompute
from stepwell.blocks.arguments.checked import unchecked
from stepwell.blocks.compute.compute_target import name_of, unsaved
from stepwell.blocks.compute.dask.clusters import cluster
from stepwell.errors import ComputeTargetException, StepwellError, UserErrorException


@pytest.fixture
def quiet_cluster(monkeypatch):
    """Make it fail to start or reach a cluster."""

    def never(*_):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(cluster.Cluster, "__init__", never)


def test_what_was_attached_is_found_again_with_its_settings(workspace):
    made = ComputeTarget.attach(workspace, "workers", DaskCompute(max_nodes=3, tags={"team": "a"}))
    for found in (
        ComputeTarget(workspace, "workers"),
        ComputeTarget.get(workspace, "workers"),
        workspace.compute_targets["workers"],
    ):
        assert type(found) is DaskCompute and (found.max_nodes, found.tags) == (3, {"team": "a"})
        assert (found.name, found.type, found.id, found.provisioning_state) == (
            made.name,
            "DaskCompute",
            made.id,
            "Succeeded",
        )


def test_every_target_is_a_compute_target_and_nothing_else_is(workspace):
    targets = ComputeTarget.list(workspace)
    assert {"local", "dask", "docker"} <= {target.name for target in targets}
    assert all(isinstance(target, ComputeTarget) for target in [*targets, LocalCompute()])
    assert not isinstance(workspace, ComputeTarget) and not isinstance("local", ComputeTarget)


def test_a_missing_target_has_the_message_that_notebooks_look_for(workspace):
    with pytest.raises(ComputeTargetException) as raised:
        ComputeTarget(workspace=workspace, name="nope")
    assert raised.value.message.startswith("ComputeTargetNotFound: Compute Target with name nope not found")
    assert "local" in raised.value.facts["targets"]


@pytest.mark.parametrize("make", [ComputeTarget.create, ComputeTarget.attach])
@pytest.mark.parametrize(
    "name",
    ["local", "amlcompute", "AmlCompute", "containerinstance", "", "x", "1st", "a b", "a/b", "a-", "a" * 65, None],
)
def test_names_that_no_target_may_have(shared_workspace, make, name):
    before = set(shared_workspace.compute_targets)
    with pytest.raises(UserErrorException):
        make(shared_workspace, name, LocalCompute())
    assert set(shared_workspace.compute_targets) == before


def test_making_a_target_again_changes_it_unless_it_is_of_another_kind(workspace):
    ComputeTarget.create(workspace, "box", LocalCompute(max_concurrent=1))
    assert ComputeTarget.create(workspace, "box", LocalCompute(max_concurrent=2)).max_concurrent == 2
    with pytest.raises(ComputeTargetException, match="of another type"):
        ComputeTarget.create(workspace, "box", DaskCompute())
    found = workspace.compute_targets["box"]
    assert type(found) is LocalCompute and found.max_concurrent == 2


def test_one_configuration_serves_two_targets(workspace):
    configuration = LocalCompute(max_concurrent=3)
    first = ComputeTarget.attach(workspace, "first", configuration)
    second = ComputeTarget.attach(workspace, "second", configuration)
    assert (first.name, second.name, configuration.name) == ("first", "second", "")
    first.delete()
    assert workspace.compute_targets["second"].max_concurrent == 3


def test_what_describes_no_target_is_refused(workspace):
    with pytest.raises(UserErrorException, match="`attach_configuration` .* must be a compute target, .*, not {"):
        ComputeTarget.attach(workspace, "box", {"max_nodes": 1})


def test_a_deleted_target_is_gone_and_the_workspaces_own_stay(workspace):
    target = ComputeTarget.attach(workspace, "box", DockerCompute(image="python:3.11"))
    target.delete()
    assert "box" not in workspace.compute_targets
    for gone in (target.delete, target.detach, target.refresh_state):
        with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
            gone()
    with pytest.raises(ComputeTargetException, match="one that every workspace has"):
        workspace.compute_targets["dask"].delete()
    ComputeTarget.create(workspace, "dask", DaskCompute(max_nodes=7)).delete()
    assert workspace.compute_targets["dask"].max_nodes == DaskCompute().max_nodes


def test_a_target_refreshes_itself_and_tells_what_it_is(workspace):
    old = ComputeTarget.attach(workspace, "box", LocalCompute(max_concurrent=1))
    assert old.status.creation_time is not None and old.get_status().serialize()["currentNodeCount"] == 1
    ComputeTarget.attach(workspace, "box", LocalCompute(max_concurrent=2))
    old.refresh_state()
    plain = old.serialize()
    assert plain["properties"]["max_concurrent"] == 2
    assert (plain["name"], plain["type"], plain["workspace"]) == ("box", "LocalCompute", workspace.name)
    assert workspace.compute_targets["local"].status.creation_time is None


def test_a_ready_target_is_waited_for_in_the_words_of_v1(workspace, capsys):
    target = workspace.compute_targets["local"]
    target.wait_for_completion()
    assert capsys.readouterr().out == ""
    target.wait_for_completion(True)
    assert 'Provisioning operation finished, operation "Succeeded"' in capsys.readouterr().out


def test_asking_for_a_status_wakes_no_cluster(workspace, quiet_cluster, capsys):
    target = ComputeTarget.create(workspace, "workers", DaskCompute(max_nodes=4, idle_seconds_before_scaledown=120))
    status = target.status.serialize()
    assert (status["currentNodeCount"], status["targetNodeCount"], status["allocationState"]) == (0, 0, "Steady")
    assert status["scaleSettings"] == {"minNodeCount": 0, "maxNodeCount": 4, "nodeIdleTimeBeforeScaleDown": "PT120S"}
    target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    assert "DaskCompute wait for completion finished" in capsys.readouterr().out


def test_nodes_are_waited_for_and_counted_and_go_again(workspace, capsys):
    pytest.importorskip("distributed")
    target = ComputeTarget.create(workspace, "workers", DaskCompute(max_nodes=2, idle_seconds_before_scaledown=0.5))
    try:
        target.wait_for_completion(show_output=True, min_node_count="2", timeout_in_minutes=2)
        status = target.status.serialize()
        assert status["currentNodeCount"] == 2 and status["nodeStateCounts"]["idleNodeCount"] == 2
        assert (status["targetNodeCount"], status["allocationState"]) == (2, "Steady")
        assert "Minimum number of nodes requested have been provisioned" in (printed := capsys.readouterr().out)
        assert "2 of 2 nodes" in printed
        target.wait_for_completion(show_output=True, min_node_count=3, timeout_in_minutes=2)
        assert "2 nodes at most" in capsys.readouterr().out
        with cluster.cluster_of(target.spec()).counted("test", {"cpus": 2}):
            assert target.status.target_node_count == 2
        eventually(lambda: not target.status.current_node_count)
        assert target.status.serialize()["currentNodeCount"] == 0
        target.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=0)
        assert "Wait timeout has been reached" in capsys.readouterr().out
    finally:
        cluster.close_all()


def test_a_step_finds_targets_and_manages_none(workspace, monkeypatch):
    target = ComputeTarget.attach(workspace, "box", LocalCompute())
    monkeypatch.setenv("AZUREML_RUN_ID", "step")
    monkeypatch.setenv("STEPWELL_CONTROL", "/nowhere")
    assert ComputeTarget(workspace, "box").name == "box" and len(ComputeTarget.list(workspace)) > 1
    denied = [
        lambda: ComputeTarget.create(workspace, "new", LocalCompute()),
        lambda: ComputeTarget.attach(workspace, "new", LocalCompute()),
        lambda: LocalCompute().attach_to(workspace, "new"),
        target.delete, target.detach, target.wait_for_completion, DaskCompute().wait_for_completion,
    ]  # fmt: skip
    for manage in denied:
        with pytest.raises(ComputeTargetException) as raised:
            manage()
        assert raised.value.title.startswith("AuthenticationFailed")
    assert {"box"} == set(workspace.compute_targets) - {"local", "dask", "docker", "cuda", "spark"}


def test_the_script_of_a_step_is_such_a_process(project, chain):
    pipeline, _ = chain("a.py")
    project.script(
        "a.py", "import os\nassert os.environ['AZUREML_RUN_ID'] and os.environ['STEPWELL_CONTROL']\nopen(args[0], 'w')"
    )
    assert project.happened(pipeline) == {"a.py": "ran"}


def test_a_result_does_not_depend_on_where_it_was_made(project, chain, quiet_cluster):
    pipeline, steps = chain("a.py", "b.py")
    assert project.happened(pipeline) == {"a.py": "ran", "b.py": "ran"}
    moved = pipeline.on("dask")
    assert {step.compute_target for step in moved.definition.steps} == {"dask"}
    assert {step.compute_target for step in pipeline.definition.steps} == {"local"}
    assert (moved.name, moved.steps) == (pipeline.name, pipeline.steps)
    assert project.happened(moved) == {"a.py": "reused", "b.py": "reused"}
    target = ComputeTarget.attach(project.workspace, "box", LocalCompute())
    assert [decision.action for decision in pipeline.on(target).plan()] == ["reuse", "reuse"]


def test_a_pipeline_does_not_go_to_a_target_that_is_not_there(project, chain):
    pipeline, _ = chain("a.py")
    for target in ("nope", "DaskCompute(max_nodes=0)"):
        with pytest.raises(StepwellError, match="ComputeTargetNotFound"):
            pipeline.on(target)


@pytest.mark.parametrize(
    ("make", "words"),
    [(lambda: DaskCompute(memory_per_node=4), "`memory_per_node` of DaskCompute is 4 bytes"),
     (lambda: LocalCompute(memory=16), "`memory` of LocalCompute is 16 bytes"),
     (lambda: LocalCompute(2), "LocalCompute takes no arguments without their names"),
     (lambda: DockerCompute("box"), "DockerCompute takes no arguments without their names"),
     (lambda: LocalCompute(max_concurent=2), "LocalCompute takes no argument 'max_concurent'"),
     (lambda: LocalCompute(max_concurrent="2"), "`max_concurrent` of LocalCompute must be a whole number, not '2'"),
     (lambda: LocalCompute(max_concurrent=0), "`max_concurrent` of LocalCompute must be greater than or equal to 1, not 0"),
     (lambda: AmlCompute(max_node=2), "AmlCompute takes no argument 'max_node'"),
     (lambda: AmlCompute.provisioning_configuration(max_nodes=2, vmsize="x"), "takes no argument 'vmsize'"),
     (lambda: DockerCompute(gpus=1), "`gpus` of DockerCompute must be a text, not 1"),
     (lambda: ComputeTarget.get("api", "local"), "`workspace` of ComputeTarget.get must be a Workspace, not 'api'")],
)  # fmt: skip
def test_settings_of_wrong_names_and_types_are_refused_in_a_sentence(make, words):
    with pytest.raises(UserErrorException) as caught:
        make()
    assert words in caught.value.title and caught.value.hint


def test_settings_that_were_saved_by_an_earlier_release_go_on_working(workspace):
    with unchecked():
        DaskCompute(memory_per_node=4, max_nodes=1).attach_to(workspace, "old")
    assert ComputeTarget.get(workspace, "old").memory_per_node == 4


@pytest.mark.parametrize(
    "target",
    [
        DaskCompute(max_nodes=2, cluster_options={"silence_logs": 30, "env": {"A": 'it\'s "b"'}}),
        DaskCompute(),
        CudaCompute(fallback="cpu", n_gpus=1),
        DockerCompute(image="somewhere/image:1", cpus=0.5),
        LocalCompute(max_concurrent=3),
    ],
    ids=name_of,
)
def test_a_target_that_was_never_saved_travels_by_a_name_made_of_its_settings(target):
    name = name_of(target)
    assert name.startswith(f"{target.type}(")
    found = unsaved("somewhere", name)
    assert type(found) is type(target) and (found.workspace, found.name) == ("somewhere", name)
    assert found.settings() == target.settings() and name_of(found) == name


def test_targets_that_were_saved_and_names_are_named_as_they_are(workspace):
    saved = ComputeTarget.attach(workspace, "workers", DaskCompute(max_nodes=3))
    assert [name_of(saved), name_of("moon"), name_of(LocalCompute())] == ["workers", "moon", "local"]
    for name in ("moon", "", "moon()", "DaskCompute", "DaskCompute(", "DaskCompute(2)", "DaskCompute(max_nodes=open('x'))", "DaskCompute(max_nodes=0)", "os.system('x')"):  # fmt: skip
        assert unsaved(workspace.name, name) is None


def test_a_target_with_a_secret_has_to_be_saved():
    with pytest.raises(UserErrorException, match="with a secret among its settings") as caught:
        name_of(DaskCompute(cluster_class="x.Y", cluster_options={"password": "hunter2"}))
    assert "hunter2" not in caught.value.message
