"""Arguments of operations on datasets, checked where nothing else checks them: in scripts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stepwell.errors import UserErrorException


def count_of(value: int) -> int:
    """Return how many rows or files; raise UserErrorException if it is no count."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserErrorException(f"`count` can't be {value!r}", hint="Pass a whole number that is not negative.")
    return value


def share_of(name: str, value: float) -> float:
    """Return a share; raise UserErrorException if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UserErrorException(f"`{name}` can't be {value!r}", hint="Pass a number from 0 to 1.")
    return float(value)


def seed_of(seed: int | None) -> int:
    """Return the seed, by chance if there is none."""
    return random.SystemRandom().randrange(2**32) if seed is None else int(seed)


def names_of(columns: str | Sequence[str]) -> list[str]:
    """Return the names of columns as a list."""
    return [columns] if isinstance(columns, str) else list(columns)
