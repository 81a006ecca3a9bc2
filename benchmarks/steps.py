"""What Stepwell adds to a step, executed or reused."""

from __future__ import annotations

from collections.abc import Iterator

from place import Place
from rows import Row


def executed(place: Place) -> Iterator[Row]:
    """Yield the overhead of an executed step over its bare process, in a flat pipeline and in a chain."""
    few, many = (4, 16) if place.quick else (5, 35)
    for shape, budget in (("flat", 12), ("chain", 15)):
        found = place.ask("executed", shape=shape, few=few, many=many, repeat=place.repeat)
        step, bare, overhead = ([1000 * seconds for seconds in found[name]] for name in ("step", "bare", "overhead"))
        detail = f"step {step[0]:.1f} - bare {bare[0]:.1f}; CPU {step[1]:.1f} - {bare[1]:.1f}, server {step[2]:.1f} ms"
        yield Row(f"executed step, {shape}: over its bare process", overhead[0], budget, "ms", detail)


def reused(place: Place) -> Iterator[Row]:
    """Yield the cost of one more reused step in a process that is warm."""
    few, many = (10, 40) if place.quick else (20, 100)
    found = place.ask("reused", few=few, many=many, repeat=place.repeat + 1)
    step, task = ([1000 * seconds for seconds in found[name]] for name in ("step", "task"))
    bare = f"an empty task of Prefect {task[0]:.1f}, CPU {task[1]:.1f}, server {task[2]:.1f}"
    detail = f"CPU {step[1]:.1f}, server {step[2]:.1f} ms; {bare}"
    yield Row("reused step", step[0], 6, "ms", detail)
