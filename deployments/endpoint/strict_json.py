"""Strict JSON: a request's body as a dict, or an error that names the field. Nothing is guessed, nothing overflows."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from stepwell.deployments.access.http_errors import BadRequest

_CONTENT_TYPE = re.compile(
    r'[ \t]*application/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*("?)utf-8\1[ \t]*)?;?[ \t]*', re.IGNORECASE
)
_STRUCTURE = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 300
_LONGEST_NAME = 80
_LONGEST_PATH = 400


def parse(raw: bytes, content_type: str | None, *, most_bytes: int = 1_000_000, deepest: int = 32) -> dict[str, Any]:
    """Return the JSON object that the body holds; raise BadRequest for anything else, or if it is ambiguous."""
    if content_type is None or not _CONTENT_TYPE.fullmatch(content_type):
        raise BadRequest(415, "Content-Type", "The content type must be application/json, in UTF-8")
    if len(raw) > most_bytes:
        raise BadRequest(413, "body", f"The body has more than {most_bytes} bytes")
    if _is_deeper(raw, deepest):
        raise BadRequest(400, "body", f"The body is nested more than {deepest} levels deep")
    body = _decode(raw)
    _check_value(body, "")
    if not isinstance(body, dict):
        raise BadRequest(400, "body", "The body is no JSON object")
    return body


class _Invalid:
    """Stands in for a value that is rejected as soon as its path is known."""

    def __init__(self, reason: str, name: str | None = None) -> None:
        self.reason = reason
        self.name = name


def _is_deeper(raw: bytes, deepest: int) -> bool:
    """Return whether brackets nest deeper than that, without recursion, before the recursive parser sees them."""
    depth, in_text = 0, False
    for found in _STRUCTURE.finditer(raw):
        token = found[0]
        if token == b'"':
            in_text = not in_text
        elif not in_text:
            depth += (token in b"[{") - (token in b"]}")
            if depth > deepest:
                return True
    return False


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(
            raw.decode("utf-8"),
            parse_int=_integer,
            parse_float=_number,
            parse_constant=lambda name: _Invalid(f"{name} is no JSON"),
            object_pairs_hook=_without_duplicates,
        )
    except UnicodeDecodeError as error:
        raise BadRequest(400, "body", f"The body is no UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(400, "body", f"The body is no JSON at {position}: {error.msg}") from None


def _integer(text: str) -> int | _Invalid:
    digits = len(text.lstrip("-"))
    return (
        int(text) if digits <= _MOST_DIGITS else _Invalid(f"The number has {digits} digits, more than {_MOST_DIGITS}")
    )


def _number(text: str) -> float | _Invalid:
    value = float(text)
    return value if math.isfinite(value) else _Invalid("The number is too large")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Invalid:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    duplicate = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return _Invalid("The field is given twice", duplicate)


def _check_value(value: Any, path: str) -> None:
    """Raise BadRequest for the first value within that no run could be given; nested no deeper than was let through."""
    if isinstance(value, _Invalid):
        raise BadRequest(400, (path if value.name is None else _joined(path, value.name)) or "body", value.reason)
    if isinstance(value, str):
        _check_text(value, path or "body", "text")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_value(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            inner = _joined(path, name)
            _check_text(name, inner, "name")
            _check_value(item, inner)


def _check_text(text: str, path: str, kind: str) -> None:
    if "\0" in text:
        raise BadRequest(400, path, f"The {kind} contains a NUL character")
    if _SURROGATE.search(text):
        raise BadRequest(400, path, f"The {kind} contains half a surrogate pair")


def _joined(path: str, name: str) -> str:
    """Return the path of a field: printable and of bounded length whatever the name, since responses repeat it."""
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)
    return (f"{path}.{shown}" if path else shown)[:_LONGEST_PATH]
