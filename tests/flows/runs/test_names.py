"""Names of experiments, and of runs in Prefect."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.utilities.names import generate_slug

from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.made_up_names import is_generated
from stepwell.blocks.store.run_folder import run_label
from stepwell.blocks.workspace.publications import check_name
from stepwell.errors import UserErrorException
from stepwell.flows.runs.names import check_experiment, usual_experiment, usual_name
from stepwell import Experiment


def test_names_that_prefect_makes_up_are_known() -> None:
    assert all(is_generated(generate_slug(2)) for _ in range(200))


@pytest.mark.parametrize("name", ["nightly", "digits #12", "digits#12", "my-run", "", "2026-11-26", "big eel"])
def test_other_names_are_somebodys_choice(name: str) -> None:
    assert not is_generated(name)


def test_a_name_is_made_that_experiments_can_have() -> None:
    assert check_experiment(usual_experiment("Größe / 1")) == "Gr__e___1"
    with pytest.raises(UserErrorException, match="can't name an experiment"):
        check_experiment("a b")


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("Train the model", "Train the model"),
        ("  Several\n\tlines\r\nof text ", "Several lines of text"),
        ("50% of a/b & <c>", "50_ of a_b _ _c_"),
        ("\x1b[1mbold\udc80\u200b", "[1mbold"),
        ("x" * 300, "x" * 200),
        ("\n \x00", "pipeline"),
        (None, "pipeline"),
    ],
)
def test_any_description_makes_a_name_that_flows_can_have(description: str | None, name: str) -> None:
    assert usual_name(description) == name
    assert check_name(name, "published pipeline") == name


def names_in_prefect(*names: str) -> set[str]:
    wanted = FlowRunFilter(name=FlowRunFilterName(any_=list(names)))
    with client() as api:
        return {run.name for run in api.read_flow_runs(flow_run_filter=wanted)}


def test_runs_are_called_after_pipeline_and_number(project: Any) -> None:
    pipeline = project.pipeline(project.step("a.py", ""), name=f"named {project.workspace.name}")
    first = project.run(pipeline)
    run = Experiment(project.workspace, "names").submit(pipeline)
    run.wait_for_completion(show_output=False)
    expected = [run_label(pipeline.name, number) for number in (1, 2)]
    assert [first.facts["name"], run.folder.facts()["name"]] == expected
    assert names_in_prefect(*expected) == set(expected)


def test_a_chosen_name_stays(project: Any) -> None:
    pipeline = project.pipeline(project.step("a.py", ""))
    name = f"chosen for {project.workspace.name}"
    with client_settings():
        pipeline.flow.with_options(flow_run_name=name)()
    assert names_in_prefect(name) == {name}
