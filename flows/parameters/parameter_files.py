"""Values of parameters in a file: YAML, JSON or TOML, the whole file or a section of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import yaml

from stepwell.errors import UserErrorException

SIGN = "@"
"""What a word begins with that names a file of values."""


def read_parameter_file(target: str) -> dict[str, Any]:
    """Return the values by name in `FILE` or `FILE:SECTION`, where a section may be one of another: `train.model`.

    Raise UserErrorException if there is no such file or section, or it holds anything but names and values.
    """
    path, section = _split(target)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"
        raise UserErrorException(
            f"The file of parameters {str(path)!r} can't be read", {"reason": reason}, "Correct the path."
        ) from None
    found = _parsed(path, text)
    for name in filter(None, section.split(".")):
        if not isinstance(found, Mapping) or name not in found:
            known = ", ".join(map(str, found)) if isinstance(found, Mapping) else "none"
            raise UserErrorException(f"{path} has no section {name!r}", {"there are": known}, "Correct the name.")
        found = found[name]
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        raise UserErrorException(f"{target} holds no names and values", hint="Write `rate: 20`, a line for each.")
    return {str(name): _plain(str(name), value, path, section) for name, value in found.items()}


def _split(target: str) -> tuple[Path, str]:
    path, separator, section = target.rpartition(":")
    if not separator or Path(target).expanduser().is_file():
        return Path(target).expanduser(), ""
    return Path(path).expanduser(), section


def _plain(name: str, value: Any, path: Path, section: str) -> Any:
    if isinstance(value, Mapping):
        inner = f"{section}.{name}" if section else name
        raise UserErrorException(
            f"{name!r} in {path} is a section, and no parameter", hint=f"Name the section: -p @{path}:{inner}."
        )
    return value.isoformat() if isinstance(value, (date, datetime, time)) else value


def _parsed(path: Path, text: str) -> Any:
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
