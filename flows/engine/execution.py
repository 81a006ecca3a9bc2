"""One call from its preparation to a committed record: it is run, checked and committed, its outputs materialized."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.working_directory import redact_record
from stepwell.blocks.datastores.remote_data import InputChangedException
from stepwell.blocks.processes.output import Notice
from stepwell.blocks.source.missing_files import missing_file_hint
from stepwell.blocks.source.shell_scripts import line_ends_hint, windows_script
from stepwell.blocks.system.disk import SHARE_HINT
from stepwell.blocks.system.files import remove
from stepwell.blocks.workspace import models
from stepwell.errors import StepCancelledException, StepFailedException, StepwellError
from stepwell.flows.engine.materialization import materialize, output_path, place_beside
from stepwell.flows.engine.observed_reads import (
    account_for_imports,
    account_for_looks,
    account_for_reads,
    account_for_trials,
    read_imported,
    read_notes,
)
from stepwell.flows.engine.results.joining import join_inputs
from stepwell.flows.engine.results.taking import Staged, take_outputs
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.keys.command_code import words_of
from stepwell.flows.keys.named_keys import as_seen, key_hint
from stepwell.flows.step_requests.run_state import KEPT
from stepwell.flows.step_requests.session import Session
from stepwell.model.definitions import DataSource, StepDefinition
from stepwell.model.names import folder_name
from stepwell.model.nofollow import open_file
from stepwell.model.records import BESIDE, Artifact, StepCall, StepRecord
from stepwell.model.tree import Tree
from stepwell.script.events import read_events

_SHOWN_LINES, _SHOWN_BYTES = 12, 20_000
_READ_ONLY = re.compile(r"permission denied|read-?only|\bEACCES\b|\bEROFS\b|errno (?:13|30)\b", re.IGNORECASE)
_READ_ONLY_DATABASE = re.compile(r"attempt to write a readonly database|unable to open database file", re.IGNORECASE)
_LOOKS, _PAUSE_SECONDS = 3, 0.1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that is ready to be run: its job, who answers what its script asks, and the folders that go with the step."""

    call: StepCall
    job: Job
    session: Session
    taken: Path
    folders: tuple[Path, ...]

    def close(self, context: RunContext) -> None:
        """Let go of all: its turn never comes."""
        self.session.close()
        if self.job.ready:
            self.job.ready.close()
        for folder in (*self.folders, self.job.record):
            context.remove_later(folder)


def prepare(context: RunContext, call: StepCall, step_run_id: str, *, ahead: bool = False) -> Prepared:
    """Make what the call needs to be run; `ahead`: before its turn, so that its target prepares what it can, too."""
    record_folder = context.run.step_folder(step_run_id)
    remove(record_folder)  # what an attempt before this one left
    folder, taken = context.store.scratch_folder(), context.store.scratch_folder()
    keys = context.store.scratch_folder() if call.definition.parameter_files else folder
    folders = tuple({folder, taken, keys})
    try:
        context.compute(call.definition.compute_target).check(call.definition)
        call = context.with_snapshot(call)
        inputs = _input_paths(context, call)
        context.datasets.keep_ids(call)
        session = Session(context, call, step_run_id)
        seen, snapshot = as_seen(call, context.snapshot(call), keys)
        job = Job(
            replace(seen, definition=call.definition.as_job),
            step_run_id,
            snapshot,
            inputs,
            folder,
            record_folder,
            context.script_context,
            context.remote_store,
            context.own_code(call),
            session.serve,
            session.token,
            _elsewhere(context, call, step_run_id),
        )
        if ahead:
            job = replace(job, ready=context.compute(job.call.definition.compute_target).prepare(job))
    except BaseException as error:
        remove(record_folder)  # at once: another try has the same
        for place in folders:
            context.remove_later(place)
        if isinstance(error, OSError):
            raise _cannot_run(call, folder, error) from error
        raise
    return Prepared(call, job, session, taken, folders)


def prepare_ahead(context: RunContext, call: StepCall, step_run_id: str) -> Prepared | None:
    """Prepare the call before its turn; return None if its data are not here, or it can't be, which its turn will show."""
    try:
        return prepare(context, call, step_run_id, ahead=True) if context.at_hand(call) else None
    except Exception:  # noqa: BLE001  (whatever it is, the step will fail of it)
        return None


def perform(
    context: RunContext,
    call: StepCall,
    step_run_id: str,
    on_output: Callable[[str], None],
    on_end: Callable[[], None] = lambda: None,
    prepared: Prepared | None = None,
) -> StepRecord:
    """Run the call now and return its committed record; raise StepFailedException for a failure of any kind.

    `on_output` gets the script's output as it comes; `on_end` is called once it has ended well and its target is free again.
    """
    if call.definition.joins:
        return _join(context, call, step_run_id)
    began, ready = time.time_ns(), prepared or prepare(context, call, step_run_id)
    call, job, session = ready.call, ready.job, ready.session
    try:
        if differs := context.differing.get(call.definition.id):
            context.emit({"step": call.definition.id, "differs": list(differs)})
        started, clock = datetime.now(UTC), time.monotonic()
        finished = run_job(context, job, session, on_output)
        on_end()
        _check_inputs(context, call)
        call = account_for_imports(context, call, read_imported(job.imported))
        noted = read_notes(job.reads, inside_only=not finished.same_files)
        notes = [note for note in noted if not session.handed_out(note.path)]
        call = account_for_reads(context, call, notes, began)
        call = account_for_looks(context, call, session.looks(began))
        call = account_for_trials(context, call, session.seen_by_trials, began)
        staged = take_outputs(job, finished, ready.taken, context.warn)
        events = read_events(job.control, context.redactor.redact)
        record = replace(
            _record(context, call, step_run_id, staged, started, time.monotonic() - clock),
            metrics=tuple(event for event in events if event["type"] in KEPT),
            incomplete="; ".join(dict.fromkeys(event["value"] for event in events if event["type"] == "incomplete")),
        )
        _register_models(context, job, events)  # or else a step that is reused would not have registered them
        return _keep(context, call.definition, record, staged)
    except OSError as error:
        raise _cannot_run(call, job.folder, error) from error
    finally:
        if job.ready:
            job.ready.close()
        for place in ready.folders:
            context.remove_later(place)


def _join(context: RunContext, call: StepCall, step_run_id: str) -> StepRecord:
    """Join what several steps wrote, and return the committed record."""
    folder, started, clock = context.store.scratch_folder(), datetime.now(UTC), time.monotonic()
    try:
        staged = join_inputs(context.store, call, folder)
        record = _record(context, call, step_run_id, staged, started, time.monotonic() - clock)
        return _keep(context, call.definition, record, staged)
    except OSError as error:
        raise _cannot_run(call, folder, error) from error
    finally:
        context.remove_later(folder)


def _record(
    context: RunContext, call: StepCall, step_run_id: str, staged: Staged, started: datetime, seconds: float
) -> StepRecord:
    return StepRecord(
        key=call.key,
        step=call.definition.name,
        fingerprint=call.fingerprint,
        outputs=_artifacts(context, call.definition, step_run_id, staged),
        run_id=context.run.run_id,
        step_run_id=step_run_id,
        started=started.isoformat(),
        seconds=round(seconds, 3),
    )


def _keep(context: RunContext, definition: StepDefinition, record: StepRecord, staged: Staged) -> StepRecord:
    """Keep a result, put its outputs where they belong, let others have it, and return the record as it is kept."""
    record = _commit(context, record, staged)
    if record.incomplete:
        context.warn(
            f"The result of step {definition.id!r} is incomplete, so that the next run makes it again: {record.incomplete}"
        )
    materialize(context, definition, record, fresh=True)
    if definition.allow_reuse:
        context.store.share(record)
    return record


def _cannot_run(call: StepCall, folder: Path, error: OSError) -> StepFailedException:
    return StepFailedException(
        f"The step {call.definition.id!r} can't be run here",
        {"reason": error, "folder": folder},
        "Free space or mend the folder, then run again.",
    )


def _elsewhere(context: RunContext, call: StepCall, step_run_id: str) -> dict[str, tuple[Any, str]]:
    """Return the datastore and path of each input and output, of these that of a folder, whose datastore is not local."""
    usual = context.workspace.default_datastore_name
    named = {
        name: (data.datastore, data.path) for name, data in call.inputs.items() if data.datastore and not data.kept
    }
    named |= {port.name: (port.datastore or usual, f"azureml/{step_run_id}") for port in call.definition.outputs}
    found = {name: (context.datastores.get(datastore), path) for name, (datastore, path) in named.items()}
    return {name: place for name, place in found.items() if place[0] is not None and place[0].local_root is None}


def run_job(context: RunContext, job: Job, session: Session, on_output: Callable[[str], None]) -> Finished:
    """Run the job on its target and return how it finished; raise StepFailedException if not well.

    `session` answers what it asks, until it has ended.
    """
    compute = context.compute(job.call.definition.compute_target)

    def pass_on(text: str) -> None:
        if isinstance(text, Notice):
            context.emit({"step": job.call.definition.id, "progress": text.rstrip("\n")})
        if text:
            on_output(text)

    with context.stop.part(folder_name(job.call.definition.id)) as stop, closing(session):
        finished = compute.run(job, pass_on, stop, context.redacting)
    # What the script was told meanwhile, a worker did not know when it wrote the logs.
    redact_record(job, context.redactor.redact, logs=session.told_secrets)
    if finished.facts:
        context.emit({"step": job.call.definition.id, "ran_on": finished.facts})
    for warning in finished.warnings:
        context.warn(warning)
    if finished.failure is not None:
        raise finished.failure
    _check_exit(job, finished)
    return finished


# After the process ------------------------------------------------------------------------------------------------------


def _check_exit(job: Job, finished: Finished) -> None:
    end = finished.exit
    if end.ok:
        return
    name, limit, lines = job.call.definition.id, job.call.definition.timeout_seconds, _last_lines(job)
    if end.cancelled:
        title, hint = f"The step {name!r} was cancelled", "Run the pipeline again: finished steps will be reused."
    elif end.timed_out:
        title, hint = (
            f"The step {name!r} took longer than its {limit:g} seconds",
            "Raise `timeout_seconds`, or speed the script up.",
        )
    else:
        cause = f"was ended by signal {-end.code}" if end.code < 0 else f"failed with exit code {end.code}"
        script = windows_script(job.snapshot.place, words_of(job.call.definition)) if job.snapshot else ""
        usual = "Read the whole log, mend the script, and run the pipeline again."
        hint = line_ends_hint(script) if script else _hint_for(job, finished, lines) or usual
        title = f"The step {name!r} {cause}"
    facts = {"last lines": lines, "log": job.logs / "70_driver_log.txt"}
    error = StepCancelledException if end.cancelled else StepFailedException
    raise error(title, {k: v for k, v in facts.items() if v}, hint)


def _hint_for(job: Job, finished: Finished, lines: str) -> str:
    """Return what to do about a script that wrote to what it may only read, or missed a file; '' if it doesn't look so."""
    places = {
        port.name: {str(job.inputs[port.name]), os.path.realpath(job.inputs[port.name]), f"/inputs/{port.name}"}
        for port in job.call.definition.inputs
        if port.mode == "mount"
    }
    named = [name for name, paths in places.items() if any(path in lines for path in paths)]
    if not (_READ_ONLY_DATABASE.search(lines) and places) and not (_READ_ONLY.search(lines) and named):
        seen = {
            name: {path, Path(os.path.realpath(path)), finished.seen_at.get(name, path)}
            for name, path in finished.outputs.items()
            if name != BESIDE
        }
        if hint := key_hint(job.call.definition, lines):
            return hint
        holds = job.snapshot.holds if job.snapshot else None
        return missing_file_hint(lines, job.call.definition.source_directory, holds, seen)
    names = " and ".join(map(repr, named or places))
    return f"Pass the input {names} with `as_download()`: it is then a copy, which the step may write to and beside."


def _last_lines(job: Job) -> str:
    for name in ("stderr.txt", "stdout.txt"):
        with suppress(OSError), open_file(job.record, f"logs/{name}") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _SHOWN_BYTES))
            text = stream.read().decode(errors="replace").strip()
            if text:
                return "\n".join(text.splitlines()[-_SHOWN_LINES:])
    return ""


def _check_inputs(context: RunContext, call: StepCall) -> None:
    for name, artifact in call.inputs.items():
        changed = not context.store.tree_intact(artifact.digest) if artifact.kept else _is_other(context, artifact)
        if changed:
            if artifact.kept:
                context.store.discard_tree(artifact.digest)
            raise _changed(call, name, {"datastore": artifact.datastore, "path": artifact.path})


def _input_paths(context: RunContext, call: StepCall) -> dict[str, Path]:
    """Return where the bytes of each input are; those that stand elsewhere are fetched, and are what was keyed."""
    found = {}
    for name in call.inputs:
        try:
            found[name] = context.input_path(call, name)
        except InputChangedException as error:
            raise _changed(call, name, error.facts) from error
    return found


def _changed(call: StepCall, name: str, facts: Mapping[str, Any]) -> StepFailedException:
    return StepFailedException(
        f"The input {name!r} changed while step {call.definition.id!r} read it, so its result was not kept",
        dict(facts),
        "Run the pipeline again once the data is at rest; let no step write to its inputs, or pass what it writes to, or "
        "beside, with `as_download()`.",
    )


def _is_other(context: RunContext, artifact: Artifact) -> bool:
    """Return whether the data differ from what was keyed, also when they are looked at again: swap files come and go."""
    for left in reversed(range(_LOOKS)):
        if _digest_now(context, artifact) == artifact.digest:
            return False
        time.sleep(_PAUSE_SECONDS if left else 0)
    return True


def _digest_now(context: RunContext, artifact: Artifact) -> str:
    with suppress(StepwellError, OSError):
        if artifact.dataset is not None:
            return context.datasets.artifact_now(artifact).digest
        return context.digest_as_read(DataSource(artifact.datastore, artifact.path))
    return ""


# Results --------------------------------------------------------------------------------------------------------------


def _artifacts(
    context: RunContext, definition: StepDefinition, step_run_id: str, staged: Mapping[str, tuple[Path, Tree]]
) -> dict[str, Artifact]:
    usual = context.workspace.default_datastore_name
    places = {
        port.name: (port.datastore or usual, output_path(definition, port, step_run_id)) for port in definition.outputs
    }
    if BESIDE in staged:
        places[BESIDE] = place_beside(definition, step_run_id, usual)
    trees = {name: staged[name][1] for name in places}
    return {
        name: Artifact(datastore, path, trees[name].digest, trees[name].size, kept=True)
        for name, (datastore, path) in places.items()
    }


def _register_models(context: RunContext, job: Job, events: list[dict[str, Any]]) -> None:
    origin = {
        "run_id": context.run.run_id,
        "experiment": str(context.script_context.get("experiment", "")),
        "step": job.call.definition.id,
        "inputs": {name: artifact.digest for name, artifact in job.call.inputs.items()},
    }
    models.register_logged(context.workspace, job.control, events, origin)


def _commit(context: RunContext, record: StepRecord, staged: Staged) -> StepRecord:
    try:
        kept = context.store.commit(record, staged)
    except OSError as error:
        raise StepFailedException(
            f"The result of step {record.step!r} can't be kept",
            {"reason": error, "store": context.store.written},
            SHARE_HINT if isinstance(error, PermissionError) else "Free space, then run the pipeline again.",
        ) from error
    context.make_durable_later(kept.key)
    if context.store.read_only:
        context.warn(f"Step {record.step!r} was not cached: the store {context.store.root} can't be written")
    return kept
