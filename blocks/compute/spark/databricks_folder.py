"""The folder that stands in for what a Databricks workspace keeps: its notebooks, and the files of `dbfs:/`.

workspace/   notebooks, below it as in the workspace: `Users/someone/demo.ipynb`, or Databricks' exports `demo.py`, `demo.sql`
dbfs/        what is at `dbfs:/`
staged/      single files of `dbfs/` that steps run, by content
"""

from __future__ import annotations

import os
from pathlib import Path

from stepwell.blocks.system.home import home, make_folder
from stepwell.model.digests import bytes_digest

VARIABLE = "STEPWELL_DATABRICKS_FOLDER"
"""The environment variable that names the folder; else it is `databricks` in the home."""


def databricks_folder(chosen: str = "") -> Path:
    """Return the folder: the chosen one, that of the variable, or `databricks` in the home; it need not be there."""
    named = chosen or os.environ.get(VARIABLE, "")
    return Path(os.path.abspath(Path(named).expanduser())) if named else home() / "databricks"


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
