"""Worker processes, and which mini-batch each of them has: what comes back of a mini-batch is taken once.

The processes are forked from this one, which loads no code of the user's and has one thread. One that takes too long over
a mini-batch, or dies, is replaced; its mini-batch is tried again as often as is allowed.
"""

from __future__ import annotations

import multiprocessing
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from stepwell.drivers.parallel_run.batches import MiniBatch
from stepwell.drivers.parallel_run.worker import BEGAN, DONE, FAILED, READY, Reply

Work = Callable[[int, Connection], None]
"""What a worker process does, given its number and its end of a connection."""

_PATIENCE_SECONDS = 5.0
_QUICK_SECONDS = 0.2
"""A process that takes no longer over a mini-batch has the next one beforehand, so that it never waits for this process."""


class Outcome(NamedTuple):
    """What came of a mini-batch in the end: the last reply, how often it was tried, by which process, how long it took."""

    number: int
    batch: MiniBatch
    reply: Reply
    tries: int
    process: int
    seconds: float


class NoWorkerError(Exception):
    """Worker processes can't get ready; the message says why, for people."""


class _Job(NamedTuple):
    number: int
    batch: MiniBatch
    tries: int


class _Worker:
    """A worker process, what it is at work on (the first of `jobs`), and what it will be."""

    def __init__(self, number: int, work: Work, others: Iterable[_Worker]) -> None:
        self.number = number
        self.ready = False
        self.quick = False
        self.jobs = deque[_Job]()
        self.given = 0
        self.since = 0.0
        self.connection, end = multiprocessing.Pipe()
        inherited = [self.connection, *(other.connection for other in others)]
        self.process: BaseProcess = multiprocessing.get_context("fork").Process(
            target=_child, args=(work, number, end, inherited)
        )
        self.process.start()
        end.close()

    def give(self, job: _Job) -> bool:
        """Give it a mini-batch; return whether it lives to take it."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._begin()
        with suppress(OSError):
            self.connection.send_bytes(b"%d" % job.number)
            return True
        return False

    def done(self) -> tuple[_Job, float]:
        """Return what it was at work on, and for how many seconds; it goes on with the next."""
        job, seconds = self.jobs.popleft(), time.monotonic() - self.since
        self.quick = seconds < _QUICK_SECONDS
        self._begin()
        return job, seconds

    def _begin(self) -> None:
        self.since = time.monotonic()
        self.given = len(self.jobs[0].batch.items) if self.jobs else 0

    def end(self, *, by_force: bool) -> int | None:
        """End the process, and those that it started if by force, and return its exit code."""
        self.connection.close()
        if by_force:
            self._kill()
        self.process.join(_PATIENCE_SECONDS)
        if self.process.exitcode is None:
            self._kill()
            self.process.join()
        return self.process.exitcode

    def _kill(self) -> None:
        assert self.process.pid is not None
        for kill in (os.killpg, os.kill):
            with suppress(OSError):
                kill(self.process.pid, signal.SIGKILL)


def _child(work: Work, number: int, end: Connection, inherited: Iterable[Connection]) -> None:
    os.setpgid(0, 0)
    for connection in inherited:  # or nobody would see that this process's parent is gone
        connection.close()
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody wants to know any more
        work(number, end)


class Pool:
    """So many worker processes. Leave by `with`, so that none is left.

    `limit_seconds` is how long `run` may take over a mini-batch, `tries` how often it is called for one; `on_retry` gets
    what came of each try but the last.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        *,
        limit_seconds: float,
        tries: int,
        on_retry: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._count = count
        self._limit = limit_seconds
        self._tries = tries
        self._on_retry = on_retry
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for worker in self._workers.values():
            worker.connection.close()
        for worker in self._workers.values():
            worker.end(by_force=kind is not None or bool(worker.jobs) or not worker.ready)
        self._workers.clear()
        self._selector.close()

    def outcomes(self, batches: Iterable[tuple[int, MiniBatch]], wake_seconds: float = 1.0) -> Iterator[Outcome | None]:
        """Yield what came of each mini-batch, as it comes, and None at times while nothing comes.

        Raises:
            NoWorkerError: `init` fails, or the script can't be imported.
        """
        waiting = deque(_Job(number, batch, 1) for number, batch in batches)
        while True:
            while len(self._workers) < self._count and self._idle() < len(waiting):
                self._start()
            for depth in (1, 2):
                yield from self._deal(waiting, depth)
            if not waiting and not any(worker.jobs for worker in self._workers.values()):
                return
            events = self._selector.select(self._pause(wake_seconds))
            if not events:
                yield None
            for key, _ in events:
                yield from self._heard(key.data, waiting)
            yield from self._overdue(waiting)

    # ----------------------------------------------------------------------------------------------------------------

    def _deal(self, waiting: deque[_Job], depth: int) -> Iterator[Outcome]:
        """Give every process that is ready up to so many mini-batches, more than one only if it is quick."""
        for worker in list(self._workers.values()):
            while waiting and worker.ready and len(worker.jobs) < (depth if worker.quick else 1):
                if not worker.give(waiting.popleft()):
                    yield from self._died(worker, waiting)
                    break

    def _idle(self) -> int:
        """Return how many processes could take a mini-batch, or will soon."""
        return sum(not worker.jobs for worker in self._workers.values())

    def _start(self) -> None:
        number = next(number for number in range(self._count) if number not in self._workers)
        self._workers[number] = worker = _Worker(number, self._work, self._workers.values())
        self._selector.register(worker.connection, selectors.EVENT_READ, worker)

    def _remove(self, worker: _Worker) -> int | None:
        self._selector.unregister(worker.connection)
        del self._workers[worker.number]
        return worker.end(by_force=True)

    def _pause(self, wake_seconds: float) -> float:
        now = time.monotonic()
        ends = [worker.since + self._limit - now for worker in self._workers.values() if worker.jobs]
        return max(0.0, min([wake_seconds, *ends]))

    def _heard(self, worker: _Worker, waiting: deque[_Job]) -> Iterator[Outcome]:
        if self._workers.get(worker.number) is not worker:
            return
        try:
            reply: Reply = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._died(worker, waiting)
            return
        if reply.kind == READY:
            worker.ready = True
        elif reply.kind == BEGAN:
            worker.since, worker.given = time.monotonic(), reply.given
        elif not worker.ready:
            self._remove(worker)
            raise NoWorkerError(reply.text)
        else:
            job, seconds = worker.done()
            yield from self._ended(job, reply, worker.number, seconds, waiting)

    def _ended(self, job: _Job, reply: Reply, process: int, seconds: float, waiting: deque[_Job]) -> Iterator[Outcome]:
        outcome = Outcome(job.number, job.batch, reply, job.tries, process, seconds)
        if reply.kind == DONE or job.tries >= self._tries:
            yield outcome
        else:
            self._on_retry(outcome)
            waiting.append(job._replace(tries=job.tries + 1))

    def _died(self, worker: _Worker, waiting: deque[_Job]) -> Iterator[Outcome]:
        code, given = self._remove(worker), worker.given
        words = f"was ended by {_signal_name(-code)}" if code and code < 0 else f"ended with exit code {code}"
        if not worker.ready:
            raise NoWorkerError(f"A worker process {words} before it was ready: look at init() and what is imported")
        more = ": the machine may lack memory for so many processes" if code == -signal.SIGKILL else ""
        if worker.jobs:
            text = f"The worker process {words} in run(){more}"
            yield from self._lost(worker, Reply(FAILED, given, text=text, error=text), waiting)

    def _overdue(self, waiting: deque[_Job]) -> Iterator[Outcome]:
        now = time.monotonic()
        for worker in list(self._workers.values()):
            if not worker.jobs or now < worker.since + self._limit or worker.connection.poll():
                continue
            self._remove(worker)
            text = f"run() took longer than `run_invocation_timeout`, {self._limit:g} seconds, and was ended"
            yield from self._lost(worker, Reply(FAILED, worker.given, text=text, error=text), waiting)

    def _lost(self, worker: _Worker, reply: Reply, waiting: deque[_Job]) -> Iterator[Outcome]:
        """Take the reply for what a process was at work on when it ended; what it had beforehand is another's."""
        job, seconds = worker.done()
        waiting.extendleft(reversed(worker.jobs))
        yield from self._ended(job, reply, worker.number, seconds, waiting)


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
