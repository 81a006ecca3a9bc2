"""Early termination: whether a trial goes on, decided by the values of the primary metric at an interval, by v1's rules.

An interval is a logging of the metric; what a trial has at interval 3 are its first three values.
"""

from __future__ import annotations

import math
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Curves = Mapping[int, Sequence[float]]
    """The values that each trial has logged so far, by its number."""


def is_due(policy: Mapping[str, Any], interval: int) -> bool:
    """Return whether the policy looks at trials at an interval: at each multiple that is not before the delay."""
    return interval % int(policy["evaluation_interval"]) == 0 and interval >= int(policy["delay_evaluation"])


def last_due(policy: Mapping[str, Any], interval: int) -> int:
    """Return the last interval up to this one at which the policy looks at trials, 0 if there is none."""
    last = interval - interval % int(policy["evaluation_interval"])
    return last if last > 0 and is_due(policy, last) else 0


def why_stopped(
    policy: Mapping[str, Any], goal: str, curves: Curves, number: int, interval: int, finished: frozenset[int]
) -> str:
    """Return why the policy ends a trial at an interval, '' if it goes on. `finished`: the trials that have ended well."""
    if not is_due(policy, interval):
        return ""
    sign = 1.0 if goal == "maximize" else -1.0
    reached = {
        trial: [_comparable(sign, value) for value in values[:interval]]
        for trial, values in curves.items()
        if len(values) >= interval
    }
    if number not in reached:
        return ""
    return _RULES[policy["name"]](_Look(policy, sign, reached, number, finished))


def best_of(goal: str, values: Sequence[float]) -> float | None:
    """Return the best of the values, None if there is none but NaN."""
    known = [value for value in values if not math.isnan(value)]
    return (max(known) if goal == "maximize" else min(known)) if known else None


def _comparable(sign: float, value: float) -> float:
    """Return the value so that more is better; NaN is worst."""
    return -math.inf if math.isnan(value) else sign * value


class _Look:
    """One look at one trial: the policy, and what all trials have at the interval, so that more is better."""

    def __init__(
        self,
        policy: Mapping[str, Any],
        sign: float,
        reached: dict[int, list[float]],
        number: int,
        finished: frozenset[int],
    ) -> None:
        self.policy, self.sign, self.reached, self.number, self.finished = policy, sign, reached, number, finished

    @property
    def best(self) -> float:
        return max(self.reached[self.number])

    def shown(self, value: float) -> str:
        return f"{self.sign * value:.6g}"


def _bandit(look: _Look) -> str:
    best = max(map(max, look.reached.values()))
    if look.policy.get("slack_amount") is not None:
        least = best - float(look.policy["slack_amount"])
    else:  # what is divided by 1 + slack when more is better is multiplied by it when less is
        factor = float(look.policy["slack_factor"])
        least = best - abs(best) * (factor / (1 + factor) if look.sign > 0 else factor)
    if look.best >= least:
        return ""
    return f"its best value {look.shown(look.best)} is beyond the slack, {look.shown(least)}"


def _median(look: _Look) -> str:
    middle = median(sum(values) / len(values) for values in look.reached.values())
    if look.best >= middle:
        return ""
    return f"its best value {look.shown(look.best)} is worse than the median of averages, {look.shown(middle)}"


def _truncation(look: _Look) -> str:
    left_out = look.finished if look.policy.get("exclude_finished_jobs") else frozenset[int]()
    now = {trial: values[-1] for trial, values in look.reached.items() if trial not in left_out or trial == look.number}
    count = len(now) * int(look.policy["truncation_percentage"]) // 100
    worst = sorted(now, key=lambda trial: (now[trial], -trial))[:count]
    if look.number not in worst:
        return ""
    return f"its value {look.shown(now[look.number])} is among the worst {count} of {len(now)}"


_RULES: dict[str, Callable[[_Look], str]] = {
    "bandit": _bandit,
    "median": _median,
    "truncation": _truncation,
    "none": lambda _: "",
}
