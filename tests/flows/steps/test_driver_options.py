"""A driver runs the script of a step in Python's place; what it is told is part of the key."""

from __future__ import annotations

import json

import pytest
from stepwell import OutputFileDatasetConfig, PipelineParameter
from stepwell.errors import UserErrorException
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.step import Step

DRIVER = """
import json, os, sys

def main(script, settings):
    text = open(script).read() if script else "no script"
    with open(settings["to"] + "/told.json", "w") as stream:
        json.dump({"text": text, "argv": sys.argv, "settings": settings, "main": __name__}, stream)
    if text == "fail":
        raise ValueError("the query is empty")
"""


class QueryStep(Step):
    """A step that a driver of its own runs, from the source directory."""

    def __init__(self, project, *, out, text="select 1", script="query.sql", settings=None, **options):
        driver = {"language": "text", **options}
        project.write("own/driver.py", DRIVER)
        project.write("query.sql", text)
        super().__init__(
            name="query", script=script, arguments=["--rows", 3], outputs=[out], source_directory=project.source,
            driver=DriverOptions("own.driver", {"to": out, **(settings or {})}, **driver),
        )  # fmt: skip


@pytest.fixture
def told(project):
    """Return a function that runs the step and returns what happened, why, and what its driver was told."""

    def run(values=None, **options):
        out = OutputFileDatasetConfig("out")
        pipeline = project.pipeline(QueryStep(project, out=out, **options))
        summary = project.run(pipeline, **(values or {}))
        if not summary.steps or summary.steps[0].happened == "failed":
            return "failed", summary.steps[0].error if summary.steps else summary.problem, None
        place = project.workspace.path_of(pipeline(**(values or {}))["query"]["out"])
        return summary.steps[0].happened, summary.steps[0].why, json.loads((place / "told.json").read_text())

    return run


def test_a_driver_is_told_its_settings_and_runs_the_script(told):
    settings = {
        "limit": PipelineParameter("limit", 7),
        "names": ["a", {"b": 1}],
        "nothing": None,
        "text": "parameter:x",
    }
    happened, _, found = told(settings=settings, values={"limit": 8})
    assert (happened, found["text"], found["argv"]) == ("ran", "select 1", ["query.sql", "--rows", "3"])
    assert found["settings"].pop("to").endswith("/out")
    assert found["settings"] == {"limit": "8", "names": '["a", {"b": 1}]', "text": "parameter:x"}


def test_what_a_driver_is_told_its_version_and_the_script_are_in_the_key(told):
    one = {"settings": {"mode": "fast"}}
    assert told(**one)[0] == "ran"
    assert told(**one)[0] == "reused"
    assert told(settings={"mode": "slow"})[1] == ("setting mode: fast → slow",)
    assert told(**one, version=2)[1] == ("driver own.driver: 1 → 2",)
    assert told(**one, text="select 2")[1] == ("script query.sql changed",)


def test_a_driver_may_need_no_script(told):
    assert told(script=None)[2]["text"] == "no script"


def test_an_error_of_a_driver_is_the_steps_without_its_own_frames(told):
    happened, error, _ = told(text="fail")
    assert happened == "failed"
    assert "ValueError: the query is empty" in error


def test_packages_that_a_driver_lacks_are_named_with_their_extra(told):
    happened, problem, _ = told(modules=("no_such_engine",), extra="usql")
    assert happened == "failed"
    assert "The step 'query' needs no_such_engine, which is not installed" in problem
    assert "Hint: Install it: `pip install 'stepwell[usql]'`." in problem


def test_a_setting_that_is_no_plain_value_is_refused(project):
    with pytest.raises(UserErrorException, match="The setting 'limit' is no plain value"):
        QueryStep(
            project, out=OutputFileDatasetConfig("out"), settings={"limit": [PipelineParameter("limit", 7)]}
        ).define(step_id="query", producers={}, ids={})


def test_hints_reach_the_driver_and_decide_no_result(told):
    happened, _, first = told(hints={"workers": 2, "none": None})
    assert (happened, first["settings"]["workers"]) == ("ran", "2") and "none" not in first["settings"]
    assert told(hints={"workers": 9})[0] == "reused"
