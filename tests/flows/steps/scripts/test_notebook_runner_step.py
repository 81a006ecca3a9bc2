"""A step that runs a notebook: parameters with their types, the executed notebook kept, its imports in the key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import Project

from stepwell import (
    Environment,
    Experiment,
    NotebookRunConfig,
    NotebookRunnerStep,
    OutputFileDatasetConfig,
    PipelineData,
    PipelineParameter,
    PipelineRun,
    RunConfiguration,
)
from stepwell.errors import UserErrorException


def notebook(project: Project, name: str, *cells: str, tags: tuple[str, ...] = ()) -> str:
    """Return the name of a notebook with these cells, the first of which has the tags."""
    made = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": cell,
            "id": f"c{number}",
        }
        for number, cell in enumerate(cells)
    ]
    made[0]["metadata"] = {"tags": list(tags)}
    content = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    project.write(name, "").write_text(json.dumps(content))
    return name


def define(step: NotebookRunnerStep):
    return step.define(step_id="n", producers={}, ids={})


def test_a_notebook_runs_with_its_parameters_and_is_run_again_when_a_module_of_its_cells_changes(project):
    project.write("helper.py", "FACTOR = 2")
    cells = [
        "rate, names, key = 0, None, ''",
        "import helper, json\nfrom stepwell import Run\nrun = Run.get_context()\nrun.log('rate', rate * helper.FACTOR)",
        "facts = [rate, names, missing, flag, key == __import__('os').environ['AML_PARAMETER_token'], open(table).read()]\n"
        "open(f'{out}/facts.json', 'w').write(json.dumps(facts))\nprint('live')",
    ]
    name = notebook(project, "books/train.ipynb", *cells, tags=("parameters",))
    table, out = PipelineData("table"), OutputFileDatasetConfig("out")
    make = project.step("make.py", "open(args[0], 'w').write('t')", arguments=[table], outputs=[table])
    step = NotebookRunnerStep(
        notebook=name,
        source_directory=project.source,
        params={"flag": PipelineParameter("flag", True)},
        parameters={
            "rate": PipelineParameter("rate", 0.5),
            "names": ["a", 1],
            "missing": None,
            "key": PipelineParameter("token", "hidden!"),
        },
        inputs=[table],
        outputs=[out],
        output_notebook_pipeline_data_name="executed",
    )
    pipeline = project.pipeline(make, step)
    summary = project.run(pipeline)
    assert [one.happened for one in summary.steps] == ["ran", "ran"], summary.steps[-1].error
    run = PipelineRun.get(project.workspace, summary.run_id)
    [found] = run.find_step_run(name)
    assert found.get_metrics() == {"rate": 1.0} and "live\n" in found.get_stdout_log()
    assert found.get_file_names() == ["outputs/train.ipynb"]
    results = pipeline()[step.name]
    facts = json.loads((project.workspace.path_of(results["out"]) / "facts.json").read_text())
    assert facts == [0.5, ["a", 1], None, True, True, "t"]
    kept = project.workspace.path_of(results["executed"]).read_text()
    assert "# Parameters" in kept and "hidden!" not in kept
    assert project.run(pipeline).steps[1].happened == "reused"
    assert project.run(pipeline, rate=1.5).steps[1].why == ("parameter rate: 0.5 → 1.5",)
    project.write("helper.py", "FACTOR = 3")
    assert project.run(pipeline, rate=1.5).steps[1].why == ("module helper.py changed",)


def test_a_cell_that_fails_is_the_steps_error_and_what_was_run_is_kept(project):
    name = notebook(project, "a.ipynb", "print('before')", "def half(x):\n    return x / 0\nhalf(1)", "print('after')")
    step = NotebookRunnerStep("a", NotebookRunConfig(project.source, name, output_notebook="done.ipynb"))
    summary = project.run(project.pipeline(step))
    assert "ZeroDivisionError: division by zero" in summary.steps[0].error
    assert "Cell 2 of a.ipynb failed" in summary.steps[0].error and "return x / 0" in summary.steps[0].error
    [found] = PipelineRun.get(project.workspace, summary.run_id).find_step_run("a")
    assert found.get_file_names() == ["outputs/done.ipynb"]


def test_a_notebook_is_submitted_and_may_end_early(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = notebook(project, "a.ipynb", "import sys; sys.exit(code)", "print('never')")
    run = Experiment(project.workspace, "books").submit(NotebookRunConfig(project.source, name, parameters={"code": 0}))
    assert run.wait_for_completion()["status"] == "Completed" and run.type == "azureml.scriptrun"
    run.download_file("outputs/a.ipynb", "copy.ipynb")
    assert "code = 0" in Path("copy.ipynb").read_text()


def test_parameters_are_told_with_their_types():
    parameters = {
        "i": 1, "f": 0.5, "b": True, "t": "x", "n": None, "l": [1], "d": {"a": 1},
        "p": PipelineParameter("p", 1), "o": PipelineParameter("o", None, type=str), "e": PipelineParameter("e", [1, 2]),
    }  # fmt: skip
    settings = define(NotebookRunnerStep(notebook="a.ipynb", parameters=parameters)).driver.settings
    [types] = settings["types"]
    assert json.loads(types.value) == {
        "i": "int", "f": "float", "b": "bool", "t": "str", "n": "None", "l": "json", "d": "json",
        "p": "int", "o": "text or None", "e": "json",
    }  # fmt: skip
    assert settings["value:d"][0].value == '{"a": 1}' and "value:n" not in settings


def test_an_environment_with_packages_gets_what_runs_notebooks():
    config = RunConfiguration()
    config.environment.python.conda_dependencies.add_pip_package("ipykernel==6.1")
    step = NotebookRunnerStep(notebook_run_config=NotebookRunConfig("src", "a.ipynb", run_config=config))
    assert define(step).environment.requirements == ("ipykernel==6.1", "nbclient")
    assert define(NotebookRunnerStep(notebook="a.ipynb", environment=Environment())).environment.requirements == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NotebookRunnerStep(), "`notebook` must name a notebook"),
        (lambda: NotebookRunConfig("src", "a.py"), "`notebook` must name a notebook"),
        (lambda: NotebookRunnerStep(notebook="a.ipynb", parameters={"x": object()}), "'x' has no plain value"),
        (lambda: NotebookRunnerStep(notebook="a.ipynb", parameters={"x": [object()]}), "'x' has no plain value"),
        (lambda: NotebookRunnerStep(notebook="a.ipynb", parameters={"x": {1: 2}}), "'x' has no plain value"),
        (lambda: NotebookRunnerStep(notebook="a.ipynb", parameters={"a b": 1}), "can't have a parameter called 'a b'"),
        (lambda: NotebookRunnerStep(notebook="a.ipynb", params={"class": 1}), "can't have a parameter called 'class'"),
        (lambda: NotebookRunConfig("src", "a.ipynb", parameters={"1st": 1}), "can't have a parameter called '1st'"),
        (lambda: NotebookRunnerStep(notebook="a.ipynb", output_notebook="../b.ipynb"), "stands in `outputs/`"),
    ],
)
def test_what_can_not_be_used_is_refused(make, words):
    with pytest.raises(UserErrorException, match=words):
        make()


def test_a_secret_that_a_cell_prints_is_masked_in_the_executed_notebook(project):
    project.workspace.get_default_keyvault().set_secret("pw", "not-to-be-shown")
    name = notebook(
        project, "books/tell.ipynb", "from stepwell import Run\nprint('it is', Run.get_context().get_secret('pw'))"
    )
    step = NotebookRunnerStep(notebook=name, source_directory=project.source)
    assert [one.happened for one in project.run(project.pipeline(step)).steps] == ["ran"]
    kept = [path.read_text() for path in project.workspace.store.root.rglob("outputs/*.ipynb")]
    assert kept and all("it is ***" in text and "not-to-be-shown" not in text for text in kept)
