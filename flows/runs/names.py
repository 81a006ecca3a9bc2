"""What can name an experiment, and the names of what nobody named."""

from __future__ import annotations

import re

from stepwell.errors import UserErrorException

EXPERIMENT_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$"
UNFIT = "/%&><"
"""What the names of Prefect's flows can't have."""

_LONGEST = 200


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


def usual_name(description: str | None) -> str:
    """Return the name of a pipeline for which nobody chose one: its description as far as it can name one, on one line."""
    words = " ".join((description or "").split())
    found = "".join("_" if char in UNFIT else char for char in words if char.isprintable())
    return found[:_LONGEST].strip() or "pipeline"
