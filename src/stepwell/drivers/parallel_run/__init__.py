"""The driver of ParallelRunStep: items in mini-batches, given to worker processes that run the entry script's `run`."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.drivers.parallel_run.driving import drive
from stepwell.drivers.parallel_run.foretelling import foretell

__all__ = ["foretell", "main"]


def main(script: str, settings: Mapping[str, str]) -> None:
    """Run the entry script over all items of the step's inputs; end as a script does that failed if too many fail."""
    drive(script, settings)
