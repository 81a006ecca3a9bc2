"""The token of a home: made once, kept private, made anew when it is worth nothing."""

from __future__ import annotations

import json
import os
import stat
import threading
import time

import pytest

from stepwell.blocks.access import home_token as module
from stepwell.blocks.access import tokens
from stepwell.blocks.access.home_token import home_token
from stepwell.errors import StepwellError, UserErrorException

TOKEN = f"stw_0123456789ab_{'x' * 43}"


@pytest.fixture
def place(server, tmp_path, monkeypatch):
    """Return the token file of a home for the token alone: a whole other home would have a server of its own."""
    monkeypatch.delenv("STEPWELL_TOKEN", raising=False)
    monkeypatch.setattr(module, "home", lambda: tmp_path)
    return tmp_path / "token"


def block_of(token):
    return tokens.find(tokens.parsed(token)[0])


def test_it_is_made_once_and_kept_for_its_owner_only(place, server):
    token = home_token()
    found = block_of(token)
    assert tokens.is_valid(found, tokens.parsed(token)[1], time.time())
    assert found.run and found.read and not found.endpoints and found.expires is None
    assert found.label.startswith("home of ") and " on " in found.label
    assert json.loads(place.read_text()) == {server: token}
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert home_token() == token


def test_a_revoked_one_is_made_anew(place, server):
    old = home_token()
    tokens.revoke(old)
    new = home_token()
    assert new != old and home_token() == new
    assert json.loads(place.read_text()) == {server: new}
    assert block_of(old).revoked


def test_an_unknown_one_is_made_anew_and_those_of_other_servers_stay(place, server):
    place.write_text(json.dumps({server: TOKEN, "http://elsewhere/api": TOKEN}))
    token = home_token()
    assert token != TOKEN
    assert json.loads(place.read_text()) == {server: token, "http://elsewhere/api": TOKEN}


def test_one_with_a_wrong_secret_is_made_anew(place, server):
    good = home_token()
    place.write_text(json.dumps({server: good[:-43] + "x" * 43}))
    assert home_token() not in (good, good[:-43] + "x" * 43)


def test_a_server_that_moved_to_another_port_keeps_its_token(place, server):
    token = home_token()
    place.write_text(json.dumps({"http://127.0.0.1:1/api": token}))
    assert home_token() == token


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"http://a/api": 1}', "\0", "[" * 100_000])
def test_a_damaged_file_is_replaced(place, text):
    place.write_text(text)
    token = home_token()
    assert token in json.loads(place.read_text()).values() and home_token() == token


def test_a_password_in_the_servers_address_is_not_kept(place, server, monkeypatch):
    monkeypatch.setattr(module, "ensure_server", lambda: server.replace("://", "://me:hunter22@"))
    home_token()
    assert "hunter22" not in place.read_text() and server in json.loads(place.read_text())


def test_threads_that_ask_at_once_get_the_same(place):
    found = []
    threads = [threading.Thread(target=lambda: found.append(home_token())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def test_one_that_can_not_be_kept_is_revoked(place, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    before = {block.token_id for block in tokens.listed()}
    with pytest.raises(StepwellError, match="can't be kept") as raised:
        home_token()
    [made] = [block for block in tokens.listed() if block.token_id not in before]
    assert made.revoked and raised.value.hint and "stw_" not in raised.value.message
    assert not place.exists()


def test_one_that_can_not_be_read_is_told(place):
    place.mkdir()
    with pytest.raises(StepwellError, match="can't be read"):
        home_token()


def test_the_variable_comes_first_and_asks_no_server(place, monkeypatch):
    monkeypatch.setattr(module, "ensure_server", lambda: pytest.fail("a server was asked"))
    monkeypatch.setenv("STEPWELL_TOKEN", f" {TOKEN}\n")
    assert home_token() == TOKEN and not place.exists()


@pytest.mark.parametrize("value", ["secret-of-mine", TOKEN[:-1], TOKEN + "\r\nX-Evil: 1"])
def test_a_variable_that_holds_no_token_is_told_without_its_value(place, monkeypatch, value):
    monkeypatch.setenv("STEPWELL_TOKEN", value)
    with pytest.raises(UserErrorException, match="STEPWELL_TOKEN holds no token") as raised:
        home_token()
    assert value not in raised.value.message and os.environ["STEPWELL_TOKEN"] == value


def test_an_empty_variable_counts_as_none(place, monkeypatch):
    monkeypatch.setenv("STEPWELL_TOKEN", "")
    assert block_of(home_token()) is not None
