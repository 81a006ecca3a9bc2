"""What scripts log through `Run`, and what the host reads back: in a step, in children, and outside."""

import io
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from stepwell.errors import RunEnvironmentException, UserErrorException
from stepwell.script.run import Run, _OfflineRun
from stepwell.script.events import files_of, read_events
from stepwell.script.metrics import metrics_of

SOURCE = Path(__file__).resolve().parents[3] / "src"
CONTEXT = {
    "id": "step-1",
    "name": "train",
    "experiment": "demo",
    "number": 7,
    "parent_id": "pipe-1",
    "tags": {"team": "a"},
    "input_datasets": {"table": "/in/table"},
    "output_datasets": {"model": "/out/model"},
}


@pytest.fixture
def control(tmp_path, monkeypatch):
    """Return the control folder of a step that this process pretends to be."""
    folder = tmp_path / "control"
    folder.mkdir()
    (folder / "context.json").write_text(json.dumps(CONTEXT))
    monkeypatch.setenv("AZUREML_RUN_ID", "step-1")
    monkeypatch.setenv("STEPWELL_CONTROL", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(control):
    return Run.get_context()


@pytest.fixture
def outside(monkeypatch):
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    monkeypatch.delenv("STEPWELL_CONTROL", raising=False)


# Metrics ------------------------------------------------------------------------------------------------------------


def test_shapes_of_metrics(run, control):
    run.log("once", 0.5, description="of the test set")
    for step, value in enumerate([3, 2, 1]):
        run.log("loss", value, step=step)
    run.log_list("list", (1, "two", None))
    run.log_list("list", range(2))
    run.log_row("wave", angle=0, cosine=1.0)
    run.log_row("wave", angle=90, sine=1.0)
    run.log_table("table", {"x": [1, 2], "y": [3, 4]})
    run.log_confusion_matrix("cm", {"schema_type": "confusion_matrix", "data": {"matrix": [[1, 0], [0, 1]]}})
    run.log_residuals("res", '{"data": [1]}')
    expected = {
        "once": 0.5,
        "loss": [3, 2, 1],
        "list": [1, "two", None, 0, 1],
        "wave": {"angle": [0, 90], "cosine": [1.0, None], "sine": [None, 1.0]},
        "table": {"x": [1, 2], "y": [3, 4]},
        "cm": {"schema_type": "confusion_matrix", "data": {"matrix": [[1, 0], [0, 1]]}},
        "res": {"data": [1]},
    }
    assert run.get_metrics() == metrics_of(read_events(control)) == expected
    assert run.get_metrics("once") == {"once": 0.5}
    assert metrics_of(read_events(control), "parent") == {}
    events = read_events(control)
    assert (
        events[0].items()
        >= {"type": "metric", "scope": "step", "kind": "scalar", "description": "of the test set"}.items()
    )
    assert [event["step"] for event in events[1:4]] == [0, 1, 2]


def test_arrays_and_frames(run):
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    run.log("nan", numpy.float64("nan"))
    run.log_list("array", numpy.array([1.0, numpy.inf]))
    run.log_list("series", pandas.Series([1, 2]))
    run.log_table("frame", pandas.DataFrame({"a": [1, 2]}))
    expected = {"nan": math.nan, "array": [1.0, math.inf], "series": [1, 2], "frame": {"a": [1, 2]}}
    assert repr(run.get_metrics()) == repr(expected)


@pytest.mark.parametrize(
    "act",
    [
        lambda run: run.log("", 1),
        lambda run: run.log(None, 1),
        lambda run: run.log("accuracy", object()),
        lambda run: run.log_list("l", 5),
        lambda run: run.log_list("l", "text"),
        lambda run: run.log_table("t", [1, 2]),
        lambda run: run.log_residuals("r", "{"),
        lambda run: run.log_image("i"),
        lambda run: run.log_image("i", path="a.png", plot=object()),
        lambda run: run.log_image("i", plot=object()),
        lambda run: run.log_image("i", path="missing.png"),
        lambda run: run.upload_file("f", "missing"),
        lambda run: run.upload_file("f", "."),
        lambda run: run.upload_file("f", None),
        lambda run: run.upload_folder("f", "missing"),
        lambda run: run.upload_files(["a"], []),
        lambda run: run.download_file("missing"),
        lambda run: run.tag(1, 2),
        lambda run: run.cancel(),
        lambda run: run.get_secret("no-such-secret"),
        lambda run: run.experiment.workspace,
        lambda run: run.child_run("../x"),
    ],
)
@pytest.mark.parametrize("offline", [False, True])
def test_mistakes_leave_nothing_behind(run, control, act, offline):
    with pytest.raises(UserErrorException):
        act(_OfflineRun.new() if offline else run)
    assert read_events(control) == []
    assert not [path for path in control.rglob("*") if path.is_file() and path.name != "context.json"]


def test_threads_and_processes_share_the_log(run, control):
    script = "from stepwell.script.run import Run\nfor i in range(50): Run.get_context().log('n', 'x' * 5000)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    processes = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    threads = [threading.Thread(target=lambda: [run.log("n", "y" * 5000) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for waited in (*threads, *processes):
        waited.join() if isinstance(waited, threading.Thread) else waited.wait()
    assert len(run.get_metrics()["n"]) == 300


# Files and images ---------------------------------------------------------------------------------------------------


def test_files_are_kept_listed_and_given_back(run, control, tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a.bin").write_bytes(b"\0a")
    (tmp_path / "d" / "e" / "b.txt").write_text("b")
    run.upload_file("outputs/model.pkl", "d/a.bin")
    run.upload_file("./stream//text", io.StringIO("ä"), datastore_name="ignored")
    run.upload_files(["one", "two"], [tmp_path / "d" / "a.bin", "d/e/b.txt"])
    run.upload_folder("all", "d")
    names = ["all/a.bin", "all/e/b.txt", "one", "outputs/model.pkl", "stream/text", "two"]
    assert run.get_file_names() == names
    assert list(files_of(control, read_events(control))) == names
    assert files_of(control, read_events(control))["stream/text"].read_text() == "ä"
    run.download_file("outputs/model.pkl")
    run.download_file("two", "d/e")
    run.download_file("two", "new/folder/name")
    run.download_files("all/", "copy")
    run.download_files("all/", "cut", append_prefix=False)
    assert (
        Path("model.pkl").read_bytes()
        == Path("copy/all/a.bin").read_bytes()
        == Path("cut/a.bin").read_bytes()
        == b"\0a"
    )
    assert Path("d/e/two").read_text() == Path("new/folder/name").read_text() == Path("cut/e/b.txt").read_text() == "b"


def test_a_name_is_used_once(run):
    run.upload_file("a", io.BytesIO(b"1"))
    for name in ("a", "./a", "a/b"):
        with pytest.raises(UserErrorException, match="already"):
            run.upload_file(name, io.BytesIO(b"2"))
    run.upload_file("b/c", io.BytesIO())
    with pytest.raises(UserErrorException, match="already"):
        run.upload_file("b", io.BytesIO())


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", "..", ".", "", "a\0b", "//a", None])
def test_names_stay_in_their_folder(run, control, name):
    with pytest.raises(UserErrorException):
        run.upload_file(name, io.BytesIO(b"x"))
    assert read_events(control) == []


def test_a_broken_upload_keeps_nothing(run):
    class Broken:
        def read(self, size):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run.upload_file("a", Broken())
    run.upload_file("a", io.BytesIO(b"1"))
    assert run.get_file_names() == ["a"]


def test_images(run, control, tmp_path):
    class Figure:
        def savefig(self, stream, format):
            stream.write(format.encode())

    (tmp_path / "roc.jpg").write_bytes(b"jpg")
    run.log_image("roc", path="roc.jpg")
    run.log_image("loss", plot=Figure())
    run.log_image("loss.png", plot=Figure())
    assert run.get_metrics() == {"roc": "roc.jpg", "loss": "loss.png", "loss.png": "loss_1.png"}
    assert {name: path.read_bytes() for name, path in files_of(control, read_events(control)).items()} == {
        "roc.jpg": b"jpg",
        "loss.png": b"png",
        "loss_1.png": b"png",
    }


@pytest.mark.parametrize("name", ["..", "../up", "/tmp/x", "a\nb", "x" * 300, ".", "eval/test"])
def test_an_image_may_have_any_name(run, control, tmp_path, name):
    (tmp_path / "roc.png").write_bytes(b"png")
    run.log_image(name, path="roc.png")
    [kept] = files_of(control, read_events(control)).values()
    assert kept.read_bytes() == b"png" and kept.resolve().is_relative_to((control / "files").resolve())
    assert run.get_metrics() == {name: str(kept.relative_to(control / "files"))}


def test_a_real_figure(run, control):
    figures = pytest.importorskip("matplotlib.figure")
    run.log_image("plot", plot=figures.Figure())
    assert (control / "files" / "plot.png").read_bytes().startswith(b"\x89PNG")


# The run itself -----------------------------------------------------------------------------------------------------


def test_what_a_script_may_ask(run):
    assert (run.id, run.name, run.number, run.experiment.name) == ("step-1", "train", 7, "demo")
    assert run.input_datasets == {"table": "/in/table"}
    assert run.output_datasets["model"] == "/out/model"
    assert run.get_details()["runId"] == "step-1"
    assert run.get_status() == "Running"
    assert repr(run) == "Run(Experiment: demo, Id: step-1, Type: azureml.StepRun, Status: Running)"
    assert run.complete() is run.flush() is None


def test_without_a_context_file(run, control):
    (control / "context.json").unlink()
    assert (run.id, run.name, run.parent.id, run.input_datasets) == ("step-1", "step-1", "", {})


def test_the_parent_is_the_pipeline_run(run, control):
    run.parent.log("best", 1)
    run.parent.upload_file("model", io.BytesIO(b"parent"))
    run.upload_file("model", io.BytesIO(b"step"))
    run.parent.tag("stage", "late")
    assert run.parent.id == "pipe-1"
    assert run.parent.parent is None
    assert run.parent.get_metrics() == {"best": 1}
    assert run.get_metrics() == {}
    assert run.get_tags() == run.tags == {"team": "a"}
    assert run.parent.get_tags() == run.parent.tags == {"stage": "late"}
    events = read_events(control)
    assert files_of(control, events, "parent")["model"].read_bytes() == b"parent"
    assert files_of(control, events)["model"].read_bytes() == b"step"


def test_children_are_kept_under_their_names(run):
    with run.child_run("fold") as fold:
        fold.log("loss", 1)
        fold.tag("n", 1)
        fold.upload_file("f", io.BytesIO())
        fold.child_run().log("deep", 2)
    with pytest.raises(ZeroDivisionError), run.child_run() as other:
        raise ZeroDivisionError
    assert (fold.id, fold.name, other.name, fold.parent) == ("step-1_fold", "fold", "child_1", run)
    assert fold.get_metrics() == {"loss": 1, "child_1/deep": 2}
    assert run.get_metrics() == {"fold/loss": 1, "fold/child_1/deep": 2}
    assert fold.get_tags() == {"n": "1"}
    assert list(run.get_children()) == [other, fold] and list(run.get_children(tags="n")) == [fold]
    assert [made.get_tags() for made in fold.create_children(tag_key="k", tag_values=[1, 2])] == [
        {"k": "1"},
        {"k": "2"},
    ]
    assert [made.name for made in run.create_children(2)] == ["child_2", "child_3"]
    assert run._run_id == run.id
    assert fold.get_file_names() == ["f"]
    assert run.get_file_names() == ["fold/f"]


def test_tags_and_properties(run):
    run.set_tags({"a": 1, "b": None})
    run.tag("a", "two")
    run.add_properties({"p": 1})
    run.add_properties({"p": "1"})
    with pytest.raises(UserErrorException, match="can't be changed"):
        run.add_properties({"p": 2})
    assert run.get_tags() == {"team": "a", "a": "two", "b": None}
    assert run.get_properties() == {"p": "1"}


def test_failures_are_recorded(run, control):
    run.fail("bad data", error_code="E1")
    run.child_run("c").fail()
    failed = [(event["name"], event["value"]) for event in read_events(control) if event["type"] == "failed"]
    assert failed == [("", "E1: bad data"), ("c", "")]


def test_secrets_come_from_the_environment(run, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "x")
    assert run.get_secrets(["db-password", "DB_PASSWORD"]) == {"db-password": "x", "DB_PASSWORD": "x"}


def test_outside_of_a_run(outside, capsys, tmp_path):
    run = Run.get_context()
    assert isinstance(run, _OfflineRun)
    assert run.id.startswith("OfflineRun_")
    run.log("loss", float("nan"))
    run.parent.log_row("r", a=1)
    run.child_run("c").log("x", 1)
    run.upload_file("f", io.BytesIO(b"1"))
    run.tag("t", 1)
    run.add_properties({"p": 1})
    assert capsys.readouterr().out.splitlines() == [
        *("Attempted to log scalar metric loss:", "nan", "Attempted to log row metric r:", "{'a': 1}"),
        *("Attempted to log scalar metric c/x:", "1", "Attempted to upload file: f"),
    ]
    assert repr(run.get_metrics()) == repr({"loss": math.nan, "c/x": 1})
    assert run.parent.get_metrics() == {"r": {"a": [1]}}
    assert (run.get_tags(), run.get_properties(), run.get_file_names()) == ({"t": "1"}, {"p": "1"}, [])
    assert list(tmp_path.iterdir()) == []


def test_outside_of_a_run_may_be_refused(outside):
    with pytest.raises(RunEnvironmentException, match="AZUREML_RUN_ID"):
        Run.get_context(allow_offline=False)


def test_importing_it_is_cheap():
    loaded = "import sys; before = set(sys.modules); import stepwell.script.run; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", loaded], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert not {"json", "uuid", "shutil", "pathlib", "dataclasses", "prefect"} & set(done.stdout.split())
