"""`LocalCompute`: steps as processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from stepwell.blocks.command import Command
from stepwell.blocks.compute import ComputeTarget
from stepwell.blocks.processes import StopSignal, run_process
from stepwell.vocabulary import Exit


class LocalCompute(ComputeTarget):
    """Processes of this machine, at most `max_concurrent` at once in a pipeline."""

    _block_type_name: ClassVar[str | None] = "Stepwell Local Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-local-compute"
    _description: ClassVar[str | None] = "Runs steps as processes of this machine."

    max_concurrent: int = Field(
        default_factory=lambda: max(2, os.cpu_count() or 2),
        ge=1,
        description="How many steps of a pipeline run at once.",
    )

    def run(
        self, command: Command, on_text: Callable[[str], None], stop: StopSignal, redact: Callable[[str], str]
    ) -> Exit:
        """How the process ended."""
        return run_process(command, on_text, stop, redact)
