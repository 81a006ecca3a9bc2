"""Mini-batches in a container, and what an earlier execution left brought there."""

from __future__ import annotations

import pytest
from stepwell import DataReference, ParallelRunConfig, ParallelRunStep, PipelineData
from stepwell.blocks.compute.docker.docker_compute import DockerCompute


def test_mini_batches_run_in_a_container_and_only_those_with_new_content_again(project, docker_engine):
    DockerCompute(image=docker_engine.image, build_network="host").attach_to(project.workspace, "docker")
    store = project.workspace.get_default_datastore()
    (store.local_root / "raw").mkdir()
    for number in range(4):
        (store.local_root / "raw" / f"{number}.txt").write_text(f"text {number}")
    project.write("score.py", "def run(mini_batch):\n    return [open(path).read() for path in mini_batch]\n")

    def run():
        config = ParallelRunConfig(
            environment=None, entry_script="score.py", error_threshold=0, output_action="append_row",
            compute_target="docker", node_count=1, process_count_per_node=2, mini_batch_size=2,
            source_directory=project.source,
        )  # fmt: skip
        data = DataReference(store, "texts", path_on_datastore="raw")
        pipeline = project.pipeline(ParallelRunStep("score", config, [data], PipelineData("scores")))
        summary = project.run(pipeline)
        assert summary.steps[0].happened == "ran", summary.steps[0].error
        path = project.workspace.path_of(pipeline()["score"]["scores"])
        return summary.steps[0].why, (path / "parallel_run_step.txt").read_text().splitlines()

    assert run()[1] == [f"text {number}" for number in range(4)]
    (store.local_root / "raw" / "1.txt").write_text("other")
    why, rows = run()
    assert "1 of 2 mini-batches will run, with 2 files" in why
    assert rows == ["text 0", "other", "text 2", "text 3"]
