"""The outcome of the steps of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepwell.blocks.store.store import Store
from stepwell.flows.keys.earlier import empty_folder
from stepwell.model.definitions import OutputSource, StepDefinition
from stepwell.model.records import BESIDE, Artifact, StepRecord, StepResult, with_files_beside


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

    def ran_before(self, step: StepDefinition) -> list[str]:
        """Return the steps that it waited for, without those that did not run."""
        return [before for before in step.upstream if before not in self.unmet]

    def records_before(self, step: StepDefinition) -> dict[str, StepRecord]:
        """Return the records of the steps that it waited for, by their ids."""
        return {before: self.results[before].record for before in self.ran_before(step)}

    def inputs_of(self, step: StepDefinition, store: Store) -> dict[str, Artifact]:
        """Return what the step reads of others, by input; an empty folder in the place of what a skipped one did not write."""
        known = {
            port.name: empty_folder(store)
            if port.source.step in self.unmet
            else self.results[port.source.step][port.source.output]
            for port in step.inputs
            if isinstance(port.source, OutputSource)
        }
        return with_files_beside(step, known, self._written_beside)

    def _written_beside(self, step: str) -> Artifact | None:
        return self.results[step].record.outputs.get(BESIDE) if step in self.results else None
