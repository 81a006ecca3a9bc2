"""How much a slow property tries: little where each run has the same cases, more where new ones are looked for."""

from __future__ import annotations

from hypothesis import settings


def tries(number: int) -> int:
    """Return the number, or ten times as many in `make search`."""
    return 10 * number if settings.get_current_profile_name() == "search" else number
