"""`Command`: a process to be run, how it is started, and the error if it can't be."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepwell.blocks.processes.markers import MARKER, markers_with
from stepwell.errors import StepFailedException, UserErrorException

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = "{payload}"
"""Stands in an argument for the path under which the process can read its payload."""


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: each string of `argv` is one argument, byte for byte; `variables` is its whole environment.

    `payload` is readable by the process under the path that replaces the first `{payload}` in `argv`. `combined` gets
    both streams in order of arrival. `marker` is a unique word, by which `kill_stray` finds what a dead host left; the
    folder `temporary` is removed if the host dies.
    """

    argv: tuple[str, ...]
    folder: Path
    variables: dict[str, str]
    marker: str
    stdout: Path
    stderr: Path
    combined: Path
    payload: bytes | None = None
    timeout_seconds: float | None = None
    grace_seconds: float = 5.0
    temporary: Path | None = None


def check(command: Command) -> None:
    """Raise UserErrorException for what no process can be given."""
    if not command.argv:
        raise UserErrorException("The command is empty", hint="Name a program.")
    if not command.marker or command.marker.split() != [command.marker]:
        raise UserErrorException("A marker is one word", {"marker": repr(command.marker)})
    for text in (*command.argv, *command.variables, *command.variables.values()):
        if "\0" in text or not text.isascii():
            _check_text(text, command.argv[0])
    wrong = [name for name in command.variables if not name or "=" in name]
    if wrong:
        raise UserErrorException("A variable's name can't be empty or contain '='", {"variable": repr(wrong[0])})


def _check_text(text: str, program: str) -> None:
    try:
        problem = "contains a NUL character, which no process can be given" if b"\0" in os.fsencode(text) else ""
    except UnicodeEncodeError:
        problem = "can't be encoded"
    if problem:
        facts = {"program": program, "text": f"{text[:80]!r}"}
        raise UserErrorException(f"An argument or variable {problem}", facts, "Pass the value in a file.")


def start(command: Command) -> subprocess.Popen[bytes]:
    """Start the process, in a session of its own and with pipes for its output."""
    if command.payload is None:
        return _started(command, command.argv)
    with tempfile.TemporaryFile() as file:
        file.write(command.payload)
        file.seek(0)
        return _started(command, _with_payload(command.argv, f"/dev/fd/{file.fileno()}"), file.fileno())


def _with_payload(argv: tuple[str, ...], path: str) -> tuple[str, ...]:
    for place, text in enumerate(argv):
        if PAYLOAD in text:  # only the first one: a user's argument may hold the same text
            return (*argv[:place], text.replace(PAYLOAD, path, 1), *argv[place + 1 :])
    return argv


def _started(command: Command, argv: tuple[str, ...], *descriptors: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            bufsize=0,
            cwd=command.folder,
            env={**command.variables, MARKER: markers_with(command.marker)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(command, error) from error


def _not_started(command: Command, error: OSError) -> StepFailedException:
    program = command.argv[0]
    facts: dict[str, object] = {"program": program, "folder": command.folder, "error": error.strerror}
    if error.errno == errno.E2BIG:
        sizes = [len(os.fsencode(text)) for text in command.argv]
        facts["arguments"] = f"{len(sizes)}, {sum(sizes) + len(sizes)} bytes, the longest {max(sizes)}"
        problem, hint = "The arguments and variables are too long", "Pass long values in a file."
    elif not command.folder.is_dir():
        problem, hint = f"The folder '{command.folder}' was not found", "Create it, or name another."
    elif error.errno in (errno.ENOENT, errno.ENOTDIR) and "/" in program and (command.folder / program).exists():
        problem = f"The interpreter of '{program}' was not found"
        hint = "Install the interpreter that its first line names."
        with suppress(OSError), (command.folder / program).open("rb") as file:
            if file.readline(4096).endswith(b"\r\n"):
                hint = f"Write its lines with LF at their ends, not CR LF: `sed -i 's/\\r$//' {program}`."
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        if "/" not in program:
            facts["PATH"] = command.variables.get("PATH", os.defpath)
        problem, hint = f"The program '{program}' was not found", "Install it, or name its full path."
    elif error.errno == errno.EACCES:
        problem = f"The program '{program}' may not be executed"
        hint = "Make it executable (chmod +x), or check the permissions of the folder."
    elif error.errno == errno.ENOEXEC:
        problem = f"The program '{program}' is not in a format that can be executed"
        hint = "Begin it with a line such as '#!/bin/sh', or name its interpreter before it."
    else:
        problem, hint = f"The program '{program}' could not be started", "Try again when the error is gone."
    return StepFailedException(problem, facts, hint)
