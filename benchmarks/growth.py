"""What grows: a plan over a store that has seen much, and the first command of a home that has nothing yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median

from place import CLI, Place, Timed, new_salt
from rows import Row


def plan_over_records(place: Place) -> Iterator[Row]:
    """`stepwell plan` of a thousand steps over a store of 100,000 records: all known, and all with another argument."""
    steps, records = (100, 10_000) if place.quick else (1000, 100_000)
    salt = new_salt()
    place.run(steps, salt)
    before = _planned(place, steps, salt)
    place.ask("fill", steps=steps, salt=salt, records=records)
    for word, extra in (("all known", ""), ("all changed", "!")):
        after = _planned(place, steps, salt, extra)
        low, high = (median(timed.seconds for timed in side) for side in (before, after))
        detail = f"{high:.2f} s, CPU {median(timed.cpu for timed in after):.2f} s; with {steps} records {low:.2f} s"
        yield Row(f"plan of {steps} steps, {records} records, {word}", high, 1.0, "s")
        yield Row(f"plan of {steps} steps, {records} records / {steps}, {word}", high / low, 1.5, "x", detail)


def _planned(place: Place, steps: int, salt: str, extra: str = "") -> list[Timed]:
    variables = {"BENCH_STEPS": str(steps), "BENCH_SHAPE": "flat", "BENCH_SALT": salt, "BENCH_MORE": extra}
    return [place.command(*CLI, "plan", "pipeline.py", **variables) for _ in range(place.repeat)]


def cold_start(place: Place) -> Iterator[Row]:
    """`stepwell runs`, then ten new steps, as the first and second command in a home that has nothing yet."""
    home = tempfile.mkdtemp(prefix="stepwell-bench-home-")
    try:
        of_the_place = [name for name in os.environ if name.startswith(("PREFECT_API", "STEPWELL_OWN_"))]  # its server
        new = {**dict.fromkeys(of_the_place, ""), "STEPWELL_HOME": home, "PREFECT_HOME": home}
        ten = {"BENCH_STEPS": "10", "BENCH_SHAPE": "flat", "BENCH_SALT": new_salt(), "BENCH_MORE": ""}
        first = place.command(*CLI, "run", "pipeline.py", **new, **ten)
        yield Row("first command in a fresh home, with its server", first.seconds, 6, "s", "ten new steps among it")
        second = place.command(*CLI, "run", "pipeline.py", **new, **{**ten, "BENCH_SALT": new_salt()})
        yield Row("ten new steps, server up", second.seconds, 2, "s", f"CPU {second.cpu:.2f} s")
    finally:
        stop = [*CLI, "server", "stop"]
        subprocess.run(stop, env={**os.environ, "STEPWELL_HOME": home}, check=False, stdout=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
