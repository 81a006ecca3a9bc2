"""Prefect's settings once a server of ours is named: those that Prefect would read from the environment."""

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
