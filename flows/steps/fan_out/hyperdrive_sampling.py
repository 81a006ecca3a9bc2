"""How the hyperparameters of trials are chosen: at random, each combination, or learning from the trials before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from stepwell.blocks.arguments.checked import checked
from stepwell.drivers.hyperdrive.expressions import option_name
from stepwell.errors import UserErrorException
from stepwell.flows.steps.fan_out.hyperdrive_expressions import EXPRESSIONS, checked_expression


@checked
class HyperParameterSampling:
    """What the three samplings have in common.

    Args:
        parameter_space: A parameter expression for each hyperparameter, by its name; scripts get it as `--name value`.
        properties: Accepted for v1's sake; not used.
        seed: Another number chooses other trials; the same chooses the same ones.

    Attributes:
        parameter_space: As the argument.
        seed: As the argument.

    Raises:
        UserErrorException: There is no hyperparameter, one has a name that no option can have, two are the same option, or one
            has an expression that this sampling can't have.
    """

    _name: ClassVar[str] = ""
    _kinds: ClassVar[tuple[str, ...]] = tuple(EXPRESSIONS)

    def __init__(
        self, parameter_space: Mapping[str, Any], properties: Mapping[str, Any] | None = None, *, seed: int = 0
    ) -> None:
        if not parameter_space:
            hint = 'Pass some, such as `{"--learning-rate": uniform(0.001, 0.1)}`.'
            raise UserErrorException("The parameter space has no hyperparameters", hint=hint)
        _check_names(parameter_space)
        self.parameter_space = {
            name: checked_expression(name, expression) for name, expression in parameter_space.items()
        }
        self.seed = seed
        for name, (kind, _) in self.parameter_space.items():
            if kind not in self._kinds:
                raise UserErrorException(
                    f"{type(self).__name__} can't take the hyperparameter {name!r}: {kind}",
                    {"it takes": ", ".join(self._kinds)},
                    "Use one of these, or RandomParameterSampling.",
                )

    def to_plain(self) -> dict[str, Any]:
        """Return the sampling as plain values.

        Returns:
            Its name, the space in the author's order, and the seed.
        """
        space = [[name, *expression] for name, expression in self.parameter_space.items()]
        return {"name": self._name, "space": space, "seed": self.seed}


@checked
class RandomParameterSampling(HyperParameterSampling):
    """Independent random trials, no combination twice. The same seed makes the same trials, and more go on from there.

    Args:
        parameter_space: A parameter expression for each hyperparameter, by its name; scripts get it as `--name value`.
        properties: Accepted for v1's sake; not used.
        seed: Another number chooses other trials.
    """

    _name: ClassVar[str] = "random"


@checked
class GridParameterSampling(HyperParameterSampling):
    """Every combination of choices, those of the last hyperparameter changing fastest.

    Args:
        parameter_space: `choice` for each hyperparameter, by its name; scripts get it as `--name value`.
        properties: Accepted for v1's sake; not used.
        seed: Accepted for the sake of the others; not used.

    Raises:
        UserErrorException: A hyperparameter has another expression than `choice`.
    """

    _name: ClassVar[str] = "grid"
    _kinds: ClassVar[tuple[str, ...]] = ("choice",)


@checked
class BayesianParameterSampling(HyperParameterSampling):
    """Trials that learn from those before, by optuna (`stepwell[hyperdrive]`).

    Trial n knows all but the `max_concurrent_runs` - 1 trials before it, however fast these were: so the same
    configuration makes the same trials.

    Args:
        parameter_space: `choice`, `uniform` or `quniform` for each hyperparameter, by its name.
        properties: Accepted for v1's sake; not used.
        seed: Another number chooses other trials.

    Raises:
        UserErrorException: A hyperparameter has another expression than these.
    """

    _name: ClassVar[str] = "bayesian"
    _kinds: ClassVar[tuple[str, ...]] = ("choice", "uniform", "quniform")


def _check_names(names: Iterable[str]) -> None:
    """Raise UserErrorException if a name is none that an option of a script can have, or two make the same option."""
    options: dict[str, str] = {}
    for name in names:
        if not name.strip("-") or "=" in name or any(mark.isspace() or not mark.isprintable() for mark in name):
            raise UserErrorException(
                f"A hyperparameter can't be called {name!r}, as a script gets it as the option of that name",
                hint="Use letters, digits, dashes and underscores, such as `learning_rate`.",
            )
        first = options.setdefault(option_name(name), name)
        if first != name:
            raise UserErrorException(
                f"The hyperparameters {first!r} and {name!r} are one option of the script",
                {"option": option_name(name)},
                "Leave one of them out.",
            )
