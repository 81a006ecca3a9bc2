"""What Stepwell adds to a step, executed or reused."""

from __future__ import annotations

from collections.abc import Iterator

from rows import Row
from submit_request import Place


def executed(submit_request: Place) -> Iterator[Row]:
    """The overhead of an executed step over its bare process, in a flat pipeline and in a chain."""
    few, many = (4, 16) if submit_request.quick else (5, 35)
    for shape in ("flat", "chain"):
        found = submit_request.ask("executed", shape=shape, few=few, many=many, repeat=submit_request.repeat)
        step, bare, overhead = ([1000 * seconds for seconds in found[name]] for name in ("step", "bare", "overhead"))
        detail = f"step {step[0]:.1f} - bare {bare[0]:.1f}; CPU {step[1]:.1f} - {bare[1]:.1f}, server {step[2]:.1f} ms"
        yield Row(f"executed step, {shape}: over its bare process", overhead[0], 25, "ms", detail)


def reused(submit_request: Place) -> Iterator[Row]:
    """The cost of one more reused step in a process that is warm."""
    few, many = (10, 40) if submit_request.quick else (20, 100)
    found = submit_request.ask("reused", few=few, many=many, repeat=submit_request.repeat + 1)
    step, task = ([1000 * seconds for seconds in found[name]] for name in ("step", "task"))
    bare = f"an empty task of Prefect {task[0]:.1f}, CPU {task[1]:.1f}, server {task[2]:.1f}"
    detail = f"CPU {step[1]:.1f}, server {step[2]:.1f} ms; {bare}"
    yield Row("reused step", step[0], 6, "ms", detail)
