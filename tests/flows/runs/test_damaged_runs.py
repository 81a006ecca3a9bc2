"""Whatever stands in a run's folder, what is known of the run is shown, and no other run suffers."""

from __future__ import annotations

import copy
import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from savings import answers_are_remembered

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.deployments.reports.report import in_json, report, run_lines
from stepwell.flows.pages.report import report_html
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.runs.comparing.run_lines import RunLine
from stepwell.flows.runs.summary import summarize

FACTS: dict[str, Any] = {
    "id": "x",
    "number": 1,
    "created": 1.0,
    "name": "digits#1",
    "experiment": "e",
    "machine": "me@here",
    "tags": {"a": "b"},
    "properties": {"c": "d"},
    "parameters": {"p": "1"},
    "snapshots": {"s": "0" * 64},
    "published": {"id": "y", "name": "digits", "version": "1"},
    "parent_run_id": "z",
    "trial": {"step": "s", "arguments": ["--a"], "number": 1, "hyperparameters": {"a": 1}},
    "pipeline": {
        "name": "digits",
        "parameters": [{"name": "p", "type": "int", "default": "1"}],
        "steps": [{"id": "s", "name": "s", "outputs": [{"name": "o", "pipeline_output": "told"}]}],
    },
}
JOURNAL: list[dict[str, Any]] = [
    {"at": "2026-01-01T00:00:00.000+00:00", "status": "Running"},
    {"at": "2026-01-01T00:00:01.000+00:00", "step": "s", "status": "done", "step_run_id": "t", "seconds": 1.0,
     "why": ["new"], "upstream": ["r"], "ran_on": {"place": "here"}, "datasets": {"i": {"name": "n", "version": 1}},
     "registered": {"o": {"name": "n"}}, "key": "k", "trial": "u", "undeclared": ["f"], "undeclared_count": 1},
    {"at": "2026-01-01T00:00:02.000+00:00", "status": "Finished", "warning": "w", "problem": "p"},
]  # fmt: skip
ODD = (None, "\ud800", [None])


def changed(value: Any) -> Iterator[Any]:
    """Yield copies of the value in which one part, at any depth, is gone or something odd."""
    if isinstance(value, dict | list):
        for place in list(value) if isinstance(value, dict) else range(len(value)):
            less = copy.copy(value)
            del less[place]
            yield less
            for part in changed(value[place]):
                other = copy.copy(value)
                other[place] = part
                yield other
    yield from ODD


def looked_at(run: PipelineRun) -> None:
    """Look at all that people are shown of the run."""
    summary = summarize(run.folder)
    json.dumps(in_json(summary, run.folder), default=str)
    "".join(run_lines([RunLine.of(summary)], {summary.run_id: "x"}))
    report(run.folder, guards=True)
    report_html(run.folder, run._known_record).encode()
    run.get_details(), run.get_metrics(recursive=True), run.get_outputs(), run.gone_outputs(), run.tags, run.properties
    run.find_step_run("s"), run.name, run.display_name, run.number, run.description
    for step in run.get_steps():
        step.get_job_log(), step.get_metrics(), step.get_file_names(), step.get_status(), step.get_details()


@pytest.fixture
def run(shared_workspace: Any) -> PipelineRun:
    return PipelineRun(Experiment(shared_workspace, "e"), "00000000-0000-4000-8000-000000000001")


def written(run: PipelineRun, facts: Any, journal: list[Any]) -> None:
    folder: RunFolder = run.folder
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "run.json").write_text(json.dumps(facts))
    (folder.path / "journal.jsonl").write_text("\n".join(map(json.dumps, journal)))


def failures(run: PipelineRun, kept: Iterator[tuple[Any, list[Any]]]) -> dict[str, Any]:
    """Look at the run as often as it is kept in another way, and return what failed where, with one of what did it."""
    found: dict[str, Any] = {}
    with answers_are_remembered():  # the server knows nothing of the run, however it is kept
        for facts, journal in kept:
            written(run, facts, journal)
            try:
                looked_at(run)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                found.setdefault(f"{place.filename}:{place.lineno} {error!r:.80}", (facts, journal))
    return found


def test_odd_facts_are_left_out(run: PipelineRun) -> None:
    found = failures(run, ((facts, JOURNAL) for facts in changed(FACTS)))
    assert not found, "\n".join(found)


def test_odd_events_are_left_out(run: PipelineRun) -> None:
    found = failures(run, ((FACTS, one if isinstance(one, list) else [one]) for one in changed(JOURNAL)))
    assert not found, "\n".join(found)
