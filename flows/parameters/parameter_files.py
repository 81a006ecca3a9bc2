"""Files of names and values: read as YAML, JSON or TOML, the whole file or a section of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path, PurePath
from typing import Any

import yaml

from stepwell.errors import UserErrorException

SIGN = "@"
"""What a word begins with that names a file of values."""


def read_parameter_file(target: str) -> dict[str, Any]:
    """Return the values by name in `FILE` or `FILE:SECTION`, where a section may be one of another: `train.model`.

    Raise UserErrorException if there is no such file or section, or it holds anything but names and values.
    """
    path, section = split_target(target)
    found: Any = read_values(path)
    for name in filter(None, section.split(".")):
        if not isinstance(found, Mapping) or name not in found:
            known = ", ".join(map(str, found)) if isinstance(found, Mapping) else "none"
            raise UserErrorException(f"{path} has no section {name!r}", {"there are": known}, "Correct the name.")
        found = found[name]
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        raise UserErrorException(f"{target} holds no names and values", hint="Write `rate: 20`, a line for each.")
    return {str(name): plain(value) for name, value in found.items()}


def split_target(target: str) -> tuple[Path, str]:
    """Return the path of a file, and what stands after the colon behind it: '' if nothing does."""
    path, separator, section = target.rpartition(":")
    if not separator or Path(target).expanduser().is_file():
        return Path(target).expanduser(), ""
    return Path(path).expanduser(), section


def plain(value: Any) -> Any:
    """Return a value of a file as a parameter may have it: of a date or time the text."""
    return value.isoformat() if isinstance(value, (date, datetime, time)) else value


def read_values(path: Path) -> Any:
    """Return what a file holds, None if that is nothing; raise UserErrorException if it can't be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"
        raise UserErrorException(
            f"The file of parameters {str(path)!r} can't be read", {"reason": reason}, "Correct the path."
        ) from None
    return parsed(path, text)


def parsed(path: PurePath, text: str) -> Any:
    """Return what a text holds that is of the file's kind; raise UserErrorException if it holds nothing that can be read."""
    readers: dict[str, Callable[[str], Any]] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yaml": yaml.safe_load,
        ".yml": yaml.safe_load,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserErrorException(
            f"{path.name!r} is no file of parameters", hint="Name a file that ends in .yaml, .json or .toml."
        )
    try:
        return reader(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        facts = {"reason": f"{problem}, line {mark.line + 1}" if mark else problem}
        raise UserErrorException(
            f"{path} can't be read as {path.suffix[1:].upper()}", facts, "Mend the file."
        ) from None
