"""The outcome of the steps of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepwell.model.records import StepResult


@dataclass
class Outcome:
    """The outcome of a pipeline's steps: results by step id, and the messages of those that failed."""

    results: dict[str, StepResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    unmet: set[str] = field(default_factory=set)
    """The steps that their conditions kept from running, and what depends on these."""

    cancelled: bool = False

    @property
    def ok(self) -> bool:
        """Whether every step has a result, but for those that were not to run."""
        return not (self.failures or self.skipped or self.cancelled)
