"""What can name an experiment."""

from __future__ import annotations

import re

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
