"""The kit: the part of Stepwell that stands on the standard library alone, for places where Stepwell is not installed.

Scripts import `stepwell.run` from it, containers and foreign interpreters start the launcher in it, and Dask workers that
lack Stepwell run steps with it.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from stepwell import launcher
from stepwell.blocks.files import copy_file, remove

_HALL = Path(launcher.__file__).parent
_BLOCKS = Path(__file__).parent
BLOCKS = (
    *(
        "__init__",
        "command",
        "dask_worker",
        "depot",
        "files",
        "gpu",
        "gpu_worker",
        "home",
        "job",
        "kit",
        "local_run",
        "locks",
        "packages",
        "processes",
    ),
    *("process_family", "process_host", "process_output", "process_signs", "process_table", "process_watchdog"),
    *("base_interpreter", "conda_packages", "environment_recipe", "package_index", "requirements"),
    *("virtual_environment", "workplace"),
)
"""The modules of `stepwell.blocks` that need the standard library alone."""


@cache
def kit_files() -> dict[str, Path]:
    """The kit's files by their path in it."""
    found = {f"stepwell/{path.name}": path for path in sorted(_HALL.glob("*.py"))}
    return {**found, **{f"stepwell/blocks/{name}.py": _BLOCKS / f"{name}.py" for name in BLOCKS}}


@cache
def kit_digest() -> str:
    """What names the kit: other bytes, another name."""
    whole = hashlib.sha256()
    for name, path in kit_files().items():
        whole.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


@cache
def kit_archive() -> bytes:
    """The kit as a zip file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in kit_files().items():
            packed.write(path, name)
    return archive.getvalue()


def kit_folder(cache_folder: Path) -> Path:
    """The folder that holds the kit, to be put on `sys.path`; made below `cache_folder` if it isn't there."""
    place = cache_folder / "kits" / kit_digest()
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
        for name, path in kit_files().items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, draft / name)
        draft.chmod(0o755)
        try:
            os.rename(draft, place)
        except OSError:  # another process was first
            remove(draft)
    return place
