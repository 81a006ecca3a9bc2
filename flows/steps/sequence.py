"""`StepSequence`: steps, or groups of parallel steps, that run one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.flows.steps.step import Step


@checked
class StepSequence:
    """Steps, or stages of parallel steps, that run one after the other, as in Azure ML SDK v1.

    Every step of a stage waits for every step of the stage before it. Iterating yields the steps in order.

    Args:
        steps: The items in order; an item that is a list is a stage whose steps run in parallel. None: no steps.

    Attributes:
        stages: The steps of each stage, in order.
    """

    def __init__(self, steps: Sequence[Any] | None = None) -> None:
        self.stages = [_flat(item) for item in steps or ()]
        for earlier, later in zip(self.stages, self.stages[1:], strict=False):
            for step in later:
                for before in earlier:
                    step.run_after(before)

    def __iter__(self) -> Iterator[Step]:
        return (step for stage in self.stages for step in stage)


def _flat(item: Any) -> list[Step]:
    if isinstance(item, Step):
        return [item]
    return [step for inner in item for step in _flat(inner)]
