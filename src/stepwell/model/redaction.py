"""Redaction: secret values, their parts, and what looks like a secret, in any usual spelling, become `***`."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from stepwell.model.secret_rules import MASK, is_secret_name, is_secret_part, mask_shapes

__all__ = ["MASK", "SHORTEST_DECLARED", "Redactor", "here", "is_secret_name", "redacted"]

SHORTEST_DECLARED = 4
"""Of how many characters a declared secret has to be: shorter ones would turn up in any text."""

_SHORTEST = 6
_SHORTEST_BASE64 = 7
_TRIVIAL = {"true", "false", "none", "null", "localhost", "default", "password", "secret", "enabled", "disabled"}
_URL_BYTE = re.compile("%[0-9A-F]{2}")
_USER_INFO = re.compile(r"""(?<=://)[^\s/?#"'<>\\]+(?=@)""")
_PART = re.compile(r"(?<![\w.-])([\w.-]+)=([^;&\s]+)")
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey) +(\S+)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_LONG_SEGMENT = 16
_MOST_KNOWN, _LONGEST_KNOWN = 4096, 1000
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


class Redactor:
    """A replacement for secrets in text; feed it whole lines, as half a value isn't recognised.

    Of `values`, those under six characters are left out, since they'd be found in any text. `declared` are those that
    somebody called secret: of these, values of four and five characters are replaced where they stand as a word.
    """

    def __init__(self, values: Iterable[str], declared: Iterable[str] = ()) -> None:
        declared = list(declared)
        hidden = set(_worth_hiding(_with_parts([*values, *declared]), _SHORTEST))
        short = {text for text in _worth_hiding(declared, SHORTEST_DECLARED) if len(text) < _SHORTEST}
        self._pattern = _pattern_of(hidden)
        self._words = _pattern_of(short, r"(?<!\w)(?:{})(?!\w)")
        self._known: dict[str, str] = {}  # a pipeline's steps say the same a thousand times

    @classmethod
    def of_environment(
        cls, variables: Mapping[str, str], extra: Iterable[str] = (), declared: Iterable[str] = ()
    ) -> Redactor:
        """Return one for the values of secret variables, secret parts of the others, `extra`, and what is `declared`."""
        named = [value for name, value in variables.items() if is_secret_name(name)]
        parts = [part for value in variables.values() for part in _parts(value)]
        return cls((*extra, *named, *parts), declared)

    def redact(self, text: str) -> str:
        """Return the text with `***` for each secret, for what looks like one, and for the user information of URLs."""
        if (known := self._known.get(text)) is not None:
            return known
        clean = self._without_secrets(text)
        if len(text) <= _LONGEST_KNOWN and len(self._known) < _MOST_KNOWN:
            self._known[text] = clean
        return clean

    def _without_secrets(self, text: str) -> str:
        for pattern in (self._pattern, self._words):
            if pattern is not None:
                text = pattern.sub(MASK, text)
        if "://" in text and "@" in text:
            text = _USER_INFO.sub(MASK, text)
        return mask_shapes(text)


def redacted(data: Any, redact: Callable[[str], str]) -> Any:
    """Return the same plain data with `***` for every secret in its texts and keys, and for whole numbers that are one."""
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, list):
        return [redacted(item, redact) for item in data]
    if isinstance(data, dict):
        return {redact(name) if isinstance(name, str) else name: redacted(item, redact) for name, item in data.items()}
    is_whole = (isinstance(data, int) and not isinstance(data, bool)) or (isinstance(data, float) and data.is_integer())
    if is_whole and abs(data) >= 10 ** (SHORTEST_DECLARED - 1):
        return MASK if redact(str(int(data))) == MASK else data
    return data


_last: tuple[dict[str, str], Redactor] | None = None


def here() -> Redactor:
    """Return the redactor of this process's own environment, made anew when that changes."""
    global _last  # noqa: PLW0603  (making one takes milliseconds, and readers ask ten times a second)
    variables = dict(os.environ)
    if _last is None or _last[0] != variables:
        _last = (variables, Redactor.of_environment(variables))
    return _last[1]


# Parts ----------------------------------------------------------------------------------------------------------------


def _with_parts(values: Iterable[str], depth: int = 3) -> Iterator[str]:
    """Yield the values, the secrets inside them, and the secrets inside those."""
    for value in values:
        yield value
        if depth:
            yield from _with_parts({*_parts(value), *_parts_of_secret(value)}, depth - 1)


def _parts(value: str) -> Iterator[str]:
    """Yield what is secret in any value: passwords in URLs, keys in connection strings, tokens in queries and JSON."""
    for name, inner in _PART.findall(value):
        if is_secret_part(name, inner):
            yield from (inner, unquote(inner), inner.partition("#")[0], inner.strip("\"'"))
    for info in _USER_INFO.findall(value):
        yield from _parts_of_user_info(info)
    if value.lstrip()[:1] in ("{", "["):
        try:
            yield from _parts_of_json(json.loads(value))
        except (ValueError, RecursionError):
            return


def _parts_of_secret(value: str) -> Iterator[str]:
    """Yield the parts that only a value known to be secret has: a token after its scheme, what base64 hides, a path."""
    scheme = _SCHEME.fullmatch(value.strip())
    if scheme:
        yield scheme[1]
    decoded = _decoded(value.strip())
    if decoded:
        yield from (decoded, *_parts_of_user_info(decoded)) if ":" in decoded else (decoded,)
    _, mark, rest = value.strip().partition("://")
    if mark:
        info, at, _ = rest.rpartition("@")
        if at and ":" in info.partition("/")[0]:  # a password with a slash in it, which nobody has encoded
            yield from _parts_of_user_info(info)
        segment = rest.partition("?")[0].rstrip("/").rpartition("/")[2]
        if len(segment) >= _LONG_SEGMENT and any(map(str.isdigit, segment)) and any(map(str.isalpha, segment)):
            yield segment


def _parts_of_user_info(info: str) -> Iterator[str]:
    user, colon, password = info.partition(":")
    yield from (password or user, unquote(password or user))
    if colon:
        yield from (info, unquote(info))
        if len(user) >= _LONG_SEGMENT and any(map(str.isdigit, user)):  # a token, as hosts of Git take them
            yield from (user, unquote(user))


def _parts_of_json(data: Any, name: str = "") -> Iterator[str]:
    if isinstance(data, dict):
        for key, item in data.items():
            yield from _parts_of_json(item, key)
    elif isinstance(data, list):
        for item in data:
            yield from _parts_of_json(item, name)
    elif isinstance(data, str) and is_secret_name(name):
        yield from (data, *_parts_of_secret(data))
    elif isinstance(data, str):
        yield from _parts(data)


def _decoded(value: str) -> str:
    """Return the text that `value` is the base64 of; '' if it is none."""
    if not _BASE64.fullmatch(value):
        return ""
    try:
        data = base64.b64decode(
            value.translate(str.maketrans("-_", "+/")).rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)
        )
        text = data.decode()
    except (binascii.Error, ValueError):
        return ""
    return text if text.isprintable() else ""


# Spellings ------------------------------------------------------------------------------------------------------------


def _pattern_of(values: Iterable[str], frame: str = "{}") -> re.Pattern[str] | None:
    spellings = {spelling for value in values for spelling in _spellings(value)}
    return re.compile(frame.replace("{}", _alternatives(spellings))) if spellings else None


def _worth_hiding(values: Iterable[str], shortest: int) -> Iterator[str]:
    """Yield the values that aren't trivial, and the lines of those with several, since logs go line by line."""
    for value in values:
        for text in {value, value.strip(), *map(str.strip, value.splitlines())}:
            if len(text) >= shortest and not _is_trivial(text, shortest):
                yield text


def _is_trivial(text: str, shortest: int) -> bool:
    digits = text.lstrip("+-").replace(".", "", 1)
    return (
        text.lower() in _TRIVIAL
        or (digits.isdecimal() and len(digits) < shortest)
        or text.startswith("-----")
        or not text.strip("* ")
    )


def _spellings(value: str) -> Iterator[str]:
    """Yield the value as it is, and as JSON, Python, HTML, shells, URLs, base64 and hexadecimal digits spell it."""
    yield from (value, value.translate(_HTML), value.replace("'", "'\"'\"'"))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    data = _bytes(value)
    for escaped in (quote(data, safe=""), quote(data), quote_plus(data), quote(data, safe="!'()*")):
        yield from (escaped, _URL_BYTE.sub(lambda code: code[0].lower(), escaped), quote(escaped, safe=""))
    yield from (data.hex(), data.hex().upper())
    yield from _base64_spellings(data)


def _bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")


def _base64_spellings(data: bytes) -> Iterator[str]:
    """Yield the characters that `data` alone decides, wherever it begins within a longer encoded text."""
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        whole = encode(data).decode()
        yield from (whole, whole.rstrip("="), quote(whole, safe=""))
        for width in (64, 76) if len(whole) > 64 else ():  # as mail and PEM files wrap it
            yield from (
                line for at in range(0, len(whole), width) if len(line := whole[at : at + width]) >= _LONG_SEGMENT
            )
        for before in range(3):
            text = encode(bytes(before) + data).decode()
            certain = text[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
            if len(certain) >= _SHORTEST_BASE64:
                yield certain


def _alternatives(spellings: Iterable[str]) -> str:
    """Join all spellings to a pattern, longest first; grouped by first character, so that most text is skipped fast."""
    groups: dict[str, list[str]] = {}
    for spelling in sorted(spellings, key=lambda text: (-len(text), text)):
        groups.setdefault(spelling[0], []).append(re.escape(spelling[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(rests)})" for first, rests in groups.items())
