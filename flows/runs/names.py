"""What can name an experiment, and how a run is called in Prefect unless somebody chose another name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import coolname.data

from stepwell.errors import UserErrorException

EXPERIMENT_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$"


def check_experiment(name: str) -> str:
    """Return `name`; raise UserErrorException if it can't name an experiment."""
    if not isinstance(name, str) or not re.fullmatch(EXPERIMENT_PATTERN.strip("^$"), name):
        raise UserErrorException(
            f"{name!r:.300} can't name an experiment",
            hint="Use 1 to 255 letters, digits, '_' and '-', the first a letter or digit.",
        )
    return name


def usual_experiment(name: str) -> str:
    """Return the experiment of runs for which nobody named one: the pipeline's name, as far as it can name one."""
    found = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in name)
    return found.lstrip("_-")[:255] or "published"


def run_name(pipeline: str, number: int) -> str:
    """Return the name of a run that nobody named, such as `digits #12`."""
    return f"{pipeline} #{number}"


def is_generated(name: str) -> bool:
    """Return whether the name is one that Prefect makes up, such as `camouflaged-eel`."""
    words = name.split("-")
    return len(words) > 1 and set(words) <= _words()


@cache
def _words() -> frozenset[str]:
    parts: Iterable[Any] = coolname.data.config.values()
    return frozenset(word for part in parts if part["type"] == "words" for word in part["words"])
