"""Notebooks as the code in their cells."""

from __future__ import annotations

import ast
import json
import re
import warnings

_MAGIC = re.compile(r"^([ \t]*)[%!?].*|^([ \t]*)\S.*\?$")
_NO_PYTHON = re.compile(r"\s*(%%|%(sql|md|sh|fs|scala|r)\b)")
"""How cells begin that hold no Python; those without a double sign are Databricks'."""

_OF_PYTHON = re.compile(r"%%(?:time|timeit|capture|prun|memit|mprun)\b[^\n]*\n?")
"""Cell magics below which stands Python, too."""

_MOST_MENDED = 50


def code_of(content: bytes) -> bytes:
    """Return the Python of a notebook's code cells, without lines that are no Python; nothing if it holds none.

    Line magics, and lines for a shell or for help, are passed over, as is what stands below most cell magics, and any other line
    that Python alone doesn't understand.
    """
    try:
        notebook = json.loads(content)
        metadata = notebook.get("metadata", {})
        said = metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name")
        texts = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return b""
    if str(said or "python").lower() not in ("python", "ipython"):
        return b""
    return "\n".join(map(_python_of, texts)).encode("utf-8", "replace")


def _python_of(cell: str) -> str:
    text = _OF_PYTHON.sub("", cell.lstrip(), count=1) if _OF_PYTHON.match(cell.lstrip()) else cell
    if _NO_PYTHON.match(text):
        return ""
    lines = [_MAGIC.sub(r"\1\2pass", line) for line in text.split("\n")]
    for _ in range(_MOST_MENDED):
        wrong = _wrong_line("\n".join(lines))
        if wrong is None:
            return "\n".join(lines)
        line = lines[wrong - 1] if 0 < wrong <= len(lines) else ""
        if not line.strip():
            return ""
        lines[wrong - 1] = "" if line.strip() == "pass" else line[: len(line) - len(line.lstrip())] + "pass"
    return ""


def _wrong_line(text: str) -> int | None:
    """Return the number of the line that Python stumbles over, None if there is none; 0 if it can't say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0
    return None
