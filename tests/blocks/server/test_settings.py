"""Which server is named: one that Stepwell put in force is its home's own; Prefect's settings are what Prefect itself would read then."""

from __future__ import annotations

import pytest
from prefect import context

from stepwell.blocks.server import settings

URL = "http://127.0.0.1:4321/api"


@pytest.fixture
def read(monkeypatch):
    """Settings that were read from an environment that names no server."""
    for name in (*settings._OURS, settings.OWN_URL):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(context, "GLOBAL_SETTINGS_CONTEXT", context.GLOBAL_SETTINGS_CONTEXT)
    for name, empty in (
        ("_own_urls", {URL}),
        ("_own_auth_strings", {"me:x"}),
        ("_refreshed_for", []),
        ("_read_from", []),
    ):
        monkeypatch.setattr(settings, name, empty)
    settings.read_settings()
    return monkeypatch


def named(patch, **more):
    for name, value in {
        settings.API_URL: URL,
        settings.AUTH_STRING: "me:x",
        settings._OURS[2]: "false",
        **more,
    }.items():
        patch.setenv(name, value)


@pytest.mark.parametrize("set_by_users", [{}, {"PREFECT_UI_URL": "http://ui"}, {"PREFECT_UI_API_URL": "http://ui/api"}])
def test_naming_our_server_changes_what_reading_all_again_would(read, set_by_users, monkeypatch):
    for name, value in set_by_users.items():
        read.setenv(name, value)
    settings._refreshed_for.clear()
    settings.read_settings()
    named(read)
    reread = context.refresh_global_settings_context
    monkeypatch.setattr(context, "refresh_global_settings_context", lambda: pytest.fail("all was read again"))
    settings._refresh()
    fast = context.GLOBAL_SETTINGS_CONTEXT
    reread()
    whole = context.GLOBAL_SETTINGS_CONTEXT
    assert fast is not whole and fast.settings == whole.settings and fast.profile == whole.profile
    told, wanted = (one.settings.to_environment_variables(exclude_unset=True) for one in (fast, whole))
    assert told == wanted
    assert fast.settings.api.auth_string.get_secret_value() == "me:x"


def test_whatever_else_changed_makes_prefect_read_all_again(read):
    named(read, PREFECT_LOGGING_LEVEL="CRITICAL")
    settings._refresh()
    assert context.GLOBAL_SETTINGS_CONTEXT.settings.logging.level == "CRITICAL"
    read.setenv(settings.API_URL, "http://elsewhere/api")  # a user's
    settings._refresh()
    assert context.GLOBAL_SETTINGS_CONTEXT.settings.ui_url == "http://elsewhere"


NAMED = "http://127.0.0.1:4999/api"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "_own_urls", set())
    monkeypatch.setattr(settings, "_prefects_url", lambda: None)

    def be(name):
        monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / name))

    be("ann")
    monkeypatch.setenv(settings.API_URL, NAMED)
    monkeypatch.setenv(settings.OWN_URL, NAMED)
    monkeypatch.setenv(settings.OWN_HOME, settings.home_id())
    return be


def test_another_home_takes_it_for_one_that_was_named(home):
    assert settings.users_url() is None
    home("ben")
    assert settings.users_url() == NAMED
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
