"""`ComputeTarget`: compute targets of a workspace, found, saved and listed, as in v1."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import stepwell.blocks
from stepwell.blocks import compute
from stepwell.blocks.compute import Compute, not_found

if TYPE_CHECKING:
    from stepwell.blocks.workspace import BaseWorkspace


def all_kinds() -> Iterator[type[Compute]]:
    """Every kind of target: each stands in a module `*_compute` of its own."""
    for module in pkgutil.iter_modules(stepwell.blocks.__path__):
        if module.name.endswith("_compute"):
            importlib.import_module(f"stepwell.blocks.{module.name}")
    return compute.kinds()


class ComputeTarget:
    """Compute targets of a workspace. `ComputeTarget(ws, name)` is the target of that name."""

    def __new__(cls, workspace: BaseWorkspace, name: str) -> Compute:  # type: ignore[misc]  # (as v1: the concrete target)
        """The workspace's compute target of that name; ComputeTargetException if there is none."""
        return cls.get(workspace, name)

    @staticmethod
    def get(workspace: BaseWorkspace, name: str) -> Compute:
        """The workspace's compute target of that name; ComputeTargetException if there is none."""
        targets = workspace.compute_targets
        if name not in targets:
            raise not_found(workspace.name, name, targets)
        return targets[name]
