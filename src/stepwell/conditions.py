"""What steps tell that others are decided by: a metric, or what is in an output; and conditions on it."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from stepwell.errors import UserErrorException

Sign = Literal[">=", "<=", "==", "!=", ">", "<", "="]

_SIGNS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CONDITION = re.compile(r"(?P<name>.+?)\s*(?P<sign>>=|<=|==|!=|>|<|=)\s*(?P<value>[^<>=!]+)", re.DOTALL)


class MetricName(NamedTuple):
    """A metric of a step, or with an empty `step` of the run itself."""

    step: str
    name: str

    def __str__(self) -> str:
        return f"{self.step}/{self.name}" if self.step else self.name


def single(value: Any) -> Any:
    """Return a number or text, or the last of a series of numbers; None for what is no single value."""
    if is_series(value):
        return value[-1]
    return value if isinstance(value, (int, float, str)) else None


def is_series(value: Any) -> bool:
    """Return whether the value is a list of numbers."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, (int, float)) for item in value)


class Condition(NamedTuple):
    """What a metric must be: its name, or `<step>/<name>`, a comparison, and a number or text."""

    name: str
    sign: Sign
    value: float | str

    def holds(self, metrics: Mapping[MetricName, Any]) -> bool:
        """Return whether any metric of that name is so."""
        found = [single(value) for name, value in metrics.items() if self.name in (name.name, str(name))]
        return any(self.is_met_by(value) for value in found if value is not None)

    def is_met_by(self, value: Any) -> bool:
        """Return whether a number or text is so."""
        if isinstance(value, str) != isinstance(self.value, str):
            return self.sign == "!="
        return bool(_SIGNS[self.sign](value, self.value))

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:.15g}"
        return f"{self.name} {self.sign} {value}"


def read_condition(text: str) -> Condition:
    """Return the condition that a text such as `accuracy>0.9` states."""
    match = _CONDITION.fullmatch(text.strip())
    if not match:
        raise UserErrorException(f"{text!r} is no condition on a metric", hint="Write 'accuracy>0.9', with quotes.")
    value: float | str = match["value"].strip()
    try:
        value = float(value)
    except ValueError:
        if match["sign"] not in ("=", "==", "!="):
            raise UserErrorException(
                f"{match['value']!r} in {text!r} is no number", hint="Write 'accuracy>0.9', with quotes."
            ) from None
    return Condition(match["name"].strip(), match["sign"], value)  # type: ignore[arg-type]


# What a step of a pipeline tells ----------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """What is known of a step once it has ended: its metric `name`, or of its output `name` what `kind` says.

    `files` are the files and folders in it, those that fit the pattern `path`; `count` is how many files fit; `value` is
    what the JSON file `path` holds, '' for an output that is this file, at the keys `key`, which dots join.
    """

    step: str
    kind: Literal["metric", "files", "count", "value"]
    name: str
    path: str = ""
    key: str = ""

    def __str__(self) -> str:
        if self.kind == "metric":
            return str(MetricName(self.step, self.name))
        place = f"{self.step}/{self.name}" + (f"/{self.path}" if self.path else "")
        if self.kind == "value":
            return f"{place}:{self.key}" if self.key else place
        return f"the number of files of {place}" if self.kind == "count" else place
