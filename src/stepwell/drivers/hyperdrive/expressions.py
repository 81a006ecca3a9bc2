"""Parameter expressions as plain lists, such as `["uniform", [0, 1]]`: the value at a point between 0 and 1, and their size."""

from __future__ import annotations

import math
from statistics import NormalDist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Expression = Sequence[Any]
    """The name of a distribution, and its arguments."""

    Space = Sequence[tuple[str, Expression]]
    """The names of the hyperparameters with their expressions, in the author's order."""

_LEAST = 2.0**-54
"""The point that stands for 0, where a normal distribution has no value."""


def value_at(expression: Expression, point: float) -> Any:
    """Return the value that the expression has at a point of [0, 1): an even distribution of points makes its own."""
    kind, arguments = expression
    if kind == "choice":
        (options,) = arguments
        return options[int(point * len(options))]
    if kind == "randint":
        (upper,) = arguments
        return int(point * upper)
    base, quantum = (kind[1:], arguments[2]) if kind.startswith("q") else (kind, None)
    first, second = arguments[:2]
    inner = base.removeprefix("log")
    if inner == "uniform":
        value = first + (second - first) * point
    else:
        value = NormalDist(first, second).inv_cdf(max(point, _LEAST)) if second else float(first)
    if base.startswith("log"):
        value = math.exp(value)
    return value if quantum is None else quantized(value, quantum)


def quantized(value: float, quantum: float) -> float:
    """Return the multiple of the quantum next to the value; whole numbers for a whole quantum."""
    multiple = round(value / quantum)
    return multiple * quantum if isinstance(quantum, int) else float(f"{multiple * quantum:.12g}")


def argument_text(value: Any) -> str:
    """Return the value as a script gets it on its command line."""
    return value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)


def option_name(name: str) -> str:
    """Return the option that passes a hyperparameter: `--name`, unless the name has dashes of its own."""
    return name if name.startswith("-") else f"--{name}"
