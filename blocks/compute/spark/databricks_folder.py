"""The folder that stands in for what a Databricks workspace keeps: its notebooks, and the files of `dbfs:/`.

workspace/   notebooks, below it as in the workspace: `Users/someone/demo.ipynb`, or Databricks' exports `demo.py`, `demo.sql`
dbfs/        what is at `dbfs:/`
staged/      single files of `dbfs/` that steps run, by content
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from stepwell.blocks.system.home import home, make_folder
from stepwell.model.digests import bytes_digest

VARIABLE = "STEPWELL_DATABRICKS_FOLDER"
"""The environment variable that names the folder; else it is `databricks` in the home."""

NOTEBOOKS = (".ipynb", ".py", ".sql")


def databricks_folder(chosen: str = "") -> Path:
    """Return the folder: the chosen one, that of the variable, or `databricks` in the home; it need not be there."""
    named = chosen or os.environ.get(VARIABLE, "")
    return Path(os.path.abspath(Path(named).expanduser())) if named else home() / "databricks"


def notebook_in(folder: Path, path: str) -> str:
    """Return the file of a notebook that a path names, with its ending or without, as a path in the folder; '' if none is there."""
    relative = os.path.normpath(path.lstrip("/").removeprefix("Workspace/"))
    if relative.startswith(".."):
        return ""
    names = (relative, *(relative + ending for ending in NOTEBOOKS))
    return next((name for name in names if name.endswith(NOTEBOOKS) and (folder / name).is_file()), "")


def notebook_places(path: str, source: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders where a notebook may be, and its path in each, the first one first.

    `source` is the step's source directory; a notebook of another place than this is also looked for under its mere name there.
    """
    yield source, path
    if os.path.isabs(path):
        yield Path(path).parent, os.path.basename(path)
    yield folder / "workspace", path
    yield source, os.path.basename(path)


def dbfs_file(path: str, folder: Path) -> Path:
    """Return where a file of `dbfs:/`, `/dbfs/` or `file:/` stands on this machine; another absolute path stands for itself."""
    if path.startswith("file:"):
        return Path("/" + path.removeprefix("file:").lstrip("/"))
    for start in ("dbfs:", "/dbfs/"):
        if path.startswith(start):
            inner = os.path.normpath("/" + path.removeprefix(start).lstrip("/"))
            return folder / "dbfs" / inner.lstrip("/")
    return Path(path)


def staged(path: Path, folder: Path) -> Path:
    """Return a folder that has nothing but a copy of the file, the same one for the same content."""
    content = path.read_bytes()
    place = folder / "staged" / bytes_digest(content)[:32]
    make_folder(place)
    copy = place / path.name
    if not copy.exists():
        draft = place / f".{path.name}.{os.getpid()}"
        draft.write_bytes(content)
        draft.replace(copy)
    return place
