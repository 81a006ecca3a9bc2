"""Parameter expressions: the values that a hyperparameter may have, and how likely each is. They are lists, as in v1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stepwell.errors import UserErrorException

Expression = list[Any]
"""The name of a distribution, and its arguments."""


def choice(*options: Any) -> Expression:
    """Return an expression for one of several values.

    Args:
        *options: The values, or one list, tuple or range of them.

    Returns:
        The expression, for a sampling's `parameter_space`.

    Raises:
        UserErrorException: There are no values.
    """
    given = options[0] if len(options) == 1 and isinstance(options[0], (list, tuple, range, set)) else options
    found = sorted(given, key=repr) if isinstance(given, set) else list(given)
    if not found:
        raise UserErrorException("`choice` has no values to choose from", hint="Pass some, such as `choice(16, 32)`.")
    return ["choice", [[_plain(option) for option in found]]]


def randint(upper: int) -> Expression:
    """Return an expression for a whole number from 0 to below `upper`, each as likely.

    Args:
        upper: The number that is no longer one of them.

    Returns:
        The expression.

    Raises:
        UserErrorException: It is no whole number above 0.
    """
    if isinstance(upper, bool) or not isinstance(upper, int) or upper < 1:
        raise UserErrorException("`upper` of randint must be a whole number above 0", {"value": repr(upper)})
    return ["randint", [upper]]


def uniform(min_value: float, max_value: float) -> Expression:
    """Return an expression for a number between two, each as likely.

    Args:
        min_value: The smallest.
        max_value: The largest.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, or the smallest is larger.
    """
    return _between("uniform", min_value, max_value)


def quniform(min_value: float, max_value: float, q: float) -> Expression:
    """Return an expression for a multiple of `q` next to a number between two, each of these as likely.

    Args:
        min_value: The smallest.
        max_value: The largest.
        q: The step; with a whole one, the values are whole numbers.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, the smallest is larger, or `q` is not above 0.
    """
    return _quantized("quniform", _between("quniform", min_value, max_value), q)


def loguniform(min_value: float, max_value: float) -> Expression:
    """Return an expression for a number whose logarithm is between two numbers, each as likely.

    Args:
        min_value: The smallest natural logarithm: `math.log(0.001)`, not 0.001.
        max_value: The largest one.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, or the smallest is larger.
    """
    return _logarithms("loguniform", _between("loguniform", min_value, max_value))


def qloguniform(min_value: float, max_value: float, q: float) -> Expression:
    """Return an expression for a multiple of `q` next to a number whose logarithm is between two, each as likely.

    Args:
        min_value: The smallest natural logarithm.
        max_value: The largest one.
        q: The step.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, the smallest is larger, or `q` is not above 0.
    """
    return _quantized("qloguniform", _logarithms("qloguniform", _between("qloguniform", min_value, max_value)), q)


def normal(mu: float, sigma: float) -> Expression:
    """Return an expression for a number that is normally distributed.

    Args:
        mu: The mean.
        sigma: The standard deviation.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, or `sigma` is below 0.
    """
    return _around("normal", mu, sigma)


def qnormal(mu: float, sigma: float, q: float) -> Expression:
    """Return an expression for a multiple of `q` next to a number that is normally distributed.

    Args:
        mu: The mean.
        sigma: The standard deviation.
        q: The step.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, `sigma` is below 0, or `q` is not above 0.
    """
    return _quantized("qnormal", _around("qnormal", mu, sigma), q)


def lognormal(mu: float, sigma: float) -> Expression:
    """Return an expression for a number whose logarithm is normally distributed.

    Args:
        mu: The mean of the natural logarithm.
        sigma: Its standard deviation.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, or `sigma` is below 0.
    """
    return _around("lognormal", mu, sigma)


def qlognormal(mu: float, sigma: float, q: float) -> Expression:
    """Return an expression for a multiple of `q` next to a number whose logarithm is normally distributed.

    Args:
        mu: The mean of the natural logarithm.
        sigma: Its standard deviation.
        q: The step.

    Returns:
        The expression.

    Raises:
        UserErrorException: They are no numbers, `sigma` is below 0, or `q` is not above 0.
    """
    return _quantized("qlognormal", _around("qlognormal", mu, sigma), q)


EXPRESSIONS: dict[str, Callable[..., Expression]] = {
    "choice": choice,
    "randint": randint,
    "uniform": uniform,
    "quniform": quniform,
    "loguniform": loguniform,
    "qloguniform": qloguniform,
    "normal": normal,
    "qnormal": qnormal,
    "lognormal": lognormal,
    "qlognormal": qlognormal,
}


def checked_expression(name: str, given: Any) -> Expression:
    """Return the expression of a hyperparameter; raise UserErrorException if it is none."""
    kind, arguments = given if isinstance(given, (list, tuple)) and len(given) == 2 else (None, None)
    if not isinstance(kind, str) or kind not in EXPRESSIONS or not isinstance(arguments, (list, tuple)):
        raise UserErrorException(
            f"The hyperparameter {name!r} has no parameter expression",
            {"given": repr(given)[:80]},
            "Write one, such as `choice(16, 32)` or `uniform(0, 1)`.",
        )
    try:
        return EXPRESSIONS[kind](*arguments)
    except TypeError:
        facts = {"hyperparameter": name, "arguments": repr(arguments)[:80]}
        raise UserErrorException(f"`{kind}` takes other arguments", facts, f"Write it with `{kind}(…)`.") from None


# ----------------------------------------------------------------------------------------------------------------------


def _between(kind: str, lowest: Any, highest: Any) -> Expression:
    low, high = _number(kind, "min_value", lowest), _number(kind, "max_value", highest)
    if low > high:
        facts = {"min_value": low, "max_value": high}
        raise UserErrorException(f"`min_value` of {kind} is larger than `max_value`", facts, "Exchange them.")
    return [kind, [low, high]]


def _around(kind: str, mean: Any, deviation: Any) -> Expression:
    mu, sigma = _number(kind, "mu", mean), _number(kind, "sigma", deviation)
    if sigma < 0:
        raise UserErrorException(f"`sigma` of {kind} must be at least 0", {"value": sigma}, "Correct `sigma`.")
    return [kind, [mu, sigma]]


def _quantized(kind: str, expression: Expression, q: Any) -> Expression:
    quantum = _number(kind, "q", q)
    if quantum <= 0:
        raise UserErrorException(f"`q` of {kind} must be above 0", {"value": quantum}, "Correct `q`.")
    return [kind, [*expression[1], quantum]]


def _logarithms(kind: str, expression: Expression) -> Expression:
    if expression[1][1] > _LARGEST_EXPONENT:
        raise UserErrorException(
            f"`max_value` of {kind} is a natural logarithm, and e to its power is beyond all numbers",
            {"max_value": expression[1][1]},
            f"Write `{kind}(math.log(lowest), math.log(highest), …)`.",
        )
    return expression


_LARGEST_EXPONENT = 700.0


def _number(kind: str, name: str, value: Any) -> float:
    plain = value if isinstance(value, float) else _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, (int, float)) or not math.isfinite(plain):
        raise UserErrorException(
            f"`{name}` of {kind} must be a number", {"value": repr(value)[:80]}, f"Correct `{name}`."
        )
    return plain


def _plain(value: Any) -> Any:
    """Return a number of another library as Python's own; other values as they are."""
    own = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(own, (list, tuple)):
        return [_plain(item) for item in own]
    if isinstance(own, dict) and all(isinstance(key, str) for key in own):
        return {key: _plain(item) for key, item in own.items()}
    if isinstance(own, float) and not math.isfinite(own):
        raise UserErrorException(
            f"A hyperparameter can't be {own}",
            {"value": repr(value)[:80]},
            f"Pass it as a text, `{str(own)!r}`, or leave it out.",
        )
    if own is None or isinstance(own, (str, int, float, bool)):
        return own
    raise UserErrorException(
        "A value of `choice` can't be passed to a script",
        {"value": repr(value)[:80]},
        "Pass texts, numbers, or lists of them.",
    )
