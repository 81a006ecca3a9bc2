"""The worker's side of a job on Dask: find or fetch its data, run it here, return a report.

Part of the worker bundle: it stands on the standard library and on Dask.
"""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stepwell.blocks.compute.dask.gpu_lease import GpuLease, lease
from stepwell.blocks.compute.dask.relay import WorkerSide
from stepwell.blocks.compute.files_beside import warning_of
from stepwell.blocks.compute.job import Job
from stepwell.blocks.compute.local_run import run_here
from stepwell.blocks.compute.working_directory import take_output
from stepwell.blocks.environments.base_interpreter import base_interpreter
from stepwell.blocks.environments.packages import Packages
from stepwell.blocks.processes.output import Redact
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.blocks.system.files import remove, take
from stepwell.blocks.system.home import home
from stepwell.errors import ComputeTargetException, StepFailedException
from stepwell.model.nofollow import open_file
from stepwell.model.records import BESIDE, Exit
from stepwell.model.tree import scan
from stepwell.script.events import EVENTS

TICK_SECONDS = 0.1
_MOST_TEXT = 1 << 20
_ENDED_WITH_NODE = (-signal.SIGTERM, -signal.SIGKILL, -signal.SIGINT, -signal.SIGHUP)
_LAST_MOMENTS_SECONDS = 3.0
_ENDED = ("released", "cancelled", "forgotten", "erred")


@dataclass(frozen=True)
class JobRequest:
    """A job as it is sent. The worker shares the sender's disk if it finds `nonce` in the file `probe`.

    `topic` of Dask's events is where the sender listens. `here`: the sender started the worker, with its own Python.
    """

    job: Job
    redact: Redact
    probe: str
    nonce: str
    interpreter: str
    topic: str
    here: bool
    gpu: bool = False


@dataclass(frozen=True)
class Report:
    """How a job request ended. `needs`: digests of trees that the remote store lacks; nothing was run then.

    `outputs` and `record` are paths if the disk is shared, else names in the remote store. `lost`: the worker is being
    ended, by the walltime of its job for one, and has taken the script along; it is to run again elsewhere.
    """

    needs: tuple[str, ...] = ()
    lost: bool = False
    exit: Exit | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    record: str = ""
    shared: bool = True
    same_files: bool = True
    facts: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def work(message: bytes) -> Report:
    """Run a pickled job request and return its report; errors of Stepwell's are raised."""
    from distributed import get_worker

    request: JobRequest = pickle.loads(message)  # noqa: S301  (who may submit tasks may run anything)
    worker = get_worker()
    shared = _is_shared(request)
    if shared:
        folder = Path(tempfile.mkdtemp(prefix="attempt-", dir=request.job.folder))
        job = replace(request.job, folder=folder, record=folder / "record")
    else:
        needs = _missing(request.job, Path(worker.local_directory))
        if needs:
            return Report(needs=needs)
        folder = Path(tempfile.mkdtemp(prefix="stepwell-", dir=worker.local_directory))
        job = _fetch(request.job, folder, Path(worker.local_directory))
    try:
        report = _run(request, job, worker, shared=shared)
        _send_event(worker, request, report=pickle.dumps(report))  # spares the sender fetching the task's result
        return report
    finally:
        if not shared:
            remove(folder)


def _send_event(worker: Any, request: JobRequest, **fields: Any) -> None:
    worker.log_event(request.topic, {"job": request.job.step_run_id, **fields})


def _run(request: JobRequest, job: Job, worker: Any, *, shared: bool) -> Report:
    with _channel(worker, request, job.control) as (on_output, stop):
        if not request.here:
            _check_packages(job, on_output)
            _check_data(job)
        working_folder = job.folder / "work"
        working_folder.mkdir()
        relay = WorkerSide(lambda name: _send_event(worker, request, asks=name, at=str(worker.address)))
        with (
            lease(worker, job) if request.gpu else nullcontext(GpuLease()) as gpu,
            closing(relay),
        ):
            cache = home() / "cache"
            finished = run_here(
                replace(job, requests=relay.serve if job.token else None),
                cache,
                on_output,
                stop,
                request.redact,
                folder=working_folder,
                variables=gpu.variables,
                without=_nanny_variables(),
            )
        if not request.here:
            _check_data(job)
        stopped = stop.stopped
        if not stopped and _is_taken_away(worker, finished.exit):
            return Report(lost=True)
    facts = {"worker": str(worker.name), "address": str(worker.address), **gpu.facts, **finished.facts}
    if shared:
        outputs = {name: str(path) for name, path in finished.outputs.items()}
        return Report((), False, finished.exit, outputs, str(job.record), same_files=request.here, facts=facts)
    assert job.remote_store
    if stopped:  # nobody waits for it
        return Report((), False, finished.exit, shared=False)
    outputs, warnings = {}, tuple[str, ...]()
    taken = job.folder / "taken"
    taken.mkdir()
    for number, (name, path) in enumerate(finished.outputs.items() if finished.exit.ok else ()):
        with suppress(FileNotFoundError):
            place = taken / str(number)
            take_output(job, name, path, place)
            if name == BESIDE:
                warnings = tuple(filter(None, [warning_of(job.call.definition, place)]))
                if not (job.call.definition.keeps_files_beside and os.listdir(place)):
                    continue
            digest = outputs[name] = scan(place).digest
            if not job.remote_store.has(digest):
                job.remote_store.put(place, digest)
    record = f"record-{job.step_run_id}-{job.folder.name}"
    take(job.record, taken / "record", below=job.folder)
    job.remote_store.put(taken / "record", record)
    return Report(
        (), False, finished.exit, outputs, record, shared=False, same_files=False, facts=facts, warnings=warnings
    )


def _is_taken_away(worker: Any, exit: Exit) -> bool:
    """Return whether the script was ended together with its worker: those who end a node end its processes in any order.

    A script that only something else ended (for its memory, say) has this worker live on after the next moments.
    """
    if exit.code not in _ENDED_WITH_NODE or exit.timed_out:
        return False
    until = time.monotonic() + _LAST_MOMENTS_SECONDS
    while time.monotonic() < until:
        if worker.status.name != "running":
            return True
        time.sleep(TICK_SECONDS)
    return False


# Data -----------------------------------------------------------------------------------------------------------------


def _is_shared(request: JobRequest) -> bool:
    try:
        if Path(request.probe).read_text() != request.nonce:
            return False
        return os.access(request.job.folder, os.W_OK)
    except (OSError, ValueError):
        return False


def _trees(job: Job) -> dict[str, str]:
    """Return the digests of what the job reads, by input; '' names the snapshot, absolute paths modules of people's own."""
    wanted = {name: artifact.digest for name, artifact in job.call.inputs.items()}
    wanted |= {module.place: module.digest for module in job.call.own_code if module.digest}
    return {**wanted, "": job.call.snapshot} if job.snapshot is not None else wanted


def _remote_store(job: Job) -> RemoteStore:
    if job.remote_store is None:
        raise ComputeTargetException(
            "A Dask worker shares no disk with the machine that the pipeline was started on, and no datastore either",
            {"step": job.call.definition.name, "worker's host": os.uname().nodename},
            "Make a datastore that both reach the default one (`ws.set_default_datastore`), or share the disk.",
        )
    return job.remote_store


def _local_tree(local: Path, digest: str) -> Path:
    return local / "stepwell-trees" / digest


def _missing(job: Job, local: Path) -> tuple[str, ...]:
    remote_store = _remote_store(job)
    return tuple(
        d for d in sorted(set(_trees(job).values())) if not _local_tree(local, d).exists() and not remote_store.has(d)
    )


def _fetch(job: Job, folder: Path, local: Path) -> Job:
    paths = {
        name: _remote_store(job).get_tree(digest, _local_tree(local, digest)) for name, digest in _trees(job).items()
    }
    snapshot = Snapshot(job.call.snapshot, (paths.pop(""),)) if "" in paths else None
    own_code = {place: Snapshot(kept.digest, (paths.pop(place),)) for place, kept in job.own_code.items()}
    for name, path in paths.items():
        given = job.inputs[name]
        if path.is_file() and given.suffix:  # the script may look at the file's name
            named = folder / "named" / name / given.name
            named.parent.mkdir(parents=True)
            os.link(path, named)
            paths[name] = named
    return replace(job, snapshot=snapshot, inputs=paths, own_code=own_code, folder=folder, record=folder / "record")


# Packages -------------------------------------------------------------------------------------------------------------


def _check_packages(job: Job, on_output: Any) -> None:
    """Raise StepFailedException if the worker's packages are not those that the result's key names."""
    environment = job.call.definition.environment
    rows = job.call.fingerprint.rows
    different = []
    if environment.isolated:
        version = base_interpreter(environment.python).version
    else:
        packages = Packages(home() / "cache", environment.interpreter)
        wanted = {row.name: row.value for row in rows if row.kind == "package"}
        found = packages.versions(wanted)
        version = packages.python_version
        different = [f"{n} {found.get(n) or 'missing'} instead of {v}" for n, v in wanted.items() if found.get(n) != v]
    keyed = next((row.value for row in rows if row.kind == "python"), "").partition("(")[2].rstrip(")")
    keyed = keyed or next((row.value for row in rows if row.kind == "python"), "")
    if keyed and keyed.split(".")[:2] != version.split(".")[:2]:
        different.insert(0, f"Python {version} instead of {keyed}")
    elif keyed and keyed != version:
        on_output(f"Warning: the worker has Python {version}, the result's key says {keyed}\n")
    if different:
        raise StepFailedException(
            f"A Dask worker has other packages than step {job.call.definition.name!r} was keyed with",
            {"worker's host": os.uname().nodename, "different": ", ".join(different[:8])},
            "Install the same versions on the workers, or give the step an `environment`.",
        )


def _check_data(job: Job) -> None:
    """Raise StepFailedException if data are not, or no longer, what the result's key names."""
    for name, digest in _trees(job).items():
        code = job.own_code.get(name) if name else job.snapshot
        path = code.folders[0] if code else job.inputs[name]
        if not (code.is_whole() if code else scan(path).digest == digest):
            if job.remote_store is not None:
                _discard_tree(digest)
            raise StepFailedException(
                f"The input {name!r} of step {job.call.definition.name!r} is not the same on a Dask worker, or was changed there",
                {"worker's host": os.uname().nodename, "path": path},
                "Run the pipeline again; let no step write to its inputs, and let paths mean the same on all machines.",
            )


def _discard_tree(digest: str) -> None:
    from distributed import get_worker

    remove(_local_tree(Path(get_worker().local_directory), digest))


def _nanny_variables() -> tuple[str, ...]:
    """Return the variables that Dask's nanny sets for its workers, such as OMP_NUM_THREADS; steps don't get them."""
    import dask

    given = {
        **dask.config.get("distributed.nanny.pre-spawn-environ", {}),
        **dask.config.get("distributed.nanny.environ", {}),
    }
    return tuple(name for name, value in given.items() if os.environ.get(name) == str(value))


# The channel to the sender --------------------------------------------------------------------------------------------


@contextmanager
def _channel(worker: Any, request: JobRequest, control: Path) -> Iterator[tuple[Any, StopSignal]]:
    """Pass text and metrics on to the sender while the block runs, and raise the signal when nobody waits for it any more."""
    from distributed.worker import thread_state  # type: ignore[attr-defined]

    key, stop, over = thread_state.key, StopSignal(), threading.Event()
    waiting: list[str] = []
    logged = _NewLines(control)

    def flush() -> None:
        if lines := logged.read():
            _send_event(worker, request, events=lines)
        text, waiting[:] = "".join(waiting), []
        if len(text) > _MOST_TEXT:
            text = f"{text[:_MOST_TEXT]}\n… ({len(text) - _MOST_TEXT} more characters in the log)\n"
        if text:
            _send_event(worker, request, text=text)

    def watch() -> None:
        while not over.wait(TICK_SECONDS):
            flush()
            task = worker.state.tasks.get(key)
            if task is None or task.state in _ENDED:
                stop.stop()

    _send_event(worker, request, began=str(worker.name))
    watcher = threading.Thread(target=watch, name="stepwell-channel", daemon=True)
    watcher.start()
    try:
        yield waiting.append, stop
    finally:
        over.set()
        watcher.join()
        flush()
        if stop.stopped:
            _send_event(worker, request, ended=time.time())


class _NewLines:
    """The lines that a script adds to the log of its metrics, as far as they are whole; none of what would be too much to send."""

    def __init__(self, control: Path) -> None:
        self._control, self._read = control, 0

    def read(self) -> str:
        try:
            with open_file(self._control.parent, f"{self._control.name}/{EVENTS}") as stream:
                if os.fstat(stream.fileno()).st_size == self._read:
                    return ""
                stream.seek(self._read)
                lines = stream.read(_MOST_TEXT).rpartition(b"\n")
        except OSError:
            return ""
        self._read += len(lines[0] + lines[1])
        return (lines[0] + lines[1]).decode(errors="replace")
