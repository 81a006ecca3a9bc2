"""One process, followed line by line, that leaves nothing behind when it ends.

While it runs, this process is the reaper of its orphans (`host`), so that a daemon that forked twice comes back to us;
once it is dead, so are its descendants (`process_tree`). If this process is itself killed with SIGKILL, a watchdog (one
per process, asleep until then; `host_watchdog`) kills the process trees.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Literal

from stepwell.blocks.processes.cgroup import new_cgroup
from stepwell.blocks.processes.command import Command, check, start
from stepwell.blocks.processes.host import host
from stepwell.blocks.processes.output import Redact, Stream, open_log, unchanged
from stepwell.blocks.processes.process_tree import ProcessTree
from stepwell.errors import StepFailedException
from stepwell.model.records import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TICK_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1e6
_LAST_SECONDS = 5.0


class StopSignal:
    """A signal to every process that runs under it, from any thread or signal handler, to stop at once and for good."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._reader, self._writer = os.pipe()
        self._parts: list[tuple[str, StopSignal]] = []

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """The reason given to the first `stop`; '' before it."""
        return self._reason or ""

    def stop(self, reason: str = "cancelled") -> None:
        """Wake all who wait. Later calls change nothing."""
        if self._reason is None:
            self._reason = reason
            os.write(self._writer, b"!")
        for _, part in list(self._parts):
            part.stop(reason)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[StopSignal]:
        """Provide a signal for a part of what runs under this one: it stops with this one, or by `stop_part`."""
        made = (name, StopSignal())
        self._parts.append(made)
        if self.stopped:
            made[1].stop(self.reason)
        try:
            yield made[1]
        finally:
            self._parts.remove(made)

    def stop_part(self, name: str) -> None:
        """Wake those who wait under the parts of that name, as many as there are."""
        for known, part in list(self._parts):
            if known == name:
                part.stop()

    def fileno(self) -> int:
        """Return a descriptor that is readable for ever once stopped."""
        return self._reader

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        try:  # no global name: when Python ends, a signal may outlive them
            close(self._reader)
            close(self._writer)
        except (AttributeError, OSError):
            pass


def run_process(command: Command, on_text: Callable[[str], None], stop: StopSignal, redact: Redact = unchanged) -> Exit:
    """Run a process to its end, and return how it ended.

    By then its output is written and forwarded, and none of its descendants is left. `on_text` gets whole lines, all
    that arrived together at once. Of the updates of a progress bar, which end with a carriage return, it gets the last
    one only, and at most ten a second; the files keep the last one.
    """
    check(command)
    with contextlib.ExitStack() as stack:
        out, err, both = (
            stack.enter_context(open_log(path)) for path in (command.stdout, command.stderr, command.combined)
        )
        if stop.stopped:
            return Exit(-signal.SIGTERM, 0.0, cancelled=True)
        cgroup = new_cgroup(command.marker)
        if cgroup:
            stack.callback(cgroup.remove, _LAST_SECONDS)
        stack.enter_context(host.running(command.marker, cgroup.folder if cgroup else None, command.temporary))
        started = time.monotonic()
        process = start(command)
        process_tree = ProcessTree(process, command.marker, started, cgroup)
        try:
            assert process.stdout
            assert process.stderr
            pipes = (stack.enter_context(process.stdout), stack.enter_context(process.stderr))
            streams = [Stream(pipe, (log, both), redact) for pipe, log in zip(pipes, (out, err), strict=True)]
            why = _follow(command, process_tree, streams, on_text, stop)
            seconds = time.monotonic() - started
        finally:
            code = process_tree.end()
        _forward([stream.drain() for stream in streams], on_text)
        for stream in streams:
            _forward([stream.finish()], on_text)
        if code is None:
            raise _lost(command)
        return Exit(code, seconds, timed_out=why == "timeout", cancelled=why == "stop", guard=process_tree.guard)


def _follow(
    command: Command,
    process_tree: ProcessTree,
    streams: Sequence[Stream],
    on_text: Callable[[str], None],
    stop: StopSignal,
) -> Literal["", "timeout", "stop"]:
    """Wait for the end, or ask for it and wait for the grace; return why it was asked for, '' if it wasn't."""
    deadline = time.monotonic() + (math.inf if command.timeout_seconds is None else command.timeout_seconds)
    alarms, tick = ((stop, process_tree), math.inf) if process_tree.fileno() >= 0 else ((stop,), _TICK_SECONDS)
    while not process_tree.ended():
        seconds = deadline - time.monotonic()
        if seconds <= 0 or stop.stopped:
            process_tree.terminate()
            _wait_for_grace(command.grace_seconds, process_tree, streams, on_text)
            return "timeout" if seconds <= 0 else "stop"
        _pass_on(streams, on_text, min(seconds, tick), *alarms)
    return ""


def _wait_for_grace(
    seconds: float, process_tree: ProcessTree, streams: Sequence[Stream], on_text: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + seconds
    # Who is asked to end may need its grace after the shell that started it is gone.
    while time.monotonic() < deadline and (not process_tree.ended() or process_tree.lingers()):
        _pass_on(streams, on_text, min(deadline - time.monotonic(), _TICK_SECONDS))


def _pass_on(
    streams: Sequence[Stream], on_text: Callable[[str], None], seconds: float, *alarms: StopSignal | ProcessTree
) -> None:
    """Forward what arrives next; return after so many seconds, or at once when an alarm is raised."""
    poll = select.poll()
    for source in (*(stream for stream in streams if not stream.at_end), *alarms):
        poll.register(source, select.POLLIN)
    milliseconds = math.ceil(min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS) * 1000)
    ready = {descriptor for descriptor, _ in poll.poll(milliseconds)}
    _forward([stream.read() for stream in streams if stream.fileno() in ready], on_text)


def _forward(arrived: list[bytes], on_text: Callable[[str], None]) -> None:
    lines = b"".join(arrived)
    if lines:
        on_text(lines.decode("utf-8", "replace"))


def _lost(command: Command) -> StepFailedException:
    return StepFailedException(
        f"How '{command.argv[0]}' ended is not known, because its exit code was taken by another part of this program",
        {"program": command.argv[0], "log": command.combined},
        "Leave SIGCHLD at its default, and wait for no process by os.wait() or os.waitpid(-1).",
    )
