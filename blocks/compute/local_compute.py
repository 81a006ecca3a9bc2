"""`LocalCompute`: steps as processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import LOCAL, Compute
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.local_run import ReadyHere, ready_here, run_here
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.system.home import home
from stepwell.errors import ComputeTargetException
from stepwell.model.definitions import Resources, StepDefinition
from stepwell.model.records import beside


def _processors() -> int:
    return max(2, os.cpu_count() or 2)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@checked
class LocalCompute(Compute):
    """Processes of this machine, as many at once as `max_concurrent`, `cpus` and `memory` have room for.

    Attributes:
        max_concurrent: How many steps of a pipeline run at once; by default as many as there are processors.
        cpus: Processors that steps which ask for some may take together; by default all.
        memory: Bytes of memory that steps which ask for some may take together; by default all.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Local Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-local-compute"
    _description: ClassVar[str | None] = "Runs steps as processes of this machine."
    default_name: ClassVar[str] = LOCAL
    inherits_packages: ClassVar[bool] = True
    follows_links: ClassVar[bool] = True

    max_concurrent: int = Field(
        default_factory=_processors, ge=1, description="How many steps of a pipeline run at once."
    )
    cpus: float = Field(
        default_factory=_processors,
        gt=0,
        allow_inf_nan=False,
        description="Processors that steps which ask for some may take together.",
    )
    memory: int = Field(default_factory=_memory, gt=0, description="Bytes of memory that steps may take together.")

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job as a process of this machine, in its environment, which is made first if need be.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.
        """
        return run_here(job, home() / "cache", on_output, stop, redact)

    def prepare(self, job: Job) -> ReadyHere | None:
        """Make the job's working directory before its turn, unless data are copied for that, or an environment is made.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.

        Returns:
            What `run` goes on with, None for nothing.
        """
        step = job.call.definition
        copied = any(port.mode == "download" or beside(port.name) in job.inputs for port in step.inputs)
        return None if copied or step.environment.isolated else ready_here(job, home() / "cache")

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step takes more than there is.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step asks for more processors or memory than the target has, or for GPUs.
        """
        demand, capacity = self.demand(step), self.capacity()
        for resource in ("cpus", "memory"):
            if demand[resource] > capacity[resource]:
                facts = {"step": step.name, "asks for": demand[resource], "there are": capacity[resource]}
                title = f"The compute target {self.name or LOCAL!r} has not enough {resource} for a step"
                raise ComputeTargetException(title, facts, "Ask for less, or choose another compute target.")
        if step.resources and step.resources.gpus:
            raise ComputeTargetException(
                f"The compute target {self.name or LOCAL!r} has no GPUs to give",
                {"step": step.name, "asks for": f"{step.resources.gpus:g} GPUs"},
                "Choose a CudaCompute.",
            )

    def capacity(self) -> Mapping[str, float]:
        """Return how many steps, processors and bytes of memory one pipeline may take at once.

        Returns:
            Amounts of `steps`, `cpus` and `memory` (bytes).
        """
        return {"steps": self.max_concurrent, "cpus": self.cpus, "memory": self.memory}

    def demand(self, step: StepDefinition) -> Mapping[str, float]:
        """Return the processors and bytes of memory that the step asks for, none if it has no `resources`.

        Args:
            step: The definition of the step.

        Returns:
            Amounts of `steps` (1), `cpus` and `memory` (bytes).
        """
        wanted = step.resources or Resources(cpus=0)
        return {"steps": 1, "cpus": wanted.cpus, "memory": wanted.memory}
