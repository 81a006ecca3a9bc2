"""Which Prefect server the user's environment, code or Prefect profile names, and how another is put in its place."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from stepwell.blocks.system.home import home
from stepwell.model.digests import digest

if TYPE_CHECKING:
    from prefect.settings import Settings
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

API_URL, AUTH_STRING = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"

OWN_URL = "STEPWELL_OWN_API_URL"
"""Beside PREFECT_API_URL and equal to it: tells a child process that Stepwell set it, not the user."""

_OWN_AUTH = "STEPWELL_OWN_API_AUTH"
"""Beside PREFECT_API_AUTH_STRING, and a digest of it: says the same of that one."""

_OURS = (API_URL, AUTH_STRING, "PREFECT_SERVER_EPHEMERAL_ENABLED")
"""The variables of Prefect that are set here and in `connection`; what they change, `_update` knows."""

OWN_HOME = "STEPWELL_OWN_API_HOME"
"""Beside these two: which home's Stepwell it was; to another home the server is one that the user named."""

_own_urls: set[str] = set()
_own_auth_strings: set[str] = set()
_refreshed_for: list[tuple[str | None, str | None]] = []
_read_from: list[dict[str, str]] = []
"""The variables of Prefect from which its settings in force outside of all contexts were read."""


def users_url() -> str | None:
    """Return the API URL that the user's environment, code or Prefect profile names."""
    # What is in force comes first: within Prefect's test harness, for one, the environment must not count.
    current = _prefects_url() if "prefect" in sys.modules or _configured() else None
    return next((url for url in (current, os.environ.get(API_URL)) if url and not is_own_url(url)), None)


def may_be_named() -> bool:
    """Return whether somebody may have named a server, as far as that can be told without Prefect, which is slow to import."""
    return "prefect" in sys.modules or bool(os.environ.get(API_URL)) or _configured()


def activate(url: str, own_auth_string: str | None = None) -> None:
    """Make this process and its children use the server at the URL; with an auth string it is Stepwell's own."""
    if own_auth_string is not None:
        _own_urls.add(url)
        _own_auth_strings.add(own_auth_string)
        named = {API_URL: url, OWN_URL: url, AUTH_STRING: own_auth_string, _OWN_AUTH: _digest(own_auth_string)}
        os.environ.update(named | {OWN_HOME: home_id()})
        _bypass_proxies()
    elif _is_own_auth_string(os.environ.get(AUTH_STRING)):
        del os.environ[AUTH_STRING]  # nobody else's server is told
    if "prefect" not in sys.modules:
        return
    from prefect import context
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, get_current_settings

    _refresh()
    auth_string = own_auth_string or _users_auth_string()
    outside = context.GLOBAL_SETTINGS_CONTEXT.settings
    if _named_by(get_current_settings()) == (url, auth_string):
        # What only a `with temporary_settings(...)` names must not outlive it.
        if outside.api.url == url:
            os.environ[API_URL] = url
            _refreshed_for[:] = [_named_by_environment()]
        return
    # Settings entered before the server was known hide the global ones. A context within theirs ends when theirs does.
    outer = context.get_settings_context()
    settings = outer.settings.copy_with_update({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth_string})
    context.SettingsContext(profile=outer.profile, settings=settings).__enter__()


def read_settings() -> None:
    """Let Prefect's settings be read from the environment, so that what is set of it from now on changes them fast."""
    _refresh()


def is_own_url(url: str) -> bool:
    """Return whether the URL is that of this home's own server."""
    return url in _own_urls or (url == os.environ.get(OWN_URL) and _is_of_this_home())


def _is_own_auth_string(text: str | None) -> bool:
    named = os.environ.get(_OWN_AUTH) if _is_of_this_home() else None
    return text is not None and (text in _own_auth_strings or _digest(text) == named)


def home_id() -> str:
    """Return what names this home among those of a machine."""
    return digest("home", str(home()))[:16]


def _is_of_this_home() -> bool:
    """Return whether what the environment says of an own server was said by this home; an earlier release did not say whose."""
    return os.environ.get(OWN_HOME, "") in ("", home_id())


def _users_auth_string() -> str | None:
    """Return the auth string that Prefect would use now, or else outside of what we have put in force; none of ours."""
    from prefect import context
    from prefect.settings import get_current_settings

    found = (_named_by(settings)[1] for settings in (get_current_settings(), context.GLOBAL_SETTINGS_CONTEXT.settings))
    return next((text for text in found if text and not _is_own_auth_string(text)), None)


def _named_by(settings: Settings) -> tuple[str | None, str | None]:
    secret = settings.api.auth_string
    return settings.api.url, secret.get_secret_value() if secret else None


def _named_by_environment() -> tuple[str | None, str | None]:
    return os.environ.get(API_URL), os.environ.get(AUTH_STRING)


def _digest(auth_string: str) -> str:
    return digest("own-auth-string", auth_string)


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
    """Make Prefect read the environment again if what that says of the server has changed since."""
    named = _named_by_environment()
    if _refreshed_for == [named]:
        return
    variables = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}
    changed = {name for name, _ in variables.items() ^ _read_from[0].items()} if _read_from else set(variables)
    if not _read_from or not changed.issubset(_OURS) or not _update(variables):
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    _refreshed_for[:], _read_from[:] = [named], [variables]


def _update(variables: Mapping[str, str]) -> bool:
    """Change Prefect's settings as reading `_OURS` anew would, which takes long; return whether they name a server of ours."""
    url, auth_string, ephemeral = map(variables.get, _OURS)
    if url not in _own_urls or auth_string is None or ephemeral != "false":
        return False
    from prefect import context
    from pydantic import SecretStr

    before = context.GLOBAL_SETTINGS_CONTEXT
    settings, server = before.settings, before.settings.server
    ui = _copied(server.ui, follows={"api_url": url})
    ephemeral_server = _copied(server.ephemeral, {"enabled": False})
    changed = {
        "api": _copied(settings.api, {"url": url, "auth_string": SecretStr(auth_string)}),
        "server": _copied(server, {"ui": ui, "ephemeral": ephemeral_server}),
    }
    settings = _copied(settings, changed, follows={"ui_url": url.removesuffix("/api")})
    context.GLOBAL_SETTINGS_CONTEXT = context.SettingsContext(profile=before.profile, settings=settings)
    return True


def _copied(
    model: M, fields: Mapping[str, Any] = MappingProxyType({}), *, follows: Mapping[str, Any] = MappingProxyType({})
) -> M:
    """Return a copy with these fields, and what `follows` from them as far as nobody has set it."""
    own = model.model_fields_set
    found = model.model_copy(update={**fields, **{name: value for name, value in follows.items() if name not in own}})
    found.model_fields_set.difference_update(follows.keys() - own)
    return found


def _bypass_proxies() -> None:
    """Keep requests to this machine away from the proxies that the environment names."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1"):
        exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{exempt},127.0.0.1" if exempt else "127.0.0.1"
