"""Whole commands: beside an empty Prefect flow, with ten times as many steps, their memory, and `--help`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from place import CLI, Place, Timed, new_salt
from rows import Row


def command(place: Place) -> Iterator[Row]:
    """`stepwell run` with every step reused over an empty Prefect flow run, each in a process of its own."""
    count, salt = 40 if place.quick else 100, new_salt()
    place.run(count, salt)
    pairs = [(place.run(count, salt), _empty_flow(place)) for _ in range(place.repeat)]
    ratio = median(mine.seconds / bare.seconds for mine, bare in pairs)
    mine, bare = (list(side) for side in zip(*pairs, strict=True))
    detail = f"{_seconds(mine):.2f} s (CPU {_cpu(mine):.2f}) / empty flow {_seconds(bare):.2f} s (CPU {_cpu(bare):.2f})"
    yield Row(f"{count} reused steps, whole command / empty flow", ratio, 2, "x", detail)


def _empty_flow(place: Place) -> Timed:
    return place.command(sys.executable, "empty_flow.py")


def scale(place: Place) -> Iterator[Row]:
    """Ten times as many steps: every one executed (the large run once, in full more often), then every one reused."""
    few, many = (20, 200) if place.quick else (100, 1000)
    large, small = new_salt(), new_salt()
    before = place.run(few, small)
    executed = [place.run(many, large), *(place.run(many, new_salt()) for _ in range(place.repeat - 3))]
    yield _scaled("executed", few, many, [before, place.run(few, new_salt())], executed)
    pairs = [(place.run(few, small), place.run(many, large)) for _ in range(max(2, place.repeat - 3))]
    yield _scaled("reused", few, many, *(list(side) for side in zip(*pairs, strict=True)))


def _scaled(word: str, few: int, many: int, small: list[Timed], large: list[Timed]) -> Row:
    low, high = _seconds(small), _seconds(large)
    detail = f"{high:.1f} s / {low:.2f} s; CPU {_cpu(large):.1f} / {_cpu(small):.1f} s"
    return Row(f"{many} steps / {few} steps, {word}", high / low, 12, "x", detail)


def memory(place: Place) -> Iterator[Row]:
    """Yield the peak memory of `stepwell run`."""
    count, salt = 100, new_salt()
    executed, reused = place.run(count, salt), place.run(count, salt)
    peak = max(executed.megabytes, reused.megabytes)
    bare = _empty_flow(place).megabytes
    detail = f"executed {executed.megabytes:.0f}, reused {reused.megabytes:.0f}, empty flow {bare:.0f} MB"
    yield Row(f"peak memory, {count} steps", peak, 250, "MB", detail)


def help_text(place: Place) -> Iterator[Row]:
    """Yield how soon the command line answers."""
    taken = [place.command(*CLI, "--help") for _ in range(3 + place.repeat)]
    yield Row("stepwell --help", _seconds(taken), 0.3, "s", f"CPU {_cpu(taken):.2f} s")


def _seconds(taken: list[Timed]) -> float:
    return median(timed.seconds for timed in taken)


def _cpu(taken: list[Timed]) -> float:
    return median(timed.cpu for timed in taken)
