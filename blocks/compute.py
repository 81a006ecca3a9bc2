"""The seam between a step and where it runs: a compute target takes a prepared command and returns an exit."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

from prefect.blocks.core import Block
from pydantic import Field

from stepwell.blocks import documents
from stepwell.errors import ComputeTargetException
from stepwell.vocabulary import Exit

if TYPE_CHECKING:
    from stepwell.blocks.command import Command
    from stepwell.blocks.processes import StopSignal
    from stepwell.blocks.workspace import BaseWorkspace

LOCAL = "local"
"""The name of the compute target that every workspace has: processes on this machine."""


class ComputeTarget(Block, abc.ABC):
    """Where steps run. A new kind is one file with one subclass.

    `ComputeTarget.get(ws, name)` finds a saved target; a name that no target has raises ComputeTargetException.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Compute Target"

    workspace: str = Field(default="", description="The workspace that the target belongs to.")
    name: str = Field(default=LOCAL, description="The target's name.")
    max_concurrent: int = Field(default=1, ge=1, description="How many steps of a pipeline run at once.")

    @abc.abstractmethod
    def run(
        self, command: Command, on_text: Callable[[str], None], stop: StopSignal, redact: Callable[[str], str]
    ) -> Exit:
        """How the command ended; its output went to `on_text` and to its log files on the way."""

    @property
    def type(self) -> str:
        """The kind of target, such as `LocalCompute`."""
        return type(self).__name__

    def attach_to(self, workspace: BaseWorkspace, name: str) -> Self:
        """This target, saved in the workspace under `name`."""
        self.workspace, self.name = workspace.name, name
        documents.save(self, documents.document_name(workspace.name, name))
        return self

    @staticmethod
    def get(workspace: BaseWorkspace, name: str) -> ComputeTarget:
        """The workspace's compute target of that name."""
        targets = workspace.compute_targets
        if name not in targets:
            raise ComputeTargetException(
                f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace",
                {"workspace": workspace.name, "targets": ", ".join(targets)},
                "Choose one of these targets, or attach a new one.",
            )
        return targets[name]
