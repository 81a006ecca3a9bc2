"""Whatever is sent to the endpoint, it responds; and what it takes is what the pipeline takes."""

from __future__ import annotations

import json
import random
import time
from uuid import uuid4

import pytest
from amounts import tries
from projects import Project
from hypothesis import HealthCheck, given, settings
from published import endpoint, every_kind, path_of

from stepwell import PipelineEndpoint, Workspace
from stepwell.deployments.endpoint import app
from stepwell.deployments.access import authentication
from stepwell.deployments.endpoint.app import EndpointOptions, create_app
from stepwell.flows.publishing.submission import SubmittedRun, check_request

BODIES, SUBMITTED = tries(1_000), tries(100)


@pytest.fixture(scope="module")
def published(server, tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("fuzz"), Workspace.create("fuzz"))
    found = every_kind(project).publish("fuzz")
    PipelineEndpoint.publish(project.workspace, "fuzz-stable", "", found)
    return found


@pytest.fixture
def taken(published):
    """The run requests that were accepted; Prefect is asked once only, and no run is made."""
    requests = []

    def checked(block, run_request, workspace):
        values = check_request(block, run_request, workspace)
        requests.append((run_request, values))
        return SubmittedRun(str(uuid4()), "name", time.time(), True, {})

    with pytest.MonkeyPatch.context() as patch:
        registry = authentication.SHARED.get()
        patch.setattr(authentication.SHARED, "get", lambda: registry)
        patch.setattr(app, "check_queue", lambda most: None)
        patch.setattr(app, "submit_run", checked)
        yield requests


@pytest.mark.usefixtures("taken")
def test_every_documented_call_is_answered_as_documented():
    import schemathesis  # here, since it is slow to import
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    app = create_app(EndpointOptions(host="example.org", with_token=False, rate=1e9))
    operations = [found.ok() for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()]
    for operation in operations:
        fuzz(operation, positive_data_acceptance)  # no schema knows which data are there
    assert len(operations) >= 8


def fuzz(operation, *excluded):
    @given(case=operation.as_strategy())
    @settings(
        max_examples=tries(40), deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def answered(case):
        response = case.call()
        assert response.status_code < 500
        case.validate_response(response, excluded_checks=excluded)

    answered()


def test_random_bodies_are_taken_or_refused(published, taken):
    dice, address = random.Random(4), path_of(published.endpoint)
    codes, before = [], len(taken)
    with endpoint(rate=1e9) as client:
        for _ in range(BODIES):
            raw = random_body(dice)
            response = client.post(address, content=raw, headers={"Content-Type": "application/json"})
            assert response.status_code in (202, 400, 413), (raw, response.text)
            codes.append(response.status_code)
            if response.status_code != 202:
                assert response.json()["error"]["message"], raw
    assert codes.count(202) > BODIES / 20
    assert codes.count(400) > BODIES / 5
    assert len(taken) - before == codes.count(202)


def test_what_is_taken_becomes_a_run(published):
    client, dice = endpoint(), random.Random(5)
    address, runs = path_of(published.endpoint), []
    for _ in range(SUBMITTED):
        response = client.post(address, content=random_body(dice), headers={"Content-Type": "application/json"})
        assert response.status_code in (202, 400, 413), response.text
        runs += [response.json()["Id"]] if response.status_code == 202 else []
    assert len(set(runs)) == len(runs) > 0


GOOD = {
    "whole": [1, 9, "5", 0, 10, 1.0, "x", None, True, 10**30],
    "real": [0.5, 1, "1e3", "nan", 1e308, [], "∞"],
    "flag": [True, "false", "yes", 1, None],
    "text": ["", "x", "ü", "\n", "-x", "a" * 40_000, 5, None, {}],
    "maybe": [None, 1, "2", "none", 1.5],
    "colour": ["red", "blue", None, ["red"]],
    "sizes": [[], [1], ["1"], [[1]], "1,2", None, [1] * 2_000],
    "data": ["given/a.csv", "given/../a", "given/", "", 5, None, {"DataStoreName": "given", "RelativePath": "a.csv"}],
    "nope": [1],
}
FIELDS = {
    "ExperimentName": ["e", "", None, 5, "a/b", "x" * 300],
    "Tags": [{}, {"a": "b"}, {"": "x"}, {"a": 1}, [], None, {"a": "\x01"}],
    "tags": [{"a": "b"}, None],
    "DataPathAssignments": [
        {},
        {"data": {"DataStoreName": "given", "RelativePath": "a.csv"}},
        {"data": {"DataStoreName": "given", "RelativePath": "../a"}},
        {"data": {}},
        [],
    ],
    "RegenerateOutputs": [True, None, "true"],
    "ContinueRunOnStepFailure": [False, 0],
    "Description": ["x", 5, None],
    "Properties": [{"a": "b"}, {"a": None}],
    "Nope": [1],
}


def random_body(dice):
    """A valid body, made wrong in none, one or several places; or anything at all."""
    kind = dice.random()
    if kind < 0.05:
        return bytes(dice.randrange(256) for _ in range(dice.randrange(200)))
    if kind < 0.15:
        return json.dumps(random_json(dice, 4)).encode()
    body = {"ExperimentName": "e"}
    if dice.random() < 0.7:
        body["ParameterAssignments"] = {
            name: dice.choice(GOOD[name][:3]) if dice.random() < 0.8 else dice.choice(GOOD[name])
            for name in dice.sample(sorted(GOOD)[:-1] if dice.random() < 0.9 else sorted(GOOD), dice.randrange(4))
        }
    for name in dice.sample(sorted(FIELDS), dice.randrange(3)):
        body[name] = dice.choice(FIELDS[name])
    raw = json.dumps(body, ensure_ascii=dice.random() < 0.5).encode()
    if dice.random() < 0.1:
        position = dice.randrange(len(raw))
        raw = raw[:position] + bytes([dice.randrange(256)]) * dice.randrange(3) + raw[position + dice.randrange(3) :]
    return raw


def random_json(dice, depth):
    plain = [None, True, -1, 0.5, 1e308, "", "x", "ExperimentName", "\x00", "\ud800"]
    if depth == 0 or dice.random() < 0.3:
        return dice.choice(plain)
    if dice.random() < 0.5:
        return [random_json(dice, depth - 1) for _ in range(dice.randrange(4))]
    names = ["ExperimentName", "ParameterAssignments", "Tags", "a", ""]
    return {dice.choice(names): random_json(dice, depth - 1) for _ in range(dice.randrange(4))}
