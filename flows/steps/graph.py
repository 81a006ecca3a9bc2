"""The graph of a pipeline's steps: which belong to it, in which order they can run, and what is wrong with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import merge
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, PipelineData
from stepwell.flows.steps.ports import original
from stepwell.flows.steps.step import Step
from stepwell.model.definitions import ParameterDefinition, StepDefinition


def flatten(items: Any) -> list[Step | PipelineData]:
    """Return the steps, and data that stand for the step that writes them, of lists nested to any depth."""
    if isinstance(items, (Step, PipelineData)):
        return [items]
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise UserErrorException(
            f"Can not add object of type {type(items).__name__} to Pipeline",
            {"value": repr(items)},
            "Pass steps, lists of steps, or a StepSequence.",
        )
    return [step for item in items for step in flatten(item)]


class Graph:
    """The steps of a pipeline with all that they need, ordered so that each comes after what it waits for."""

    def __init__(self, items: Any, *, resolve_closure: bool = True, may_be_circular: bool = False) -> None:
        self._writers: dict[int, Step] = {}
        self._by_name: dict[str, list[Step]] = {}
        listed = flatten(items)
        wanted = [item for item in listed if isinstance(item, Step)]
        self._note(dict.fromkeys(wanted))
        wanted += [self._writer(item, None) for item in listed if isinstance(item, PipelineData)]
        closed, listed_steps = self._closed(wanted), set(wanted)
        missing = [step for step in closed if step not in listed_steps]
        if missing and not resolve_closure:
            raise UserErrorException(
                f"The pipeline needs step {missing[0].name!r}, which is not listed",
                hint="List it, or leave `resolve_closure` as it is.",
            )
        for step in closed:
            self._by_name.setdefault(step.name, []).append(step)
        self.steps = self._ordered(closed, may_be_circular=may_be_circular)
        self.ids = _unique_names(self.steps)

    def _note(self, steps: Iterable[Step]) -> None:
        for step in steps:
            for output in step.produced:
                writer = self._writers.setdefault(output, step)
                if writer is not step:
                    raise UserErrorException(
                        f"{step.produced[output]!r} is already an output of step {writer.name!r}",
                        {"second step": step.name},
                        "Give each step its own PipelineData.",
                    )

    def _writer(self, data: Any, reader: Step | None) -> Step:
        writer = self._writers.get(id(data)) or getattr(data, "producer", None)
        if writer is None:
            raise UserErrorException(
                f"No step of the pipeline writes {data.name!r}",
                {"read by": reader.name} if reader else {},
                "Add the step that has it in `outputs`, or name it there.",
            )
        return writer

    def predecessors(self, step: Step) -> list[Step]:
        """Return the steps that must end before this one starts."""
        data = [
            self._writer(item, step)
            for item in step.consumed
            if isinstance(item, (PipelineData, OutputFileDatasetConfig)) or id(item) in self._writers
        ]
        told = [one if isinstance(one, Step) else self._writer(original(one), step) for one in step.told_by]
        return list(dict.fromkeys((*data, *step.predecessors, *told, *self._named(step))))

    def _named(self, step: Step) -> Iterable[Step]:
        """Yield the steps that conditions of a step name; none while it is not known yet which steps there are."""
        for condition in step.text_conditions if self._by_name else ():
            yield self._of_name(condition.on(self._by_name, step.name).value.source, step)

    def _of_name(self, name: str, reader: Step) -> Step:
        found = self._by_name[name]
        if len(found) > 1:
            raise UserErrorException(
                f"A condition of step {reader.name!r} is on {name!r}, and {len(found)} steps are called so",
                hint="Name each step differently, or write `run_if=step.metric('accuracy') > 0.9`.",
            )
        return found[0]

    def _closed(self, steps: Iterable[Step]) -> list[Step]:
        """Return the steps and all that they wait for; one found by `run_after` alone brings its own outputs."""
        found: dict[Step, None] = {}
        waiting = deque(steps)
        while waiting:
            step = waiting.popleft()
            if step not in found:
                found[step] = None
                self._note((step, *step.predecessors))
                waiting += self.predecessors(step)
        return list(found)

    def _ordered(self, steps: list[Step], *, may_be_circular: bool) -> tuple[Step, ...]:
        """Return the steps in the order in which they are listed, as far as each comes after what it waits for."""
        waiting = {step: set(self.predecessors(step)) for step in steps}
        after: dict[Step, list[Step]] = {step: [] for step in steps}
        for step, needed in waiting.items():
            for before in needed:
                after[before].append(step)
        place = {step: number for number, step in enumerate(steps)}
        ready = [place[step] for step in steps if not waiting[step]]  # in order, so a heap already
        done: list[Step] = []
        while ready:
            step = steps[heappop(ready)]
            done.append(step)
            for later in after[step]:
                waiting[later].discard(step)
                if not waiting[later]:
                    heappush(ready, place[later])
        left = [step for step in steps if waiting[step]]
        if left and not may_be_circular:
            raise UserErrorException(
                "The steps wait for one another in a circle",
                {"steps": ", ".join(step.name for step in left)},
                "Remove one of the inputs or `run_after` calls that close the circle.",
            )
        return (*done, *left)

    def define(self, source_directory: Path | None) -> tuple[StepDefinition, ...]:
        """Return the steps as plain values, tied to each other by id."""
        producers = {output: (self.ids[step], name) for step in self.steps for output, name in step.produced.items()}
        defined = tuple(
            step.define(
                step_id=self.ids[step],
                producers={name: producers[name] for item in step.inputs if (name := id(original(item))) in producers},
                ids={before: self.ids[before] for before in step.predecessors if before in self.ids},
                source_directory=source_directory,
            )
            for step in self.steps  # each told of what it needs alone, for it looks at all that it is told
        )
        later = [self._decided_later(step, producers) for step in self.steps]
        return tuple(replace(one, **fields) if fields else one for one, fields in zip(defined, later, strict=True))

    def _decided_later(self, step: Step, producers: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
        def find(source: Any) -> tuple[str, str]:
            if isinstance(source, (str, Step)):
                found = self._of_name(source, step) if isinstance(source, str) else source
                if found.is_mapped:
                    raise UserErrorException(
                        f"The step {step.name!r} depends on a metric of {found.name!r}, which is mapped, and logs one for each item",
                        hint="Let a step that reads what it writes log the metric, and depend on that.",
                    )
                return self.ids[found], ""
            return producers[id(original(source))]

        return step.decided_later(find, self._by_name)

    def parameters(self) -> tuple[ParameterDefinition, ...]:
        """Return every parameter that a step uses, by name."""
        return merge(parameter for step in self.steps for parameter in step.parameters)


def _unique_names(steps: Iterable[Step]) -> Mapping[Step, str]:
    ids: dict[Step, str] = {}
    taken, counts = set[str](), dict[str, int]()
    for step in steps:
        name, count = step.name, counts.get(step.name, 1)
        while name in taken:
            count += 1
            name = f"{step.name}-{count}"
        counts[step.name] = count
        taken.add(name)
        ids[step] = name
    return ids
