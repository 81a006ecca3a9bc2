"""Which Prefect server the user's environment, code or Prefect profile names, and how another is put in its place."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

API_URL = "PREFECT_API_URL"

_OWN_URL = "STEPWELL_OWN_API_URL"
"""Beside PREFECT_API_URL and equal to it: tells a child process that Stepwell set it, not the user."""

_own_urls: set[str] = set()
_refreshed_for: list[str | None] = []


def users_url() -> str | None:
    """Return the API URL that the user's environment, code or Prefect profile names."""
    # What is in force comes first: within Prefect's test harness, for one, the environment must not count.
    current = _prefects_url() if "prefect" in sys.modules or _configured() else None
    return next((url for url in (current, os.environ.get(API_URL)) if url and not _is_own(url)), None)


def activate(url: str, *, own: bool) -> None:
    """Make this process and its children use the server at the URL; `own`: Stepwell names it, not the user."""
    if own:
        _own_urls.add(url)
        os.environ.update({API_URL: url, _OWN_URL: url})
        _bypass_proxies()
    if "prefect" not in sys.modules:
        return
    from prefect import context
    from prefect.settings import PREFECT_API_URL

    if _prefects_url() == url:
        # What only a `with temporary_settings(...)` names must not outlive it.
        if context.GLOBAL_SETTINGS_CONTEXT.settings.api.url == url:
            os.environ[API_URL] = url
            _refreshed_for[:] = [url]
        return
    # Settings entered before the server was known hide the global ones. A context within theirs ends when theirs does.
    outer = context.get_settings_context()
    settings = outer.settings.copy_with_update({PREFECT_API_URL: url})
    context.SettingsContext(profile=outer.profile, settings=settings).__enter__()


def _is_own(url: str) -> bool:
    return url in _own_urls or url == os.environ.get(_OWN_URL)


def _configured() -> bool:
    """Return whether a file that Prefect reads may name a server, so that Prefect, slow to import, must be asked."""
    folder = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or folder / "profiles.toml")
    project = {Path(".env"): "prefect_", Path("prefect.toml"): "", Path("pyproject.toml"): "tool.prefect"}
    markers = {profiles: "prefect_api_url", **project}
    return any(
        path.is_file() and marker in path.read_text(errors="replace").lower() for path, marker in markers.items()
    )


def _prefects_url() -> str | None:
    """Return the API URL that Prefect would use now."""
    _refresh()
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def _refresh() -> None:
    """Make Prefect read the environment again if its API URL has changed since."""
    named = os.environ.get(API_URL)
    if _refreshed_for == [named]:
        return
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    _refreshed_for[:] = [named]


def _bypass_proxies() -> None:
    """Keep requests to this machine away from the proxies that the environment names."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1"):
        exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{exempt},127.0.0.1" if exempt else "127.0.0.1"
