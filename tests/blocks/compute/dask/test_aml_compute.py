"""`AmlCompute`: the article's own code, the checks of v1, and what really runs."""

from __future__ import annotations

import pickle

import pytest

from stepwell import AmlCompute, ComputeTarget, CudaCompute, DaskCompute, LocalCompute
from stepwell.blocks.compute.dask.aml_compute import is_gpu_size
from stepwell.errors import ComputeTargetException

ARTICLE = """
from stepwell import ComputeTarget, AmlCompute

compute_name = "aml-compute"
vm_size = "STANDARD_NC6"
if compute_name in ws.compute_targets:
    compute_target = ws.compute_targets[compute_name]
    if compute_target and type(compute_target) is AmlCompute:
        print('Found compute target: ' + compute_name)
else:
    print('Creating a new compute target...')
    provisioning_config = AmlCompute.provisioning_configuration(vm_size=vm_size,  # STANDARD_NC6 is GPU-enabled
                                                                min_nodes=0,
                                                                max_nodes=4)
    # create the compute target
    compute_target = ComputeTarget.create(
        ws, compute_name, provisioning_config)

    # Can poll for a minimum number of nodes and for a specific timeout.
    # If no min node count is provided it will use the scale settings for the cluster
    compute_target.wait_for_completion(
        show_output=True, min_node_count=None, timeout_in_minutes=20)

    # For a more detailed view of current cluster status, use the 'status' property
    print(compute_target.status.serialize())
"""


def test_the_articles_code_runs_as_it_is(workspace, capsys):
    exec(ARTICLE, {"ws": workspace})
    first = capsys.readouterr().out
    assert first.startswith("Creating a new compute target...\nSucceeded\nAmlCompute wait for completion finished\n")
    assert "'currentNodeCount': 0" in first and "'vmSize': 'STANDARD_NC6'" in first
    assert "'scaleSettings': {'minNodeCount': 0, 'maxNodeCount': 4, 'nodeIdleTimeBeforeScaleDown': 'PT1800S'}" in first
    exec(ARTICLE, {"ws": workspace})
    assert capsys.readouterr().out == "Found compute target: aml-compute\n"


def test_a_target_is_found_by_its_class_too(workspace):
    ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=2))
    ComputeTarget.attach(workspace, "box", LocalCompute())
    for found in (
        AmlCompute(workspace, "cpu"),
        AmlCompute(workspace=workspace, name="cpu"),
        ComputeTarget(workspace, "cpu"),
    ):
        assert type(found) is AmlCompute and (found.type, found.max_nodes) == ("AmlCompute", 2)
        assert isinstance(found, ComputeTarget) and isinstance(found, DaskCompute)
    assert type(AmlCompute(workspace, "box")) is LocalCompute
    with pytest.raises(ComputeTargetException, match="^ComputeTargetNotFound"):
        AmlCompute(workspace, "nope")
    assert pickle.loads(pickle.dumps(AmlCompute(workspace, "cpu"))).vm_size == "STANDARD_D2_V2"


def test_it_is_made_under_its_own_name_too(workspace):
    made = AmlCompute.create(workspace, "own", AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=1))
    assert type(made) is AmlCompute and AmlCompute(workspace, "own").max_nodes == 1


def test_a_workspace_has_none_of_its_own(workspace):
    assert "" not in workspace.compute_targets
    assert AmlCompute not in {type(target) for target in ComputeTarget.list(workspace)}


def test_numbers_may_be_texts_and_secrets_are_not_kept(workspace):
    made = ComputeTarget.create(
        workspace, "texts",
        AmlCompute.provisioning_configuration(
            vm_size="STANDARD_D2_V2", vm_priority="lowpriority", min_nodes="1", max_nodes="4",
            idle_seconds_before_scaledown="60", admin_username="me", admin_user_password="hunter22",
            tags={"team": "a"}, description="ours", location="westeurope",
        ),
    )  # fmt: skip
    found = ComputeTarget(workspace, "texts")
    assert (found.min_nodes, found.max_nodes, found.idle_seconds_before_scaledown) == (1, 4, 60)
    assert (found.vm_priority, found.tags, found.location, found.description) == (
        "LowPriority",
        {"team": "a"},
        "westeurope",
        "ours",
    )
    assert "hunter22" not in repr(made) + repr(found.model_dump()) + str(found.serialize())


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"max_nodes": None}, {"max_nodes": 0}, {"min_nodes": 3, "max_nodes": 2}, {"max_nodes": "many"}, {"max_nodes": 1.5},
        {"min_nodes": -1, "max_nodes": 2}, {"max_nodes": 2, "vm_priority": "high"},
        {"max_nodes": 2, "idle_seconds_before_scaledown": "soon"},
    ],
)  # fmt: skip
def test_wrong_configurations_are_refused_at_once(wrong):
    with pytest.raises(ComputeTargetException, match="Invalid provisioning configuration"):
        AmlCompute.provisioning_configuration("STANDARD_D2_V2", **wrong)


@pytest.mark.parametrize(
    ("size", "gpu"),
    [
        ("STANDARD_NC6", True), ("Standard_NC24rs_v3", True), ("STANDARD_ND40rs_v2", True), ("standard_nv12s_v3", True), ("NC6", True),
        ("STANDARD_D2_V2", False), ("Standard_DS3_v2", False), ("Standard_F4s", False), ("Standard_E4-2ads_v5", False), ("", False),
    ],
)  # fmt: skip
def test_sizes_with_a_gpu_are_known(size, gpu):
    assert is_gpu_size(size) is gpu
    target = AmlCompute(
        vm_size=size, min_nodes=1, max_nodes=3, idle_seconds_before_scaledown=7, name="x", workspace="w"
    )
    nodes = target.nodes
    assert type(nodes) is (CudaCompute if gpu else DaskCompute)
    assert (nodes.name, nodes.workspace, nodes.min_nodes, nodes.max_nodes, nodes.idle_seconds_before_scaledown) == (
        "x",
        "w",
        1,
        3,
        7,
    )
    assert target.spec() == nodes.spec() and target.spec().cluster_class == nodes.cluster_class
    assert ("GPU" in target.spec().node) is gpu


def test_settings_can_be_updated(workspace):
    target = ComputeTarget.create(workspace, "cpu", AmlCompute.provisioning_configuration("STANDARD_NC6", max_nodes=2))
    target.update(min_nodes=1, max_nodes="5")
    found = ComputeTarget(workspace, "cpu")
    assert (found.min_nodes, found.max_nodes, found.idle_seconds_before_scaledown, found.vm_size) == (
        1,
        5,
        1800,
        "STANDARD_NC6",
    )
    with pytest.raises(ComputeTargetException):
        target.update(min_nodes=6)
    assert (target.min_nodes, ComputeTarget(workspace, "cpu").min_nodes) == (1, 1)


def test_steps_run_on_its_nodes(project):
    pytest.importorskip("distributed")
    from stepwell.blocks.compute.dask.clusters.cluster import close_all

    configuration = AmlCompute.provisioning_configuration("STANDARD_D2_V2", max_nodes=1)
    target = ComputeTarget.create(project.workspace, "aml-cpu", configuration)
    try:
        assert project.happened(project.pipeline(project.step("a.py", "", compute_target=target))) == {"a.py": "ran"}
        assert target.status.current_node_count == 1
    finally:
        close_all()


def test_steps_of_a_gpu_size_end_before_they_start_where_there_is_none(project, monkeypatch):
    from stepwell.blocks.compute.dask import gpu

    monkeypatch.setattr(gpu, "gpus", tuple)
    monkeypatch.setattr(gpu, "driver_loads", lambda: False)
    target = ComputeTarget.create(
        project.workspace, "gpus", AmlCompute.provisioning_configuration("STANDARD_NC6", max_nodes=4)
    )
    with pytest.raises(ComputeTargetException, match="no NVIDIA driver"):
        target.ready()
    with pytest.raises(ComputeTargetException, match="no NVIDIA driver"):
        target.wait_for_completion(min_node_count=1)
    monkeypatch.setenv("STEPWELL_V1_GPU", "cpu")
    target.ready()
    monkeypatch.delenv("STEPWELL_V1_GPU")
    project.workspace.set_stand_ins(gpu="cpu")
    target.ready()
    target.wait_for_completion(show_output=True)
    assert "LocalCUDACluster" in target.spec().cluster_class and "CUDA" not in target._awaited().cluster_class
    monkeypatch.setenv("STEPWELL_V1_GPU", "gpu")
    with pytest.raises(ComputeTargetException, match="STEPWELL_V1_GPU=cpu"):
        target.ready()
    with_fallback = AmlCompute.provisioning_configuration("STANDARD_NC6", max_nodes=4, fallback="cpu")
    ComputeTarget.create(project.workspace, "gpus", with_fallback).ready()
