"""Values put into a line for a shell: raw where they are plain, else quoted as the quotes around their place ask for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Literal

Quote = Literal["", "'", '"']

_PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)
_MEANING_IN_QUOTES = re.compile(r'(["\\$`])')
_BEFORE_COMMENTS = " \t\n;&|("


def line_of(parts: Iterable[tuple[str, str]]) -> str:
    """Return the line of its parts, by kind: `text` as it stands, values of any other kind quoted where needed."""
    line = ""
    for kind, text in parts:
        line += text if kind == "text" else quoted(text, quote_after(line))
    return line


def quote_after(text: str, quote: Quote = "") -> Quote:
    """Return the quote that is open at the end of a text, which stands where `quote` is open."""
    position = 0
    while position < len(text):
        mark = text[position]
        if quote == "'":
            quote = "" if mark == "'" else quote
        elif mark == "\\":
            position += 1
        elif quote == '"':
            quote = "" if mark == '"' else quote
        elif mark in {"'", '"'}:
            quote = "'" if mark == "'" else '"'
        elif mark == "#" and text[position - 1 : position] in _BEFORE_COMMENTS:
            position = (text.find("\n", position) + 1 or len(text) + 1) - 1
        position += 1
    return quote


def quoted(value: str, quote: Quote) -> str:
    """Return the value as text that a shell reads as the value, at a place where `quote` is open."""
    if _PLAIN.fullmatch(value):
        return value
    if quote == "'":
        return value.replace("'", "'\\''")
    return _MEANING_IN_QUOTES.sub(r"\\\1", value) if quote else shlex.quote(value)
