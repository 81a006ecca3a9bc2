"""The code of a project as it is read, not run: its scripts, and the cells of its notebooks."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import tokenize
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from stepwell.errors import UserErrorException

_PASSED_BY = {"__pycache__", "node_modules", "site-packages", "venv", "env"}
_PYTHON_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%python3", "%%writefile")
_LINE_OF_THE_SHELL = re.compile(r"^(\s*)(?:[%!?]|[\w.,\[\]' \"]+=\s*[!%]).*$|^(\s*)[\w.]+\?{1,2}\s*$")
_LARGEST = 64 << 20


@dataclass(slots=True)
class Code:
    """The code of one file: statements, where each line stands for people, and what could not be read.

    `cells` are, for a notebook, the first line of each cell in `statements` and the cell's number.
    """

    path: Path
    statements: list[ast.stmt] = field(default_factory=list)
    cells: list[tuple[int, int]] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)

    def place(self, line: int) -> str:
        """Return where a line is: its number, or for a notebook the cell's and the line's number in it."""
        first, cell = next(((first, cell) for first, cell in reversed(self.cells) if first <= line), (1, 0))
        return f"cell {cell}, line {line - first + 1}" if cell else str(line)


def find_code(path: Path) -> Iterator[Code]:
    """Yield the code of a script or notebook, or of all those below a folder, in the order of their names.

    Environments, caches and hidden folders are passed by. A path where nothing is raises UserErrorException.
    """
    if not path.exists():
        raise UserErrorException("There is nothing to read", {"path": path}, "Name a script, a notebook or a folder.")
    for found in [path] if path.is_file() else _files(path):
        yield _notebook(found) if found.suffix == ".ipynb" else _script(found)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not _is_passed_by(Path(place, one)))
        for name in sorted(names):
            if name.endswith((".py", ".ipynb")) and Path(place, name).is_file():
                yield Path(place, name)


def _is_passed_by(folder: Path) -> bool:
    return folder.name in _PASSED_BY or folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()


def _script(path: Path) -> Code:
    code = Code(path)
    try:
        text = _text(path)
        code.statements = ast.parse(text).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, SyntaxError) and "azureml" not in _text(path):
            return code
        code.unread.append((getattr(error, "lineno", None) or 1, _reason(error)))
    return code


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST >> 20} MB")
    content = path.read_bytes()
    with suppress(SyntaxError, UnicodeDecodeError, LookupError):
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding)
    return content.decode("utf-8", "replace")


def _reason(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return text or type(error).__name__


def _notebook(path: Path) -> Code:
    code, line = Code(path), 1
    try:
        cells = json.loads(_text(path))["cells"]
        sources = [("".join(cell.get("source", "")), cell.get("cell_type")) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        code.unread.append((1, f"it is no notebook ({_reason(error)})"))
        return code
    for number, (source, kind) in enumerate(sources, 1):
        if kind != "code":
            continue
        code.cells.append((line, number))
        text = _without_magics(source)
        try:
            statements = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            code.unread.append((line + (getattr(error, "lineno", None) or 1) - 1, _reason(error)))
        else:
            for statement in statements:
                ast.increment_lineno(statement, line - 1)
            code.statements += statements
        line += source.count("\n") + 1
    return code


def _without_magics(source: str) -> str:
    """Return the Python of a cell, line for line: what goes to a shell or to Jupyter is left out."""
    if source.lstrip().startswith("%%"):
        if not source.lstrip().startswith(_PYTHON_MAGICS):
            return ""
        if "%%writefile" in source.split("\n", 1)[0] and ".py" not in source.split("\n", 1)[0]:
            return ""
    lines = source.split("\n")
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = [_LINE_OF_THE_SHELL.sub(r"\1pass", line) for line in lines]
    return "\n".join(lines)
