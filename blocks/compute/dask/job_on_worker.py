"""The transfer of a job to a Dask worker and back: its data supplied, its output passed on, its record collected.

When a worker dies, Dask's scheduler itself hands the job to another one, up to its own limit (`allowed-failures`), and the
new worker begins in a folder of its own: here the lost attempt's log is emptied, and the user told. A worker that lives but had
its job taken away reports it as lost, and the job is sent again, a few times.
"""

from __future__ import annotations

import os
import pickle
import select
import threading
from asyncio import CancelledError
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from stepwell.blocks.compute.dask import bootstrap
from stepwell.blocks.compute.dask.clusters.cluster import Cluster, unreachable
from stepwell.blocks.compute.dask.relay import answer
from stepwell.blocks.compute.dask.worker import JobRequest, Report
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.worker_bundle import bundle_archive, bundle_digest
from stepwell.blocks.processes.output import OnOutput
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.system.files import remove, replace_file, take
from stepwell.errors import ComputeTargetException, StepFailedException, StepwellError
from stepwell.model.records import BESIDE, Exit
from stepwell.script.events import EVENTS

_GRACE_SECONDS = 12.0
_NOTICE_SECONDS = 5.0
_MOST_SENDS = 5
_CANCELLED = Report(exit=Exit(-15, 0.0, cancelled=True))


class JobTransfer:
    """The transfer of one job request to a worker, and of its report back."""

    def __init__(
        self, cluster: Cluster, request: JobRequest, demand: Mapping[str, float], on_output: OnOutput, stop: StopSignal
    ) -> None:
        self._cluster, self._request, self._demand, self._on_output, self._stop = (
            cluster,
            request,
            demand,
            on_output,
            stop,
        )
        self._attempts = 0
        self._began, self._done, self._ended = StopSignal(), StopSignal(), StopSignal()
        self._report: Report | None = None
        self._serve = request.job.requests
        self._request = replace(request, job=replace(request.job, requests=None, elsewhere={}))

    def report(self) -> Report:
        """Send the request, supply the data that workers lack, and return the report."""
        name, archive = self._request.job.step_run_id, None
        self._request.job.logs.mkdir(parents=True, exist_ok=True)
        self._cluster.listen(name, self._on_event)
        try:
            for _ in range(_MOST_SENDS):
                reply = self._send(archive)
                if isinstance(reply, Exception):
                    raise self._translated(reply)
                if reply == "bundle":
                    archive = bundle_archive()
                elif reply.lost:
                    self._on_output("The worker is taken away; the step runs again\n")
                elif reply.needs:
                    self._supply(reply.needs)
                else:
                    assert isinstance(reply, Report)
                    return reply
            if isinstance(reply, Report) and reply.lost:
                raise self._lost(self._request.job.call.definition.name)
            raise unreachable(self._cluster.spec, "its workers keep losing what is sent to them")
        finally:
            self._cluster.listen(name, None)

    def _send(self, archive: bytes | None) -> Any:
        self._attempts, self._report = 0, None
        if self._stop.stopped:
            return _CANCELLED
        try:
            future = _submit(self._cluster, self._request, archive, self._demand)
            return self._await_reply(future)
        except StepwellError:
            raise
        except (Exception, CancelledError) as error:
            if self._stop.stopped:  # whatever ends a run may end its cluster, too
                return _CANCELLED
            if isinstance(error, CancelledError) or not self._cluster.alive:
                raise unreachable(self._cluster.spec, "its scheduler went away while the step ran") from error
            raise self._translated(error) from error

    def _await_reply(self, future: Any) -> Any:
        done = self._done = StopSignal()
        future.add_done_callback(lambda _: done.stop())
        if _wait_for_first(done, self._stop, self._began, seconds=_NOTICE_SECONDS) is None:
            spec = self._cluster.spec
            self._on_output(f"Waiting for a free worker of {spec.target} at {spec.address or spec.cluster_class}\n")
        if _wait_for_first(done, self._stop) is done:
            return self._report or future.result()
        future.cancel(force=True)
        if self._attempts:
            _wait_for_first(self._ended, seconds=_GRACE_SECONDS)
        by_itself = self._report and self._report.exit and not self._report.exit.cancelled
        return self._report if by_itself else _CANCELLED

    def _supply(self, digests: tuple[str, ...]) -> None:
        job = self._request.job
        assert job.remote_store
        paths = {a.digest: job.inputs[n] for n, a in job.call.inputs.items()}
        code = {module.digest: job.own_code[module.place] for module in job.call.own_code if module.digest}
        code |= {job.call.snapshot: job.snapshot} if job.snapshot else {}
        for digest in digests:
            self._on_output(f"Uploading {digest[:12]} to {job.remote_store.url}, as the workers share no disk\n")
            if digest in code:
                code[digest].send_to(job.remote_store)
            else:
                job.remote_store.put(paths[digest], digest)

    def _on_event(self, event: Mapping[str, Any]) -> None:
        log = self._request.job.logs / "70_driver_log.txt"
        if "began" in event:
            self._attempts += 1
            self._began.stop()
            if self._attempts > 1:
                self._on_output(f"The worker is gone; the step runs again on {event['began']}\n")
            with suppress(OSError):
                replace_file(self._request.job.record, f"logs/{log.name}", b"")
            with suppress(OSError):
                os.unlink(self._request.job.control / EVENTS)
        elif "text" in event:
            text = self._request.redact(str(event["text"]))  # a secret may have been asked for meanwhile
            with suppress(OSError), open(log, "a", errors="surrogateescape", opener=_open_log) as stream:
                stream.write(text)
            self._on_output(text)
        elif "events" in event:  # until the whole record comes
            text = self._request.redact(str(event["events"]))
            self._request.job.control.mkdir(parents=True, exist_ok=True)
            with suppress(OSError), open(self._request.job.control / EVENTS, "a", opener=_open_log) as stream:
                stream.write(text)
        elif "asks" in event and self._serve:
            asked = (str(event["asks"]), str(event.get("at")))
            threading.Thread(target=self._relay, args=asked, name="stepwell-relay", daemon=True).start()
        elif "report" in event:
            self._report = pickle.loads(event["report"])  # noqa: S301  (as Dask does with results)
            self._done.stop()
            self._ended.stop()
        elif "ended" in event:
            self._ended.stop()

    def _translated(self, error: BaseException) -> StepwellError:
        """Return the error of Dask's or of a worker's as an error of ours."""
        if isinstance(error, StepwellError):
            return error
        name = self._request.job.call.definition.name
        if type(error).__name__ != "KilledWorker":
            title, facts = (
                f"A Dask worker could not run the step {name!r}",
                {"reason": f"{type(error).__name__}: {error}"},
            )
            return ComputeTargetException(title, facts, "Look at the worker's log.")
        return self._lost(name)

    def _lost(self, name: str) -> StepwellError:
        """Return the error of a step that lost every worker that it had."""
        title = f"Every Dask worker that ran the step {name!r} died"
        if endings := self._cluster.endings():
            hint = "Give the jobs more time or memory by `cluster_options` of the target, or the step fewer data."
            return StepFailedException(title, {"their jobs ended": endings}, hint)
        facts = {"reason": "most often the step needs more memory than a worker has"}
        return StepFailedException(title, facts, "Give the workers more memory, or the step fewer data.")

    def _relay(self, name: str, worker: str) -> None:
        assert self._serve

        def call(function: str, argument: Any) -> Any:
            sent = _for(self._cluster, function)
            return self._cluster.client.run(sent, name, argument, workers=[worker])[worker]

        answer(call, self._serve, same_files=self._request.here)


def _submit(cluster: Cluster, request: JobRequest, archive: bytes | None, demand: Mapping[str, float]) -> Any:
    key = f"stepwell-{request.job.call.definition.name}-{request.job.step_run_id}-{os.urandom(4).hex()}"
    return cluster.client.submit(
        _for(cluster, "start"),
        bundle_digest(),
        archive,
        pickle.dumps(request),
        key=key,
        pure=False,
        resources=dict(demand) or None,
    )


def _for(cluster: Cluster, name: str) -> Any:
    """Return a function of `bootstrap` as the cluster's workers can be sent it."""
    return getattr(bootstrap, name) if cluster.on_this_machine else _by_value(name)


@cache
def _by_value(name: str) -> Any:
    """Return a function of `bootstrap` for workers that lack Stepwell: Dask sends only the main program's by value."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(bootstrap)
    function = FunctionType(getattr(bootstrap, name).__code__, vars(bootstrap), name)
    function.__module__ = "__main__"
    return function


def _below(folder: Path, path: str) -> Path:
    """Return the path of an output that a worker names, or one where nothing is if it isn't below the job's folder."""
    return Path(path) if Path(path).is_relative_to(folder) else folder / "outputs" / "none" / Path(path).name


def _open_log(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _wait_for_first(*signals: StopSignal, seconds: float | None = None) -> StopSignal | None:
    """Wait for the signals and return the first that is raised; None if none is in time."""
    poll = select.poll()
    for signal in signals:
        poll.register(signal, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
    return next((signal for signal in signals if signal.fileno() in ready), None)


def collect_results(job: Job, report: Report) -> Finished:
    """Move the reported record to the job's, and fetch the outputs to this machine if the disk is not shared."""
    assert report.exit is not None
    if not report.record:
        return Finished(report.exit, {})
    if report.shared:
        record = Path(report.record)
        outputs = {name: _below(job.folder, path) for name, path in report.outputs.items()}
    else:
        assert job.remote_store
        record = job.remote_store.get(report.record, job.folder / "record")
        job.remote_store.discard(report.record)
        outputs = {
            port.name: job.remote_store.get_tree(report.outputs[port.name], job.folder / "outputs" / port.name)
            if port.name in report.outputs
            else job.folder / "outputs" / "none" / port.name
            for port in job.call.definition.outputs
        }
        if BESIDE in report.outputs:
            outputs[BESIDE] = job.remote_store.get_tree(report.outputs[BESIDE], job.folder / "outputs beside")
    remove(job.record)
    try:
        take(record, job.record, below=job.folder)
    except OSError as error:
        facts = {"record": record, "reason": error.strerror or error}
        title = f"What step {job.call.definition.name!r} logged on a Dask worker can't be taken over"
        raise StepFailedException(title, facts, "Let the script leave its log where it is.") from error
    return Finished(report.exit, outputs, same_files=report.same_files, facts=report.facts, warnings=report.warnings)
