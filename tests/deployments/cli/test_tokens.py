"""`stepwell token`, as a user types it."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from typer.testing import CliRunner

from stepwell.blocks.access import tokens
from stepwell.deployments.cli.main import app
from stepwell.errors import StepwellError


@pytest.fixture
def token(server):
    """What `stepwell token WORDS` prints on stdout and stderr; its errors are raised."""

    def call(*words):
        done = CliRunner().invoke(app, ["token", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stdout, done.stderr

    return call


@pytest.fixture
def label():
    return f"t-{uuid.uuid4().hex[:12]}"


def row(token, label):
    [found] = [line for line in token("list")[0].splitlines() if f"  {label} " in line]
    return found


def test_the_life_of_a_token(token, label):
    text, said = token("create", label)
    token_id, secret = tokens.parsed(text.removesuffix("\n"))
    assert secret not in said and "can't be shown again" in said and f"stepwell token revoke {token_id}" in said
    block = tokens.find(token_id)
    assert (block.label, block.run, block.read, block.endpoints, block.expires) == (label, True, True, [], None)
    assert tokens.is_valid(block, secret, time.time())
    listed = row(token, label)
    assert all(word in listed for word in (token_id, "valid", "run and read", "everything", "for ever"))
    assert token("revoke", token_id)[0] == f"The token {token_id} ({label}) is revoked\n"
    assert not tokens.is_valid(tokens.find(token_id), secret, time.time())
    assert "revoked" in row(token, label)


def test_a_token_is_as_narrow_as_asked(token, label):
    text, said = token("create", label, "--no-run", "--endpoint", "churn", "--endpoint", "sales", "--days", "0.5")
    block = tokens.find(tokens.parsed(text.strip())[0])
    assert (block.run, block.read, block.endpoints) == (False, True, ["churn", "sales"])
    assert block.expires == pytest.approx(block.created + 43200)
    assert "read" in said and "run and" not in said and "churn, sales" in said and "until" in said
    assert "churn, sales" in row(token, label) and "until" in row(token, label)


def test_a_list_for_programs_has_all_but_secrets(token, label):
    text, _ = token("create", label, "--no-read", "--days", "1")
    token_id, secret = tokens.parsed(text.strip())
    out, _ = token("list", "--json")
    [found] = [each for each in json.loads(out) if each["label"] == label]
    created = found.pop("created")
    assert found.pop("expires") > created
    assert found == {
        "id": token_id, "label": label, "state": "valid", "run": True, "read": False, "endpoints": [], "revoked": None,
    }  # fmt: skip
    digest = tokens.find(token_id).digest
    assert not any(word in out + token("list")[0] for word in (secret, digest))


def test_an_expired_token_is_listed_as_such(token, label):
    token("create", label, "--days", "0.0000001")
    time.sleep(0.02)
    assert "expired" in row(token, label)


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (("create", "x", "--no-run", "--no-read"), "good for nothing"),
        (("create", "x", "--days", "-1"), "can't last"),
        (("create", "x", "--days", "nan"), "can't last"),
        (("create", ""), "can't have this label"),
        (("create", "x", "--endpoint", ""), "can't be limited"),
        (("revoke", "no such label"), "no such token"),
        (("revoke", ""), "no such token"),
    ],
)
def test_mistakes_are_told_and_change_nothing(token, words, title):
    before = token("list", "--json")
    with pytest.raises(StepwellError, match=title) as raised:
        token(*words)
    assert raised.value.hint
    assert token("list", "--json") == before


def test_a_label_that_several_share_is_no_name(token, label):
    token("create", label)
    token("create", label)
    with pytest.raises(StepwellError, match="Several"):
        token("revoke", label)


def test_a_day_that_is_no_number_is_a_usage_error(server):
    assert CliRunner().invoke(app, ["token", "create", "x", "--days", "many"]).exit_code == 2
