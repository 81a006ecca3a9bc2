"""What a step will have told once it has run, as pipelines name it beforehand: `StepValue`, and conditions on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from stepwell.blocks.arguments.checked import checked
from stepwell.conditions import Condition, Finding, Sign, read_condition
from stepwell.errors import UserErrorException
from stepwell.model.definitions import RunIf

FindSource = Callable[[Any], tuple[str, str]]
"""A step, its name or an output in; the id of the step, and the name of the output ('' of a step), out."""


@checked
class StepValue:
    """Something that a step tells when it has run: a metric, what is in an output, a value in a JSON file of that.

    Compared with a number or text it is a condition, for `run_if=`: `train.metric("accuracy") > 0.9`. A list, or the files
    of an output, can be mapped over: `step.map(parts.items())`. `metric`, `items`, `value` and `count` return it.

    Args:
        source: The step or its name, or an output.
        kind: What is told of it: `metric`, `files`, `count` or `value`.
        name: The metric's name; '' of an output.
        path: The pattern or the file in an output.
        key: The keys of the value in the file, which dots join.
    """

    _hint_if_misplaced = (
        "Map the step over it: `step.map(parts.items('*.csv'))`, with the output itself, `parts`, among its inputs and arguments; "
        "or `step.map(rate=parts.value('rates.json'))` for a parameter. To depend on it, pass a comparison as `run_if=`."
    )

    def __init__(
        self,
        source: Any,
        kind: Literal["metric", "files", "count", "value"],
        name: str = "",
        path: str = "",
        key: str = "",
    ) -> None:
        self.source = source
        self.kind: Literal["metric", "files", "count", "value"] = kind
        self.name = name
        self.path = path
        self.key = key

    def finding(self, find: FindSource) -> Finding:
        """Return it with the ids that the step and its output have in a pipeline.

        Args:
            find: What finds them.

        Returns:
            The value as plain data.
        """
        step, output = find(self.source)
        return Finding(step, self.kind, self.name or output, self.path, self.key)

    def __gt__(self, other: float | str) -> StepCondition:
        return _condition(self, ">", other)

    def __ge__(self, other: float | str) -> StepCondition:
        return _condition(self, ">=", other)

    def __lt__(self, other: float | str) -> StepCondition:
        return _condition(self, "<", other)

    def __le__(self, other: float | str) -> StepCondition:
        return _condition(self, "<=", other)

    def __eq__(self, other: object) -> StepCondition:  # type: ignore[override]
        return _condition(self, "==", other)

    def __ne__(self, other: object) -> StepCondition:  # type: ignore[override]
        return _condition(self, "!=", other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise _no_truth(repr(self))

    def __repr__(self) -> str:
        source = self.source if isinstance(self.source, str) else getattr(self.source, "name", self.source)
        return f"StepValue({', '.join(map(repr, filter(None, (source, self.kind, self.name, self.path, self.key))))})"


@checked
class OutputValues:
    """What an output of a step tells when the step has run."""

    def items(self, path: str = "") -> StepValue:
        """Return what a step can be mapped over: what is in this output, once a step has written it.

        Args:
            path: A pattern of files, such as `**/*.csv`, or a `.json` file with a list: of values for a parameter, of paths
                in this output for an input. '': all files and folders at its top whose names don't begin with a dot.

        Returns:
            The list: `train.map(parts.items("*.csv"))`.
        """
        return items_of(self, path)

    def value(self, path: str = "", key: str = "") -> StepValue:
        """Return a value in a JSON file of this output, to be compared with a number or text, or mapped over if it is a list.

        Args:
            path: The file; '': the output itself is the file.
            key: The key of the value in it; dots join keys of objects in objects. '': all that the file holds.

        Returns:
            The value: `scores.value("scores.json", "test.accuracy") > 0.9` is a condition.
        """
        return StepValue(self, "value", path=path, key=key)

    def count(self, pattern: str = "") -> StepValue:
        """Return how many files of this output fit a pattern, to be compared with a number.

        Args:
            pattern: The pattern, such as `**/*.csv`; '': all files.

        Returns:
            The number: `faults.count() > 0` is a condition.
        """
        return StepValue(self, "count", path=pattern)


@dataclass(frozen=True)
class StepCondition:
    """A condition on what a step tells."""

    _hint_if_misplaced = "Pass it as `run_if=` to the step that depends on it."

    value: StepValue
    sign: Sign
    other: float | str

    def __bool__(self) -> bool:
        raise _no_truth(f"{self.value!r} {self.sign} {self.other!r}")

    def defined(self, find: FindSource) -> RunIf:
        """Return it with the ids that steps have in a pipeline."""
        finding = self.value.finding(find)
        return RunIf(finding, Condition(str(finding), self.sign, self.other))


@dataclass(frozen=True)
class TextCondition:
    """A condition as a text that names a step and its metric: `train/accuracy > 0.9`."""

    condition: Condition

    def on(self, names: Iterable[str], reader: str) -> StepCondition:
        """Return the condition on a metric of the step of these names that its text begins with."""
        known = set(names)
        parts = self.condition.name.split("/")
        for count in range(len(parts) - 1, 0, -1):
            step, metric = "/".join(parts[:count]), "/".join(parts[count:])
            if step in known and metric:
                return StepCondition(StepValue(step, "metric", metric), self.condition.sign, self.condition.value)
        raise UserErrorException(
            f"The condition {str(self.condition)!r} of step {reader!r} begins with the name of no step of the pipeline",
            {"steps": ", ".join(sorted(known))},
            "Write `run_if='<step>/<metric> > 0.9'`.",
        )


def metric(step: Any, name: str) -> StepValue:
    """Return a metric that a step will log, to be compared with a number or text, or mapped over if it is a list.

    Args:
        step: The step, or its name.
        name: The metric's name.

    Returns:
        The metric: `metric("train", "accuracy") > 0.9` is a condition for `run_if=`.

    Raises:
        UserErrorException: `step` is neither a step nor a name.
    """
    if not isinstance(step, str) and not hasattr(step, "define"):
        raise UserErrorException(
            "`metric` takes a step, or the name of one", {"value": repr(step)}, "Write `metric('train', 'accuracy')`."
        )
    return StepValue(step, "metric", name)


def items_of(data: Any, path: str) -> StepValue:
    """Return what a step is mapped over: the files and folders of an output, or those of a pattern, or a list in a JSON file."""
    is_list = path.endswith(".json") and not any(mark in path for mark in "*?[")
    return StepValue(data, "value" if is_list else "files", path=path)


def conditions_of(given: Any) -> tuple[StepCondition | TextCondition, ...]:
    """Return the conditions that `run_if` states: one, or a list of them, each a comparison or a text."""
    listed = given if isinstance(given, (list, tuple)) else () if given is None else (given,)
    found: list[StepCondition | TextCondition] = []
    for one in listed:
        if not isinstance(one, (str, StepCondition)):
            raise UserErrorException(
                "`run_if` takes conditions on what a step tells",
                {"value": repr(one)},
                "Write `run_if='train/accuracy > 0.9'`, or `run_if=train.metric('accuracy') > 0.9`.",
            )
        found.append(one if isinstance(one, StepCondition) else TextCondition(read_condition(one)))
    return tuple(found)


def _condition(value: StepValue, sign: Sign, other: Any) -> StepCondition:
    if isinstance(other, bool) or not isinstance(other, (int, float, str)):
        raise UserErrorException(
            f"{value!r} can be compared with a number or a text only",
            {"value": repr(other)},
            "Write `train.metric('accuracy') > 0.9`.",
        )
    return StepCondition(value, sign, other if isinstance(other, str) else float(other))


def _no_truth(what: str) -> UserErrorException:
    return UserErrorException(
        f"What {what} is, is known when the pipeline runs, and not before",
        hint="Pass it as `run_if=` to the step that depends on it; several conditions as a list.",
    )
