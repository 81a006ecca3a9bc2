"""What MLflow logs in a step reaches the step's run and the registry of models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepwell import Model, PipelineRun
from stepwell.blocks.compute.tracking import mlflow_runs
from stepwell.model.nofollow import files_below
from stepwell.script.events import files_of, read_events
from stepwell.script.metrics import metrics_of


class StandIn:
    """A step's record, and MLflow's files in it."""

    def __init__(self, record: Path) -> None:
        self.record, self.control = record, record / "control"
        self.control.mkdir(parents=True)

    def write(self, name: str, text: str) -> None:
        path = self.control / "mlflow" / "mlruns" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def keep(self) -> list[dict[str, object]]:
        mlflow_runs.keep(self.record, self.control)
        return read_events(self.control)


@pytest.fixture
def job(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path / "record")


def run(job: StandIn, name: str, began: int, parent: str = "") -> str:
    job.write(f"0/{name}/meta.yaml", f"run_id: {name}\nrun_name: the {name}\nstart_time: {began}\n")
    if parent:
        job.write(f"0/{name}/tags/mlflow.parentRunId", parent)
    return f"0/{name}"


def test_the_first_run_is_the_steps_and_others_go_by_their_names(job: StandIn) -> None:
    first, child, later = run(job, "a", 20), run(job, "b", 10, parent="a"), run(job, "c", 30)
    job.write(f"{first}/metrics/loss", "1000 0.5 0\n2000 0.25 1\n1000 0.5 0\n")
    job.write(f"{first}/metrics/deep/er", "1000 nan 0\n")
    job.write(f"{first}/params/rate", "0.1")
    job.write(f"{first}/tags/who", "me")
    job.write(f"{first}/tags/mlflow.user", "root")
    job.write(f"{first}/artifacts/plots/a.txt", "plot")
    job.write(f"{child}/metrics/loss", "1000 7 0\n")
    job.write(f"{later}/metrics/loss", "1000 8 0\n")
    events = job.keep()
    metrics = metrics_of(events)  # type: ignore[arg-type]
    assert metrics.pop("deep/er") != metrics
    assert metrics == {"loss": [0.5, 0.25], "the b/loss": 7.0, "the c/loss": 8.0}
    assert {e["name"]: e["value"] for e in events if e["type"] in ("property", "tag")} == {"rate": "0.1", "who": "me"}
    (place,) = files_of(job.control, events).values()
    assert place.read_text() == "plot" and place == job.control / "files" / "plots" / "a.txt"
    assert not (job.control / "mlflow").exists() and sorted(os.listdir(job.record)) == ["control"]


@pytest.mark.parametrize("name", ["../../../out", "/{there}/out", "..", "a/../../../out"])
def test_no_name_of_a_model_leads_out_of_the_record(job: StandIn, tmp_path: Path, name: str) -> None:
    job.write("0/models/m1/meta.yaml", f"name: {name.format(there=tmp_path)}\nsource_run_id: a\n")
    job.write("0/models/m1/artifacts/weights", "w")
    events = job.keep()
    assert sorted(files_below(tmp_path)) == [
        "record/control/events.jsonl",
        f"record/control/files/{events[0]['value']}",
    ]


def test_torn_files_are_passed_over_and_the_rest_is_kept(job: StandIn) -> None:
    first = run(job, "a", 1)
    job.write("0/b/meta.yaml", "run_id: b\nstart_time: " + "9" * 5000)
    job.write(f"{first}/metrics/loss", f"1000 0.5 0\n{'9' * 400} 1 0\n{'9' * 5000} 1 0\n1 x\n\n")
    job.write(f"{first}/artifacts/model", "a file")
    job.write("0/models/m1/meta.yaml", "name: model\nsource_run_id: a\n")
    job.write("0/models/m1/artifacts/weights", "stands where a file stands")
    job.write("models/x/version-1/meta.yaml", "source: file:///x/mlflow/mlruns/0/a/artifacts/model")
    job.write("models/y/version-1/meta.yaml", "name: y\nsource: http://[/mlflow/mlruns/0/a/artifacts/model")
    events = job.keep()
    assert metrics_of(events) == {"loss": 0.5}  # type: ignore[arg-type]
    assert [place.read_text() for place in files_of(job.control, events).values()] == ["a file"]
    assert not [event for event in events if event["type"] == "model"]


def test_what_the_script_kept_itself_stays(job: StandIn) -> None:
    (job.control / "files" / "plots").mkdir(parents=True)
    (job.control / "files" / "plots" / "a.txt").write_text("its own")
    job.write(f"{run(job, 'a', 1)}/artifacts/plots/a.txt", "MLflow's")
    (event,) = job.keep()
    assert (event["name"], event["value"]) == ("plots/a.txt", "plots_1/a.txt")
    assert (job.control / "files" / "plots" / "a.txt").read_text() == "its own"
    assert (job.control / "files" / "plots_1" / "a.txt").read_text() == "MLflow's"


@pytest.mark.parametrize("place", ["mlflow", "mlflow/mlruns", "mlflow/mlruns/0", "files", "events.jsonl"])
def test_no_link_that_a_step_left_is_followed(job: StandIn, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    (outside / "a").mkdir(parents=True)
    (outside / "a" / "meta.yaml").write_text("run_id: a\nstart_time: 1\n")
    if place in ("files", "events.jsonl"):
        job.write(f"{run(job, 'a', 1)}/artifacts/x", "1")
    link = job.control / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside / "events" if place == "events.jsonl" else outside)
    assert job.keep() == []
    assert sorted(files_below(outside)) == ["a/meta.yaml"]


@pytest.mark.parametrize("name", ["../../../outside", "/outside", "..", "a/../../../outside", "\0"])
def test_a_name_that_a_step_chose_leads_nowhere_else(job: StandIn, tmp_path: Path, name: str) -> None:
    run(job, "a", 1)
    job.write("0/models/m/meta.yaml", f"source_run_id: a\nname: {name.replace('/outside', f'{tmp_path}/outside')}\n")
    job.write("0/models/m/artifacts/MLmodel", "flavors")
    (event,) = (one for one in job.keep() if one["type"] == "file")
    assert (job.control / "files" / str(event["value"])).read_text() == "flavors"
    assert sorted(os.listdir(tmp_path)) == ["record"]


def test_torn_files_of_mlflow_cost_their_own_lines_alone(job: StandIn) -> None:
    first = run(job, "a", 1)
    job.write(f"{first}/metrics/loss", "1000 0.5 0\nnonsense\n1000\n2000 x 1\n3000 1.5 2\n")
    job.write("0/b/meta.yaml", "start_time: soon\n\x00")
    job.write("models/m/version-1/meta.yaml", "source: file:///elsewhere/mlruns/0/a/artifacts\nname: m\n")
    job.write("models/n/version-1/meta.yaml", "")
    job.write("models/o/version-1/meta.yaml", "source: file:///there/mlflow/mlruns/0/a/artifacts/x\n")
    assert metrics_of(job.keep()) == {"loss": [0.5, 1.5]}  # type: ignore[arg-type]


SCRIPT = """
import mlflow
mlflow.log_metric("rate", 0.5)
mlflow.log_params({"alpha": 3})
with open("note.txt", "w") as note:
    note.write("hello")
mlflow.log_artifact("note.txt")
import mlflow.sklearn
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[0], [1]], [1, 3])
mlflow.sklearn.log_model(model, "net", registered_model_name="flats", pip_requirements=[], serialization_format="cloudpickle")
"""


def test_mlflow_in_a_step_logs_to_its_run_and_registers_models(project) -> None:
    pytest.importorskip("mlflow")
    pipeline = project.pipeline(project.step("train.py", SCRIPT))
    done = project.run(pipeline)
    assert done.status == "Finished", done
    step = PipelineRun.get(project.workspace, done.run_id).find_step_run("train.py")[0]
    assert step.get_metrics() == {"rate": 0.5}
    assert {event["name"]: event["value"] for event in done.steps[0].events if event["type"] == "property"} == {
        "alpha": "3"
    }
    assert {"note.txt", "net/MLmodel"} <= set(step.get_file_names())
    model = Model(project.workspace, "flats")
    assert (model.version, model.run_id, model.lineage["step"]) == (1, done.run_id, "train.py")
    place = Path(model.download(project.source.parent / "there"))
    assert "sklearn" in (place / "MLmodel").read_text()
    assert project.happened(pipeline) == {"train.py": "reused"}
    assert [one.version for one in Model.list(project.workspace, "flats")] == [1]


def test_whoever_names_another_tracking_server_keeps_it(project, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine")
    script = "import os; open(args[0], 'w').write(os.environ['MLFLOW_TRACKING_URI'])"
    from stepwell import PipelineData

    out = PipelineData("out")
    done = project.run(project.pipeline(project.step("look.py", script, arguments=[out], outputs=[out])))
    run = PipelineRun.get(project.workspace, done.run_id)
    place = run.find_step_run("look.py")[0].get_output_data("out").download(str(project.source.parent / "d"))
    assert place and "sqlite:///mine" in "".join(
        path.read_text() for path in (project.source.parent / "d").rglob("*") if path.is_file()
    )
