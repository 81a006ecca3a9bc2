"""The record whose rows differ least from others, found without believing all that are looked at.

To believe a record takes longer than to read what it claims, and a plan of a thousand changed steps looks at thousands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.records import StepRecord
from stepwell.model.regular_files import read_bytes

_LEAST = 1
"""A record with no other rows would be the result itself."""


def nearest_of(
    fingerprint: Fingerprint,
    keys: Iterable[str],
    places: Callable[[str], Iterable[Path]],
    believed: Callable[[str], StepRecord | object],
) -> StepRecord | None:
    """Return the record of those keys, the latest first, whose rows differ least from these; the first of equals.

    `places` are where the record of a key may stand, `believed` returns it if it can be believed.
    """
    seen: list[tuple[int, int, str]] = []
    for number, key in enumerate(keys):
        rows = _claimed_rows(places(key))
        if rows is None:
            continue
        distance = fingerprint.distance(rows)
        if distance > _LEAST:
            seen.append((distance, number, key))
        elif isinstance(record := believed(key), StepRecord):
            return record
    found = (believed(key) for _, _, key in sorted(seen))
    return next((record for record in found if isinstance(record, StepRecord)), None)


def _claimed_rows(places: Iterable[Path]) -> Fingerprint | None:
    """Return the rows that a record claims, whether or not it can be believed; None if it claims none."""
    for path in places:
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            record = json.loads(read_bytes(path))["record"]
            return Fingerprint(tuple(Row(*map(str, row)) for row in record["fingerprint"]))
    return None
