"""Code in R, read without R: which packages it loads, and which files it sources."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

_TOKEN = re.compile(r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<comment>\#[^\n]*)""")
_LOADED = re.compile(
    r"""\b(?:library|require|requireNamespace|loadNamespace|attachNamespace)\s*\(\s*(?:package\s*=\s*)?["']?([A-Za-z][\w.]*)"""
)
_QUALIFIED = re.compile(r"(?<![\w.])([A-Za-z][\w.]*):::?(?=[A-Za-z.`])")
_SOURCED = re.compile(r"""\b(?:source|sys\.source)\s*\(\s*(?:file\s*=\s*)?["']([^"'\n]+)["']""")
OURS = frozenset(("stepwell", "azuremlsdk"))
"""The packages that every script finds."""


def libraries_of(code: bytes) -> frozenset[str]:
    """Return the packages that the code loads by name, but for those that every script finds."""
    text = _without_comments(code)
    return frozenset((*_LOADED.findall(text), *_QUALIFIED.findall(text))) - OURS


def sourced_by(script: str, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Return the content of the files that a script sources, and so on, by their paths in the source, without its own.

    Paths are taken from the working directory, as R does; what can't be read is left out.
    """
    found: dict[str, bytes] = {}
    waiting = [script]
    while waiting:
        for path in _SOURCED.findall(_without_comments(read(waiting.pop()))):
            name = posixpath.normpath(path)
            if name.startswith(("/", "..")) or name in found or name == script:
                continue
            if content := read(name):
                found[name] = content
                waiting.append(name)
    return found


def _without_comments(code: bytes) -> str:
    text = code.decode("utf-8", "replace")
    return _TOKEN.sub(lambda match: match["text"] or "", text)
