"""Processes that run code with Stepwell and Prefect imported from the start: forked from one that did nothing else, once."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from types import SimpleNamespace
from typing import IO, Any, NoReturn

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


# Programs -----------------------------------------------------------------------------------------------------------------


def program(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program as `python -c` does, and return its exit code and what it printed."""
    with open(os.devnull) as nothing, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        files = [DupFd(file.fileno()) for file in (nothing, output, errors)]
        process = _CONTEXT.Process(target=_interpret, args=(code, files, os.getcwd(), dict(os.environ)))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode is not None, "it did not end"
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(code, process.exitcode, output.read().decode(), errors.read().decode())


def _interpret(code: str, files: Sequence[Any], folder: str, variables: dict[str, str]) -> None:
    _take_over(files, folder, variables)
    sys.argv[:] = ["-c"]
    _to_the_end(lambda: exec(code, {"__name__": "__main__"}))


def _take_over(files: Sequence[Any], folder: str, variables: dict[str, str]) -> None:
    """Have these standard streams, this folder and these variables."""
    current_process()._config["daemon"] = False  # or it could start none
    os.setsid()
    os.chdir(folder)
    for number, theirs in enumerate(one.detach() for one in files):
        os.dup2(theirs, number)
        os.close(theirs)
    os.environ.clear()
    os.environ.update(variables)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, closefd=False),
        open(1, "w", closefd=False),
        open(2, "w", 1, closefd=False),
    )
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def _to_the_end(main: Callable[[], None]) -> NoReturn:
    """Call it, and end as Python does after a program."""
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.last_type, sys.last_value, sys.last_traceback = sys.exc_info()
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


# Submitted runs -----------------------------------------------------------------------------------------------------------


class ForkedRun:
    """What `subprocess.Popen` is to `launch.detach`: the process of a submitted run, which need not import anything."""

    def __init__(self, command: Sequence[str], *, stdout: IO[bytes], cwd: Any, env: dict[str, str], **_: Any) -> None:
        hear, say = os.pipe()
        files = (DupFd(hear), DupFd(stdout.fileno()), DupFd(stdout.fileno()))
        task = (command[3:], files, os.fspath(cwd), env)
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


def _execute(words: Sequence[str], files: Sequence[Any], folder: str, variables: dict[str, str]) -> None:
    """Be the process of the run."""
    _take_over(files, folder, variables)
    from stepwell.flows.runs import detached

    sys.argv[:] = ["detached", *words]
    _to_the_end(detached.main)
