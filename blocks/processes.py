"""One process, followed line by line, that leaves nothing behind when it ends.

A process and its descendants are a *family*. It is known by three signs, and a descendant has to lose all of them to
get away: the process group, the words of the variable `STEPWELL_MARKER`, and a tag, which is a limit that every child
inherits even if its environment is cleared. While a process runs, this process is the reaper of orphans ("child
subreaper"), so that a daemon that forked twice comes back to us; once the main process is dead, its family is looked
for among our children, killed and reaped. Children of this process that bear no sign are left alone.

What can't be found: processes that another one starts on request (`docker run`, `systemd-run`, `at`, `ssh`), processes
of another user (`sudo`), and a daemon that lost its parent and its environment in the first millisecond of the step.
Orphans of the host's own other children come to us too while a step runs; nobody touches them, and dead they stay
zombies until this process ends. Where there is no /proc, only the process group is killed.

If this process is itself killed with SIGKILL, a watchdog (one per process, asleep until then) kills the families.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import math
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Literal, NamedTuple

from stepwell.errors import StepFailedException, UserErrorException
from stepwell.vocabulary import Exit

MARKER = "STEPWELL_MARKER"
"""The variable by which the descendants of a process are found; nested runs add a word each."""

ORDER = "{order}"
"""Stands in an argument for the path under which the process can read its order."""

CHUNK = 64 * 1024
HELD = 64 * 1024  # bytes of an unfinished line that wait for redaction
OVERLAP = 8 * 1024  # a secret shorter than this is found even where a long line is cut
LONGEST = 1024 * 1024  # bytes of a line that are forwarded as one text
UPDATE_SECONDS = 0.1
TICK_SECONDS = 0.02
LAST_WAIT_SECONDS = 5.0
FORKS_PER_SECOND = 200_000  # more than any kernel manages; bounds how far process numbers can have come around
TAGS = 1 << 60

Redact = Callable[[str], str]


def unchanged(text: str) -> str:
    """The text itself."""
    return text


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: each string of `argv` is one argument, byte for byte; `variables` is its whole environment.

    `order` is readable by the process under the path that replaces the first `{order}` in `argv`. `combined` gets both
    streams in order of arrival. `marker` is a unique word, by which `kill_stray` finds what a dead host left.
    """

    argv: tuple[str, ...]
    folder: Path
    variables: dict[str, str]
    marker: str
    stdout: Path
    stderr: Path
    combined: Path
    order: bytes | None = None
    timeout_seconds: float | None = None
    grace_seconds: float = 5.0


class StopSignal:
    """Stops every process that runs under it, at once and from any thread or signal handler. It can't be taken back."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._reader, self._writer = os.pipe()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """What the first `stop` said; '' before it."""
        return self._reason or ""

    def stop(self, reason: str = "cancelled") -> None:
        """Wakes all who wait. Later calls change nothing."""
        if self._reason is None:
            self._reason = reason
            os.write(self._writer, b"!")

    def fileno(self) -> int:
        """A descriptor that is readable for ever once stopped."""
        return self._reader

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._reader)
            os.close(self._writer)


def run_process(command: Command, on_text: Callable[[str], None], stop: StopSignal, redact: Redact = unchanged) -> Exit:
    """How the process ended; by then its output is written and forwarded, and nothing of its family is left.

    `on_text` gets whole lines, all that arrived together at once. Of the updates of a progress bar, which end with a
    carriage return, it gets the last one only, and at most ten a second; the files keep all.
    """
    _check(command)
    with contextlib.ExitStack() as stack:
        out, err, both = (
            stack.enter_context(_log(path)) for path in (command.stdout, command.stderr, command.combined)
        )
        if stop.stopped:
            return Exit(-signal.SIGTERM, 0.0, cancelled=True)
        stack.enter_context(_host.running(command.marker))
        started = time.monotonic()
        process = _start(command, stack)
        family = _Family(process, command.marker, started)
        try:
            assert process.stdout and process.stderr
            streams = (_Stream(process.stdout, (out, both), redact), _Stream(process.stderr, (err, both), redact))
            why = _follow(command, family, streams, on_text, stop)
            seconds = time.monotonic() - started
        finally:
            code = family.end()
        _forward([stream.drain() for stream in streams], on_text)
        for stream in streams:
            _forward([stream.finish()], on_text)
        if code is None:
            raise _lost(command)
        return Exit(code, seconds, timed_out=why == "timeout", cancelled=why == "stop")


def kill_stray(marker_prefix: str) -> int:
    """How many processes were killed: those of this user with a marker that begins so, and their descendants.

    This process and its ancestors are spared. For runs whose host is dead and, against all odds, its watchdog as well.
    """
    if not marker_prefix:
        raise UserErrorException("A marker's prefix is empty", hint="Name the run whose processes are meant.")
    killed: set[int] = set()
    deadline = time.monotonic() + LAST_WAIT_SECONDS
    while time.monotonic() < deadline:
        table = _processes()
        spared = _line_of_ancestors(os.getpid(), table)
        found = {pid for pid in table if pid not in spared and _has_word(pid, marker_prefix)}
        found |= _descendants(found, table)
        if not found - spared:
            break
        for pid in found - spared:
            _kill(pid)
        killed |= found - spared
        time.sleep(0.005)
    return len(killed)


# Starting ------------------------------------------------------------------------------------------------------------


def _check(command: Command) -> None:
    if not command.argv:
        raise UserErrorException("The command is empty", hint="Name a program.")
    if not command.marker or command.marker.split() != [command.marker]:
        raise UserErrorException("A marker is one word", {"marker": repr(command.marker)})
    for text in (*command.argv, *command.variables, *command.variables.values()):
        _check_text(text, command)
    wrong = [name for name in command.variables if not name or "=" in name]
    if wrong:
        raise UserErrorException("A variable's name can't be empty or contain '='", {"variable": repr(wrong[0])})


def _check_text(text: str, command: Command) -> None:
    facts = {"program": command.argv[0], "text": f"{text[:80]!r}"}
    if "\0" in text:
        raise UserErrorException(
            "An argument or variable contains a NUL character, which no process can be given",
            facts,
            "Pass the value in a file.",
        )
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UserErrorException(
            "An argument or variable can't be encoded", facts, "Pass the value in a file."
        ) from None


@contextlib.contextmanager
def _log(path: Path) -> Iterator[FileIO]:
    try:
        file = FileIO(path, "wb")
    except OSError as error:
        raise _no_log(path, error) from error
    with file:
        yield file


def _no_log(path: object, error: OSError) -> StepFailedException:
    return StepFailedException(
        "The log can't be written",
        {"file": path, "error": error.strerror},
        "Make room there, or check the permissions.",
    )


def _start(command: Command, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    words = [*os.environ.get(MARKER, "").split(), command.marker]
    argv, descriptors = command.argv, list[int]()
    if command.order is not None:
        file = stack.enter_context(_unlinked(command.order))
        descriptors.append(file.fileno())
        argv = _with_order(argv, f"/dev/fd/{file.fileno()}")
    try:
        process = subprocess.Popen(
            argv,
            bufsize=0,
            cwd=command.folder,
            env={**command.variables, MARKER: " ".join(words)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(command, error) from error
    assert process.stdout and process.stderr
    stack.enter_context(process.stdout)
    stack.enter_context(process.stderr)
    return process


def _with_order(argv: tuple[str, ...], path: str) -> tuple[str, ...]:
    place = next((index for index, text in enumerate(argv) if ORDER in text), len(argv))
    # Only the first one: a user's argument may say the same.
    return (*argv[:place], *(text.replace(ORDER, path, 1) for text in argv[place : place + 1]), *argv[place + 1 :])


@contextlib.contextmanager
def _unlinked(content: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


def _not_started(command: Command, error: OSError) -> StepFailedException:
    program, facts = command.argv[0], {"program": command.argv[0], "folder": command.folder, "error": error.strerror}
    if error.errno == errno.E2BIG:
        size = sum(len(os.fsencode(text)) + 1 for text in command.argv)
        longest = max(len(os.fsencode(text)) for text in command.argv)
        facts |= {"arguments": f"{len(command.argv)}, {size} bytes, the longest {longest}"}
        return StepFailedException("The arguments and variables are too long", facts, "Pass long values in a file.")
    if not command.folder.is_dir():
        return StepFailedException(f"The folder '{command.folder}' was not found", facts, "Create it, or name another.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if "/" in program and (command.folder / program).exists():
            hint = "Install the interpreter that its first line names."
            return StepFailedException(f"The interpreter of '{program}' was not found", facts, hint)
        facts |= {"PATH": command.variables.get("PATH", os.defpath)} if "/" not in program else {}
        return StepFailedException(
            f"The program '{program}' was not found", facts, "Install it, or name its full path."
        )
    if error.errno == errno.EACCES:
        hint = "Make it executable (chmod +x), or check the permissions of the folder."
        return StepFailedException(f"The program '{program}' may not be executed", facts, hint)
    if error.errno == errno.ENOEXEC:
        hint = "Begin it with a line such as '#!/bin/sh', or name its interpreter before it."
        return StepFailedException(f"The program '{program}' is not in a format that can be executed", facts, hint)
    return StepFailedException(
        f"The program '{program}' could not be started", facts, "Try again when the error is gone."
    )


def _lost(command: Command) -> StepFailedException:
    return StepFailedException(
        f"How '{command.argv[0]}' ended is not known, because its exit code was taken by another part of this program",
        {"program": command.argv[0], "log": command.combined},
        "Leave SIGCHLD at its default, and wait for no process by os.wait() or os.waitpid(-1).",
    )


# Following -----------------------------------------------------------------------------------------------------------


def _follow(
    command: Command,
    family: _Family,
    streams: tuple[_Stream, _Stream],
    on_text: Callable[[str], None],
    stop: StopSignal,
) -> Literal["", "timeout", "stop"]:
    """Why the process was asked to end ('' if it ended by itself), once it ended or its grace did."""
    why: Literal["", "timeout", "stop"] = ""
    deadline = time.monotonic() + (math.inf if command.timeout_seconds is None else command.timeout_seconds)
    poll = select.poll()
    for source in (*streams, family, stop):
        if source.fileno() >= 0:
            poll.register(source.fileno(), select.POLLIN)
    tick = math.inf if family.fileno() >= 0 else TICK_SECONDS
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(_milliseconds(min(deadline - time.monotonic(), tick)))}
        arrived = [stream.read() for stream in streams if stream.fileno() in ready]
        _forward(arrived, on_text)
        for stream in streams:
            if stream.at_end and stream.fileno() in ready:
                poll.unregister(stream.fileno())
        now = time.monotonic()
        if family.ended():
            # Who is asked to end may need its grace after the shell that started it is gone.
            if not why or now >= deadline or not family.lingers():
                return why
            if tick != TICK_SECONDS:
                tick = TICK_SECONDS
                poll.unregister(family.fileno())
        if now < deadline and (why or stop.fileno() not in ready):
            continue
        if why:
            return why
        why = "timeout" if now >= deadline else "stop"
        deadline = now + command.grace_seconds
        poll.unregister(stop.fileno())
        family.terminate()


def _milliseconds(seconds: float) -> int | None:
    if seconds == math.inf:
        return None
    return math.ceil(min(max(seconds, 0.0), 1e6) * 1000)


def _forward(arrived: list[bytes], on_text: Callable[[str], None]) -> None:
    lines = b"".join(arrived)
    if lines:
        on_text(lines.decode("utf-8", "replace"))


class _Stream:
    """One output of the process: bytes in, redacted lines out, on the way into its log files."""

    def __init__(self, pipe: IO[bytes], logs: tuple[FileIO, ...], redact: Redact) -> None:
        self._pipe = pipe.fileno()
        os.set_blocking(self._pipe, False)
        self._logs = logs
        self._redact = redact
        self._held = b""  # not yet redacted, in no file
        self._line = b""  # in the files, not yet forwarded
        self._update = b""  # of a progress bar, forwarded unless a later one takes its place
        self._shown = 0.0
        self.at_end = False

    def fileno(self) -> int:
        """The pipe's descriptor."""
        return self._pipe

    def read(self, most: int = CHUNK) -> bytes:
        """What to forward of the next bytes; they are in the files by then."""
        try:
            data = os.read(self._pipe, most)
        except BlockingIOError:
            return b""
        self.at_end = not data
        return self._passed(self._kept(self._held + data)) if data else b""

    def drain(self) -> bytes:
        """What to forward of the bytes that are there now; bounded even if somebody keeps writing."""
        (left,) = struct.unpack("i", fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4)))
        parts = [self.read(min(CHUNK, left - done)) for done in range(0, left, CHUNK)]
        return b"".join(parts)

    def finish(self) -> bytes:
        """What to forward at last: a line without an end, or an update that none followed."""
        rest = self._line + self._written(self._held)
        self._held = self._line = b""
        return _latest(rest) or self._update

    def _kept(self, data: bytes) -> bytes:
        """The redacted part of `data` that is complete; the rest is held back."""
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        if not end and len(data) > HELD:
            end = self._cut(data)
        self._held = data[end:]
        return self._written(data[:end])

    def _cut(self, data: bytes) -> int:
        """Where to cut a line that is too long to wait for, so that no secret is seen in two unrecognizable halves."""
        whole = self._redacted(data)
        places = range(len(data) - OVERLAP, len(data) // 2, -OVERLAP // 2)
        safe = (at for at in places if self._redacted(data[:at]) + self._redacted(data[at:]) == whole)
        return next(safe, places[-1])

    def _written(self, data: bytes) -> bytes:
        data = self._redacted(data)
        for log in self._logs:
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[log.write(rest) :]
            except OSError as error:
                raise _no_log(log.name, error) from error
        return data

    def _redacted(self, data: bytes) -> bytes:
        if self._redact is unchanged or not data:
            return data
        return self._redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _passed(self, data: bytes) -> bytes:
        """The complete lines of what was written, with at most one update of a progress bar, as the last line."""
        self._line += data
        if not data or not (data.endswith((b"\n", b"\r")) or len(self._line) > LONGEST):
            return b""
        lines, self._line = _latest(self._line), b""
        self._update = b""
        if not lines.endswith(b"\r"):
            return lines
        now = time.monotonic()
        if now - self._shown >= UPDATE_SECONDS:
            self._shown = now
            return lines
        start = lines.rfind(b"\n") + 1
        self._update = lines[start:]
        return lines[:start]


def _latest(data: bytes) -> bytes:
    """The lines, of those that a carriage return ends the last one only, and only if nothing took its place."""
    if b"\r" not in data:
        return data
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines[:-1] if not line.endswith(b"\r")) + lines[-1]


# The family ----------------------------------------------------------------------------------------------------------


class _Family:
    """A running process and its descendants."""

    def __init__(self, process: subprocess.Popen[bytes], marker: str, started: float) -> None:
        self.pid = process.pid
        self._process = process
        self._marker = marker
        self._tag = _tag(marker)
        self._known: set[int] = set()
        self._started = started
        _host.mains.add(self.pid)
        self._put_tags()
        self._descriptor = -1
        with contextlib.suppress(AttributeError, OSError):
            self._descriptor = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the main process ends; -1 where there is none."""
        return self._descriptor

    def ended(self) -> bool:
        """Whether the main process is dead; it stays a zombie, so that its number isn't given to another."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def terminate(self) -> None:
        """Asks the group to end, even if it is suspended."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def lingers(self) -> bool:
        """Whether others of the group outlive the dead main process."""
        table = _processes(self._first())
        return any(entry.group == self.pid and entry.state != "Z" for pid, entry in table.items() if pid != self.pid)

    def end(self) -> int | None:
        """The exit code (None: unknown), once all are dead and reaped."""
        self._signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError, AttributeError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # the orphans are ours from here on
        self._sweep()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        _host.mains.discard(self.pid)
        return self._code()

    def _put_tags(self) -> None:
        """A fast program has children by the time that it can be tagged, so they are tagged as well."""
        done, found = set[int](), {self.pid}
        while found:
            for pid in found:
                _set_tag(pid, self._tag)
            done |= found
            found = _descendants({self.pid}, _processes(self._first())) - done

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _sweep(self) -> None:
        """Kills and reaps the family's processes that have become ours, one generation after the other.

        Nobody else can reap a child of ours, so its number can't have become another process's in between. Children of
        the killed ones come to us and are next.
        """
        deadline = time.monotonic() + LAST_WAIT_SECONDS
        while time.monotonic() < deadline:
            table = _processes(self._first())
            strays = {pid for pid, entry in table.items() if entry.parent == os.getpid() and self._owns(pid, entry)}
            if not strays:
                return
            for pid in strays:
                _kill(pid)
            dying = {pid for pid in strays if not _reaped(pid)}  # a zombie shows no environment
            self._known |= dying | _descendants(strays, table)
            if dying:
                time.sleep(0.001)

    def _owns(self, pid: int, entry: _Process) -> bool:
        if pid in _host.mains:
            return False
        return (
            entry.group == self.pid
            or pid in self._known
            or _get_tag(pid) == self._tag
            or _has_word(pid, self._marker, True)
        )

    def _first(self) -> int:
        """The lowest number that a descendant can have: numbers rise, and come around only after many forks."""
        newest = self.pid + FORKS_PER_SECOND * (time.monotonic() - self._started)
        return self.pid if newest < _highest() else 0

    def _code(self) -> int | None:
        if not hasattr(os, "waitid"):
            return self._process.wait()
        try:
            result = os.waitid(os.P_PID, self.pid, os.WEXITED)
        except ChildProcessError:
            result = None
        self._process.returncode = -1  # reaped here; only tells Popen that there is nothing to wait for
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


class _Process(NamedTuple):
    parent: int
    group: int
    state: str


def _processes(first: int = 0) -> dict[int, _Process]:
    """The processes of this machine with numbers from `first` on."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = {}
    for pid in (int(name) for name in names if name.isdigit()):
        stat = _read(f"/proc/{pid}/stat") if pid >= first else b""
        if stat:  # the name in it may contain anything, even parentheses
            state, parent, group = stat[stat.rindex(b")") + 2 :].split(maxsplit=3)[:3]
            found[pid] = _Process(int(parent), int(group), state.decode())
    return found


def _descendants(pids: set[int], table: dict[int, _Process]) -> set[int]:
    found, wave = set[int](), pids
    while wave:
        wave = {pid for pid, entry in table.items() if entry.parent in wave} - found
        found |= wave
    return found


def _line_of_ancestors(pid: int, table: dict[int, _Process]) -> set[int]:
    line = {pid}
    while pid in table and table[pid].parent not in line:
        pid = table[pid].parent
        line.add(pid)
    return line


def _has_word(pid: int, beginning: str, whole: bool = False) -> bool:
    """Whether a word of the process's marker begins so, or is it."""
    name, text = f"{MARKER}=".encode(), os.fsencode(beginning)
    for entry in _read(f"/proc/{pid}/environ").split(b"\0"):
        if entry.startswith(name):
            words = entry[len(name) :].split()
            return text in words if whole else any(word.startswith(text) for word in words)
    return False


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = [os.read(descriptor, CHUNK)]
        while len(parts[-1]) == CHUNK or (len(parts) > 1 and parts[-1]):
            parts.append(os.read(descriptor, CHUNK))
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _reaped(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return True


@functools.cache
def _highest() -> int:
    return int(_read("/proc/sys/kernel/pid_max") or 0)


# The limit on the CPU time of realtime threads is inherited through fork and exec, whatever becomes of the environment,
# and nobody else uses it. 2^60 microseconds are 36 thousand years: no limit at all, but a number that serves as a name.


def _tag(marker: str) -> int:
    return TAGS | int.from_bytes(hashlib.blake2b(os.fsencode(marker), digest_size=7).digest(), "big")


def _set_tag(pid: int, tag: int) -> None:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)[1]
        resource.prlimit(pid, resource.RLIMIT_RTTIME, (tag, hard))


def _get_tag(pid: int) -> int:
    with contextlib.suppress(AttributeError, OSError):
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)[0]
    return 0


# The host ------------------------------------------------------------------------------------------------------------

_GET_CHILD_SUBREAPER, _SET_CHILD_SUBREAPER = 37, 36
_libc = ctypes.CDLL(None)

_WATCHDOG = """
import os, resource, select, sys, time
host, marks, rest = int(sys.argv[1]), set(), b""

def listen():  # a line that comes a second time takes the first one back
    global rest
    data = os.read(0, 65536)
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        marks.symmetric_difference_update([tuple(line.split())])
    return data

def is_marked(pid):
    try:
        if b"%d" % resource.prlimit(pid, resource.RLIMIT_RTTIME)[0] in tags:
            return True
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\\0")
    except OSError:
        return False
    return any(entry.startswith(b"STEPWELL_MARKER=") and words & set(entry[16:].split()) for entry in entries)

try:
    os.set_blocking(0, False)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(os.pidfd_open(host), select.POLLIN)
    while os.getppid() == host:
        if 0 in dict(poll.poll()) and not listen():
            poll.unregister(0)
except OSError:
    pass
try:
    while listen():
        pass
except OSError:
    pass
words, tags = {mark[0] for mark in marks}, {mark[1] for mark in marks}
for _ in range(500 if marks else 0):
    found = [int(name) for name in os.listdir("/proc") if name.isdigit() and is_marked(int(name))]
    for pid in found:
        try:
            os.kill(pid, 9)
        except OSError:
            pass
    if not found:
        break
    time.sleep(0.01)
"""


class _Host:
    """What this process is to the families that it runs: the reaper of their orphans, watched over by a watchdog."""

    def __init__(self) -> None:
        self.mains: set[int] = set()
        self._lock = threading.Lock()
        self._count = 0
        self._was_reaper = False
        self._watchdog: int | None = None

    @contextlib.contextmanager
    def running(self, marker: str) -> Iterator[None]:
        """Orphans come to this process meanwhile, and if it is killed, what bears the marker is killed too."""
        line = b"%s %d\n" % (os.fsencode(marker), _tag(marker))
        with self._lock:
            if self._count == 0:
                self._was_reaper = _is_reaper()
                _become_reaper(True)
            self._count += 1
            if self._watchdog is None:
                self._watchdog = _start_watchdog()
        self._tell(line)
        try:
            yield
        finally:
            self._tell(line)
            with self._lock:
                self._count -= 1
                if self._count == 0:
                    _become_reaper(self._was_reaper)

    def close(self) -> None:
        """Lets go of a watchdog that watches the process from which this one was forked."""
        if self._watchdog is not None and self._watchdog >= 0:
            os.close(self._watchdog)

    def _tell(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._watchdog if self._watchdog is not None else -1, line)


def _is_reaper() -> bool:
    value = ctypes.c_int(0)
    _prctl(_GET_CHILD_SUBREAPER, ctypes.byref(value))
    return bool(value.value)


def _become_reaper(yes: bool) -> None:
    _prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(yes))


def _prctl(option: int, value: object) -> None:
    if sys.platform == "linux":
        _libc.prctl(option, value, *(ctypes.c_ulong(0) for _ in range(3)))


def _start_watchdog() -> int:
    """The descriptor on which the watchdog listens; -1 without one."""
    if not hasattr(os, "pidfd_open") or not Path(sys.executable or "").name.startswith("python"):
        return -1
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)  # an unlucky watchdog must not hold up a run
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(os.getpid()), "stepwell-watchdog"],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            start_new_session=True,
        )
    except OSError:
        os.close(writer)
        return -1
    finally:
        os.close(reader)
    process.returncode = 0  # it ends after this process, so nobody waits for it
    return writer


_host = _Host()


def _forked() -> None:
    global _host
    _host.close()
    _host = _Host()


os.register_at_fork(after_in_child=_forked)
