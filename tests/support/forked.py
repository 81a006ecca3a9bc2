"""Processes that run code with Stepwell and Prefect imported from the start: forked from one that did nothing else, once."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from waiting import PATIENCE

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["prefect.flow_engine", "stepwell.flows.public.pipeline", "stepwell.flows.runs.flow_run"]
)


class Forked:
    """A process that leads a session of its own; its code finds `args`, tells by `tell(...)` and waits by `hear()`."""

    def __init__(self, code: str, *args: str) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_run, args=(theirs, dict(os.environ), os.getcwd(), code, args))
        self._process.start()
        theirs.close()

    def tell(self, message: Any) -> None:
        self._connection.send(message)

    def hear(self) -> Any:
        """Return what the code tells next; raise if it failed instead."""
        assert self._connection.poll(PATIENCE), "it did not come to pass"
        message = self._connection.recv()
        if isinstance(message, _Failure):
            raise AssertionError(message.text)
        return message

    def kill(self) -> None:
        """Kill it and all that are in its group, if it has not ended before."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.join()

    def join(self) -> None:
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, "it did not end"
        self._connection.close()


class _Failure:
    def __init__(self, text: str) -> None:
        self.text = text


def _run(connection: Connection, variables: dict[str, str], folder: str, code: str, args: tuple[str, ...]) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    try:
        exec(code, {"__name__": "forked", "args": args, "tell": connection.send, "hear": connection.recv})
    except BaseException:
        connection.send(_Failure(traceback.format_exc()))
