"""Redaction: secret values, in any usual spelling, become `***`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

_SHORTEST = 6
_SHORTEST_BASE64 = 7
_TRIVIAL = {"true", "false", "none", "null", "localhost", "default", "password", "secret", "enabled", "disabled"}
_NOT_SECRET = {"PWD", "OLDPWD"}
_SECRET_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|(?:CONN(?:ECTION)?|AUTH)_?STR(?:ING)?)S?(?![A-Z])"
    r"|(?:API|ACCESS|ACCOUNT|PRIVATE|SHARED|MASTER|STORAGE|SIGNING|ENCRYPTION|SUBSCRIPTION)_?KEYS?(?![A-Z])"
    r"|(?:^|_)(?:PWD|SAS|JWT|PASS$)(?![A-Z])"
)
_URL_BYTE = re.compile("%[0-9A-F]{2}")
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_USER_INFO = re.compile(r"""(?<=://)[^\s/?#"'<>\\]+(?=@)""")
_PART = re.compile(r"([\w.-]+)=([^;&\s]+)")


class Redactor:
    """A replacement for secret values in text; feed it whole lines, as half a value isn't recognised."""

    def __init__(self, values: Iterable[str]) -> None:
        spellings = {spelling for value in _worth_hiding(values) for spelling in _spellings(value)}
        self._pattern = re.compile(_alternatives(spellings)) if spellings else None

    @classmethod
    def of_environment(cls, variables: Mapping[str, str], extra: Iterable[str] = ()) -> Redactor:
        """Return one for the values of secret variables, passwords in URLs, keys in connection strings, and `extra`."""
        return cls((*extra, *(secret for name, value in variables.items() for secret in _secrets(name, value))))

    def redact(self, text: str) -> str:
        """Return the text with `***` for each secret and for the user information of URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        if "://" in text and "@" in text:
            text = _USER_INFO.sub(MASK, text)
        return text


def is_secret_name(name: str) -> bool:
    """Return whether a variable or parameter of that name holds a secret, to judge by its words."""
    return name not in _NOT_SECRET and _SECRET_NAME.search(_WORD_BREAK.sub("_", name).upper()) is not None


def _secrets(name: str, value: str) -> Iterator[str]:
    if is_secret_name(name):
        yield value
    for part, inner in _PART.findall(value):
        if is_secret_name(part) or part.lower() == "sig":
            yield from (inner, unquote(inner))
    for info in _USER_INFO.findall(value):
        user, _, password = info.partition(":")
        yield from (password or user, unquote(password or user))


def _worth_hiding(values: Iterable[str]) -> Iterator[str]:
    """Yield the values that aren't trivial, and the lines of those with several, since logs go line by line."""
    for value in values:
        for text in {value, value.strip(), *map(str.strip, value.splitlines())}:
            if len(text) >= _SHORTEST and not _is_trivial(text):
                yield text


def _is_trivial(text: str) -> bool:
    digits = text.lstrip("+-").replace(".", "", 1)
    return (
        text.lower() in _TRIVIAL
        or (digits.isdecimal() and len(digits) < _SHORTEST)
        or text.startswith("-----")
        or not text.strip("* ")
    )


def _spellings(value: str) -> Iterator[str]:
    """Yield the value as it is, and as JSON, Python, URLs and base64 spell it."""
    yield value
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    data = _bytes(value)
    for escaped in (quote(data, safe=""), quote(data), quote_plus(data), quote(data, safe="!'()*")):
        yield from (escaped, _URL_BYTE.sub(lambda code: code[0].lower(), escaped))
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
        yield from (whole, whole.rstrip("="))
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
