"""Sizes of memory as users write them, and those that nobody can mean."""

from __future__ import annotations

import re
from typing import Any

from stepwell.errors import UserErrorException

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_LEAST = 2**20


def memory_of(size: Any) -> int:
    """Return the bytes that a number or a text such as `4GB`, `512MiB` or `2g` means."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?i?)b?\s*", str(size).lower())
    if isinstance(size, bool) or not match or match[2] not in _UNITS:
        raise UserErrorException(
            "A size of memory can't be read", {"value": repr(size)}, "Write it as bytes, or as in '4GB' or '512MiB'."
        )
    return int(float(match[1]) * _UNITS[match[2]])


def refuse_tiny(what: str, size: int) -> int:
    """Return the bytes; raise UserErrorException if no step could run in so few: somebody meant another unit."""
    if 0 < size < _LEAST:
        raise UserErrorException(
            f"{what} is {size} bytes of memory, less than any step needs",
            hint=f"Write bytes, such as {size} * 10**9 for {size} GB.",
        )
    return size
