"""What differs between two runs: parameters, source, and for each step its packages, inputs, settings, metrics and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from stepwell.blocks.differences.differences import differences
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.store import Store
from stepwell.conditions import MetricName
from stepwell.flows.parameters.values import values_in
from stepwell.flows.runs.comparing.run_facts import all_metrics
from stepwell.flows.runs.comparing.source_difference import FileDifference, snapshot_differences
from stepwell.flows.runs.summary import RunSummary, StepSummary, summarize
from stepwell.model.fingerprint import Fingerprint
from stepwell.model.records import Artifact, StepRecord

Pair = tuple[Any, Any]
"""A value before and after; ABSENT where there is none."""


class _Absent(Enum):
    ABSENT = "absent"


ABSENT = _Absent.ABSENT

_PACKAGES = (
    *("package", "own package", "own module", "imported", "conda package", "conda channels", "package index"),
    *("pip options", "python", "command python", "command package", "image", "dockerfile", "driver"),
)
_INPUTS = ("input", "beside", "reading", "order", "way of input", "read", "look")
_ELSEWHERE = ("script", "module", "file", "source directory", "parameter")
"""Kinds of rows that the differences of source and parameters tell of, in full."""

_LARGEST_OUTPUT = 64 << 20
_MOST_FILES = 5


@dataclass(frozen=True)
class StepDifference:
    """What differs in a step: sentences on packages, inputs, settings and outputs, pairs of metrics.

    `runs` says which of two runs has it alone, '' if both have it; `happened` holds what became of it if that differs.
    """

    step: str
    runs: str = ""
    happened: Pair | None = None
    packages: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    metrics: Mapping[str, Pair] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    """What can't be compared, and why."""

    @property
    def same(self) -> bool:
        """Whether nothing differs, as far as that can be told."""
        return self == StepDifference(self.step)


@dataclass(frozen=True)
class SourceDifference:
    """What differs in the source directory of some steps."""

    steps: tuple[str, ...]
    files: tuple[FileDifference, ...]
    unknown: str = ""


@dataclass(frozen=True)
class RunDifference:
    """What differs between two runs, which are called `names`."""

    names: tuple[str, str]
    parameters: Mapping[str, Pair]
    sources: tuple[SourceDifference, ...]
    steps: tuple[StepDifference, ...]
    metrics: Mapping[str, Pair]
    """Metrics of the runs themselves."""

    @property
    def same(self) -> bool:
        """Whether nothing differs, as far as that can be told."""
        return not (self.parameters or self.sources or self.steps or self.metrics)


@dataclass(frozen=True)
class Side:
    """One of two runs: its folder, the store of its workspace, and what is known of it."""

    store: Store
    summary: RunSummary
    metrics: Mapping[MetricName, Any]

    @classmethod
    def of(cls, store: Store, folder: RunFolder) -> Side:
        """Return the side of a run."""
        summary = summarize(folder)
        return cls(store, summary, all_metrics(summary))

    def metrics_of(self, step: str) -> dict[str, Any]:
        """Return the metrics of a step; with '' those of the run itself."""
        return {name.name: value for name, value in self.metrics.items() if name.step == step}

    def source_of(self, step: str) -> str | None:
        """Return the digest of a step's source directory, '' if it has none, None if there is no such step."""
        definition = self.definition(step)
        if definition is None:
            return None
        source = definition.get("source_directory")
        snapshots = self.summary.facts.get("snapshots", {})
        return str(snapshots.get(source) or "") if isinstance(source, str) else ""

    def definition(self, step: str) -> Mapping[str, Any] | None:
        """Return the definition of a step as plain values."""
        known = self.summary.facts.get("pipeline", {}).get("steps", [])
        wanted = next((one.defined_as for one in self.summary.steps if one.id == step), step)
        return next((one for one in known if one["id"] == wanted), None)

    def record(self, step: StepSummary) -> StepRecord | None:
        """Return what is kept of the step's result, here or, where results are shared, by others."""
        found = self.store.read_record(step.key) if step.key else None
        if step.key and self.store.shares and not isinstance(found, StepRecord):
            found = self.store.lookup(step.key)
        return found if isinstance(found, StepRecord) else None


def run_difference(before: Side, after: Side) -> RunDifference:
    """Return what differs between two runs."""
    names = (before.summary.label, after.summary.label)
    if names[0] == names[1]:  # of two machines, or two workspaces
        told = (before.summary.machine, after.summary.machine)
        if not all(told) or told[0] == told[1]:
            told = (before.summary.run_id[:8], after.summary.run_id[:8])
        names = (f"{names[0]} ({told[0]})", f"{names[1]} ({told[1]})")
    steps = [{step.id: step for step in side.summary.steps} for side in (before, after)]
    every = list(dict.fromkeys([*steps[0], *steps[1]]))
    found = [_step(one, before, after, steps[0].get(one), steps[1].get(one)) for one in every]
    return RunDifference(
        names,
        pairs(values_in(before.summary.facts), values_in(after.summary.facts)),
        tuple(_sources(every, before, after, names)),
        tuple(step for step in found if not step.same),
        pairs(before.metrics_of(""), after.metrics_of("")),
    )


def pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Pair]:
    """Return the values that differ, by name; NaN is NaN."""
    names = dict.fromkeys([*before, *after])
    found = {name: (before.get(name, ABSENT), after.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in found.items() if pair[0] != pair[1] and repr(pair[0]) != repr(pair[1])}


def _sources(steps: Iterable[str], before: Side, after: Side, names: tuple[str, str]) -> Iterable[SourceDifference]:
    """Yield the differences of each pair of snapshots, once for all steps that have it."""
    users: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        one, two = before.source_of(step), after.source_of(step)
        if one is not None and two is not None and one != two:
            users.setdefault((one, two), []).append(step)
    for (one, two), who in users.items():
        files, unknown = snapshot_differences((before.store, one, names[0]), (after.store, two, names[1]))
        if files or unknown:
            yield SourceDifference(tuple(who), tuple(files), unknown)


def _step(name: str, before: Side, after: Side, old: StepSummary | None, new: StepSummary | None) -> StepDifference:
    if old is None or new is None:
        return StepDifference(name, runs="second" if old is None else "first")
    states = [_state(step) for step in (old, new)]
    told = {
        "happened": tuple(states) if states[0] != states[1] else None,
        "metrics": pairs(before.metrics_of(name), after.metrics_of(name)),
    }
    if old.key and old.key == new.key:
        return StepDifference(name, **told)  # type: ignore[arg-type]
    records = before.record(old), after.record(new)
    if records[0] is None or records[1] is None:
        lost = [side.summary.label for side, one in zip((before, after), records, strict=True) if one is None]
        why = f"No result is kept of {' and of '.join(lost)}, so what decided it can't be compared"
        return StepDifference(
            name,
            settings=_of_definitions(before.definition(name), after.definition(name)),
            unknown=(why,),
            **told,  # type: ignore[arg-type]
        )
    prints = records[0].fingerprint, records[1].fingerprint
    in_full = None not in (before.source_of(name), after.source_of(name))  # else a flow of the user's own
    others = {row.kind for one in prints for row in one.rows} - {*_PACKAGES, *_INPUTS, *(_ELSEWHERE if in_full else ())}
    return StepDifference(
        name,
        packages=_words(prints, _PACKAGES, before, after),
        inputs=_words(prints, _INPUTS, before, after),
        settings=_words(prints, others, before, after),
        outputs=tuple(_outputs(before, after, records[0].written, records[1].written)),
        **told,  # type: ignore[arg-type]
    )


def _state(step: StepSummary) -> str:
    """Return how a step ended; whether its result was made or reused is no difference."""
    return "done" if step.status in ("done", "reused") else step.happened


def _words(prints: tuple[Fingerprint, Fingerprint], kinds: Iterable[str], before: Side, after: Side) -> tuple[str, ...]:
    """Return a sentence for each row of the kinds that differs."""
    wanted = set(kinds)
    old, new = (Fingerprint(tuple(row for row in one.rows if row.kind in wanted)) for one in prints)

    def explain(earlier: str, later: str) -> Iterable[str]:
        trees = before.store.manifest(earlier), after.store.manifest(later)
        if trees[0] is None or trees[1] is None or (trees[0].is_file and trees[1].is_file):
            return ()
        words = trees[1].diff(trees[0])
        return words if len(words) <= _MOST_FILES else (*words[:_MOST_FILES], f"and {len(words) - _MOST_FILES} more")

    return new.diff(old, explain)


_NAMED = ("type", "script", "command", "arguments", "parameters", "compute_target", "version")


def _of_definitions(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Say which parts of a step's definition differ, for want of more."""
    if old is None or new is None:
        return ()
    names = [name for name in _NAMED if old.get(name) != new.get(name)]
    return tuple(f"{name.replace('_', ' ')} changed" for name in names)


def _outputs(before: Side, after: Side, old: Mapping[str, Artifact], new: Mapping[str, Artifact]) -> Iterable[str]:
    """Yield a sentence for each output that differs: where, as far as both are here."""
    for name in dict.fromkeys([*old, *new]):
        one, two = old.get(name), new.get(name)
        if one is None or two is None:
            yield f"{name}: {'new' if one is None else 'gone'}"
        elif one.digest != two.digest:
            words = _places(before, after, one, two)
            sizes = f"{one.size:,} → {two.size:,} bytes" if one.size != two.size else f"{two.size:,} bytes"
            yield f"{name} changed ({sizes})" + "".join(f"\n{line}" for line in words)


def _places(before: Side, after: Side, one: Artifact, two: Artifact) -> list[str]:
    paths = before.store.tree_path(one.digest), after.store.tree_path(two.digest)
    if max(one.size, two.size) > _LARGEST_OUTPUT or not all(path.exists() for path in paths):
        trees = before.store.manifest(one.digest), after.store.manifest(two.digest)
        words = list(trees[1].diff(trees[0])) if trees[0] and trees[1] and not trees[1].is_file else []
    else:
        words = [text.removeprefix("the file: ") for text in differences(*paths)]
    return words if len(words) <= _MOST_FILES else [*words[:_MOST_FILES], f"and {len(words) - _MOST_FILES} more files"]
