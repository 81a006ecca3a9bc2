"""Addresses on the web: shown without their secrets, which this process knows, and kept copies of what is there."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from stepwell.blocks.system.files import remove
from stepwell.blocks.system.home import home, make_folder
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import DatasetExecutionError, UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, addresses_of
from stepwell.model.datasets.file_names import is_pattern
from stepwell.model.digests import digest, file_digest

_known: dict[str, str] = {}
"""The addresses with secrets that this process was given, by what is shown of them."""

_MARK = re.compile(r"secret-[0-9a-f]{16}")
_UNUSED_SECONDS = 30 * 24 * 3600
_TIMEOUT_SECONDS = 60.0


class WebFile(NamedTuple):
    """A kept copy of what is at an address."""

    path: Path
    digest: str
    size: int
    changed: str

    @property
    def changed_seconds(self) -> float:
        """When the server says that it was changed, in seconds since 1970; 0 if it says nothing."""
        with suppress(TypeError, ValueError):
            return parsedate_to_datetime(self.changed).timestamp()
        return 0.0


def is_web_address(text: str) -> bool:
    """Return whether a text is an address on the web."""
    return text.lower().startswith(("http://", "https://"))


def shown_address(address: str) -> str:
    """Return the address without its secrets: who asks, and everything that is asked, if that has a signature or token.

    Another secret has another shown address, which says nothing of it.

    Raises:
        UserErrorException: It is no address of one file.
    """
    parts = urlsplit(address)
    if not parts.hostname or is_pattern(parts.path):
        raise UserErrorException(
            "An address on the web must be that of one file",
            {"address": f"{parts.scheme}://{parts.hostname or ''}{parts.path}"},
            "Name each file by its own address; patterns work on datastores.",
        )
    if not parts.username and not parts.password and not _asks_with_secret(parts.query):
        return urlunsplit(parts._replace(fragment=""))
    mark = f"secret-{digest('web-secret', address)[:16]}"
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, mark, ""))
    _known[shown] = address
    return shown


def _asks_with_secret(query: str) -> bool:
    """Return whether a query holds more than words and numbers that say which file or version is meant."""
    plain = re.compile(r"[\w.,:+/ -]{0,32}")
    names = re.compile(
        r"(?i)(raw|download|dl|version|versionid|v|ref|rev|format|export|file|filename|name|id|gid|inline)"
    )
    asked = parse_qsl(query, keep_blank_values=True)
    return any(not (names.fullmatch(name) and plain.fullmatch(value)) for name, value in asked)


def addresses_with_secrets(definition: DatasetDefinition) -> dict[str, str]:
    """Return the addresses of a definition that have secrets, by what is shown of them; of those known here."""
    return {shown: _known[shown] for shown in addresses_of(definition) if shown in _known}


def remember_addresses(addresses: Mapping[str, str]) -> None:
    """Know addresses with secrets again, by what is shown of them."""
    _known.update(addresses)


def lacks_secret(definition: DatasetDefinition) -> bool:
    """Return whether an address of a definition has a secret that is not known here."""
    return any(shown not in _known and _MARK.fullmatch(urlsplit(shown).query) for shown in addresses_of(definition))


def secret_texts() -> list[str]:
    """Return the parts of all known addresses that are never to be shown."""
    found: list[str] = []
    for address in _known.values():
        parts = urlsplit(address)
        found += [parts.query, *(value for _, value in parse_qsl(parts.query)), parts.password or ""]
        found += [pair.partition("=")[2] for pair in parts.query.split("&")]
    return [text for text in dict.fromkeys(found) if len(text) > 7]


# What is there ------------------------------------------------------------------------------------------------------


def look(shown: str) -> WebFile:
    """Return what is at an address now: the kept copy if the server says that it is still the same, else fetched anew.

    Raises:
        DatasetExecutionError: It can't be reached, or its secret is not known here.
    """
    if shown not in _known and _MARK.fullmatch(urlsplit(shown).query):
        raise DatasetExecutionError(
            "The secret of an address on the web is not known here",
            {"address": shown},
            "Register the dataset, and get it by its name.",
        )
    folder = home() / "web-files"
    make_folder(folder)
    name = digest("web-file", shown)
    with exclusive(folder / f"{name}.lock"):
        return _looked(folder / name, shown, _known.get(shown, shown))


class _WithoutSecrets(logging.Filter):
    """Lets no record through that tells a secret of an address: httpx tells the whole of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not any(secret in text for secret in secret_texts())


_without_secrets = _WithoutSecrets()


def _looked(place: Path, shown: str, address: str) -> WebFile:
    import httpx

    logging.getLogger("httpx").addFilter(_without_secrets)
    known = _read_facts(place)
    headers = {
        header: known[fact]
        for header, fact in (("If-None-Match", "etag"), ("If-Modified-Since", "changed"))
        if known.get(fact)
    }
    try:
        with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED and known:
                os.utime(place)
                return WebFile(place, known["digest"], known["size"], known.get("changed", ""))
            if response.status_code != httpx.codes.OK:
                raise _unreachable(shown, f"the server answers {response.status_code} {response.reason_phrase}")
            return _kept(place, response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise _unreachable(shown, type(error).__name__) from None  # its text has the whole address


def _kept(place: Path, response: Any) -> WebFile:
    """Keep what a response brings, and return it."""
    handle, draft = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            for part in response.iter_bytes():
                stream.write(part)
        with open(draft, "rb") as stream:
            content = file_digest(stream)
        size = os.path.getsize(draft)
        facts = {
            "etag": response.headers.get("etag", ""),
            "changed": response.headers.get("last-modified", ""),
            "digest": content,
            "size": size,
        }
        _facts_of(place).unlink(missing_ok=True)
        os.replace(draft, place)
        _facts_of(place).write_text(json.dumps(facts))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)
    _drop_unused(place.parent)
    return WebFile(place, content, size, facts["changed"])


def _facts_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _read_facts(place: Path) -> dict[str, Any]:
    """Return what is known of a kept copy; nothing if it is not as it was kept."""
    try:
        facts = json.loads(_facts_of(place).read_text())
        with open(place, "rb") as stream:
            whole = file_digest(stream) == facts["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return facts if whole else {}


def _drop_unused(folder: Path) -> None:
    """Remove copies that nobody has asked for in a month."""
    oldest = time.time() - _UNUSED_SECONDS
    for facts in folder.glob("*.json"):
        place = facts.with_suffix("")
        with suppress(OSError):
            if place.stat().st_mtime < oldest:
                remove(facts)
                remove(place)


def _unreachable(shown: str, reason: str) -> DatasetExecutionError:
    return DatasetExecutionError(
        "A file on the web can't be read",
        {"address": shown, "reason": reason},
        "Check the address and the network, or upload the file to a datastore.",
    )
