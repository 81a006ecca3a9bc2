"""Tokens: what is saved of them, who is let in, and how they end."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid

import prefect_api
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.blocks.server import documents
from stepwell.blocks.access import tokens
from stepwell.errors import UserErrorException

SECRET = "s" * 43


def block(**more):
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    return tokens.TokenBlock(**{"token_id": "0" * 12, "label": "x", "digest": digest, "created": 100.0, **more})


@pytest.fixture
def label(server):
    """Return a label that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


def test_a_token_opens_what_its_block_says_and_its_secret_is_kept_nowhere(server, label):
    made, token = tokens.create(label, read=False, endpoints=["churn"], days=2)
    token_id, secret = tokens.parsed(token)
    assert token == f"stw_{token_id}_{secret}" and len(secret) == 43
    found = tokens.find(token_id)
    assert all(getattr(found, field) == getattr(made, field) for field in tokens.TokenBlock.model_fields)
    assert found.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert (found.label, found.run, found.read, found.endpoints) == (label, True, False, ["churn"])
    assert found.expires == pytest.approx(found.created + 2 * 86400)
    assert tokens.is_valid(found, secret, found.created)
    body = {"block_types": {"slug": {"any_": ["stepwell-token"]}}, "include_secrets": True}
    everything = prefect_api.post(f"{server}/block_documents/filter", json=body).text
    assert token_id in everything and secret not in everything
    assert secret not in repr(found) + str(found) and found.digest not in repr(found)


def test_two_tokens_share_nothing(label):
    (one, first), (two, second) = tokens.create(label), tokens.create(label)
    assert one.token_id != two.token_id and first[-43:] != second[-43:]
    assert not tokens.is_valid(one, second[-43:], one.created)
    assert [found.token_id for found in tokens.listed() if found.label == label] == [one.token_id, two.token_id]


@pytest.mark.parametrize("by", ["id", "label", "prefix", "token"])
def test_a_revoked_token_is_worth_nothing(label, by):
    made, token = tokens.create(label)
    words = {"id": made.token_id, "label": label, "prefix": label[:-2], "token": token}
    gone = tokens.revoke(words[by])
    assert gone.token_id == made.token_id
    found = tokens.find(made.token_id)
    assert found.revoked == gone.revoked >= found.created
    assert not tokens.is_valid(found, tokens.parsed(token)[1], found.created)
    assert tokens.revoke(made.token_id).revoked == found.revoked, "the first revocation counts"


def test_a_word_must_mean_one_token(label):
    one, _ = tokens.create(f"{label} a")
    two, _ = tokens.create(f"{label} b")
    with pytest.raises(UserErrorException, match="Several") as raised:
        tokens.revoke(label)
    assert raised.value.facts == {one.token_id: one.label, two.token_id: two.label}
    tokens.revoke(one.token_id)
    assert tokens.revoke(label).token_id == two.token_id, "of several, the one in force is meant"


@pytest.mark.parametrize("word", ["", "no such label", "0" * 12, f"stw_{'0' * 12}_{SECRET}", "\ud800"])
def test_an_unknown_token_is_told_without_its_secret(label, word):
    tokens.create(label)
    with pytest.raises(UserErrorException, match="no such token") as raised:
        tokens.revoke(word)
    assert SECRET not in raised.value.message and raised.value.hint


def test_a_label_that_is_another_ones_beginning_can_be_named(label):
    short, _ = tokens.create(label)
    tokens.create(f"{label}-more")
    assert tokens.revoke(label).token_id == short.token_id


@pytest.mark.parametrize(
    "arguments",
    [
        {"label": ""}, {"label": " x"}, {"label": "a\nb"}, {"label": "x" * 101}, {"label": "\ud800"},
        {"run": False, "read": False}, {"endpoints": [""]}, {"endpoints": ["a\0"]},
        {"days": 0}, {"days": -1}, {"days": float("nan")}, {"days": float("inf")}, {"days": 1e300},
    ],
)  # fmt: skip
def test_what_makes_no_token(server, arguments):
    before = len(tokens.listed())
    with pytest.raises(UserErrorException) as raised:
        tokens.create(**{"label": "x", **arguments})
    assert raised.value.hint and raised.value.message.encode()
    assert len(tokens.listed()) == before


@pytest.mark.parametrize("token_id", ["", "f" * 12, "../x", "F" * 12])
def test_an_unknown_id_finds_nothing(server, token_id):
    assert tokens.find(token_id) is None


def test_a_damaged_block_opens_nothing_and_is_in_nobodys_way(server, label):
    made, _ = tokens.create(label)
    found = documents.load(tokens.TokenBlock, f"token-{made.token_id}")
    data = {"data": {"created": "long ago"}, "merge_existing_data": True}
    place = f"{server}/block_documents/{found._block_document_id}"
    assert prefect_api.patch(place, json=data).is_success
    assert tokens.find(made.token_id) is None
    other, _ = tokens.create(label + "-2")
    assert other.token_id in [block.token_id for block in tokens.listed()]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"stw_0123456789ab_{SECRET}", ("0123456789ab", SECRET)),
        (f"stw_0123456789ab_{'-_' * 21}a", ("0123456789ab", "-_" * 21 + "a")),
        (f"stw_0123456789ab_{SECRET[:-1]}", None),
        (f"stw_0123456789ab_{SECRET}\n", None),
        (f" stw_0123456789ab_{SECRET}", None),
        (f"stw_0123456789AB_{SECRET}", None),
        (f"stw_0123456789ab_{SECRET[:-1]}é", None),
        ("", None),
    ],
)
def test_the_shape_of_a_token(text, parts):
    assert tokens.parsed(text) == parts


@given(st.text())
def test_any_text_can_be_asked_about(text):
    parts = tokens.parsed(text)
    assert parts is None or f"stw_{parts[0]}_{parts[1]}" == text
    assert not tokens.is_valid(block(), text, 200.0) and not tokens.is_valid(None, text, 200.0)


@given(st.characters(), st.integers(0, 42))
def test_one_other_character_is_another_secret(character, index):
    other = SECRET[:index] + character + SECRET[index + 1 :]
    assert tokens.is_valid(block(), other, 200.0) == (other == SECRET)


@pytest.mark.parametrize(
    ("more", "now", "valid"),
    [
        ({}, 0.0, True),
        ({"expires": 200.0}, 199.9, True),
        ({"expires": 200.0}, 200.0, False),
        ({"expires": float("nan")}, 150.0, False),
        ({"revoked": 150.0}, 120.0, False),
        ({"revoked": 0.0}, 160.0, False),
        ({"digest": ""}, 160.0, False),
        ({"digest": "é"}, 160.0, False),
    ],
)
def test_when_a_token_is_in_force(more, now, valid):
    assert tokens.is_valid(block(**more), SECRET, now) is valid


def test_an_unknown_id_is_compared_like_a_known_one(monkeypatch):
    compared = []
    original = hmac.compare_digest

    def compare(kept, given):
        compared.append((len(kept), len(given)))
        return original(kept, given)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert not tokens.is_valid(None, SECRET, 0.0)
    assert not tokens.is_valid(block(), "wrong", 0.0)
    assert not tokens.is_valid(block(revoked=1.0), SECRET, 0.0)
    assert compared == [(64, 64)] * 3


@pytest.mark.parametrize(
    ("more", "action", "names", "allowed"),
    [
        ({}, "run", ["churn"], True),
        ({}, "read", [], True),
        ({"run": False}, "run", ["churn"], False),
        ({"run": False}, "read", ["churn"], True),
        ({"read": False}, "read", [], False),
        ({"endpoints": ["churn"]}, "run", ["churn", "an-id"], True),
        ({"endpoints": ["an-id", "other"]}, "read", iter(["churn", "an-id"]), True),
        ({"endpoints": ["churn"]}, "run", ["churn2", "Churn", "chur"], False),
        ({"endpoints": ["churn"]}, "run", [], False),
        ({"endpoints": ["churn"], "run": False}, "run", ["churn"], False),
    ],
)
def test_what_a_token_allows(more, action, names, allowed):
    assert tokens.allows(block(**more), action, names) is allowed


def test_a_block_turns_to_json_without_loss():
    kept = block(endpoints=["a"], expires=5.0, run=False)
    assert tokens.TokenBlock(**json.loads(kept.model_dump_json())).model_dump() == kept.model_dump()
