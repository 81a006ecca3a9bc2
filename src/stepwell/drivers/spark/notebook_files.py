"""Notebooks as Jupyter and Databricks write them: `.ipynb`, and Databricks' exports `.py` and `.sql`."""

from __future__ import annotations

import json
import os
import re
import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

_COMMENTS = {".py": "#", ".sql": "--"}
_LANGUAGES = {"python": ".py", "sql": ".sql"}
_CELL_MAGIC = re.compile(r"\s*%(sql|python|md-sandbox|md|sh|fs|scala|r|pip|conda|run)\b")


def read_notebook(path: str) -> dict[str, Any]:
    """Return a notebook in Jupyter's format, version 4; its code cells are in Python or begin with a magic."""
    with open(path, encoding="utf-8-sig") as stream:
        text = stream.read()
    ending = os.path.splitext(path)[1].lower()
    if ending == ".ipynb":
        return _of_jupyter(path, text)
    return _notebook([_cell(source, ending) for source in _exported(text, _COMMENTS[ending])])


def code_cells(notebook: dict[str, Any]) -> list[str]:
    """Return the sources of the code cells."""
    return [_joined(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def as_cell_magic(lines: list[str]) -> list[str]:
    """Return the lines of a cell that begins with `%sql` and the like as Jupyter has it, with `%%`."""
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    match = _CELL_MAGIC.match(lines[first]) if first is not None else None
    if first is None or match is None or match[1] in ("pip", "conda", "run"):
        return lines
    if match[1] == "python":
        return [*lines[:first], lines[first][match.end() :].lstrip(" "), *lines[first + 1 :]]
    head = "%" + lines[first].lstrip()
    rest = head.removeprefix(f"%%{match[1]}").strip()
    if match[1] == "sql" and rest:  # the statement begins beside the magic
        return ["%%sql\n", head.removeprefix("%%sql").lstrip(), *lines[first + 1 :]]
    if match[1] in ("sh", "fs") and rest:
        return [f"%%{match[1]}\n", rest + "\n", *lines[first + 1 :]]
    return [head, *lines[first + 1 :]]


def _of_jupyter(path: str, text: str) -> dict[str, Any]:
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
    except (ValueError, TypeError, KeyError):
        sys.exit(f"{path} is no notebook of Jupyter's format 4. Save it anew in Jupyter, or export it from Databricks.")
    for cell in cells:
        cell["source"] = _joined(cell["source"])
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    kept = _notebook(cells)
    kept["metadata"] = {**notebook.get("metadata", {}), **kept["metadata"]}
    return kept


def _exported(text: str, comment: str) -> list[str]:
    """Return the cells of a Databricks export; a file that is none is one cell."""
    header = re.match(rf"{comment} Databricks notebook source[ \t]*\r?\n?", text)
    if not header:
        return [text]
    cells = re.split(rf"(?m)^{comment} COMMAND -+[ \t]*\r?$", text[header.end() :])
    return [_without_magic(cell, comment) for cell in cells if cell.strip()]


def _without_magic(cell: str, comment: str) -> str:
    lines = [line for line in cell.strip("\r\n").splitlines() if not line.startswith(f"{comment} DBTITLE")]
    magic = f"{comment} MAGIC"
    return "\n".join(line.removeprefix(magic).removeprefix(" ") if line.startswith(magic) else line for line in lines)


def _cell(source: str, ending: str) -> dict[str, Any]:
    if re.match(r"\s*%md\b", source):
        text = re.sub(r"\A\s*%md(-sandbox)?[ \t]*\n?", "", source)
        return {"cell_type": "markdown", "metadata": {}, "source": text}
    if ending == ".sql" and not _CELL_MAGIC.match(source):
        source = f"%sql\n{source}"
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def _notebook(cells: list[dict[str, Any]]) -> dict[str, Any]:
    known = [{key: value for key, value in cell.items() if key != "id"} for cell in cells]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": known, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
