"""Batch scoring as code for the SDK writes it: parameters, datasets as parameters, the script's own words, the rows downloaded."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import argparse
import os

from azureml.core import Run
from azureml_user.parallel_run import EntryScript


def init():
    global scale, labels
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=int)
    parser.add_argument("--labels")
    args, _ = parser.parse_known_args()
    scale = args.scale
    labels = open(os.path.join(args.labels, "labels.txt")).read().split()
    EntryScript().logger.info("init with %s", scale)


def run(mini_batch):
    print(f"run method start: {__file__}, run({mini_batch})")
    results = []
    for image in mini_batch:
        number = int(open(image).read())
        results.append("{}: {}".format(os.path.basename(image), labels[number % 2] * scale))
    return results
"""


@pytest.mark.parametrize("package", ["azureml.pipeline.steps", "azureml.contrib.pipeline.steps"])
def test_batch_scoring_of_the_sdk_runs_as_it_is_written(project, package, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(ROOT / folder) for folder in ("compat/src", "tests/support")))
    steps = importlib.import_module(package)
    from azureml.core import Dataset, Environment, Experiment
    from azureml.data.dataset_consumption_config import DatasetConsumptionConfig
    from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter

    project.write("digits.py", SCRIPT)
    store = project.workspace.get_default_datastore()
    for folder, names in (("images", "123"), ("labels", ["labels"])):
        (store.local_root / folder).mkdir()
        for name in names:
            (store.local_root / folder / f"{name}.txt").write_text("odd even" if name == "labels" else name)
    images = Dataset.File.from_files(path=(store, "images/"), validate=False)
    labels = Dataset.File.from_files(path=(store, "labels/"))
    images = images.register(project.workspace, "images")
    chosen = DatasetConsumptionConfig("images", PipelineParameter("images_param", images)).as_mount()
    side = labels.as_named_input("labels").as_mount("/tmp/labels")
    config = steps.ParallelRunConfig(
        source_directory=str(project.source),
        entry_script="digits.py",
        mini_batch_size=PipelineParameter(name="batch_size_param", default_value="2"),
        error_threshold=10,
        output_action="append_row",
        append_row_file_name="digits.txt",
        environment=Environment("batch-environment"),
        compute_target="local",
        process_count_per_node=PipelineParameter(name="process_count_param", default_value=2),
        node_count=1,
        run_invocation_timeout=600,
    )
    scores = PipelineData(name="inferences", datastore=store)
    step = steps.ParallelRunStep(
        name="predict-digits-mnist",
        parallel_run_config=config,
        inputs=[chosen],
        output=scores,
        side_inputs=[side],
        arguments=["--scale", 2, "--labels", side],
        allow_reuse=True,
    )
    run = Experiment(project.workspace, "digits").submit(Pipeline(workspace=project.workspace, steps=[step]))
    run.wait_for_completion(show_output=False)
    (child,) = run.get_children()
    child.get_output_data("inferences").download(local_path=str(project.folder / "down"))
    (rows,) = (project.folder / "down").rglob("digits.txt")
    assert rows.read_text().splitlines() == ["1.txt: eveneven", "2.txt: oddodd", "3.txt: eveneven"]
    assert child.get_metrics()["items"] == 3
    names = {name.replace("user_logs", "logs") for name in child.get_file_names()}
    assert "logs/job_result.txt" in names
    assert any(name.startswith("logs/user/entry_script_log/0/process00") for name in names)  # that got a mini-batch
