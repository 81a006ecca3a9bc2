"""Values in the form in which R keeps them in files (`saveRDS`): lists with names, and texts."""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_TEXTS, _LIST, _INTEGERS, _TEXT, _PAIR, _SYMBOL, _END = 16, 19, 13, 9, 2, 1, 254
_HAS_ATTRIBUTES, _HAS_TAG, _IN_UTF8 = 1 << 9, 1 << 10, 1 << 15


class Table:
    """A matrix of texts without rows."""

    def __init__(self, columns: int) -> None:
        self.columns = columns


class NamedTexts(dict[str, str]):
    """Texts that have names, as one vector of R's; other mappings are lists."""


def serialized(value: Any) -> bytes:
    """Return the content of a file that `readRDS` reads."""
    return b"X\n" + struct.pack(">iii", 2, 0x00040000, 0x00020300) + _value(value)


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _vector([value])
    if isinstance(value, NamedTexts):
        return _vector([*value.values()], {"names": [*value]})
    if isinstance(value, Table):
        return _vector([], {"dim": [0, value.columns]})
    if isinstance(value, dict):
        attributes = {"names": [*value]} if value else {}
        return _with(_LIST, len(value), b"".join(map(_value, value.values())), attributes)
    return _vector(value)


def _vector(items: Sequence[Any], attributes: Mapping[str, Any] | None = None) -> bytes:
    if items and isinstance(items[0], int):
        return _with(_INTEGERS, len(items), struct.pack(f">{len(items)}i", *items), attributes or {})
    return _with(_TEXTS, len(items), b"".join(map(_text, items)), attributes or {})


def _with(kind: int, length: int, body: bytes, attributes: Mapping[str, Any]) -> bytes:
    flags = kind | (_HAS_ATTRIBUTES if attributes else 0)
    found = struct.pack(">ii", flags, length) + body
    for name, value in attributes.items():
        found += struct.pack(">ii", _PAIR | _HAS_TAG, _SYMBOL) + _text(name) + _value(value)
    return found + (struct.pack(">i", _END) if attributes else b"")


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">ii", _TEXT | _IN_UTF8, len(content)) + content
