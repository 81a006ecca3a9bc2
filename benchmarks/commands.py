"""Whole commands: beside an empty Prefect flow, with ten times as many steps, their memory, and `--help`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from rows import Row
from submit_request import CLI, Place, Timed, new_salt


def command(submit_request: Place) -> Iterator[Row]:
    """`stepwell run` with every step reused over an empty Prefect flow run, each in a process of its own."""
    count, salt = 40 if submit_request.quick else 100, new_salt()
    submit_request.run(count, salt)
    pairs = [(submit_request.run(count, salt), _empty_flow(submit_request)) for _ in range(submit_request.repeat)]
    ratio = median(mine.seconds / bare.seconds for mine, bare in pairs)
    mine, bare = (list(side) for side in zip(*pairs, strict=True))
    detail = f"{_seconds(mine):.2f} s (CPU {_cpu(mine):.2f}) / empty flow {_seconds(bare):.2f} s (CPU {_cpu(bare):.2f})"
    yield Row(f"{count} reused steps, whole command / empty flow", ratio, 2, "x", detail)


def _empty_flow(submit_request: Place) -> Timed:
    return submit_request.command(sys.executable, "empty_flow.py")


def scale(submit_request: Place) -> Iterator[Row]:
    """Ten times as many steps: every one executed (the large run once, in full more often), then every one reused."""
    few, many = (20, 200) if submit_request.quick else (100, 1000)
    large, small = new_salt(), new_salt()
    before = submit_request.run(few, small)
    executed = [
        submit_request.run(many, large),
        *(submit_request.run(many, new_salt()) for _ in range(submit_request.repeat - 3)),
    ]
    yield _scaled("executed", few, many, [before, submit_request.run(few, new_salt())], executed)
    pairs = [
        (submit_request.run(few, small), submit_request.run(many, large))
        for _ in range(max(2, submit_request.repeat - 3))
    ]
    yield _scaled("reused", few, many, *(list(side) for side in zip(*pairs, strict=True)))


def _scaled(word: str, few: int, many: int, small: list[Timed], large: list[Timed]) -> Row:
    low, high = _seconds(small), _seconds(large)
    detail = f"{high:.1f} s / {low:.2f} s; CPU {_cpu(large):.1f} / {_cpu(small):.1f} s"
    return Row(f"{many} steps / {few} steps, {word}", high / low, 12, "x", detail)


def memory(submit_request: Place) -> Iterator[Row]:
    """The peak memory of `stepwell run`."""
    count, salt = 100, new_salt()
    executed, reused = submit_request.run(count, salt), submit_request.run(count, salt)
    peak = max(executed.megabytes, reused.megabytes)
    bare = _empty_flow(submit_request).megabytes
    detail = f"executed {executed.megabytes:.0f}, reused {reused.megabytes:.0f}, empty flow {bare:.0f} MB"
    yield Row(f"peak memory, {count} steps", peak, 250, "MB", detail)


def help_text(submit_request: Place) -> Iterator[Row]:
    """How soon the command line answers."""
    taken = [submit_request.command(*CLI, "--help") for _ in range(3 + submit_request.repeat)]
    yield Row("stepwell --help", _seconds(taken), 0.3, "s", f"CPU {_cpu(taken):.2f} s")


def _seconds(taken: list[Timed]) -> float:
    return median(timed.seconds for timed in taken)


def _cpu(taken: list[Timed]) -> float:
    return median(timed.cpu for timed in taken)
