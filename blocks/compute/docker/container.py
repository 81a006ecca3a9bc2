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
Take = Callable[[int, bytes], None]
"""Takes what a container says on OUT or ERR, as it comes."""

_CHUNK = 64 * 1024
_HEAD = 8
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.1
_LAST_WORDS_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1e6


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to run: what the engine is asked for, what it reads from its standard input, and how long it may take."""

    name: str
    settings: dict[str, Any]
    stdin: bytes | None = None
    timeout_seconds: float | None = None
    grace_seconds: float = 5.0

    @property
    def whole(self) -> dict[str, Any]:
        """The settings with those that every container has."""
        reads = self.stdin is not None
        host = {"Init": True, "LogConfig": {"Type": "none"}, **self.settings.get("HostConfig", {})}
        own = {"AttachStdout": True, "AttachStderr": True, "Healthcheck": {"Test": ["NONE"]}}
        stdin = {"AttachStdin": reads, "OpenStdin": reads, "StdinOnce": reads}
        return {**own, **stdin, **self.settings, "HostConfig": host}


@dataclass(frozen=True, slots=True)
class End:
    """How a container ended: its exit code (negative: the signal), the seconds it took, and who ended it, if anybody."""

    code: int
    seconds: float
    why: Literal["", "timeout", "stop"]
    out_of_memory: bool


def run_container(
    engine: Engine, spec: ContainerSpec, take: Take, stop: StopSignal, then: Callable[[str], None] | None = None
) -> End:
    """How the container ended. `then` is called with its id if it ended by itself and well, before it goes away."""
    from docker.errors import APIError

    try:
        with engine.told_unless(APIError), engine.container(spec.name, spec.whole) as made:
            end = _Following(engine, spec, made, take, stop).run()
            if then and not end.code and not end.why:
                then(made)
            return end
    except APIError as error:
        raise _explained(error, engine, spec) from error


class _Following:
    """A container on its way from its start to its end."""

    def __init__(self, engine: Engine, spec: ContainerSpec, made: str, take: Take, stop: StopSignal) -> None:
        self._engine = engine
        self._spec = spec
        self._made = made
        self._take = take
        self._stop = stop
        self._deadline = math.inf

    def run(self) -> End:
        """How it ended."""
        with self._attached() as talk:
            began = time.monotonic()
            if self._spec.timeout_seconds is not None:
                self._deadline = began + self._spec.timeout_seconds
            self._engine.api.start(self._made)
            why = self._followed(talk)
            seconds = time.monotonic() - began
            state = self._state()
        return End(_code(state["ExitCode"]), seconds, why, bool(state.get("OOMKilled")))

    @contextlib.contextmanager
    def _attached(self) -> Iterator[_Talk]:
        wanted = {"stdin": int(self._spec.stdin is not None), "stdout": 1, "stderr": 1, "stream": 1}
        stream = self._engine.api.attach_socket(self._made, params=wanted)
        with contextlib.closing(stream), socket.socket(fileno=os.dup(stream.fileno())) as connection:
            yield _Talk(connection, self._spec.stdin, self._take)

    def _followed(self, talk: _Talk) -> Literal["", "timeout", "stop"]:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            seconds = self._deadline - time.monotonic()
            if seconds <= 0 or self._stop.stopped:
                self._end(talk)
                return "timeout" if seconds <= 0 else "stop"
            if not talk.at_end:
                talk.go_on(seconds, self._stop)
            elif not self._state()["Running"]:
                return ""
            else:
                select.select([self._stop], [], [], min(seconds, pause))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _end(self, talk: _Talk) -> None:
        self._send(signal.SIGTERM)
        if not self._ended_within(self._spec.grace_seconds, talk):
            self._send(signal.SIGKILL)
            self._ended_within(_LAST_WORDS_SECONDS, talk)

    def _ended_within(self, seconds: float, talk: _Talk) -> bool:
        deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if not talk.at_end:
                talk.go_on(left)
            elif not self._state()["Running"]:
                return True
            else:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return False

    def _send(self, number: signal.Signals) -> None:
        from docker.errors import APIError

        with contextlib.suppress(APIError):  # it ended meanwhile
            self._engine.api.kill(self._made, int(number))

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._engine.api.inspect_container(self._made)["State"]
        return state


class _Talk:
    """The connection to a container's standard streams."""

    def __init__(self, connection: socket.socket, stdin: bytes | None, take: Take) -> None:
        self._connection = connection
        connection.setblocking(False)
        self._take = take
        self._unread = b""
        self._unsent = memoryview(stdin or b"")
        self._open = stdin is not None
        self.at_end = False

    def go_on(self, seconds: float, *alarms: StopSignal) -> None:
        """Passes on what arrives next, either way; back after so many seconds, or at once when an alarm is raised."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._open else 0))
        for alarm in alarms:
            poll.register(alarm, select.POLLIN)
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
            self._take(channel, text)


def _code(code: int) -> int:
    return 128 - code if 128 < code <= 128 + 64 else code


# What went wrong ----------------------------------------------------------------------------------------------------


def _explained(error: APIError, engine: Engine, spec: ContainerSpec) -> StepwellError:
    """The engine's refusal in our words."""
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
