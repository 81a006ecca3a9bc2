"""The Azure ML SDK's names in scripts of steps, wherever these run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from azureml import module_map, names
from azureml.modules import has_side_in_steps

from stepwell import Environment, PipelineData, RunConfiguration
from stepwell.blocks.compute.worker_bundle import bundle_folder
from stepwell.model.records import StepRecord

NOT_ITS_BUSINESS = ("azureml", "stepwell", "stepwell-azureml", "prefect", "lazy-loader")


def test_scripts_find_the_names_and_so_does_what_they_start(project) -> None:
    made = PipelineData("made")
    (project.source / "azureml").mkdir()
    (project.source / "azureml" / "notes.txt").touch()
    body = """
        import subprocess
        from azureml.core import Run
        run = Run.get_context()
        run.log("rate", 0.5)
        run.parent.log("all", 1)
        child = "from azureml.core.run import Run, _OfflineRun; print(isinstance(Run.get_context(), _OfflineRun))"
        told = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout
        assert told == "False\\n", told
        assert not [name for name in sys.modules if name.split(".")[0] in ("prefect", "pydantic", "lazy_loader")]
        open(args[0], "w").write("x")
    """
    step = project.step("log.py", body, arguments=[made], outputs=[made], strict=True)
    summary = project.run(project.pipeline(step))
    assert [one.happened for one in summary.steps] == ["ran"], summary
    [record] = [record for _, record in project.workspace.store.records() if isinstance(record, StepRecord)]
    assert not [row for row in record.fingerprint.rows if row.name in NOT_ITS_BUSINESS]
    assert project.happened(project.pipeline(step)) == {"log.py": "reused"}


def test_an_environment_of_its_own_has_the_names_too(project) -> None:
    configuration = RunConfiguration()
    configuration.environment = Environment("own")
    configuration.environment.python.conda_dependencies.add_pip_package("azureml-defaults")
    step = project.step(
        "own.py", "from azureml.core import Run; Run.get_context().log('rate', 1)", runconfig=configuration
    )
    assert project.happened(project.pipeline(step)) == {"own.py": "ran"}


@pytest.fixture(scope="module", params=["installed", "bundle"])
def imported(request, tmp_path_factory) -> tuple[str, ...]:
    """Import every name from each of its modules as a step would; return the names that refuse there."""
    folder = tmp_path_factory.mktemp("step")
    path, flags = [*filter(os.path.isdir, sys.path)], ["-s"]
    if request.param == "bundle":
        path, flags = [str(bundle_folder(folder))], ["-S"]
    lines = [f"from {module} import {', '.join(found)}" for module, found in sorted(module_map.MODULES.items())]
    code = "\n".join(lines) + (
        "\nimport sys; from stepwell.script.workspace.public_names import Refused"
        "\nprint(*sorted(n for n, value in list(globals().items()) if isinstance(value, Refused)))"
        "\nprint(*(n for n in sys.modules if n.split('.')[0] in ('prefect', 'pydantic', 'lazy_loader', 'pandas')))"
    )
    variables = {"PYTHONPATH": os.pathsep.join(path), "AZUREML_RUN_ID": "step", "STEPWELL_CONTROL": str(folder)}
    done = subprocess.run([sys.executable, *flags, "-c", code], env=variables, capture_output=True, text=True)
    refused, heavy = done.stdout.split("\n")[:2] if not done.returncode else ("", done.stderr)
    assert not heavy
    return tuple(refused.split())


def test_every_name_is_imported_in_steps_and_works_there_or_refuses(imported: tuple[str, ...]) -> None:
    assert set(imported) == {name for name in names.NAMES if not has_side_in_steps(name) and not name.startswith("__")}


def test_importing_run_costs_milliseconds(tmp_path: Path) -> None:
    """Measure processors' time, the least of some tries, beside that of a Python which does nothing."""
    variables = {
        "PYTHONPATH": str(bundle_folder(tmp_path)),
        "AZUREML_RUN_ID": "step",
        "STEPWELL_CONTROL": str(tmp_path),
    }

    def seconds(code: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, "-S", "-c", code], env=variables, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    least = {code: min(seconds(code) for _ in range(7)) for code in ("pass", "from azureml.core import Run")}
    assert least["from azureml.core import Run"] - least["pass"] < 0.06, "15 ms on a quiet machine"
