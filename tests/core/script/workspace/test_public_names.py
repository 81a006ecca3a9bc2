"""Public names in a step: those with a side there work, the others can be imported and refuse; no Prefect, no home."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from enum import Enum
from pathlib import Path

import pytest

import stepwell
from stepwell.script.workspace import public_names


def in_a_step(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {"AZUREML_RUN_ID": "step", "STEPWELL_CONTROL": str(folder), "HOME": str(folder), "PATH": "/usr/bin"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=variables, capture_output=True, text=True)


def test_every_public_name_can_be_imported_in_a_step(tmp_path: Path) -> None:
    done = in_a_step(
        """
        import sys, stepwell
        from stepwell import *
        from stepwell import Pipeline, PipelineData, Run
        from stepwell.errors import UserErrorException
        def annotated(data: PipelineData | None) -> Pipeline: ...
        class Own(Pipeline): ...
        for use in (Pipeline, lambda: Pipeline.load_yaml(1), Own):
            try:
                use()
            except UserErrorException as error:
                print(error.title, "|", error.hint)
        assert Pipeline is stepwell.Pipeline and not isinstance(Run.get_context(), PipelineData)
        print([name for name in sys.modules if name.split(".")[0] in ("prefect", "pydantic", "lazy_loader")])
        print(sorted(stepwell.__all__) == dir(stepwell), *stepwell.__all__)
        """,
        tmp_path,
    )
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "Pipeline can't be used in a step | Use it where the pipeline is submitted.",
        "Pipeline.load_yaml can't be used in a step | Use it where the pipeline is submitted.",
        "Own can't be used in a step | Use it where the pipeline is submitted.",
    ], done.stderr
    assert lines[3] == "[]" and lines[4].startswith("True ") and set(stepwell.__all__) <= set(lines[4].split())


def test_what_is_no_public_name_is_not_found_in_a_step(tmp_path: Path) -> None:
    done = in_a_step("from stepwell import Pipelin", tmp_path)
    assert done.returncode == 1 and "cannot import name 'Pipelin'" in done.stderr


@pytest.mark.parametrize("name", sorted(public_names.CARRIERS))
def test_carriers_are_there(name: str) -> None:
    assert public_names.find(name) is not None


def test_outside_of_a_step_public_names_are_the_hosts() -> None:
    assert not public_names.here() and stepwell.Workspace.__module__ == "stepwell.flows.public.workspace"


def positional(function: object) -> list[tuple[str, object]]:
    found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(one.name, one.default) for one in found if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]


OWN = {"Workspace.create", "StepRun.__init__", "PipelineRun.__init__", "DataReference.__init__", "FileDataset.__init__"}
OWN |= {"TabularDataset.__init__"}
"""What refuses whatever it is given, or is made by nobody but ourselves."""


@pytest.mark.parametrize("name", sorted(set(public_names.CARRIERS) & set(stepwell.__all__)))
def test_what_a_step_has_is_called_as_on_the_host(name: str) -> None:
    host, here = getattr(stepwell, name), public_names.find(name)
    if inspect.isclass(host) and issubclass(host, (Enum, Exception)):
        return
    for member in [member for member in dir(host) if not member.startswith("_") or member == "__init__"]:
        there, ours = inspect.getattr_static(host, member), inspect.getattr_static(here, member, None)
        if (
            ours is None
            or isinstance(there, (property, type))
            or f"{name}.{member}" in OWN
            or not callable(getattr(host, member))
        ):
            continue
        assert positional(getattr(here, member)) == positional(getattr(host, member)), member
