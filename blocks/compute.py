"""The seam between a step and where it runs: a compute target takes a job and returns how it finished."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from prefect.blocks.core import Block
from pydantic import Field

from stepwell.blocks import documents
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from stepwell.blocks.job import Finished, Job, Redact, Say
    from stepwell.blocks.processes import StopSignal
    from stepwell.blocks.workspace import BaseWorkspace
    from stepwell.vocabulary import StepDefinition

LOCAL = "local"
"""The name of the compute target that steps run on unless they say otherwise: processes on this machine."""


class Compute(Block, abc.ABC):
    """Where steps run. A new kind is one file `*_compute.py` with one subclass.

    Every workspace has a target of each kind, with its defaults, under the kind's `default_name`.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Compute Target"
    default_name: ClassVar[str] = ""

    workspace: str = Field(default="", description="The workspace that the target belongs to.")
    name: str = Field(default="", description="The target's name.")
    max_concurrent: int = Field(default=64, ge=1, description="How many steps of a pipeline run at once.")

    @abc.abstractmethod
    def run(self, job: Job, say: Say, stop: StopSignal, redact: Redact) -> Finished:
        """How the job ended, every output where it says. `say` got the script's output on the way, as did the job's logs.

        A target that can't be reached raises ComputeTargetException.
        """

    def check(self, step: StepDefinition) -> None:
        """Nothing; a step that the target could never run raises ComputeTargetException. Wakes nothing."""

    def ready(self) -> None:
        """Nothing; a target that lacks what it needs raises ComputeTargetException. Asked when a step is sure to run."""

    def capacity(self) -> Mapping[str, float]:
        """How much of each resource steps of one pipeline may take at once."""
        return {"steps": self.max_concurrent}

    def demand(self, step: StepDefinition) -> Mapping[str, float]:
        """How much of each resource of `capacity` the step takes."""
        return {"steps": 1}

    @property
    def type(self) -> str:
        """The kind of target, such as `LocalCompute`."""
        return type(self).__name__

    def attach_to(self, workspace: BaseWorkspace, name: str) -> Self:
        """This target, saved in the workspace under `name`."""
        self.workspace, self.name = workspace.name, name
        documents.save(self, documents.document_name(workspace.name, name))
        return self


def kinds() -> Iterator[type[Compute]]:
    """Every kind of target that is known."""
    waiting = [Compute]
    while waiting:
        subclasses = waiting.pop(0).__subclasses__()
        waiting += subclasses
        yield from subclasses


def not_found(workspace: str, name: str, known: Mapping[str, object]) -> ComputeTargetException:
    """The error that v1 raises for a name that no target has."""
    return ComputeTargetException(
        f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace",
        {"workspace": workspace, "targets": ", ".join(known)},
        "Choose one of these targets, or attach a new one.",
    )
