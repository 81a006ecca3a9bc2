"""Worker processes, and which mini-batch each of them has: what comes back of a mini-batch is taken once.

The processes are forked from this one, which loads no code of the user's, has one thread, and keeps nothing buffered: each
ends as any Python does. One that takes too long over a mini-batch, or dies, is replaced; its mini-batch is tried again as
often as is allowed.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from marshal import loads
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from stepwell.drivers.parallel_run.batches import MiniBatch
from stepwell.drivers.parallel_run.worker import BEGAN, DONE, FAILED, READY, Reply

Work = Callable[[int, Connection], None]
"""What a worker process does, given its number and its end of a connection."""

_SECONDS_TO_END = 30.0
"""How long processes may take to end once no mini-batch is left."""

_LEAST_SECONDS_TO_GET_READY = 600.0
_MOST_FAILED = 1000
_QUICK_SECONDS, _MOST_AHEAD = 0.2, 64
"""A process has as many mini-batches beforehand as take it so long, so that it never waits for this process."""


class Job(NamedTuple):
    """A mini-batch with its number, where the worker processes find it, and which try it is."""

    number: int
    place: int
    batch: MiniBatch
    tries: int = 1


class Outcome(NamedTuple):
    """What came of a mini-batch in the end: the last reply, how often it was tried, by which process, how long it took."""

    number: int
    place: int
    batch: MiniBatch
    reply: Reply
    tries: int
    process: int
    seconds: float


class NoWorkerError(Exception):
    """Worker processes can't get ready; the message says why, for people."""


class _Waiting:
    """The mini-batches that wait, of which as many have been looked at as failed or have to be given again.

    Those that failed come last; before others, if they are many.
    """

    def __init__(self, jobs: Iterable[Job], count: int) -> None:
        self._new, self._left = iter(jobs), count
        self._first, self._failed = deque[Job](), deque[Job]()

    def __len__(self) -> int:
        return len(self._first) + self._left + len(self._failed)

    def take(self) -> Job:
        """Return the next."""
        if self._first:
            return self._first.popleft()
        if self._left and len(self._failed) < _MOST_FAILED:
            self._left -= 1
            return next(self._new)
        return self._failed.popleft()

    def again(self, job: Job) -> None:
        """Let one that failed be tried again."""
        self._failed.append(job._replace(tries=job.tries + 1))

    def give_back(self, jobs: Iterable[Job]) -> None:
        """Let those come next that were not begun."""
        self._first.extendleft(reversed(tuple(jobs)))


class _Worker:
    """A worker process, what it is at work on (the first of `jobs`), and what it will be."""

    def __init__(self, number: int, work: Work, others: Iterable[_Worker]) -> None:
        self.number = number
        self.ready = False
        self.ahead = 0
        self.jobs = deque[Job]()
        self.given = 0
        self.since = time.monotonic()
        self.connection, end = multiprocessing.Pipe()
        inherited = [self.connection, *(other.connection for other in others)]
        self.process: BaseProcess = multiprocessing.get_context("fork").Process(
            target=_child, args=(work, number, end, inherited)
        )
        self.process.start()
        end.close()
        self._ended: int | None = None
        with suppress(OSError, AttributeError):
            self._ended = os.pidfd_open(self.process.pid or 0)

    @property
    def ended(self) -> int:
        """What can be read from once the process has ended, whatever those that it started do."""
        return self.process.sentinel if self._ended is None else self._ended

    def give(self, job: Job) -> bool:
        """Give it a mini-batch; return whether it lives to take it."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._begin()
        with suppress(OSError):
            self.connection.send_bytes(b"%d" % job.place)
            return True
        return False

    def done(self) -> tuple[Job, float]:
        """Return what it was at work on, and for how many seconds; it goes on with the next."""
        job, seconds = self.jobs.popleft(), time.monotonic() - self.since
        self.ahead = more_ahead(self.ahead, seconds)
        self._begin()
        return job, seconds

    def _begin(self) -> None:
        self.since = time.monotonic()
        self.given = len(self.jobs[0].batch.names) if self.jobs else 0

    def end(self, deadline: float = 0.0) -> int | None:
        """End the process, by force if it lives at the deadline, with those that it started; return its exit code."""
        self.connection.close()
        if deadline:
            self.process.join(max(0.0, deadline - time.monotonic()))
        if not deadline or self.process.exitcode is None:
            self._kill()
            self.process.join()
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None
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
    os.register_at_fork(after_in_child=end.close)  # or what it starts would keep the connection when it has died
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody wants to know any more
        work(number, end)
    _leave()


def _leave() -> None:
    """End this process as Python ends, which multiprocessing does not: what the user's code left open is written and closed."""
    try:
        from ctypes import pythonapi

        leave = pythonapi.Py_Exit
    except (ImportError, AttributeError):  # a Python that was built without it
        atexit._run_exitfuncs()  # noqa: SLF001
        return
    leave(0)


class Pool:
    """So many worker processes. Leave by `with`, so that none is left.

    `limit_seconds` is how long `run` may take over a mini-batch, `tries` how often it is called for one; `on_retry` gets
    what came of each try but the last. To get ready, processes have ten minutes at least.
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
        self._ready_limit = max(limit_seconds, _LEAST_SECONDS_TO_GET_READY)
        self._tries = tries
        self._on_retry = on_retry
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for worker in self._workers.values():
            worker.connection.close()
        deadline = time.monotonic() + _SECONDS_TO_END
        for worker in self._workers.values():
            if kind is not None or worker.jobs or not worker.ready:
                worker.end()
            elif code := worker.end(deadline):
                print(
                    f"Worker process {worker.number} {_ending(code)} after its last mini-batch, before it had ended by itself: "
                    "what it had not written yet is lost",
                    file=sys.stderr,
                )
        self._workers.clear()
        self._selector.close()

    def outcomes(self, jobs: Iterable[Job], count: int, wake_seconds: float = 1.0) -> Iterator[Outcome | None]:
        """Yield what came of each of so many mini-batches, as it comes, and None at times while nothing comes.

        Raises:
            NoWorkerError: `init` fails, or the script can't be imported.
        """
        waiting = _Waiting(jobs, count)
        while True:
            while len(self._workers) < self._count and self._idle() < len(waiting):
                self._start()
            for most_ahead in (0, max(1, len(waiting) // (4 * self._count))):
                yield from self._deal(waiting, most_ahead)
            if not waiting and not any(worker.jobs for worker in self._workers.values()):
                return
            events = self._selector.select(self._pause(wake_seconds))
            if not events:
                yield None
            for key, _ in events:
                yield from self._heard(key.data, waiting, ended=key.fileobj is not key.data.connection)
            yield from self._overdue(waiting)

    # ----------------------------------------------------------------------------------------------------------------

    def _deal(self, waiting: _Waiting, most_ahead: int) -> Iterator[Outcome]:
        """Give every process that is ready a mini-batch, and up to so many beforehand if it is quick."""
        for worker in list(self._workers.values()):
            while waiting and worker.ready and len(worker.jobs) <= min(worker.ahead, most_ahead):
                if not worker.give(waiting.take()):
                    yield from self._died(worker, waiting)
                    break

    def _idle(self) -> int:
        """Return how many processes could take a mini-batch, or will soon."""
        return sum(not worker.jobs for worker in self._workers.values())

    def _start(self) -> None:
        number = next(number for number in range(self._count) if number not in self._workers)
        self._workers[number] = worker = _Worker(number, self._work, self._workers.values())
        for source in (worker.connection, worker.ended):
            self._selector.register(source, selectors.EVENT_READ, worker)

    def _remove(self, worker: _Worker) -> int | None:
        for source in (worker.connection, worker.ended):
            self._selector.unregister(source)
        del self._workers[worker.number]
        return worker.end()

    def _deadline(self, worker: _Worker) -> float:
        """Return until when the process has to say something."""
        if not worker.ready:
            return worker.since + self._ready_limit
        return worker.since + self._limit if worker.jobs else float("inf")

    def _pause(self, wake_seconds: float) -> float:
        now = time.monotonic()
        return max(0.0, min([wake_seconds, *(self._deadline(worker) - now for worker in self._workers.values())]))

    def _heard(self, worker: _Worker, waiting: _Waiting, *, ended: bool) -> Iterator[Outcome]:
        if self._workers.get(worker.number) is not worker:
            return
        reply: Reply | None = None
        with suppress(EOFError, OSError):
            if not ended or worker.connection.poll():  # what it started may hold its end of the connection
                reply = Reply(*loads(worker.connection.recv_bytes()))  # noqa: S302  (of a process of ours)
        if reply is None:
            yield from self._died(worker, waiting)
        elif reply.kind == READY:
            worker.ready = True
        elif reply.kind == BEGAN:
            worker.since, worker.given = time.monotonic(), reply.given
        elif not worker.ready:
            self._remove(worker)
            raise NoWorkerError(reply.text)
        else:
            job, seconds = worker.done()
            yield from self._ended(job, reply, worker.number, seconds, waiting)

    def _ended(self, job: Job, reply: Reply, process: int, seconds: float, waiting: _Waiting) -> Iterator[Outcome]:
        outcome = Outcome(job.number, job.place, job.batch, reply, job.tries, process, seconds)
        if reply.kind == DONE or job.tries >= self._tries:
            yield outcome
        else:
            self._on_retry(outcome)
            waiting.again(job)

    def _died(self, worker: _Worker, waiting: _Waiting) -> Iterator[Outcome]:
        code, given = self._remove(worker), worker.given
        words = _ending(code)
        if not worker.ready:
            raise NoWorkerError(f"A worker process {words} before it was ready: look at init() and what is imported")
        more = ": the machine may lack memory for so many processes" if code == -signal.SIGKILL else ""
        if worker.jobs:
            text = f"The worker process {words} in run(){more}"
            yield from self._lost(worker, Reply(FAILED, given, text=text, error=text), waiting)

    def _overdue(self, waiting: _Waiting) -> Iterator[Outcome]:
        now = time.monotonic()
        for worker in list(self._workers.values()):
            if now < self._deadline(worker) or worker.connection.poll():
                continue
            self._remove(worker)
            if not worker.ready:
                raise NoWorkerError(
                    f"init(), with the import of the script, took longer than {self._ready_limit:g} seconds, and was ended: "
                    "raise `run_invocation_timeout` if it needs more"
                )
            text = f"run() took longer than `run_invocation_timeout`, {self._limit:g} seconds, and was ended"
            yield from self._lost(worker, Reply(FAILED, worker.given, text=text, error=text), waiting)

    def _lost(self, worker: _Worker, reply: Reply, waiting: _Waiting) -> Iterator[Outcome]:
        """Take the reply for what a process was at work on when it ended; what it had beforehand is another's."""
        job, seconds = worker.done()
        waiting.give_back(worker.jobs)
        yield from self._ended(job, reply, worker.number, seconds, waiting)


def more_ahead(before: int, seconds: float) -> int:
    """Return how many mini-batches a process has beforehand at most, which took so long over the last and had so many."""
    return min(before + 1, int(_QUICK_SECONDS / max(seconds, 1e-6)), _MOST_AHEAD)


def _ending(code: int | None) -> str:
    """Return in words how a process ended."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
