"""Steps with packages of their own on those that are installed: what differs in words, and what really ran in key and record."""

from __future__ import annotations

import pytest
from stepwell import CondaDependencies, Environment, RunConfiguration
from stepwell.deployments.reports.report import report
from stepwell.errors import UserErrorException
from stepwell.flows.keys.as_installed import as_installed, differences
from stepwell.flows.runs.artifacts import markdown
from stepwell.model.definitions import EnvironmentDefinition
from stepwell.model.records import StepRecord

VARIABLE = "STEPWELL_V1_ENVIRONMENT"


class Installed:
    python_version = "3.11.7"
    known = {"numpy": "2.1.0", "mine": "1.0 editable", "pandas": "2.2.3", "other": "3.0 abcdef"}

    def versions(self, names):
        return {name: self.known[name] for name in names if name in self.known}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"requirements": ("numpy==1.19.2",)}, ("numpy 2.1.0 instead of 1.19.2",)),
        ({"requirements": ("numpy>=2", "mine==1.0", "pandas")}, ()),
        ({"requirements": ("numba==0.55.2",)}, ("numba is not installed, 0.55.2 is asked for",)),
        ({"requirements": ("numba",)}, ("numba is not installed",)),
        ({"requirements": ('numpy<2; python_version < "3"', "--pre")}, ()),
        ({"requirements": ("other @ https://u:p@host/other.whl",)}, ("other 3.0 instead of https://host/other.whl",)),
        ({"requirements": ("numpy==1.19.2 --hash=sha256:00",)}, ("numpy 2.1.0 instead of 1.19.2",)),
        ({"conda": ("numpy=1.19", "conda-forge::pandas", "cudatoolkit=10.1", "pip")}, ("numpy 2.1.0 instead of 1.19.*", "cudatoolkit is not installed")),
        ({"requirements": ("numpy",), "python": "3.6.2"}, ("Python 3.11.7 instead of 3.6.2",)),
        ({"requirements": ("numpy",), "python": "3.11"}, ()),
    ],
)  # fmt: skip
def test_what_differs_is_told_in_words(asked, words):
    environment = EnvironmentDefinition(**asked)
    assert differences(environment, Installed()) == words
    assert not as_installed(environment).isolated


def of_2019(project, script):
    """Return a step with an environment that nobody can make today."""
    environment = Environment("of 2019")
    environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=[
            "azureml-defaults",
            "inference-schema[numpy-support]",
            "packaging==14.0",
            "nothing-like-this==3.1",
        ],
        conda_packages=["cudatoolkit=10.1"],
        python_version="3.6.2",
    )
    config = RunConfiguration()
    config.environment = environment
    return project.step(script, runconfig=config)


def test_a_step_runs_on_what_is_installed_and_its_key_and_record_say_so(project, monkeypatch):
    from packaging import __version__

    project.script("a.py", "import packaging")
    project.script("b.py", "import packaging; print(1)")
    monkeypatch.setenv(VARIABLE, "as-installed")
    pipeline = project.pipeline(of_2019(project, "a.py"), of_2019(project, "b.py"))
    assert pipeline.validate() == []
    summary = project.run(pipeline)
    assert {step.happened for step in summary.steps} == {"ran"}, summary.problem
    (line,) = summary.warnings
    assert line.startswith("2 steps ran on installed packages, of which 4 differ from what is asked for: Python 3.11")
    told = summary.steps[0].differs
    assert f"packaging {__version__} instead of 14.0" in told and "cudatoolkit is not installed" in told
    assert "nothing-like-this is not installed, 3.1 is asked for" in told
    run = project.workspace.get_run(summary.run_id).folder
    shown = report(run, guards=True)
    assert "Installed packages of a.py, b.py:" in shown and all(f"  {text}" in shown for text in told)
    assert "cudatoolkit is not installed" not in report(run).replace(line, "")
    assert "cudatoolkit is not installed" in markdown(summary)
    records = [record for _, record in project.workspace.store.records() if isinstance(record, StepRecord)]
    rows = {(row.kind, row.name, row.value) for record in records for row in record.fingerprint.rows}
    assert ("package", "packaging", __version__) in rows and not [row for row in rows if row[0] == "conda package"]
    monkeypatch.delenv(VARIABLE)
    plain = project.pipeline(project.step("a.py"), project.step("b.py"))
    assert set(project.happened(plain).values()) == {"reused"}


def test_the_workspace_chooses_too_the_variable_wins_and_another_word_is_refused(project, monkeypatch):
    project.script("a.py", "import packaging")
    monkeypatch.delenv(VARIABLE, raising=False)
    pipeline = project.pipeline(of_2019(project, "a.py"))
    assert "micromamba" in pipeline.validate()[0]
    project.workspace.set_stand_ins(environment="as-installed")
    assert type(project.workspace).get(project.workspace.name).stand_ins == {
        "environment": "as-installed",
        "gpu": "gpu",
        "databricks": "workspace",
    }
    assert pipeline.validate() == [] and [decision.action for decision in pipeline.plan()] == ["run"]
    monkeypatch.setenv(VARIABLE, "as-asked")
    assert "micromamba" in pipeline.validate()[0]
    monkeypatch.setenv(VARIABLE, "whatever")
    with pytest.raises(UserErrorException, match="STEPWELL_V1_ENVIRONMENT can't be 'whatever'"):
        project.workspace.stand_ins


def test_an_environment_that_azure_keeps_ready_is_that_in_use(project, monkeypatch):
    from packaging import __version__

    name, ours = "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu", type(project.workspace).get(project.workspace.name)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserErrorException, match="Azure keeps ready") as caught:
        Environment.get(ours, name)
    assert VARIABLE in caught.value.hint
    with pytest.raises(UserErrorException, match="There is no environment 'mine'"):
        Environment.get(ours, "mine")
    monkeypatch.setenv(VARIABLE, "as-installed")
    curated = Environment.get(workspace=ours, name=name)
    assert curated.name == name and not curated.definition().isolated
    mine = curated.clone("mine")
    mine.python.conda_dependencies.add_pip_package("packaging==14.0")
    config = RunConfiguration()
    config.environment = mine
    (step,) = project.run(project.pipeline(project.step("a.py", "import packaging", runconfig=config))).steps
    assert step.happened == "ran" and f"packaging {__version__} instead of 14.0" in step.differs
    mine.register(ours)
    assert Environment.get(ours, "mine").name == "mine"


def test_a_module_that_is_not_installed_either_is_named_before_anything_runs(project, monkeypatch):
    monkeypatch.setenv(VARIABLE, "as-installed")
    step = project.step("a.py", "import nothing_like_this", environment=["nothing-like-this==3.1"])
    assert "not installed: nothing_like_this" in project.pipeline(step).validate()[0]
