"""Where on this machine the notebooks and files are that a Databricks workspace keeps.

The folder that stands in for a workspace has its notebooks in `workspace/`, and what is at `dbfs:/` in `dbfs/`.
"""

from __future__ import annotations

import os
import posixpath
import re

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator

NOTEBOOKS = (".ipynb", ".py", ".sql")
_OTHERS = re.compile(
    r"""%run\s+\\?["']([^"'\\]+)|%run\s+([^\s"'\\]+)|dbutils\.notebook\.run\(\s*(?:path\s*=\s*)?\\?["']([^"'\\]+)"""
)


def notebook_in(folder: str, path: str) -> str:
    """Return the file of a notebook that a path names, with its ending or without, as a path in the folder; '' if none is there."""
    relative = posixpath.normpath(path.lstrip("/").removeprefix("Workspace/"))
    if relative.startswith(".."):
        return ""
    names = (relative, *(relative + ending for ending in NOTEBOOKS))
    return next((name for name in names if name.endswith(NOTEBOOKS) and os.path.isfile(f"{folder}/{name}")), "")


def notebook_places(path: str, source: str, folder: str) -> Iterator[tuple[str, str]]:
    """Yield the folders where a notebook may be, and its path in each, the first one first.

    `source` is the step's source directory, where it may also be under its mere name; `folder` stands in for the workspace.
    """
    yield source, path
    if os.path.isabs(path):
        yield os.path.dirname(path), os.path.basename(path)
    yield os.path.join(folder, "workspace"), path
    yield source, os.path.basename(path)


def local_path(path: str, folder: str) -> str:
    """Return where a path of `dbfs:/`, `/dbfs/` or `file:/` is on this machine; another one stands for itself."""
    if path.startswith("file:"):
        return "/" + path.removeprefix("file:").lstrip("/")
    for start in ("dbfs:", "/dbfs/"):
        if path.startswith(start):
            inner = posixpath.normpath("/" + path.removeprefix(start).lstrip("/"))
            return os.path.join(folder, "dbfs", inner.lstrip("/")).rstrip("/")
    return path


def others_of(folder: str, notebook: str) -> list[str]:
    """Return the notebooks in the folder that a notebook runs by `%run` and `dbutils.notebook.run`, and those that they run."""
    found, waiting = [notebook], [notebook]
    while waiting:
        own = waiting.pop()
        with open(os.path.join(folder, own), encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        for words in _OTHERS.findall(text):
            path = next(filter(None, words))
            beside = path if path.startswith("/") else posixpath.join(posixpath.dirname(own), path)
            other = notebook_in(folder, beside)
            if other and other not in found:
                found.append(other)
                waiting.append(other)
    return found[1:]
