"""Samplers: which hyperparameters a trial has. The same settings propose the same trials, and more of them go on from there."""

from __future__ import annotations

import json
import math
import random

from stepwell.drivers.hyperdrive.expressions import value_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from stepwell.drivers.hyperdrive.expressions import Space

    class Sampler(Protocol):
        """What proposes trials, one after the other."""

        def waits_for(self, number: int, concurrent: int) -> int:
            """Return how many of the first trials must have ended before the one of that number is proposed."""
            ...

        def propose(self, number: int, ended: Mapping[int, float | None]) -> dict[str, Any] | None:
            """Return the values of the next trial, None if there are no others.

            `ended`: for the first trials, the best value of the primary metric, None without one.
            """
            ...


_MOST_REPEATS = 1000
"""How often in a row a sampler may draw what it has proposed before: then there is nothing else."""


def sampler_of(sampling: Mapping[str, Any], goal: str) -> Sampler:
    """Return the sampler of a sweep's settings."""
    space = [(name, expression) for name, *expression in sampling["space"]]
    kinds: dict[str, Callable[[Space, int], Sampler]] = {"grid": GridSampler, "random": RandomSampler}
    if sampling["name"] in kinds:
        return kinds[sampling["name"]](space, int(sampling.get("seed", 0)))
    from stepwell.drivers.hyperdrive.bayesian import BayesianSampler

    return BayesianSampler(space, int(sampling.get("seed", 0)), goal)


class GridSampler:
    """Every combination of the choices, the last hyperparameter's changing fastest."""

    def __init__(self, space: Space, seed: int = 0) -> None:
        self._space = space

    def waits_for(self, number: int, concurrent: int) -> int:
        """Return 0: results change nothing."""
        return 0

    def propose(self, number: int, ended: Mapping[int, float | None]) -> dict[str, Any] | None:
        """Return the combination of that number."""
        values: dict[str, Any] = {}
        for name, (_, (options,)) in reversed(self._space):
            number, index = divmod(number, len(options))
            values[name] = options[index]
        return None if number else {name: values[name] for name, _ in self._space}


class RandomSampler:
    """Independent draws, each combination once. A draw depends on the seed, its number and the hyperparameter's name alone."""

    def __init__(self, space: Space, seed: int = 0) -> None:
        self._space, self._seed = space, seed
        self._drawn = 0
        self._seen: set[str] = set()
        choices = [expression[1][0] for _, expression in space if expression[0] == "choice"]
        whole = [expression[1][0] for _, expression in space if expression[0] == "randint"]
        counts = [*(len({json.dumps(option) for option in options}) for options in choices), *whole]
        self._size = math.prod(counts) if len(counts) == len(space) else math.inf

    def waits_for(self, number: int, concurrent: int) -> int:
        """Return 0: results change nothing."""
        return 0

    def propose(self, number: int, ended: Mapping[int, float | None]) -> dict[str, Any] | None:
        """Return the next combination that was not drawn before."""
        for _ in range(_MOST_REPEATS):
            if len(self._seen) >= self._size:
                return None
            values = {name: value_at(expression, self._point(name)) for name, expression in self._space}
            self._drawn += 1
            told = json.dumps(values)
            if told not in self._seen:
                self._seen.add(told)
                return values
        return None

    def _point(self, name: str) -> float:
        return random.Random(f"{self._seed} {self._drawn} {name}").random()  # noqa: S311  (the same draws each time)
