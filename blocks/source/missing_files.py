"""What to do about a script that misses a file: what stands beside its source directory, or is left out of it, is not there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

_MISSES = re.compile(
    r"no such file or directory|non-?existent directory|directory .+ does not exist|can(?:no|')t find|not found",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"|`([^`']+)'")
_OF_A_PROGRAM = re.compile(r"(?:^|: )([^:'\"]+): No such file or directory")
_MODULE = re.compile(r"No module named '([^'.]+)")
_FOLDERS_UP = 2
"""How many folders above the source directory a project may have its other files in."""


def missing_file_hint(
    lines: str, source_directory: str, holds: Callable[[str], bool] | None, outputs: Mapping[str, Iterable[Path]]
) -> str:
    """Return what to do about a file or folder that a script's last lines say is missing; '' if they say nothing of the kind.

    `holds` tells whether the snapshot has a path, None if there is no snapshot. `outputs` are the paths of the step's outputs, each as it is called here and where the script ran.
    """
    for line in lines.splitlines():
        found = _MODULE.search(line)
        hint = missing_module_hint(found[1], source_directory) if found else ""
        if not hint and _MISSES.search(line):
            hint = _file_hint(line, source_directory, holds) or _output_hint(line, outputs)
        if hint:
            return hint
    return ""


def missing_module_hint(name: str, source_directory: str) -> str:
    """Return what to do about a module that a script does not find if it stands near its source directory, else ''."""
    for folder in _near(source_directory):
        for module in (f"{name}.py", f"{name}/__init__.py"):
            if (folder / module).is_file():
                place = (folder / module).parent if "/" in module else folder / module
                return (
                    f"Move {place} into the step's source_directory, {source_directory}, or pass `source_directory={str(folder)!r}`: "
                    "the script has a copy of that folder, and nothing of what stands beside it."
                )
    return ""


def _file_hint(line: str, source_directory: str, holds: Callable[[str], bool] | None) -> str:
    for name in _names(line):
        if not source_directory or os.path.isabs(name) or os.path.normpath(name) in ("", "."):
            continue
        place = os.path.normpath(os.path.join(source_directory, name))
        inside = Path(place).is_relative_to(source_directory)
        if inside and os.path.lexists(place) and holds is not None and not holds(name):
            return (
                f"Let the ignore file of {source_directory} (`.amlignore` or `.gitignore`) name {name!r} no longer, or pass it as an "
                "input: what is ignored is in no snapshot, and the script runs in one."
            )
        beside = (
            place if not inside else next((str(n / name) for n in _near(source_directory) if (n / name).exists()), "")
        )
        if beside and os.path.exists(beside):
            return (
                f"Move {beside} into the step's source_directory, {source_directory}, or put it on a datastore and pass it as an "
                "input: the script has a copy of that folder, and nothing of what stands beside it."
            )
    return ""


def _names(line: str) -> Iterator[str]:
    for found in _QUOTED.finditer(line):
        yield next(filter(None, found.groups()))
    if program := _OF_A_PROGRAM.search(line):
        yield program[1].strip()


def _near(source_directory: str) -> tuple[Path, ...]:
    """Return the folders above the source directory in which a project's other files may stand."""
    source = Path(source_directory)
    above = tuple(source.parents)[:_FOLDERS_UP]
    return tuple(dict.fromkeys((*above, Path.cwd()))) if source_directory else ()


def _output_hint(line: str, outputs: Mapping[str, Iterable[Path]]) -> str:
    for name, paths in outputs.items():
        if any(str(path) in line for path in paths):
            return (
                f"Let the script make the folder first, `os.makedirs(PATH, exist_ok=True)`: whether the output {name!r} is a file or "
                "a folder, and what folders are in it, is the script's to say."
            )
    return ""
