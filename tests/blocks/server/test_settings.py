"""A server that Stepwell put in force is its own to the home that did, and one that the user named to any other."""

from __future__ import annotations

import pytest

from stepwell.blocks.server import settings

URL = "http://127.0.0.1:4999/api"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "_own_urls", set())
    monkeypatch.setattr(settings, "_prefects_url", lambda: None)

    def be(name):
        monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / name))

    be("ann")
    monkeypatch.setenv(settings.API_URL, URL)
    monkeypatch.setenv(settings.OWN_URL, URL)
    monkeypatch.setenv(settings.OWN_HOME, settings.home_id())
    return be


def test_another_home_takes_it_for_one_that_was_named(home):
    assert settings.users_url() is None
    home("ben")
    assert settings.users_url() == URL
    home("ann")
    assert settings.users_url() is None


def test_what_an_earlier_release_said_holds(home, monkeypatch):
    monkeypatch.delenv(settings.OWN_HOME)
    assert settings.users_url() is None


def test_another_home_keeps_the_password_that_goes_with_it(home, monkeypatch):
    monkeypatch.setattr(settings, "_own_auth_strings", set())
    monkeypatch.setenv(settings.AUTH_STRING, "ann:secret")
    monkeypatch.setenv(settings._OWN_AUTH, settings._digest("ann:secret"))
    assert settings._is_own_auth_string("ann:secret")
    home("ben")
    assert not settings._is_own_auth_string("ann:secret")
