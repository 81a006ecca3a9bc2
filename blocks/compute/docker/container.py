"""One container, followed line by line to its end, whatever ends it; it is gone soon afterwards."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stepwell.blocks.compute.docker.engine import not_reached
from stepwell.errors import ComputeTargetException, StepFailedException, StepwellError

if TYPE_CHECKING:
    from docker.errors import APIError

    from stepwell.blocks.compute.docker.engine import Engine
    from stepwell.blocks.processes.runner import StopSignal

OUT, ERR = 1, 2
OnChunk = Callable[[int, bytes], None]
"""Called with each piece of what a container writes to OUT or ERR."""

_CHUNK = 64 * 1024
_HEAD = 8
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.1
_KILL_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1e6
MOST_PROCESSES = 4096
"""How many processes and threads a container may have, unless it is made with another limit."""

_CONFINED: dict[str, Any] = {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "PidsLimit": MOST_PROCESSES}


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to run: what the engine is asked for, what it reads from its standard input, and its timeout."""

    name: str
    settings: dict[str, Any]
    stdin: bytes | None = None
    timeout_seconds: float | None = None
    grace_seconds: float = 5.0

    @property
    def complete(self) -> dict[str, Any]:
        """The settings, with those that every container has."""
        reads = self.stdin is not None
        host = {"Init": True, "LogConfig": {"Type": "none"}, **_CONFINED, **self.settings.get("HostConfig", {})}
        own = {"AttachStdout": True, "AttachStderr": True, "Healthcheck": {"Test": ["NONE"]}}
        stdin = {"AttachStdin": reads, "OpenStdin": reads, "StdinOnce": reads}
        return {**own, **stdin, **self.settings, "HostConfig": host}


@dataclass(frozen=True, slots=True)
class ContainerExit:
    """How a container ended: its exit code (negative: the signal), the seconds it took, and what ended it early."""

    code: int
    seconds: float
    why: Literal["", "timeout", "stop"]
    out_of_memory: bool


def run_container(
    engine: Engine,
    spec: ContainerSpec,
    on_chunk: OnChunk,
    stop: StopSignal,
    on_success: Callable[[str], None] | None = None,
) -> ContainerExit:
    """Run the container to its end; `on_success` gets its id if it ended by itself and well, before it is removed."""
    from docker.errors import APIError

    try:
        with engine.errors_translated(APIError), engine.container(spec.name, spec.complete) as container:
            end = _ContainerRun(engine, spec, container, on_chunk, stop).run()
            if on_success and not end.code and not end.why:
                on_success(container)
            return end
    except APIError as error:
        raise _translated(error, engine, spec) from error


class _ContainerRun:
    """A container from its start to its end."""

    def __init__(
        self, engine: Engine, spec: ContainerSpec, container: str, on_chunk: OnChunk, stop: StopSignal
    ) -> None:
        self._engine = engine
        self._spec = spec
        self._container = container
        self._on_chunk = on_chunk
        self._stop = stop
        self._deadline = math.inf

    def run(self) -> ContainerExit:
        """Start the container, follow it, and return how it ended."""
        with self._attach() as streams:
            began = time.monotonic()
            if self._spec.timeout_seconds is not None:
                self._deadline = began + self._spec.timeout_seconds
            self._engine.api.start(self._container)
            why = self._follow(streams)
            seconds = time.monotonic() - began
            state = self._state()
        return ContainerExit(_exit_code(state["ExitCode"]), seconds, why, bool(state.get("OOMKilled")))

    @contextlib.contextmanager
    def _attach(self) -> Iterator[_Streams]:
        wanted = {"stdin": int(self._spec.stdin is not None), "stdout": 1, "stderr": 1, "stream": 1}
        stream = self._engine.api.attach_socket(self._container, params=wanted)
        with contextlib.closing(stream), socket.socket(fileno=os.dup(stream.fileno())) as connection:
            yield _Streams(connection, self._spec.stdin, self._on_chunk)

    def _follow(self, streams: _Streams) -> Literal["", "timeout", "stop"]:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            seconds = self._deadline - time.monotonic()
            if seconds <= 0 or self._stop.stopped:
                self._terminate(streams)
                return "timeout" if seconds <= 0 else "stop"
            if not streams.at_end:
                streams.exchange(seconds, self._stop)
            elif not self._state()["Running"]:
                return ""
            else:
                select.select([self._stop], [], [], min(seconds, pause))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _terminate(self, streams: _Streams) -> None:
        self._kill(signal.SIGTERM)
        if not self._wait_for_end(self._spec.grace_seconds, streams):
            self._kill(signal.SIGKILL)
            self._wait_for_end(_KILL_SECONDS, streams)

    def _wait_for_end(self, seconds: float, streams: _Streams) -> bool:
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if not streams.at_end:
                streams.exchange(left)
            elif not self._state()["Running"]:
                return True
            else:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return False

    def _kill(self, number: signal.Signals) -> None:
        from docker.errors import APIError

        with contextlib.suppress(APIError):  # it ended meanwhile
            self._engine.api.kill(self._container, int(number))

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._engine.api.inspect_container(self._container)["State"]
        return state


class _Streams:
    """The connection to a container's standard streams."""

    def __init__(self, connection: socket.socket, stdin: bytes | None, on_chunk: OnChunk) -> None:
        self._connection = connection
        connection.setblocking(False)
        self._on_chunk = on_chunk
        self._unread = b""
        self._unsent = memoryview(stdin or b"")
        self._open = stdin is not None
        self.at_end = False

    def exchange(self, seconds: float, *stops: StopSignal) -> None:
        """Pass on what arrives next, either way; return after so many seconds, or at once when a stop is raised."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._open else 0))
        for stop in stops:
            poll.register(stop, select.POLLIN)
        milliseconds = math.ceil(min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS) * 1000)
        events = dict(poll.poll(milliseconds)).get(self._connection.fileno(), 0)
        if events & select.POLLOUT and self._open:
            self._write()
        if events & ~select.POLLOUT:
            self._read()

    def _write(self) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
            if not self._unsent:
                self._open = False
                self._connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:  # it ended without reading
            self._open = False

    def _read(self) -> None:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self.at_end = not data
        self._unread += data
        while len(self._unread) >= _HEAD:
            end = _HEAD + int.from_bytes(self._unread[4:_HEAD], "big")
            if len(self._unread) < end:
                return
            channel, text, self._unread = self._unread[0], self._unread[_HEAD:end], self._unread[end:]
            self._on_chunk(channel, text)


def _exit_code(code: int) -> int:
    return 128 - code if 128 < code <= 128 + 64 else code


# What went wrong ----------------------------------------------------------------------------------------------------


def _translated(error: APIError, engine: Engine, spec: ContainerSpec) -> StepwellError:
    """Return the engine's error as an error of ours."""
    reason, image = str(error.explanation or error), spec.settings.get("Image", "")
    facts = {"target": engine.target, "engine": engine.address, "image": image, "reason": reason}
    if "bind source path does not exist" in reason:
        title = f"The Docker engine of compute target {engine.target!r} does not see this machine's files"
        return ComputeTargetException(title, facts, "Use an engine of this machine, by a `unix://` address.")
    if "could not select device driver" in reason:
        title = f"The Docker engine of compute target {engine.target!r} has no GPUs to give"
        return ComputeTargetException(title, facts, "Install the NVIDIA Container Toolkit, or ask for no GPUs.")
    if "argument list too long" in reason:
        title = "The arguments and variables are too long"
        return StepFailedException(title, {"image": image}, "Pass long values in a file.")
    if error.response is None or error.response.status_code is None:
        return not_reached(engine.target, engine.address, error)
    title = f"The Docker engine of compute target {engine.target!r} refused what a step needs"
    return ComputeTargetException(title, facts, "Mend what the engine names, then run again.")
