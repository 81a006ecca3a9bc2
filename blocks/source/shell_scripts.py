"""Shell scripts that were written for Windows: a shell takes the CR at the end of a line for part of the line."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from pathlib import Path

from stepwell.model.regular_files import regular_only

_BEGINNING = 4096


def windows_script(place: Callable[[str], Path | None], words: Iterable[str]) -> str:
    """Return the first word that names a shell script whose lines end in CR LF, as its bytes at `place` tell; '' if none does."""
    for word in words:
        name = posixpath.normpath(word)
        if not word or name.startswith(("/", "..")):
            continue
        try:
            found = place(name)
            if found is None:
                continue
            with open(found, "rb", opener=regular_only) as stream:
                first = stream.read(_BEGINNING).partition(b"\n")[0]
        except (OSError, ValueError):
            continue
        if first.endswith(b"\r") and (first.startswith(b"#!") or name.endswith((".sh", ".bash"))):
            return name
    return ""


def line_ends_hint(name: str) -> str:
    """Return what to do about such a script."""
    return f"Write the lines of {name} with LF at their ends, not CR LF: `sed -i 's/\\r$//' {name}`."
