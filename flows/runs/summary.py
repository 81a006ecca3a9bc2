"""What became of a run, read from its folder: the one account that the UI, the command line and `PipelineRun` give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.blocks.store.run_folder import ENDED, TEXTS, Event, RunFolder, latest_states
from stepwell.blocks.store.runs.additions import OWN
from stepwell.blocks.store.runs.words import Words, tag_events, told_facts, words_of
from stepwell.model.names import folder_name
from stepwell.model.redaction import here, redacted
from stepwell.script.events import masked, read_events

_HAPPENED = {"done": "ran", "reused": "reused", "failed": "failed", "skipped": "skipped", "cancelled": "cancelled"}
FINAL = ENDED
ENDED_STEP = tuple(_HAPPENED)
"""What the journal says of steps that have ended."""

GONE = "The run's process is gone: it was killed, or its machine was"
ENDED_WITH_RUN = "It ended with its run"
"""The error of a step that was at work when its run ended."""


@dataclass(frozen=True)
class StepSummary:
    """One step of a run: what happened to it and why, and the events (metrics, images) of the run that made its result.

    `ran_on` says where it ran, if there is more to say than "here"; a reused step ran nowhere. `undeclared` are files, the
    first of `undeclared_count`, that it read though it does not declare them.
    """

    id: str
    status: str
    why: tuple[str, ...] = ()
    step_run_id: str = ""
    run_id: str = ""
    seconds: float | None = None
    saved: float | None = None
    key: str = ""
    made_by: str = ""
    """Who made a reused result on another machine."""

    error: str = ""
    upstream: tuple[str, ...] = ()
    ran_on: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the step reads of datasets, by input."""
    registered: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The datasets that its outputs became, by output."""

    differs: tuple[str, ...] = ()
    """In words, the installed packages on which it ran in place of those that its environment asks for."""

    undeclared: tuple[str, ...] = ()
    undeclared_count: int = 0
    item_of: str = ""
    """The mapped step of which it is an item's."""

    events: tuple[Event, ...] = field(default=(), repr=False)

    @property
    def defined_as(self) -> str:
        """The id of the step of the pipeline that it is, or is an item's of."""
        return self.item_of or self.id

    @property
    def happened(self) -> str:
        """`ran`, `reused`, `failed`, `skipped`, `cancelled`, or what it is doing."""
        return _HAPPENED.get(self.status, self.status)

    def folder(self, run: RunFolder) -> Path:
        """Return the folder of the logs, metrics and files of the step run that made the result."""
        return run.path.parent.joinpath(self.run_id or run.run_id, "steps", self.step_run_id)


@dataclass(frozen=True)
class RunSummary:
    """A run and its steps."""

    run_id: str
    status: str
    pipeline: str
    facts: Mapping[str, Any]
    steps: tuple[StepSummary, ...]
    warnings: tuple[str, ...]
    label: str = ""
    """The run's short name, such as `digits#12`."""

    machine: str = ""
    """The machine that is or was at work on it, `user@host`."""

    elsewhere: bool = False
    """Whether that is another one, of which a copy is shown."""
    shared: int | None = None
    """How many results were shared with others, None if none are shared here."""

    waiting: int = 0
    """How many are still to be shared."""

    problem: str = ""
    """Why the run ended though no step failed, '' if it did not."""

    started: str = ""
    ended: str = ""
    events: tuple[Event, ...] = field(default=(), repr=False)
    """What was logged for the run by others than its steps."""

    @property
    def headline(self) -> str:
        """One line: `Finished: 3 ran, 2 reused (4.1 s saved)`."""
        counts = Counter(step.happened for step in self.steps)
        makers = Counter(step.made_by for step in self.steps if step.made_by)
        theirs = ", ".join(f"{count} from {maker}" for maker, count in makers.most_common())
        words = [
            f"{counts[name]} {name}" + (f" ({theirs})" if theirs and name == "reused" else "")
            for name in ("ran", "reused", "failed", "skipped", "cancelled")
            if counts[name]
        ]
        words += [f"{self.shared} shared, {self.waiting} waiting"] if self.shared is not None else []
        saved = sum(step.saved or 0 for step in self.steps)
        if self.facts.get("kind") == "interactive":
            return self.status
        return f"{self.status}: {', '.join(words) or 'no step ran'}" + (
            f" ({saved:.1f} s saved)" if saved >= 0.05 else ""
        )


def summarize(run: RunFolder, *, logged: bool = True) -> RunSummary:
    """Return what is known of a run now, its secrets masked once more; with what its steps `logged`, unless that is not wanted.

    One that claims to be running though its process is gone counts as failed.
    """
    redact, words = here().redact, words_of(run)
    facts = told_facts(run.facts(), words)
    facts |= {name: redacted(facts[name], redact) for name in ("tags", "parameters", "description") if name in facts}
    journal, alive = run.journal(), run.is_alive()
    if not alive and _reported(journal) == "Running":
        journal = run.journal()  # it may have ended meanwhile
    journal = [event | {n: redacted(event[n], redact) for n in TEXTS if n in event} for event in journal]
    status = _reported(journal)
    problem = next((str(event["problem"]) for event in journal if "problem" in event), "")
    if facts.get("kind") == "flow":
        status = _status_of_flow(journal)
    elif status == "Running" and not alive and not run.heard():
        status, problem = "Failed", problem or GONE
    logs = _Logs(run, redact, words, added=_folder_of_added(run).is_dir()) if logged else None
    steps = [_step(step_id, state, logs) for step_id, state in in_order(latest_states(journal))]
    events = _added(run.path / OWN, redact)
    all_events = (event for some in (events, *(step.events for step in steps)) for event in some)
    said = tag_events(words, all_events) if words else []
    return RunSummary(
        run_id=run.run_id,
        status=status,
        pipeline=str(facts.get("pipeline", {}).get("name") or facts.get("name") or "run"),
        facts=facts,
        steps=tuple(steps if facts.get("kind") == "flow" else (_ended_with_run(step, status) for step in steps)),
        warnings=tuple(
            dict.fromkeys(
                [
                    *(event["warning"] for event in journal if "warning" in event),
                    *_silence(run, status),
                    *_distrust(run),
                ]
            )
        ),
        label=run.label,
        machine=run.machine_name + (" (not trusted)" if run.distrust else ""),
        elsewhere=bool(run.heard()),
        events=(*events, *(masked(event, redact) for event in said)),
        problem=problem,
        shared=next((event["shared"] for event in reversed(journal) if "shared" in event), None),
        waiting=next((event["waiting"] for event in reversed(journal) if "waiting" in event), 0),
        started=next((e.get("at", "") for e in journal if "step" in e or e.get("status") not in (None, *FINAL)), ""),
        ended=next((event["at"] for event in reversed(journal) if "status" in event and "at" in event), "")
        if status in FINAL
        else "",
    )


def in_order(states: Mapping[str, Event]) -> list[tuple[str, Event]]:
    """Return the steps with their states, those of a mapped step's items before the one that joins them."""
    items: dict[str, list[tuple[str, Event]]] = {}
    for step, state in states.items():
        if state.get("item_of") in states:
            items.setdefault(state["item_of"], []).append((step, state))
    found = []
    for step, state in states.items():
        if state.get("item_of") not in states:
            found += [*items.get(step, ()), (step, state)]
    return found


def _reported(journal: Iterable[Event]) -> str:
    """Return the last status that the run's process noted."""
    found = [str(event["status"]) for event in journal if "step" not in event and "status" in event]
    return found[-1] if found else "NotStarted"


def _silence(run: RunFolder, status: str) -> list[str]:
    """Say of another machine's run for how long nothing was heard of it, if that is too long."""
    if status in FINAL or not run.heard() or run.is_alive():
        return []
    minutes = int(run.silent_seconds() // 60)
    return [f"Nothing was heard of {run.machine_name or 'its machine'} for {minutes} minutes: it may be down"]


def _distrust(run: RunFolder) -> list[str]:
    """Say of another machine's run why what is told of it may be false."""
    why = run.distrust
    return (
        [f"Not trusted: what is told of this run {why}, so that whoever can write to the datastore may have made it up"]
        if why
        else []
    )


def _status_of_flow(journal: list[Event]) -> str:
    """Tell how the steps in a user's own flow stand; the flow's own end is known to Prefect alone."""
    latest = {event["step"]: event["status"] for event in journal if "step" in event and "status" in event}
    if "failed" in latest.values():
        return "Failed"
    return "Finished" if latest and set(latest.values()) <= {"done", "reused"} else "Running"


def _ended_with_run(step: StepSummary, status: str) -> StepSummary:
    """Return the step of a run of that status; one that has no end of its own, since nobody was left to note it, has the run's."""
    if step.status in ENDED_STEP or status not in ("Failed", "Canceled"):
        return step
    if status == "Canceled":
        return replace(step, status="cancelled")
    if step.status in ("running", "retrying"):
        return replace(step, status="failed", error=ENDED_WITH_RUN)
    return replace(step, status="skipped")


class _Logs(NamedTuple):
    """What the steps of a run logged, and people said of them; `added`: others may have added to it."""

    run: RunFolder
    redact: Callable[[str], str]
    words: Words
    added: bool

    def events(self, step_id: str, state: Event) -> tuple[Event, ...]:
        """Return what was logged for a step."""
        events, made_in = [], state.get("from_run") or self.run.run_id
        if state.get("step_run_id"):
            control = self.run.path.parent.joinpath(made_in, "steps", state["step_run_id"], "control")
            events = read_events(control, self.redact)
        if self.added:
            events += _added(added_to(self.run, step_id), self.redact)
        if self.words:
            events += [masked(event, self.redact) for event in tag_events(self.words, events, step_id)]
        return tuple(events)


def _step(step_id: str, state: Event, logs: _Logs | None) -> StepSummary:
    return StepSummary(
        id=step_id,
        status=state.get("status", "waiting"),
        why=tuple(state.get("why", ())),
        step_run_id=state.get("step_run_id", ""),
        run_id=state.get("from_run", ""),
        seconds=state.get("seconds"),
        saved=state.get("saved"),
        key=state.get("key", ""),
        made_by=state.get("made_by", ""),
        error=state.get("error", "") if state.get("status") == "failed" else "",
        upstream=tuple(state.get("upstream", ())),
        ran_on=dict(state.get("ran_on", {})),
        datasets=dict(state.get("datasets", {})),
        registered=dict(state.get("registered", {})),
        differs=tuple(state.get("differs", ())),
        undeclared=tuple(state.get("undeclared", ())),
        undeclared_count=state.get("undeclared_count", 0),
        item_of=state.get("item_of", ""),
        events=logs.events(step_id, state) if logs else (),
    )


def _added(folder: Path, redact: Callable[[str], str]) -> list[Event]:
    """Return what was added from wherever, in the order of time, whenever it came here."""
    return sorted(read_events(folder, redact), key=lambda event: event.get("time", 0.0))


def added_to(run: RunFolder, step: str) -> Path:
    """Return the folder of what others than a step's script log for it; none if there is nothing."""
    return _folder_of_added(run) / folder_name(step)


def _folder_of_added(run: RunFolder) -> Path:
    return run.path.joinpath(OWN, "steps")
