"""The worker bundle: the part of Stepwell that needs the standard library alone, for where Stepwell is not installed.

Scripts import `Run` from it, containers and foreign interpreters start the launcher in it, and Dask workers that lack
Stepwell run steps with it. Companions, such as the names of the Azure ML SDK, are in it, too.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from stepwell.blocks.system.companions import companions
from stepwell.blocks.system.files import copy_file, remove
from stepwell.blocks.system.home import make_folder
from stepwell.script import launcher
from stepwell.script.workspace import package_init

_PACKAGE = Path(launcher.__file__).parents[1]
_PARTS = tuple(_PACKAGE / f"{name}.py" for name in ("conditions", "errors", "rules"))
_BLOCKS = Path(__file__).parents[1]
_ROOMS = (
    "model",
    "model/datasets",
    "model/trees",
    "script",
    "script/children",
    "script/submitting",
    "script/tables",
    "script/workspace",
)
_KINDS = (".py", ".pyi")
BLOCKS = {
    "compute": ("access_times", "files_beside", "job", "local_run", "own_code", "worker_bundle", "working_directory"),
    "compute/tracking": ("mlflow_runs",),
    "compute/dask": ("gpu", "gpu_lease", "relay", "worker"),
    "environments": (
        *("base_interpreter", "conda_packages", "package_index", "packages", "recipe", "requirements", "survey"),
        "virtual_environment",
    ),
    "processes": (
        *(
            "cgroup",
            "command",
            "host",
            "host_watchdog",
            "markers",
            "output",
            "process_tree",
            "python_command",
            "runner",
            "step_channel",
            "shell_quoting",
        ),
        "table",
    ),
    "remote": ("archives", "remote_store"),
    "store": (),
    "store/snapshots": ("snapshot",),
    "system": ("companions", "files", "home", "locks", "modes", "temporary_folder"),
}
"""The modules of `stepwell.blocks` that need the standard library alone, by room."""


@cache
def bundle_files() -> dict[str, Path]:
    """Return the bundle's files by their path in it; where a bundle runs, its own."""
    root, first = _PACKAGE.parent, _PACKAGE / "__init__.py"
    if first.read_bytes() == Path(package_init.__file__).read_bytes():
        return {str(path.relative_to(root)): path for path in sorted(root.rglob("*.py*")) if path.suffix in _KINDS}
    core = {f"stepwell/{path.relative_to(_PACKAGE)}": path for path in (*_PARTS, *_core_modules())}
    rooms = ["blocks/__init__", *(f"blocks/{room}/__init__" for room in BLOCKS)]
    modules = [*rooms, *(f"blocks/{room}/{name}" for room, names in BLOCKS.items() for name in names)]
    blocks = {f"stepwell/{name}.py": _BLOCKS.parent / f"{name}.py" for name in modules}
    own = {"stepwell/__init__.py": Path(package_init.__file__), "stepwell/__init__.pyi": _PACKAGE / "__init__.pyi"}
    others = {name: path for companion in companions() for name, path in companion.files.items()}
    return dict(sorted({**own, **core, **blocks, **others}.items()))


def _core_modules() -> list[Path]:
    modules = [path for room in _ROOMS for path in sorted((_PACKAGE / room).glob("*.py"))]
    return [*modules, *sorted((_PACKAGE / "drivers").rglob("*.py"))]


@cache
def bundle_digest() -> str:
    """Return the digest of the bundle's files, which names it."""
    hasher = hashlib.sha256()
    for name, path in bundle_files().items():
        hasher.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return hasher.hexdigest()[:16]


@cache
def bundle_archive() -> bytes:
    """Return the bundle as a zip file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in bundle_files().items():
            packed.write(path, name)
    return archive.getvalue()


def bundle_folder(cache_folder: Path) -> Path:
    """Return the folder of the bundle, to be put on `sys.path`; it is made below `cache_folder` if it isn't there."""
    target = cache_folder / "worker-bundles" / bundle_digest()
    if not target.exists():
        make_folder(target.parent)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
        for name, path in bundle_files().items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, draft / name)
        for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        try:
            os.rename(draft, target)
        except OSError:  # another process was first
            remove(draft)
    return target
