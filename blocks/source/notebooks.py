"""Notebooks as the code in their cells."""

from __future__ import annotations

import json
import re

_MAGIC = re.compile(r"^\s*[%!?]")
_NO_PYTHON = re.compile(r"\s*(%%|%(sql|md|sh|fs|scala|r)\b)")  # the latter are Databricks'


def code_of(content: bytes) -> bytes:
    """Return the Python of a notebook's code cells, without lines that are no Python; nothing if it is no notebook.

    Line and cell magics, and lines for a shell, are blank: what stands below `%%` is no Python.
    """
    try:
        cells = json.loads(content)["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return b""
    kept = (text for text in texts if not _NO_PYTHON.match(text))
    lines = ("" if _MAGIC.match(line) else line for text in kept for line in text.split("\n"))
    return "\n".join(lines).encode("utf-8", "replace")
