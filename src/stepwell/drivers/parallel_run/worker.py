"""What runs in each worker process: `init` of the entry script once, then `run` for each mini-batch that is sent."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from marshal import dumps
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TextIO

from stepwell.drivers.parallel_run import entry_script
from stepwell.drivers.parallel_run.batches import MiniBatch, Source
from stepwell.drivers.parallel_run.reads import Reads
from stepwell.drivers.parallel_run.rows import UnusableResultError, rows_of
from stepwell.drivers.parallel_run.splitting import values_of
from stepwell.model.datasets.on_disk import Records

READY, BEGAN, DONE, FAILED, NO_ENTRY = "ready", "began", "done", "failed", "no entry"
_HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Task:
    """What all worker processes do: the script, its inputs by name, the mini-batches, and whether the rows are wanted.

    They have it from the process that they are forked from, so that only places of mini-batches among the jobs are sent, where
    each stands after its number. `watches`: whether they note which files of the inputs the script reads beside those of its
    mini-batch.
    """

    script: str
    sources: Mapping[str, Source]
    jobs: Records
    keys: Sequence[str] = ()
    appends: bool = True
    level: str = "INFO"
    output: str = ""
    logs: str = "logs"
    watches: bool = False


class Reply(NamedTuple):
    """What a worker process says: that it is ready, that it has read its rows, what `run` returned, or what went wrong.

    `given` and `returned` count items; `rows` are those that are appended; `error` is the last line of the `text`;
    `reads_beyond`: the script read files of the inputs that are none of its mini-batch.
    """

    kind: str
    given: int = 0
    returned: int = 0
    rows: bytes = b""
    text: str = ""
    error: str = ""
    reads_beyond: bool = False


@dataclass
class MiniBatchContext:
    """What `run(mini_batch, context)` may ask of its mini-batch."""

    minibatch_index: int
    partition_key_value: dict[str, Any]
    dataset: Any = None
    process: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def mini_batch_id(self) -> int:
        """The number of the mini-batch."""
        return self.minibatch_index


def work(task: Task, number: int, connection: Connection) -> None:
    """Serve the mini-batches that come over the connection, until it ends."""
    _log_to_files(task, number)
    reads = Reads(task.sources.values() if task.watches else ())
    try:
        module = _load(task.script)
        run = _function(module, "run")
        init = getattr(module, "init", None)
        if init is not None:
            init()
    except BaseException as error:  # noqa: BLE001  (an exit of the script, too)
        _send(connection, _failed(error, "init(), or when it was imported"))
        return
    if run is None:
        _send(connection, Reply(NO_ENTRY, text=f"{task.script} has no function run(mini_batch)"))
        return
    _send(connection, Reply(READY))
    call = _Call(task, run, number, connection, reads)
    while True:
        try:
            place = int(connection.recv_bytes())
        except EOFError:
            return
        index, *batch = task.jobs.get(place)
        reply = call(index, MiniBatch(*batch))
        _send(connection, reply._replace(reads_beyond=True) if reads.beyond else reply)


def _send(connection: Connection, reply: Reply) -> None:
    connection.send_bytes(dumps(tuple(reply)))


class _Call:
    """The call of `run` for one mini-batch after the other."""

    def __init__(self, task: Task, run: Callable[..., Any], number: int, connection: Connection, reads: Reads) -> None:
        self._task = task
        self._run = run
        self._number = number
        self._connection = connection
        self._reads = reads
        self._takes_context = _takes_two(run)
        self._read: tuple[tuple[str, ...], Any] | None = None

    def __call__(self, index: int, batch: MiniBatch) -> Reply:
        given = len(batch.names)
        try:
            source = self._task.sources[batch.input]
            content: Any = source.paths(batch.names)
            self._reads.of(batch, content)
            if source.is_table:
                content = self._frame(source, batch)
                given = len(content)
                if not given:
                    return Reply(DONE)
                _send(self._connection, Reply(BEGAN, given))
            more = [self._context(index, source, batch)] if self._takes_context else []
            result = self._run(content, *more)
            count, rows = rows_of(result, wanted=self._task.appends)
        except UnusableResultError as error:
            return Reply(FAILED, given, text=str(error), error=str(error))
        except BaseException as error:  # noqa: BLE001  (an exit of the script, too)
            return _failed(error, "run()", given)
        finally:
            _flush()
        return Reply(DONE, given, min(count, given), rows)

    def _context(self, index: int, source: Source, batch: MiniBatch) -> MiniBatchContext:
        if source.definition is None:
            return MiniBatchContext(index, {}, None, self._number)
        values = values_of(source.definition, self._task.keys, batch.names[0]) if self._task.keys else {}
        return MiniBatchContext(index, values, entry_script.part_of(source, source.files(batch.names)), self._number)

    def _frame(self, source: Source, batch: MiniBatch) -> Any:
        """Return the rows of a mini-batch; those of the files that were read last are remembered."""
        from stepwell.script.tables.reading import frame_of

        assert source.definition is not None
        if self._read is None or self._read[0] != batch.names:
            self._read = None
            self._read = batch.names, frame_of(source.definition, source.files(batch.names))
        frame = self._read[1]
        if batch.parts == 1:
            return frame
        start, end = (len(frame) * part // batch.parts for part in (batch.part, batch.part + 1))
        return frame.iloc[start:end].reset_index(drop=True)


def _load(script: str) -> Any:
    """Return the module of the script, under a name by which what is defined there can be pickled."""
    stem = os.path.splitext(os.path.basename(script))[0]
    name = stem if stem.isidentifier() and stem not in sys.modules else "entry_script"
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(script))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _function(module: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(module, name, None)
    return found if callable(found) else None


def _takes_two(function: Callable[..., Any]) -> bool:
    """Return whether the function takes a second argument by its place."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(by_place) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


# What people read -----------------------------------------------------------------------------------------------------


def _failed(error: BaseException, where: str, given: int = 0) -> Reply:
    """Return the reply that tells of an error, without the frames of this package."""
    trace = error.__traceback__
    while trace is not None and _is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        lines = list(traceback.TracebackException(type(error), error, trace).format())
        last = lines[-1].strip().splitlines()[-1]
    except Exception:  # noqa: BLE001  (an error whose text can't be made)
        lines = [last := type(error).__name__]
    text = "".join(lines).rstrip()
    if isinstance(error, SystemExit):
        last = f"the script ended its process in {where}: SystemExit: {error.code}"
        text += f"\n{last}"
    return Reply(FAILED, given, text=text, error=last)


def _is_own(path: str) -> bool:
    return os.path.dirname(path) == _HERE or path.startswith("<frozen importlib")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


class _Both:
    """A text stream whose lines, each whole, go to a log of the process as well."""

    def __init__(self, stream: TextIO, copy: TextIO) -> None:
        self._stream = stream
        self._copy = copy
        self._line = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        with self._lock:
            whole, end, self._line = (self._line + text).rpartition("\n")
            if end:
                self._put(whole + end)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._lock:
            line, self._line = self._line, ""
            if line:
                self._put(line)
                self._copy.flush()

    def _put(self, text: str) -> None:
        self._copy.write(text)
        self._stream.write(text)
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _log_to_files(task: Task, number: int) -> None:
    """Let what the script prints, and logs by `EntryScript`, stand in files of this process, too, as in v1."""
    process = f"process{number:03d}"

    def opened(kind: str, ending: str) -> TextIO:
        folder = os.path.join(task.logs, "user", kind, "0")
        os.makedirs(folder, exist_ok=True)
        return open(os.path.join(folder, f"{process}.{ending}"), "a", buffering=1, encoding="utf-8", errors="replace")

    sys.stdout = _Both(sys.stdout, opened("stdout", "stdout.txt"))  # type: ignore[assignment]
    sys.stderr = _Both(sys.stderr, opened("stderr", "stderr.txt"))  # type: ignore[assignment]
    handler = logging.StreamHandler(opened("entry_script_log", "log.txt"))
    handler.setFormatter(logging.Formatter("%(asctime)s|%(levelname)s|%(process)d|%(message)s"))
    entry_script.install(handler, task.level, task.output, task.logs)
