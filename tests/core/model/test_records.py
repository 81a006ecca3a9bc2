"""Definitions and records: every type survives JSON, and its JSON is that of the first release."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from dataclasses import MISSING, fields

from typing import Any

import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell.model.digests import encode
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.definitions import (
    DataSource,
    EnvironmentDefinition,
    UnboundInput,
    InputPort,
    OutputPort,
    OutputSource,
    ParameterDefinition,
    ParameterSource,
    Piece,
    PipelineDefinition,
    StepDefinition,
)
from stepwell.model.jsonable import Jsonable
from stepwell.model.records import Artifact, Decision, Exit, StepCall, StepRecord, StepResult

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TABLE = Artifact("store", "azureml/1/table", "a" * 64, 12, kept=True)
STEP = StepDefinition(
    id="train",
    name="train.py",
    type="PythonScriptStep",
    source_directory="/src",
    script="train.py",
    arguments=((Piece("text", "--rate="), Piece("parameter", "rate")), (Piece("input", "table"),)),
    inputs=(
        InputPort("table", OutputSource("prepare", "table"), "table"),
        InputPort("raw", DataSource("store", "raw.csv"), "raw", "download", "in"),
        InputPort("named", ParameterSource("path"), "named"),
        InputPort("open", UnboundInput("open"), "open"),
    ),
    outputs=(OutputPort("model", "model", destination="models/{run-id}"),),
    parameters=(
        ParameterDefinition("rate", "float", 0.5),
        ParameterDefinition("path", "data", DataSource("store", "x")),
    ),
    params={"RATE": (Piece("parameter", "rate"),)},
    environment=EnvironmentDefinition(variables={"A": "b"}),
    run_after=("prepare", "check"),
    timeout_seconds=2.5,
)
RECORD = StepRecord(
    key="k" * 64,
    step="train.py",
    fingerprint=Fingerprint((Row("script", "train.py", "sha256:00"), Row("parameter", "rate", "é"))),
    outputs={"table": TABLE},
    run_id="1",
    step_run_id="2",
    started="2026-01-01T00:00:00+00:00",
    seconds=1.5,
    sequence=3,
    metrics=({"name": "loss", "value": [0.5, None]},),
)


def test_the_json_of_a_record_is_that_of_the_first_release() -> None:
    assert json.loads(encode(RECORD.to_json())) == {
        "key": "k" * 64,
        "step": "train.py",
        "fingerprint": [["script", "train.py", "sha256:00"], ["parameter", "rate", "é"]],
        "outputs": {
            "table": {"datastore": "store", "path": "azureml/1/table", "digest": "a" * 64, "size": 12, "kept": True}
        },
        "run_id": "1",
        "step_run_id": "2",
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "sequence": 3,
        "metrics": [{"name": "loss", "value": [0.5, None]}],
        "reused": False,
    }


def test_a_step_in_the_json_of_the_first_release_can_be_read_and_only_gained_fields() -> None:
    first: dict[str, Any] = {
        "id": "train",
        "name": "train.py",
        "type": "PythonScriptStep",
        "source_directory": "/src",
        "script": "train.py",
        "arguments": [[["text", "--rate="], ["parameter", "rate"]], [["input", "table"]]],
        "shell": False,
        "inputs": [
            port("table", {"step": "prepare", "output": "table"}),
            port("raw", {"datastore": "store", "path": "raw.csv"}) | {"mode": "download", "path_on_compute": "in"},
            port("named", {"parameter": "path"}),
            port("open", {"hole": "open"}),
        ],
        "outputs": [
            {
                "name": "model",
                "variable": "model",
                "datastore": None,
                "mode": "mount",
                "path_on_compute": None,
                "destination": "models/{run-id}",
                "pipeline_output": None,
            }
        ],
        "parameters": [
            {"name": "rate", "type": "float", "default": 0.5, "secret": False},
            {"name": "path", "type": "data", "default": {"datastore": "store", "path": "x"}, "secret": False},
        ],
        "params": {"RATE": [["parameter", "rate"]]},
        "hash_paths": [],
        "environment": {"interpreter": "", "variables": {"A": "b"}},
        "compute_target": "local",
        "run_after": ["prepare", "check"],
        "allow_reuse": True,
        "version": "",
        "strict": False,
        "retries": 0,
        "retry_delay_seconds": 0,
        "timeout_seconds": 2.5,
    }
    assert StepDefinition.from_json(first) == STEP
    now = json.loads(encode(STEP.to_json()))
    lists = ("parameters", "inputs", "outputs")
    grown = ("environment", *lists)
    assert {name: now[name] for name in first} | {name: first[name] for name in grown} == first
    assert now["environment"] | first["environment"] == now["environment"]
    for name in lists:
        assert [new | old for new, old in zip(now[name], first[name], strict=True)] == now[name]


def port(name: str, source: dict[str, str]) -> dict[str, object]:
    return {"name": name, "source": source, "variable": name, "mode": "mount", "path_on_compute": None}


@pytest.mark.parametrize(
    "value",
    [
        STEP,
        RECORD,
        TABLE,
        PipelineDefinition("p", "", "ws", (STEP,), STEP.parameters),
        StepCall(STEP, "s" * 64, {"table": TABLE}, {"rate": "0.5"}, RECORD.fingerprint, ("train.py",)),
        Exit(-9, 1.5, timed_out=True),
        Decision("train", "run", ("script train.py changed",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_survives_json(value: Jsonable) -> None:
    assert type(value).from_json(json.loads(encode(value.to_json()))) == value


@MANY
@given(strategies.jsonables)
def test_any_value_of_any_type_survives_json_with_its_types(value: Jsonable) -> None:
    duplicate = type(value).from_json(json.loads(json.dumps(value.to_json())))
    assert (duplicate, repr(duplicate)) == (value, repr(value))


@pytest.mark.parametrize("kind", strategies.JSONABLES)
def test_a_foreign_or_missing_field_is_refused(kind: type[Jsonable]) -> None:
    with pytest.raises(TypeError):
        kind.from_json({"no such field": 1})
    if any(f.default is MISSING and f.default_factory is MISSING for f in fields(kind)):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            kind.from_json({})


@MANY
@given(st.sampled_from(strategies.JSONABLES), st.data())
def test_a_wrong_shape_raises_nothing_unexpected(kind: type[Jsonable], data: st.DataObject) -> None:
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    shape = data.draw(st.fixed_dictionaries(dict.fromkeys(names, strategies.json_values)) | strategies.json_values)
    with suppress(TypeError, ValueError):
        assert isinstance(kind.from_json(shape), kind)  # type: ignore[arg-type]


def test_a_step_waits_for_its_data_first_then_for_its_order_each_once() -> None:
    assert STEP.upstream == ("prepare", "check")


def test_an_exit_is_fine_only_if_nobody_stopped_it() -> None:
    assert Exit(0, 1.0).ok
    assert not any(
        (Exit(1, 1.0).ok, Exit(-9, 1.0).ok, Exit(0, 1.0, timed_out=True).ok, Exit(0, 1.0, cancelled=True).ok)
    )


def test_a_result_is_its_outputs_and_survives_pickling() -> None:
    result = StepResult(RECORD)
    duplicate = pickle.loads(pickle.dumps(result))
    assert dict(duplicate) == dict(result) == {"table": TABLE}
    assert duplicate.record == RECORD


def test_a_calls_key_is_its_fingerprints() -> None:
    assert StepCall(STEP, "", {}, {}, RECORD.fingerprint, ()).key == RECORD.fingerprint.key
