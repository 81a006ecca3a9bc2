"""Whose signed results a workspace believes."""

import uuid

import pytest

from stepwell.blocks.trust import trusted_keys
from stepwell.blocks.trust.home_key import home_key
from stepwell.blocks.trust.trusted_keys import TrustedKeys, change_key, find_key, keys_of
from stepwell.errors import UserErrorException, WorkspaceException


@pytest.fixture
def name():
    return f"trusting-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def another_home(tmp_path, monkeypatch):
    """Return what does something as another home would, against the same server."""

    def run(action):
        with monkeypatch.context() as patch:
            patch.setattr("stepwell.blocks.trust.home_key.kept_key", lambda _: "5e" * 32)
            return action()

    return run


def test_a_home_makes_its_key_known_once_and_others_believe_it(name, another_home):
    key = TrustedKeys(name).own()
    assert TrustedKeys(name).own().key_id == key.key_id
    (known,) = keys_of(name)
    assert known.key_id == key.key_id and known.role == "writer" and "@" in known.owner
    signature = key.sign(b"record")
    assert another_home(lambda: TrustedKeys(name).refusal(key.key_id, b"record", signature)) == ""
    assert TrustedKeys(name).refusal(key.key_id, b"another", signature) == "was damaged or forged"
    assert TrustedKeys(name).owner_of(key.key_id) == known.owner


def test_a_key_that_the_workspace_does_not_know_is_not_believed(name):
    key = home_key()
    assert "doesn't know" in TrustedKeys(name).refusal(key.key_id, b"record", key.sign(b"record"))
    TrustedKeys(f"{name}-other").own()
    assert "doesn't know" in TrustedKeys(name).refusal(key.key_id, b"record", key.sign(b"record"))


def test_a_key_that_came_after_the_look_is_found(name, another_home):
    ours = TrustedKeys(name)
    ours.own()
    theirs = another_home(lambda: TrustedKeys(name).own())
    assert ours.refusal(theirs.key_id, b"record", theirs.sign(b"record")) == ""


def test_what_a_revoked_key_signed_is_not_believed_until_it_is_believed_again(name):
    key = TrustedKeys(name).own()
    signature = key.sign(b"record")
    change_key(name, key.key_id[:6], revoked=True)
    assert "revoked" in TrustedKeys(name).refusal(key.key_id, b"record", signature)
    assert TrustedKeys(name).own().key_id == key.key_id  # it does not come back by being used
    assert "revoked" in TrustedKeys(name).refusal(key.key_id, b"record", signature)
    change_key(name, key.key_id, revoked=False)
    assert TrustedKeys(name).refusal(key.key_id, b"record", signature) == ""


def test_a_look_is_repeated_after_a_while(name, monkeypatch):
    keys = TrustedKeys(name)
    key = keys.own()
    signature = key.sign(b"record")
    assert keys.refusal(key.key_id, b"record", signature) == ""
    change_key(name, key.key_id, revoked=True)
    monkeypatch.setattr(trusted_keys, "_SECONDS", -1.0)
    assert "revoked" in keys.refusal(key.key_id, b"record", signature)


def test_where_only_ci_is_believed_others_are_not(name, another_home):
    ours, theirs = TrustedKeys(name).own(), another_home(lambda: TrustedKeys(name).own())
    change_key(name, theirs.key_id, role="ci")
    strict = TrustedKeys(name, ("ci",))
    assert strict.refusal(theirs.key_id, b"record", theirs.sign(b"record")) == ""
    assert "believes ci only" in strict.refusal(ours.key_id, b"record", ours.sign(b"record"))


def test_an_exchanged_public_key_is_none_of_that_name(name, another_home):
    ours, theirs = TrustedKeys(name).own(), another_home(home_key)
    block = find_key(name, ours.key_id)
    trusted_keys.documents.save_named(block.model_copy(update={"public": theirs.public}))
    assert "doesn't know" in TrustedKeys(name).refusal(ours.key_id, b"record", theirs.sign(b"record"))


def test_keys_are_named_by_their_beginning_or_their_owner(name, another_home):
    ours = TrustedKeys(name).own()
    assert find_key(name, ours.key_id[:5]).key_id == ours.key_id
    assert find_key(name, find_key(name, ours.key_id).owner).key_id == ours.key_id
    another_home(lambda: TrustedKeys(name).own())
    with pytest.raises(WorkspaceException, match="2 keys of workspace"):
        find_key(name, find_key(name, ours.key_id).owner)
    with pytest.raises(WorkspaceException, match="No keys"):
        find_key(name, "nobody")


def test_a_role_that_there_is_not_is_refused(name):
    key = TrustedKeys(name).own()
    with pytest.raises(UserErrorException, match="no role 'admin'"):
        change_key(name, key.key_id, role="admin")


def test_keys_that_nobody_knows_cost_no_look_each(name, another_home, monkeypatch):
    ours = TrustedKeys(name)
    key = ours.own()
    looks = []
    real = trusted_keys.keys_of
    monkeypatch.setattr(trusted_keys, "keys_of", lambda workspace: looks.append(workspace) or real(workspace))
    for number in range(100):
        for _ in range(3):
            assert "doesn't know" in ours.distrust(f"{number:016x}")
    assert len(looks) <= 20
    assert ours.distrust(key.key_id) == ""
    theirs = another_home(lambda: TrustedKeys(name).own())
    monkeypatch.setattr(trusted_keys, "_SECONDS", -1.0)
    assert ours.distrust(theirs.key_id) == "", "after a while it is asked again"
