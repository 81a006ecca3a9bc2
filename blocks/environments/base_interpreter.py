"""The interpreter that an environment is made with: of the version asked for if there is one, else the one in use."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

_SECONDS = 30.0
_VERSION_CODE = "import platform; print(platform.python_version())"


@dataclass(frozen=True, slots=True)
class Base:
    """An interpreter, its version, and a `warning` ('' if it is what was asked for)."""

    program: str
    version: str
    warning: str = ""


@cache
def base_interpreter(asked: str = "") -> Base:
    """Return the interpreter for a version such as `3.11.7`, by its first two numbers; '' is the one in use."""
    own = platform.python_version()
    wanted = minor(asked)
    if not wanted or wanted == minor(own):
        return Base(sys.executable, own)
    for program in dict.fromkeys(_candidates(wanted)):
        version = _version(program)
        if minor(version) == wanted:
            return Base(program, version)
    return Base(sys.executable, own, f"Python {asked} was not found, so Python {own} is used")


def minor(version: str) -> str:
    """Return the first two numbers of a version, '' if it has not as many."""
    match = re.match(r"[=\s]*(\d+\.\d+)", version)
    return match[1] if match else ""


def _candidates(wanted: str) -> Iterator[str]:
    uv = shutil.which("uv")
    if uv:
        yield from _first_word([uv, "python", "find", "--no-project", "--no-python-downloads", wanted])
    for folder in os.get_exec_path():
        program = os.path.join(folder, f"python{wanted}")
        if os.access(program, os.X_OK):
            yield program


def _version(program: str) -> str:
    return next(_first_word([program, "-c", _VERSION_CODE]), "")


def _first_word(command: list[str]) -> Iterator[str]:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
        yield from done.stdout.split()[:1]
