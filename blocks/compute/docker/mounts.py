"""What a container sees of a job: its folder, its record, the worker bundle, and inputs that stand elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stepwell.blocks.compute.job import Job
from stepwell.blocks.compute.worker_bundle import bundle_folder
from stepwell.blocks.compute.working_directory import WorkingDirectory
from stepwell.blocks.system.home import home

ROOT = Path("/stepwell")


def in_container(directory: WorkingDirectory, job: Job) -> tuple[WorkingDirectory, list[dict[str, Any]]]:
    """Return the working directory as the container sees it, and what is mounted for that."""
    record, bundle = ROOT / "record", ROOT / "bundle"
    mounts = [
        _mount(directory.folder, ROOT),
        _mount(job.control, record / "control"),
        _mount(bundle_folder(home() / "cache"), bundle, read_only=True),
    ]
    inputs = {}
    for name, path in directory.inputs.items():
        if path.is_relative_to(directory.folder) and path.is_symlink():  # files stand beside it
            mounts.append(_mount(path, ROOT / path.relative_to(directory.folder), read_only=True))
            path.unlink()
        elif not path.is_relative_to(directory.folder):
            folder = ROOT / "inputs" / name
            inputs[name] = folder / path.name if path.is_file() else folder
            mounts.append(_mount(path, inputs[name], read_only=True))
    for mount in mounts[1:]:  # the engine would make them as root
        point = directory.folder / Path(mount["Target"]).relative_to(ROOT)
        (point.parent if os.path.isfile(mount["Source"]) else point).mkdir(parents=True, exist_ok=True)
        if os.path.isfile(mount["Source"]):
            point.touch()
    return directory.seen_at(ROOT, record, inputs), mounts


def _mount(source: Path, target: Path, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": os.path.realpath(source), "Target": str(target), "ReadOnly": read_only}
