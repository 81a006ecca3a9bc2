"""The Azure ML SDK's names: each is imported from each of its modules, and is carried, or refuses in one sentence."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from azureml import module_map, names

from stepwell.errors import StepwellError, UserErrorException

COMPAT = Path(__file__).parents[2] / "compat" / "src"
SOURCE = Path(__file__).parents[2] / "src"


def find(name: str) -> object:
    module = next(module for module, found in module_map.MODULES.items() if name in found)
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", sorted(module_map.MODULES))
def test_every_name_is_imported_from_every_module(module: str) -> None:
    space: dict[str, object] = {}
    exec(f"from {module} import {', '.join(module_map.MODULES[module])}", space)
    assert set(module_map.MODULES[module]) <= set(space)
    assert importlib.import_module(module).__name__ == module


def test_every_name_stands_in_a_module_and_is_carried_or_refuses() -> None:
    assert {name for found in module_map.MODULES.values() for name in found} == set(names.NAMES)
    assert all(bool(facts.carrier) != bool(facts.instead) for facts in names.NAMES.values())


@pytest.mark.parametrize("name", sorted(name for name in names.NAMES if names.meaning(name) == "refuses"))
def test_a_name_that_nothing_carries_refuses_when_it_is_used(name: str) -> None:
    refused = find(name)
    assert isinstance(refused, type) and not isinstance(object(), refused)
    for use in (lambda: refused(), lambda: refused(1, two=2), lambda: refused.get("x")):  # type: ignore[attr-defined]
        with pytest.raises(UserErrorException) as caught:
            use()
        assert name in caught.value.title and caught.value.hint[0].isupper()


@pytest.mark.parametrize("name", sorted(name for name, facts in names.NAMES.items() if facts.error))
def test_exceptions_can_be_caught(name: str) -> None:
    error = importlib.import_module(names.NAMES[name].carrier.split(":")[0])
    assert issubclass(getattr(error, names.NAMES[name].carrier.split(":")[1]), StepwellError)


def test_the_tree_of_exceptions_is_the_sdks() -> None:
    from azureml.exceptions import (
        AuthenticationException,
        AzureMLException,
        ModelNotFoundException,
        WebserviceException,
    )
    from azureml.exceptions import UserErrorException as Theirs

    assert issubclass(ModelNotFoundException, WebserviceException) and issubclass(AuthenticationException, Theirs)
    assert issubclass(WebserviceException, AzureMLException)


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*filter(None, [variables.pop("first", "")]), str(COMPAT), str(SOURCE)])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_a_script_that_imports_run_imports_nothing_heavy() -> None:
    done = python(
        """
        import sys
        from azureml.core import Run
        from azureml.core.run import _OfflineRun
        run = Run.get_context()
        assert isinstance(run, _OfflineRun) and run.id.startswith("OfflineRun")
        print([name for name in sys.modules if name.split(".")[0] in ("prefect", "pydantic", "fsspec", "git")])
        """
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_the_sdk_itself_is_not_shadowed(tmp_path: Path) -> None:
    (tmp_path / "azureml" / "core").mkdir(parents=True)
    (tmp_path / "azureml" / "core" / "__init__.py").touch()
    done = python("import sys; sys.path.reverse(); import azureml.core", first=str(tmp_path))
    assert done.returncode == 1 and "pip uninstall azureml-core" in done.stderr.splitlines()[-1]


def test_a_folder_of_the_users_called_azureml_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "azureml").mkdir()
    assert python("from azureml.core import Run", first=str(tmp_path)).returncode == 0


def test_a_pipeline_with_the_sdks_imports_runs(project, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(COMPAT))
    from azureml.core import Experiment, Workspace
    from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter
    from azureml.pipeline.steps import PythonScriptStep
    from azureml.widgets import RunDetails

    project.script("make.py", "import os; os.makedirs(args[-1]); open(args[-1] + '/rate', 'w').write(args[1])")
    project.script(
        "log.py",
        "from azureml.core import Run; run = Run.get_context(); run.log('rate', float(open(args[0] + '/rate').read()))",
    )
    made, rate = PipelineData("made"), PipelineParameter("rate", 0.5)
    first = PythonScriptStep(
        "make.py", arguments=["--rate", rate, made], outputs=[made], source_directory=str(project.source)
    )
    second = PythonScriptStep("log.py", arguments=[made], inputs=[made], source_directory=str(project.source))
    workspace = Workspace.get(project.workspace.name)
    run = Experiment(workspace, "old-code").submit(Pipeline(workspace=workspace, steps=[second]))
    run.wait_for_completion(show_output=False)
    assert run.find_step_run("log.py")[0].get_metrics() == {"rate": 0.5}
    capsys.readouterr()
    RunDetails(run).show()
    shown = capsys.readouterr().out
    assert "2 ran" in shown and "log.py: rate = 0.5" in shown
    RunDetails(None).show()  # type: ignore[arg-type]
    assert "None" in capsys.readouterr().out


def test_a_missing_datastore_is_caught_as_the_sdks_documentation_does(shared_workspace) -> None:
    from azureml.core import Datastore
    from msrest.exceptions import HttpOperationError

    with pytest.raises(HttpOperationError):
        Datastore.get(shared_workspace, "no_such_store")
