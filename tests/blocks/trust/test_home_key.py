"""The key pair of a home."""

import base64
import os
import stat

import pytest

from stepwell.blocks.trust.home_key import home_key, id_of, is_signed_by
from stepwell.errors import StepwellError


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_home_has_one_key_pair_whose_private_half_only_its_owner_reads(own_home):
    first, second = home_key(), home_key()
    assert first.public == second.public
    assert first.key_id == id_of(first.public) and len(first.key_id) == 16
    assert stat.S_IMODE(os.stat(own_home / "home.key").st_mode) == 0o600
    secret = (own_home / "home.key").read_text().strip()
    assert secret not in repr(first) and secret not in first.public


def test_what_it_signed_is_known_by_its_public_half():
    key = home_key()
    signature = key.sign(b"a result")
    assert is_signed_by(key.public, b"a result", signature)
    assert not is_signed_by(key.public, b"another", signature)


def test_another_home_has_another_key(tmp_path, monkeypatch):
    ours = home_key()
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "other"))
    theirs = home_key()
    assert theirs.key_id != ours.key_id
    assert not is_signed_by(theirs.public, b"a result", ours.sign(b"a result"))


@pytest.mark.parametrize("wrong", ["", "no base64!", base64.b64encode(b"short").decode(), "é"])
def test_what_is_no_key_or_no_signature_proves_nothing(wrong):
    key = home_key()
    assert not is_signed_by(wrong, b"a result", key.sign(b"a result"))
    assert not is_signed_by(key.public, b"a result", wrong)


def test_a_damaged_key_is_told(own_home):
    home_key()
    (own_home / "home.key").write_text("nonsense")
    with pytest.raises(StepwellError, match="A key of this home is damaged"):
        home_key()
