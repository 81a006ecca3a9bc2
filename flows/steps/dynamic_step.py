"""What of a step is decided when its pipeline runs: the items that it is mapped over, the conditions under which it runs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from prefect import unmapped

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.step_values import FindSource, StepCondition, StepValue, TextCondition, items_of
from stepwell.flows.parameters.values import check
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, OutputInput, PipelineData
from stepwell.flows.steps.ports import access_of, original
from stepwell.flows.steps.task_methods import TaskMethods
from stepwell.model.definitions import Each, ParameterDefinition

_OUTPUTS = (PipelineData, OutputFileDatasetConfig, OutputInput)


class _MappedOver(NamedTuple):
    """A list that a step is mapped over, and what gets its items: an input, or else a parameter."""

    items: StepValue
    input: str
    parameter: ParameterDefinition | None


@checked
class DynamicStep(TaskMethods):
    """The part of a step that only a pipeline's run decides."""

    inputs: list[Any]
    outputs: list[Any]
    parameters: tuple[ParameterDefinition, ...]
    _input_names: dict[int, str]
    _conditions: tuple[StepCondition | TextCondition, ...] = ()
    _each: tuple[_MappedOver, ...] = ()

    def metric(self, name: str) -> StepValue:
        """Return a metric that the step will log, for `run_if=` and `map` of later steps.

        Args:
            name: The metric's name.

        Returns:
            The metric: `train.metric("accuracy") > 0.9` is a condition.
        """
        return StepValue(self, "metric", name)

    @property
    def is_mapped(self) -> bool:
        """Whether its pipeline runs it once for each item of a list."""
        return bool(self._each)

    @property
    def text_conditions(self) -> tuple[TextCondition, ...]:
        """The conditions that name their steps."""
        return tuple(one for one in self._conditions if isinstance(one, TextCondition))

    @property
    def told_by(self) -> tuple[Any, ...]:
        """The steps and outputs that decide whether it runs, and for what; without those that are only named."""
        conditions = [one.value.source for one in self._conditions if isinstance(one, StepCondition)]
        sources = (*conditions, *(one.items.source for one in self._each))
        return tuple(source for source in sources if not isinstance(source, str))

    def decided_later(self, find: FindSource, names: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of the step's definition that say what its pipeline's run decides.

        Args:
            find: What finds the ids of steps and the names of outputs.
            names: The names of the pipeline's steps.

        Returns:
            The fields by name; none if nothing is decided then.
        """
        if not (self._each or self._conditions):
            return {}
        conditions = [one.on(names, self.name) if isinstance(one, TextCondition) else one for one in self._conditions]
        each = [Each(one.items.finding(find), one.input, one.parameter) for one in self._each]
        for told in each:
            if told.items.kind == "count":
                raise UserErrorException(f"A step can't be mapped over {told.items}", hint="Map it over `items()`.")
        return {"run_if": tuple(one.defined(find) for one in conditions), "each": tuple(each)}

    def refuse_alone(self) -> None:
        """Raise UserErrorException if a pipeline has to decide about the step, which runs in a flow of the user's own."""
        if self._each or self._conditions:
            raise UserErrorException(
                f"The step {self.name!r} is {'mapped over what' if self._each else 'run if'} a step of a pipeline tells",
                hint="Put it into a Pipeline. In a flow of your own, write Python's `for` and `if`.",
            )

    # Mapping --------------------------------------------------------------------------------------------------------

    def _is_decided_later(self, value: Any) -> bool:
        return isinstance(value, (StepValue, *_OUTPUTS))

    def _mapped_over(self, inputs: tuple[Any, ...], bindings: Mapping[str, Any]) -> Self:
        """Return the step that its pipeline runs once for each item."""
        if self._each:
            raise UserErrorException(
                f"The step {self.name!r} is mapped already",
                hint="Map it once, over several lists if need be: `step.map(first, second)`; or map a later step over its output.",
            )
        mapped = copy.copy(self)
        mapped._fill(inputs, bindings)  # noqa: SLF001
        return mapped

    def _fill(self, inputs: tuple[Any, ...], bindings: Mapping[str, Any]) -> None:
        """Let inputs and parameters of what is a copy be filled by items."""
        self.inputs, self._input_names = list(self.inputs), dict(self._input_names)
        self._settings = {**self._settings, "values": dict(self._settings["values"])}
        for name, value in (*((self._input_for(one), one) for one in inputs), *bindings.items()):
            self._give(name, value)
        given = self._settings["values"]
        self.parameters = tuple(one for one in self.parameters if one.name not in given)
        for data in map(original, self.outputs):
            if isinstance(data, (PipelineData, OutputFileDatasetConfig)):
                data.producer = self

    def _input_for(self, value: Any) -> str:
        """Return the name of the input that a positional argument of `map` is for: the one that it is, else the first open one."""
        data = original(value.source if isinstance(value, StepValue) else value)
        taken = [self._input_names[id(item)] for item in self.inputs if original(item) is data]
        hole = [self._input_names[id(item)] for item in self.inputs if self._is_open(item)]
        named = taken or hole or (list(self._input_names.values()) if len(self.inputs) == 1 else [])
        if not named:
            raise self._unknown_to_map(getattr(data, "name", type(data).__name__))
        return named[0]

    @staticmethod
    def _is_open(item: Any) -> bool:
        return isinstance(original(item), _OUTPUTS) and getattr(original(item), "producer", None) is None

    def _unknown_to_map(self, name: str) -> UserErrorException:
        known = [*self._input_names.values(), *(one.name for one in self.parameters)]
        return UserErrorException(
            f"The step {self.name!r} has no input or parameter {name!r} to map",
            {"inputs and parameters": ", ".join(known) or "none"},
            "List the output in the step's `inputs`, or name the parameter that gets the values: `step.map(rate=…)`.",
        )

    def _give(self, name: str, value: Any) -> None:
        """Let an input or parameter be filled by a list's items, or be the same for each."""
        parameter = next((one for one in self.parameters if one.name == name), None)
        if parameter is None and name not in self._input_names.values():
            raise self._unknown_to_map(name)
        same = not self._is_decided_later(value)
        value = value.value if isinstance(value, unmapped) else value
        if parameter is not None and same:
            self._settings["values"][name] = check(parameter, value)
        elif parameter is not None:
            items = value if isinstance(value, StepValue) else StepValue(value, "value")
            if items.kind == "files":
                items = StepValue(items.source, "value", path=items.path)
            self._settings["values"][name] = parameter.default
            self._each = (*self._each, _MappedOver(items, "", parameter))
        else:
            items = value if isinstance(value, StepValue) else items_of(value, "")
            self._rebind(name, items.source if isinstance(value, StepValue) else value)
            if not same:
                self._each = (*self._each, _MappedOver(items, name, None))

    def _rebind(self, name: str, data: Any) -> None:
        """Let the input of that name be this output, read as the input was to be."""
        place = next(number for number, item in enumerate(self.inputs) if self._input_names[id(item)] == name)
        item = self.inputs[place]
        if not isinstance(original(data), (PipelineData, OutputFileDatasetConfig)):
            raise UserErrorException(
                f"The input {name!r} of step {self.name!r} can't be mapped over a {type(data).__name__}",
                hint="Map it over an output of another step, or its `items(…)`.",
            )
        if original(item) is not original(data):
            mode, path = access_of(item)
            new = data if isinstance(data, OutputInput) else OutputInput(original(data), name, mode, path)
            self.inputs[place] = new
            self._input_names[id(new)] = name
