"""Package indexes: named to pip and uv by variables, never on a command line, since their URLs can hold passwords."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import unquote

_EXTRA = re.compile(r"--extra-index-url[\s=]+(\S+)")
_USER_INFO = re.compile(r"(?<=://)[^\s/?#]+(?=@)")


def index_variables(index_url: str, lines: Iterable[str], own: Mapping[str, str], *, for_uv: bool) -> dict[str, str]:
    """Return the variables that name the index ('' for the one pip is set up with) and those that option lines add."""
    more = " ".join(match[1] for match in map(_EXTRA.fullmatch, lines) if match)
    found = {"PIP_INDEX_URL": index_url} if index_url else {}
    if more:
        found["PIP_EXTRA_INDEX_URL"] = " ".join(filter(None, (own.get("PIP_EXTRA_INDEX_URL"), more)))
    return {**found, **_for_uv(index_url, more, own)} if for_uv else found


def options_without_indexes(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines but for those that `index_variables` speaks for."""
    return tuple(line for line in lines if not _EXTRA.fullmatch(line))


def secrets_in(texts: Iterable[str]) -> Iterator[str]:
    """List the passwords, or lone user names, of the URLs in the texts."""
    for info in (info for text in texts for info in _USER_INFO.findall(text)):
        user, _, password = info.partition(":")
        yield from dict.fromkeys((password or user, unquote(password or user)))


def _for_uv(index_url: str, more: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the same for uv, which doesn't read how pip is set up: it must not look elsewhere than pip would."""
    chosen = index_url or ("" if own.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} else pip_index(own))
    found = {"UV_DEFAULT_INDEX": chosen} if chosen else {}
    if more:
        found["UV_EXTRA_INDEX_URL"] = " ".join(filter(None, (own.get("UV_EXTRA_INDEX_URL"), more)))
        found["UV_INDEX_STRATEGY"] = own.get("UV_INDEX_STRATEGY", "unsafe-best-match")  # what pip does
    return found


def pip_index(own: Mapping[str, str]) -> str:
    """Return the index that pip is set up with by variable or file, '' for its default."""
    home = own.get("HOME", "")
    config = own.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = (
        own.get("PIP_CONFIG_FILE", ""),
        os.path.join(config, "pip", "pip.conf"),
        os.path.join(home, ".pip", "pip.conf"),
        "/etc/pip.conf",
    )
    return own.get("PIP_INDEX_URL", "") or next(filter(None, map(_configured, files)), "")


def _configured(file: str) -> str:
    parser = configparser.RawConfigParser()
    with suppress(configparser.Error, OSError, UnicodeDecodeError):
        parser.read(file)
    sections = (section for section in ("install", "global") if parser.has_option(section, "index-url"))
    return next((parser.get(section, "index-url") for section in sections), "")
