"""A step runs again in a fresh folder, and its bytes are compared: is what it made reproduced? Nothing is kept, nothing is reused.

`rerun` repeats what a run did, with the same snapshots, inputs, parameters and environment, and compares with the digests
that its records hold. `run_twice` runs steps two times and compares the two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stepwell.blocks.compute.job import Job
from stepwell.blocks.differences.differences import differences
from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.sharing import LostBytes
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.blocks.system.files import copy_named, remove
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import StepFailedException, StepwellError, StoreException, UserErrorException
from stepwell.flows.dynamic.mapped_steps import unfold
from stepwell.flows.dynamic.run_conditions import why_skipped
from stepwell.flows.engine.environment_checks import check_environment
from stepwell.flows.engine.execution import run_job
from stepwell.flows.engine.results.fresh_results import FreshResults, scanned
from stepwell.flows.engine.results.taking import take_outputs
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.binding import with_reads
from stepwell.flows.keys.named_keys import as_seen
from stepwell.flows.parameters.pipeline_parameter import Value, parse
from stepwell.flows.step_requests.asking import Asker
from stepwell.flows.step_requests.looks import asked_again, with_looks
from stepwell.flows.step_requests.run_state import PlannedRun
from stepwell.flows.step_requests.session import Session
from stepwell.model.definitions import OutputSource, PipelineDefinition, StepDefinition
from stepwell.model.records import BESIDE, Artifact, StepCall, StepRecord, beside, is_own, with_files_beside
from stepwell.model.redaction import MASK
from stepwell.model.tree import scan
from stepwell.script.events import read_events

Written = dict[str, Path]
"""Where each output of one execution stands, by name."""


@dataclass(frozen=True)
class Comparison:
    """A step that was repeated, and what differed; or why it could not be repeated."""

    step: str
    differs: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    outputs: int = 0

    @property
    def same(self) -> bool:
        """Whether it was repeated, and every byte came out as before."""
        return not (self.differs or self.obstacles)


@dataclass
class _Place:
    """A context whose run is a scratch folder: no run of the workspace knows of what happens there."""

    context: RunContext
    folder: Path
    on_output: Callable[[str], None]
    count: int = field(default=0)
    events: list[Event] = field(default_factory=list)
    """What the last execution set for itself and the run."""

    @property
    def step_run_id(self) -> str:
        """What the last execution is called."""
        return f"{self.folder.name}-{self.count}"

    def perform(self, call: StepCall, inputs: Mapping[str, Path]) -> Written:
        """Run the call in a fresh folder and return where its outputs stand; raise StepwellError if it fails."""
        self.count += 1
        context, place, name = self.context, self.folder / str(self.count), self.step_run_id
        record = context.run.step_folder(name)
        try:
            for folder in (place / "job", record, place / "outputs"):
                folder.mkdir(parents=True)
            context.compute(call.definition.compute_target).check(call.definition)
            session = Session(context, call, name, rehearses=True)
            seen, snapshot = as_seen(call, self._snapshot(call), place / "keys")
            job = Job(
                seen,
                name,
                snapshot,
                dict(inputs),
                place / "job",
                record,
                context.script_context,
                context.remote_store,
                context.own_code(call),
                session.serve,
                session.token,
            )
            finished = run_job(context, job, session, self.on_output)
            self.events = read_events(job.control, context.redactor.redact)
            taken = take_outputs(job, finished, place / "outputs", context.warn)
            return {port: path for port, (path, _) in taken.items() if not is_own(port)}
        except OSError as error:
            title, hint = f"The step {call.definition.name!r} can't be run here", "Free space or mend the folder."
            raise StepFailedException(title, {"reason": error, "folder": place}, hint) from error

    def _snapshot(self, call: StepCall) -> Snapshot | None:
        """Return a copy of the call's snapshot, which no collector of garbage knows of."""
        if not call.definition.source_directory:
            return None
        copy = self.folder / "snapshots" / call.snapshot
        if not copy.exists():
            source = self.context.source(call.definition.source_directory)
            copy.parent.mkdir(exist_ok=True)
            if source.snapshot is not None:
                source.snapshot.copy_to(copy)
            else:
                copy_named(source.root, copy, source.tree)
            if scan(copy).digest != call.snapshot:
                raise StoreException("A file changed while it was copied", {"path": source.root}, "Start again.")
        return Snapshot(call.snapshot, (copy,))


@contextmanager
def _place(
    workspace: BaseWorkspace, snapshots: Mapping[str, str], on_output: Callable[[str], None]
) -> Iterator[_Place]:
    context = RunContext(workspace, "repetition", snapshots=snapshots, regenerate=True)
    folder = context.store.scratch_folder()
    context.run = RunFolder(folder / "run")
    try:
        with closing(context):
            yield _Place(context, folder, on_output)
    finally:
        remove(folder)


NOT_RUN = "its condition kept it from running"

# A run again ------------------------------------------------------------------------------------------------------------


def definition_of(run: RunFolder) -> PipelineDefinition:
    """Return the pipeline that a run was of; raise UserErrorException if it was a flow of the user's own."""
    try:
        return PipelineDefinition.from_json(run.facts()["pipeline"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserErrorException(
            f"What the run {run.label} consisted of is not known",
            {"folder": run.path},
            "Name a run of a pipeline: a flow of your own is run by you.",
        ) from error


def values_of(run: RunFolder, definition: PipelineDefinition, given: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values that the run had; those that are secret are not kept, and have to be `given`."""
    texts = run.facts().get("parameters", {})
    return {
        p.name: given[p.name] if p.name in given else p.default if p.secret else parse(p, str(texts[p.name]))
        for p in definition.parameters
        if p.name in given or p.name in texts
    }


def rerun(
    workspace: BaseWorkspace, run: RunFolder, given: Mapping[str, Value], on_output: Callable[[str], None]
) -> Generator[Comparison]:
    """Run every step of a run again, and compare what each writes with what its record says that it wrote."""
    definition = definition_of(run)
    values = values_of(run, definition, given)
    hidden = {p.name for p in definition.parameters if p.secret and p.name not in given}
    with _place(workspace, run.facts().get("snapshots", {}), on_output) as place:
        records = _records(place, run)
        planned = place.context.planned = PlannedRun(definition, run.facts)
        for step in _unfolded(place, definition, records):
            record = records.get(step.id)
            if record == NOT_RUN:
                continue
            if not isinstance(record, StepRecord):
                yield Comparison(step.id, obstacles=(record or "it did not end well in this run",))
                continue
            call, inputs, obstacles = _bound(place, step, values, records)
            planned.decided(step.id, record)
            obstacles += [
                f"the secret value of parameter {p.name!r} is not kept" for p in step.parameters if p.name in hidden
            ]
            if call is not None:
                obstacles += [] if obstacles else _changes(place, call, record)
            if call is None or obstacles:
                yield Comparison(step.id, obstacles=tuple(obstacles))
            else:
                yield _compare(place, call, inputs, record)


def _records(place: _Place, run: RunFolder) -> dict[str, StepRecord | str]:
    """Return the record of each step that ended well, or why there is none."""
    found: dict[str, StepRecord | str] = {}
    for step, state in run.steps().items():
        if state.get("status") in ("done", "reused") and state.get("key"):
            record = place.context.store.read_record(state["key"])
            gone = "" if isinstance(record, StepRecord) else record.reason or "the record of its result was removed"
            found[step] = record if isinstance(record, StepRecord) else gone
        elif state.get("status") == "skipped" and state.get("why"):
            found[step] = NOT_RUN
    return found


def _unfolded(
    place: _Place, definition: PipelineDefinition, records: Mapping[str, StepRecord | str]
) -> Iterator[StepDefinition]:
    """Yield the steps that ran, those of items in the place of mapped steps; what joins them ran nothing."""
    known = {step: record for step, record in records.items() if isinstance(record, StepRecord)}
    for step in definition.steps:
        told = {each.items.step for each in step.each}
        yield from unfold(place.context.store, step, known, ())[:-1] if told and told <= known.keys() else (step,)


def _bound(
    place: _Place, step: StepDefinition, values: Mapping[str, Value], records: Mapping[str, StepRecord | str]
) -> tuple[StepCall | None, dict[str, Path], list[str]]:
    """Return the call of a step, with the outputs that earlier steps recorded as inputs, and what stands in the way."""
    context, artifacts, obstacles = place.context, dict[str, Artifact](), list[str]()
    for port in step.inputs:
        if isinstance(port.source, OutputSource):
            record = records.get(port.source.step)
            artifact = record.outputs.get(port.source.output) if isinstance(record, StepRecord) else None
            name = f"its input {port.name!r}, output {port.source.output!r} of {port.source.step!r},"
            if artifact is None:
                obstacles.append(f"{name} is not known: {record or 'that step did not end well'}")
            elif not _is_here(context, artifact.digest):
                what = "was damaged" if context.store.tree_path(artifact.digest).exists() else "was removed"
                obstacles.append(f"{name} {what} (digest {artifact.digest[:12]})")
            else:
                artifacts[port.name] = artifact
    artifacts = with_files_beside(step, artifacts, partial(_written_beside, records))
    try:
        call = context.call(step, values, artifacts)
        inputs = {name: context.input_path(call, name) for name in call.inputs}
        check_environment(context, step)
    except StepwellError as error:
        facts = ", ".join(f"{name} {value}" for name, value in error.facts.items())
        return None, {}, [*obstacles, error.title[0].lower() + error.title[1:] + (f" ({facts})" if facts else "")]
    return call, inputs, obstacles


def _is_here(context: RunContext, tree: str) -> bool:
    """Return whether the bytes are here, fetched if others have them."""
    with suppress(LostBytes):
        context.store.bring(tree)
    return context.store.tree_intact(tree)


def _written_beside(records: Mapping[str, StepRecord | str], step: str) -> Artifact | None:
    record = records.get(step)
    return record.outputs.get(BESIDE) if isinstance(record, StepRecord) else None


def _changes(place: _Place, call: StepCall, record: StepRecord) -> list[str]:
    """Return in words what is not as it was when the record was made."""
    reads = [row.name for row in record.fingerprint.rows if row.kind == "read"]
    looks = [row.name for row in record.fingerprint.rows if row.kind == "look"]
    call = with_reads(call, reads, {path: place.context.content(call, path) for path in reads})
    now = with_looks(call, {look: asked_again(Asker(place.context, call), look) for look in looks}).fingerprint
    words = list(now.diff(record.fingerprint, place.context.store.explain_trees))
    if words and MASK in str(replace(call.definition, parameters=()).to_json()):
        words.append("secret values in its definition are not kept")
    return words


def _compare(place: _Place, call: StepCall, inputs: Mapping[str, Path], record: StepRecord) -> Comparison:
    store, found = place.context.store, list[str]()
    try:
        written = place.perform(call, inputs)
    except StepwellError as error:
        return Comparison(call.definition.id, differs=(f"it fails now: {error.message}",))
    recorded = {name: artifact for name, artifact in record.outputs.items() if not is_own(name)}
    for name in sorted(written.keys() ^ recorded.keys()):  # files beside outputs
        found.append(f"{name} {'were not there' if name in written else 'are not written'}")
    for name, artifact in sorted(recorded.items()):
        if name not in written:
            continue
        tree = scan(written[name])
        if tree.digest == artifact.digest:
            continue
        if _is_here(place.context, artifact.digest):
            lines = differences(store.tree_path(artifact.digest), written[name])
        else:
            known = store.manifest(artifact.digest)
            lines = list(tree.diff(known)) if known else []
            lines.append(f"its recorded bytes were removed; digest {artifact.digest[:12]}, now {tree.digest[:12]}")
        found += [f"output {name!r}, {line}" for line in lines]
    return Comparison(call.definition.id, differs=tuple(found), outputs=len(recorded))


# Twice ------------------------------------------------------------------------------------------------------------------


def run_twice(
    workspace: BaseWorkspace,
    definition: PipelineDefinition,
    values: Mapping[str, Value],
    on_output: Callable[[str], None],
) -> Generator[Comparison]:
    """Run every step of a pipeline two times, each on what the first execution of the steps before it wrote; compare."""
    with _place(workspace, {}, on_output) as place:
        planned, fresh = PlannedRun(definition, dict), FreshResults(place.folder / "fresh")
        place.context.planned = planned
        steps = deque(definition.steps)
        while steps:
            step = steps.popleft()
            if lacking := fresh.lacking(step):
                yield Comparison(step.id, obstacles=(f"step {lacking!r} before it failed",))
                continue
            try:
                if why_skipped(fresh, step, fresh.records, fresh.skipped):
                    fresh.skipped.append(step.id)
                elif step.each:
                    steps.extendleft(reversed(unfold(fresh, step, fresh.records, ())))
                elif step.joins:
                    fresh.join(step)
                else:
                    check_environment(place.context, step)
                    call, inputs = _fresh_call(place, step, values, fresh)
                    first, second = (place.perform(call, inputs) for _ in range(2))
                    fresh.add(step.id, first, place.events)
                    planned.ran(step.id, place.step_run_id, place.events)
                    yield Comparison(step.id, _between(first, second), outputs=len(first))
            except StepwellError as error:
                yield Comparison(step.id, obstacles=(error.message,))


def step_twice(
    workspace: BaseWorkspace, run: RunFolder, step: str, given: Mapping[str, Value], on_output: Callable[[str], None]
) -> Generator[Comparison]:
    """Run one step of a run two times, on the snapshot and inputs that it had there, and compare."""
    definition = definition_of(run)
    values = values_of(run, definition, given)
    with _place(workspace, run.facts().get("snapshots", {}), on_output) as place:
        records = _records(place, run)
        planned = place.context.planned = PlannedRun(definition, run.facts)
        for one in _unfolded(place, definition, records):
            record = records.get(one.id)
            if step not in (one.id, one.name) and isinstance(record, StepRecord):
                planned.decided(one.id, record)
            if step in (one.id, one.name):
                call, inputs, obstacles = _bound(place, one, values, records)
                if call is None or obstacles:
                    yield Comparison(one.id, obstacles=tuple(obstacles))
                    continue
                try:
                    first, second = (place.perform(call, inputs) for _ in range(2))
                except StepwellError as error:
                    yield Comparison(one.id, obstacles=(error.message,))
                    continue
                yield Comparison(one.id, _between(first, second), outputs=len(first))


def _fresh_call(
    place: _Place, step: StepDefinition, values: Mapping[str, Value], fresh: FreshResults
) -> tuple[StepCall, dict[str, Path]]:
    context, artifacts, paths = place.context, dict[str, Artifact](), dict[str, Path]()
    for port in step.inputs:
        if isinstance(port.source, OutputSource):
            path = fresh.path_of(port.source)
            artifacts[port.name] = scanned(path)
            paths[port.name] = fresh.part(path, port.entry) if port.entry else path
            if port.entry:
                context.store.note_tree(scan(path))
            written = fresh.written.get(port.source.step, {})
            if step.switches.files_beside_outputs_are_kept and BESIDE in written:
                paths[beside(port.name)] = written[BESIDE]
    artifacts = with_files_beside(
        step, artifacts, lambda before: scanned(found) if (found := fresh.written.get(before, {}).get(BESIDE)) else None
    )
    call = context.call(step, values, artifacts)
    return call, {name: paths[name] if name in paths else context.input_path(call, name) for name in call.inputs}


def _between(first: Written, second: Written) -> tuple[str, ...]:
    once = tuple(f"{name} were written once only" for name in sorted(first.keys() ^ second.keys()))
    both = sorted(first.keys() & second.keys())
    return (*once, *(f"output {name!r}, {line}" for name in both for line in differences(first[name], second[name])))
