"""The Bayesian sampler: optuna's tree-structured Parzen estimators, asked and told in an order that time does not change."""

from __future__ import annotations

import math
import sys

from stepwell.drivers.hyperdrive.expressions import quantized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from stepwell.drivers.hyperdrive.expressions import Expression, Space


class BayesianSampler:
    """Proposals that learn from the trials before, all but the last few: those that may still run when it is asked."""

    def __init__(self, space: Space, seed: int, goal: str) -> None:
        try:
            import optuna
        except ImportError:
            print("Bayesian sampling needs optuna: install `stepwell[hyperdrive]`", file=sys.stderr)
            sys.exit(1)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._optuna = space, optuna
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed), direction="maximize" if goal == "maximize" else "minimize"
        )
        self._asked: list[Any] = []
        self._told = 0

    def waits_for(self, number: int, concurrent: int) -> int:
        """Return how many trials must have ended: as many as leave room for this one."""
        return max(0, number + 1 - concurrent)

    def propose(self, number: int, ended: Mapping[int, float | None]) -> dict[str, Any] | None:
        """Return the values that promise most, by the trials that have ended."""
        for earlier in sorted(ended):
            if earlier >= self._told:
                self._tell(self._asked[earlier], ended[earlier])
                self._told = earlier + 1
        trial = self._study.ask()
        self._asked.append(trial)
        return {name: _suggested(trial, name, expression) for name, expression in self._space}

    def _tell(self, trial: Any, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, value)


def _suggested(trial: Any, name: str, expression: Expression) -> Any:
    kind, arguments = expression
    if kind == "choice":
        (options,) = arguments
        return options[trial.suggest_categorical(name, list(range(len(options))))]
    if kind == "uniform":
        return trial.suggest_float(name, *arguments)
    lowest, highest, quantum = arguments
    return quantized(quantum * trial.suggest_int(name, round(lowest / quantum), round(highest / quantum)), quantum)
