"""Processes that run code with Stepwell and Prefect imported from the start: forked from one that did nothing else, once."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from types import SimpleNamespace
from typing import IO, Any

import pytest
from waiting import PATIENCE

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["prefect.flow_engine", "stepwell.flows.public.pipeline", "stepwell.flows.runs.detached"]
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


# Submitted runs -----------------------------------------------------------------------------------------------------------


class ForkedRun:
    """What `subprocess.Popen` is to `launch.detach`: the process of a submitted run, which need not import anything."""

    def __init__(self, command: Sequence[str], *, stdout: IO[bytes], cwd: Any, env: dict[str, str], **_: Any) -> None:
        hear, say = os.pipe()
        task = (command[3:], DupFd(hear), DupFd(stdout.fileno()), os.fspath(cwd), env)
        self._process = _CONTEXT.Process(target=_execute, args=task, daemon=True)  # ended, not waited for, at our end
        self._process.start()
        os.close(hear)
        self.stdin = os.fdopen(say, "wb")

    def poll(self) -> int | None:
        return self._process.exitcode


@contextlib.contextmanager
def submitted_runs_are_forked() -> Iterator[None]:
    """Let processes of submitted runs be forked while the block runs, when they are started by this process."""
    from stepwell.flows.runs import launch

    stand_in = SimpleNamespace(PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT, Popen=ForkedRun)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "subprocess", stand_in)
        yield


def _execute(words: Sequence[str], stdin: Any, output: Any, folder: str, variables: dict[str, str]) -> None:
    """Be the process of the run."""
    current_process()._config["daemon"] = False  # or it could start none
    os.setsid()
    os.chdir(folder)
    for theirs, number in ((stdin.detach(), 0), (output.detach(), 1)):
        os.dup2(theirs, number)
        os.close(theirs)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(variables)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, closefd=False),
        open(1, "w", closefd=False),
        open(2, "w", 1, closefd=False),
    )
    from prefect.context import refresh_global_settings_context

    from stepwell.flows.runs import detached

    refresh_global_settings_context()
    sys.argv[:] = ["detached", *words]
    code: Any = 0
    try:
        detached.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
