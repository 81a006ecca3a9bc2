"""`stepwell diff`, `compare` and the filters of `runs`: one project whose script, parameter and data change between runs."""

from __future__ import annotations

import csv
import io
import json
from functools import partial

import pytest
from typer.testing import CliRunner

from stepwell import Experiment, PipelineData, PipelineParameter
from stepwell.deployments.cli.main import app
from stepwell.errors import UserErrorException

BODY = """
    from stepwell import Run
    run, rate = Run.get_context(), float(args[1])
    open(args[0], "w").write(f"model at {rate}\\n")
    run.log("accuracy", 1 - 1 / rate)
    for number in range(1, 6):
        run.log("loss", rate / number)
        run.log_row("epochs", epoch=number, seconds=number * 2)
    run.parent.log("score", rate * 2)
"""


def invoke(workspace, *words):
    done = CliRunner().invoke(app, [*words, "-w", workspace.name])
    if isinstance(done.exception, Exception):
        raise done.exception
    return done.stdout


@pytest.fixture
def command(shared_workspace):
    """Runs a command on the runs that the tests of this module share, and returns what it printed."""
    return partial(invoke, shared_workspace)


@pytest.fixture
def own_command(workspace):
    return partial(invoke, workspace)


@pytest.fixture(scope="module")
def two_runs(shared_project):
    return made(shared_project)


@pytest.fixture
def own_runs(project):
    """Two runs that the test may change."""
    return made(project)


def made(project):
    rate = PipelineParameter("rate", 2)
    model = PipelineData("model")
    project.write("notes.txt", "one\ntwo\nthree\n")
    step = project.step("train.py", BODY, arguments=[model, rate], outputs=[model], hash_paths=["notes.txt"])
    pipeline = project.pipeline(step, project.step("last.py", ""), name="digits")
    first = project.run(pipeline, rate=2)
    project.write("notes.txt", "one\n2\nthree\n")
    return first, project.run(pipeline, rate=10)


def test_diff_tells_parameters_source_metrics_and_outputs_and_nothing_of_steps_that_are_the_same(two_runs, command):
    shown = command("diff", "#1", "#2")
    lines = shown.splitlines()
    assert lines[0] == "digits#1 → digits#2"
    assert "  rate: 2 → 10 (+8)" in lines
    assert ["--- digits#1/notes.txt", "+++ digits#2/notes.txt"] == [x for x in lines if x.startswith(("---", "+++"))]
    assert "-two" in lines and "+2" in lines and " one" in lines
    assert "    accuracy: 0.5 → 0.9 (+0.4)" in lines
    assert any("model changed" in line for line in lines) and "'model at 2.0'" in shown and "'model at 10.0'" in shown
    assert "last.py" not in [line.strip() for line in lines]
    told = json.loads(command("diff", "#1", "#2", "--json"))
    assert told["parameters"] == {"rate": [2, 10]} and told["metrics"] == {"score": [4.0, 20.0]}
    assert [file["path"] for file in told["source"][0]["files"]] == ["notes.txt"]
    assert [step["name"] for step in told["steps"]] == ["train.py"] and told["same"] is False


def test_a_run_does_not_differ_from_itself_or_from_one_that_reused_it(two_runs, command):
    assert "Nothing differs" in command("diff", "#2", "#2")


def test_diff_tells_inputs_that_changed_steps_that_failed_and_steps_of_one_run(project, own_command):
    rate, data = PipelineParameter("rate", 1), PipelineData("data")
    load = project.step("load.py", "open(args[0], 'w').write(args[1])", arguments=[data, rate], outputs=[data])
    use = project.step("use.py", "", arguments=[data], inputs=[data])
    odd = project.step("odd.py", "sys.exit(int(args[0]) > 1)", arguments=[rate])
    odd.run_after(use)
    first = project.run(project.pipeline(load, use, odd, name="odd"), rate=1)
    more = project.step("more.py", "")
    odd.run_after(more)
    second = project.run(project.pipeline(load, use, odd, more, name="odd"), rate=2)
    told = json.loads(own_command("diff", first.run_id, second.run_id, "--json"))
    steps = {step["name"]: step for step in told["steps"]}
    assert steps["use.py"]["inputs"] == ["input data changed"]
    assert steps["load.py"]["outputs"] == ["data changed (1 bytes)\nline 1: '1' and '2'"]
    assert steps["odd.py"]["happened"] == ["done", "failed"]
    assert steps["odd.py"]["unknown"] == ["No result is kept of odd#2, so what decided it can't be compared"]
    assert steps["more.py"]["only_in"] == "second"
    assert [file["path"] for source in told["source"] for file in source["files"]] == ["more.py"]
    shown = own_command("diff", first.run_id, second.run_id)
    assert "  done → failed" in shown and "  only the second run has it" in shown


def test_compare_shows_runs_with_parameters_and_metrics_in_order(two_runs, command, shared_workspace):
    lines = command("compare", "--sort", "accuracy").splitlines()
    assert lines[0].split() == ["run", "status", "seconds", "rate", "score", "accuracy", "loss"]
    assert [line.split()[0] for line in lines[1:]] == ["digits#2", "digits#1"]
    assert lines[1].split()[3:] == ["10", "20", "0.9", "2"]
    assert [line.split()[0] for line in command("compare", "#2", "1").splitlines()[1:]] == ["digits#2", "digits#1"]
    rows = list(csv.DictReader(io.StringIO(command("compare", "--csv", "--sort", "rate", "--ascending"))))
    assert [(row["run"], row["params.rate"], row["metrics.score"]) for row in rows] == [
        ("digits#1", "2", "4.0"),
        ("digits#2", "10", "20.0"),
    ]
    experiment = Experiment(shared_workspace, two_runs[0].facts["experiment"])
    from_python = experiment.compare(sort="accuracy")
    assert [(row["run"], row["params.rate"], row["metrics.loss"]) for row in from_python] == [
        ("digits#2", 10, 2.0),
        ("digits#1", 2, 0.4),
    ]
    assert json.loads(command("compare", "--json", "--sort", "accuracy")) == from_python
    with pytest.raises(UserErrorException, match="no metric or parameter 'acuracy'"):
        experiment.compare(sort="acuracy")


ODD = """
    from stepwell import Run
    run, kind = Run.get_context(), args[0]
    if kind != "none":
        run.log("odd", float(kind))
    run.log("list", [1.0, float(kind) if kind != "none" else 2.0])
"""


@pytest.fixture
def odd_runs(project):
    kind = PipelineParameter("kind", "none")
    pipeline = project.pipeline(project.step("odd.py", ODD, arguments=[kind]), name="odd")
    return [project.run(pipeline, kind=value) for value in ("nan", "inf", "5", "none")]


def test_numbers_that_json_lacks_are_texts_in_all_that_is_printed_as_json(odd_runs, own_command):
    def refuse(name):
        raise AssertionError(name)

    rows, shown, differences = (
        json.loads(own_command(*words, "--json"), parse_constant=refuse)
        for words in (["compare", "--sort", "odd"], ["show", "#1"], ["diff", "#1", "#4"])
    )
    assert [row["metrics.odd"] for row in rows] == ["Infinity", 5.0, "NaN", None]
    assert shown["metrics"] == {"odd.py": {"odd": "NaN", "list": [1.0, "NaN"]}}
    assert differences["steps"][0]["metrics"]["odd"] == ["NaN", None]
    assert differences["parameters"] == {"kind": ["nan", "none"]}


def test_what_only_one_run_has_is_no_value_called_none(odd_runs, own_command):
    lines = own_command("diff", "#4", "#2").splitlines()
    assert "  kind: none → inf" in lines and "    odd: new, inf" in lines
    assert "    odd: gone, inf" in own_command("diff", "#2", "#4").splitlines()


def test_a_plot_of_what_can_not_be_drawn_warns_of_nothing(odd_runs, own_command, tmp_path, recwarn):
    pytest.importorskip("matplotlib")
    own_command("compare", "--plot", str(tmp_path / "odd.png"))
    assert (tmp_path / "odd.png").stat().st_size and not [one for one in recwarn if one.category is RuntimeWarning]
    with pytest.raises(UserErrorException, match=r"'\.' names no format"):
        own_command("compare", "--plot", ".")


def test_a_metric_that_no_run_has_logged_is_named_with_those_that_are(two_runs, shared_workspace):
    for words in (["runs"], ["compare"]):
        asked = [*words, "--metric", "acuracy>0.9", "-w", shared_workspace.name]
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 0 and done.stdout == ""
        assert "none has logged 'acuracy': there is accuracy" in done.stderr
    high = CliRunner().invoke(app, ["runs", "--metric", "accuracy>2", "-w", shared_workspace.name])
    assert high.stderr == "No run is so; leave a condition out\n"


def test_one_table_is_printed_in_one_form(two_runs, command):
    with pytest.raises(UserErrorException, match="CSV or as JSON"):
        command("compare", "--csv", "--json")


def test_compare_draws_the_metrics_where_matplotlib_is(two_runs, command, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    command("compare", "--plot", str(tmp_path / "runs.png"))
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserErrorException, match="no format of pictures"):
        command("compare", "--plot", str(tmp_path / "runs.docx"))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(UserErrorException, match="not installed"):
        command("compare", "--plot", str(tmp_path / "runs.png"))


def test_runs_are_found_by_metric_state_time_experiment_and_tag(own_runs, own_command):
    def found(*words):
        return [run["name"] for run in json.loads(own_command("runs", "--json", *words))]

    assert found("--metric", "accuracy>0.6") == ["digits#2"]
    assert found("--metric", "accuracy<0.6", "--metric", "score=4") == ["digits#1"]
    assert found("--status", "failed") == [] and found("--status", "finished") == ["digits#2", "digits#1"]
    assert found("--since", "2999-01-01") == [] and len(found("--since", "1 hour")) == 2
    assert found("--experiment", "other") == [] and len(found("--experiment", own_runs[0].facts["experiment"])) == 2
    assert own_command("tag", "#1", "kept", "reviewed=yes").splitlines() == ["kept", "reviewed=yes"]
    assert found("--tag", "reviewed=yes") == ["digits#1"] and found("--tag", "reviewed=no") == []
    assert found("--tag", "kept") == ["digits#1"] and found("-n", "1", "--status", "finished") == ["digits#2"]


def test_show_has_curves_of_series_tables_of_rows_tags_and_the_note(two_runs, command):
    command("note", "#1", "the first try")
    command("tag", "#1", "kept")
    lines = command("show", "#1").splitlines()
    assert "  train.py: loss = 0.4 (the last of 5 values)  █▃▂▁▁" in lines
    table = lines.index("  train.py: epochs:")
    assert [line.split() for line in lines[table + 1 : table + 4]] == [["epoch", "seconds"], ["1", "2"], ["2", "4"]]
    assert "Note: the first try" in lines and "Tags: kept" in lines
    command("note", "#1", "")
    command("tag", "#1", "--remove", "kept")
    assert not [line for line in command("show", "#1").splitlines() if line.startswith(("Note", "Tags"))]
    with pytest.raises(UserErrorException, match="no tag 'kept'"):
        command("tag", "#1", "--remove", "kept")


def test_outputs_of_one_step_are_listed_and_copied_alone(two_runs, command, tmp_path):
    assert [line.split()[-1] for line in command("outputs", "#2", "--step", "train.py").splitlines()] == [
        "train.py/model"
    ]
    assert command("outputs", "#2", "--step", "last.py") == ""
    command("outputs", "#2", "--step", "train.py", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "train.py" / "model").read_text() == "model at 10.0\n"
    with pytest.raises(UserErrorException, match="no step 'none.py'"):
        command("outputs", "#2", "--step", "none.py")


def test_open_prints_the_address_where_nothing_can_show_it(two_runs, command, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert command("open", "#1").strip().endswith(f"/runs/flow-run/{two_runs[0].run_id}")
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    command("open", "#1", "--print")
    assert opened == []
    command("open", "#1")
    [page] = opened
    assert page.startswith("file:") and page.endswith("/open.html")


def test_a_deleted_run_is_gone_and_its_results_are_still_reused(project, own_runs, own_command):
    own_command("runs", "pin", "#2")
    with pytest.raises(UserErrorException, match="is pinned"):
        own_command("runs", "delete", "#1", "#2")
    assert len(json.loads(own_command("runs", "--json"))) == 2
    own_command("runs", "delete", "#1")
    own_command("runs", "unpin", "#2")
    own_command("runs", "delete", "#2")
    assert json.loads(own_command("runs", "--json")) == []
    with pytest.raises(UserErrorException, match="There is no run"):
        own_command("show", own_runs[0].run_id)
