"""Names of flow runs that Prefect makes up, such as `camouflaged-eel`: nobody chose them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import coolname.data


def is_generated(name: str) -> bool:
    """Return whether the name is one that Prefect makes up, such as `camouflaged-eel`."""
    words = name.split("-")
    return len(words) > 1 and set(words) <= _words()


@cache
def _words() -> frozenset[str]:
    parts: Iterable[Any] = coolname.data.config.values()
    return frozenset(word for part in parts if part["type"] == "words" for word in part["words"])
