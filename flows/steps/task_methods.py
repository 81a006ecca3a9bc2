"""What a step has of a Prefect task: it is called, submitted and mapped in any flow, with other options too."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self

from prefect import allow_failure, unmapped
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, PrefectFutureList

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.references import DataReference
from stepwell.errors import UserErrorException
from stepwell.flows.dynamic.written_items import for_item, listed, written_items
from stepwell.flows.steps.own_flows import NamedWorkspaces, StepFuture, inputs_of, run_step, submit_step
from stepwell.model.definitions import StepDefinition
from stepwell.model.records import StepResult

_OPTIONS = ("retries", "retry_delay_seconds", "timeout_seconds", "allow_reuse")


@checked
class TaskMethods:
    """The methods of a Prefect task. `_define_alone` and `_named` say what runs, and where."""

    name: str
    _settings: dict[str, Any]

    def __call__(self, *inputs: Any, wait_for: Iterable[Any] = (), return_state: bool = False, **bindings: Any) -> Any:
        """Run the step as a task of the flow that calls it.

        Args:
            *inputs: Inputs in the order of the step's `inputs`.
            wait_for: Futures that have to end before the step starts.
            return_state: Whether to return the state that the task ends in, and raise nothing.
            **bindings: Parameters and inputs by name; parameters have defaults.

        Returns:
            What the step wrote, by output name (a StepResult).

        Raises:
            UserErrorException: An input is missing, or a name is none of a parameter or input.
            StepFailedException: The step failed.
        """
        definition = self._define_alone()
        bound = _bound(definition, inputs, bindings)
        return run_step(definition, self._named, bound, tuple(wait_for), return_state=return_state)

    def submit(self, *inputs: Any, wait_for: Iterable[Any] = (), return_state: bool = False, **bindings: Any) -> Any:
        """Submit the step to the task runner of the flow that calls it.

        Args:
            *inputs: Inputs in the order of the step's `inputs`, which may be futures.
            wait_for: Futures that have to end before the step starts.
            return_state: Whether to wait, and return the state that the task ends in.
            **bindings: Parameters and inputs by name, which may be futures; parameters have defaults.

        Returns:
            A future of what the step writes, by output name.

        Raises:
            UserErrorException: An input is missing, or a name is none of a parameter or input.
        """
        definition = self._define_alone()
        future = submit_step(definition, self._named, _bound(definition, inputs, bindings), tuple(wait_for))
        return _ended(future) if return_state else future

    def map(self, *inputs: Any, wait_for: Iterable[Any] = (), return_state: bool = False, **bindings: Any) -> Any:
        """Submit the step once for each item of the iterables among its inputs and parameters.

        Texts, mappings (such as what another step wrote), data and single futures are the same for each; so is what
        `prefect.unmapped` marks. With nothing else to map over, it is the files and folders of what another step wrote,
        `out["parts"]`, of which each gets one; `out["parts"].items("*.csv")` chooses among them.

        Over outputs of steps, their `items(…)` or metrics, in place of iterables, it makes a step of a pipeline, which runs
        once for each item when the list is known. An output of it is then a folder with what it wrote for each.

        Args:
            *inputs: Inputs in the order of the step's `inputs`; outputs that are among its inputs, in any order.
            wait_for: Futures that have to end before any of them starts.
            return_state: Whether to wait, and return the states that the tasks end in.
            **bindings: Parameters and inputs by name.

        Returns:
            A PrefectFutureList, or the step of a pipeline.

        Raises:
            UserErrorException: There is no iterable, or they are not equally long; or as `submit` does.
        """
        if any(map(self._is_decided_later, (*inputs, *bindings.values()))):
            return self._mapped_over(inputs, bindings)
        definition = self._define_alone()
        bound = _bound(definition, inputs, bindings)
        items = {name: list(value) for name, value in bound.items() if _is_mapped(value)}
        written = written_items(bound, others=bool(items))
        paths = listed(definition, written) if written else []
        lengths = {name: len(values) for name, values in items.items()} | {name: len(paths) for name in written}
        if len(set(lengths.values())) != 1:
            raise UserErrorException(
                f"The iterables that the step {self.name!r} is mapped over have different lengths"
                if lengths
                else f"The step {self.name!r} is mapped over nothing",
                lengths,
                "Pass lists of one length, and mark with `unmapped(…)` what is the same for each."
                if lengths
                else "Pass a list to an input or parameter, or use `submit`.",
            )
        same = {name: _unmarked(value) for name, value in bound.items() if name not in items}
        same |= {name: of.artifact for name, of in written.items()}
        rows = [dict(zip(items, row, strict=True)) for row in zip(*items.values(), strict=True)] or [{} for _ in paths]
        steps = [for_item(definition, [*written], path) for path in paths] or [definition] * len(rows)
        waits = tuple(wait_for)
        futures = [
            submit_step(step, self._named, {**same, **row}, waits) for step, row in zip(steps, rows, strict=True)
        ]
        return [_ended(future) for future in futures] if return_state else PrefectFutureList(futures)  # type: ignore[abstract]

    def with_options(self, *, name: str | None = None, refresh_cache: bool | None = None, **options: Any) -> Self:
        """Return the same step with other options.

        Args:
            name: Its name.
            refresh_cache: Prefect's word for `allow_reuse=False`.
            **options: `retries`, `retry_delay_seconds`, `timeout_seconds`, `allow_reuse`, as of a new step.

        Returns:
            A new step; this one stays as it is.

        Raises:
            UserErrorException: An option is unknown, or one that the store decides: its keys, locks and results.
        """
        unknown = sorted(set(options) - set(_OPTIONS))
        if unknown:
            raise UserErrorException(
                f"A step has no option {unknown[0]!r}",
                {"options": ", ".join(("name", "refresh_cache", *_OPTIONS))},
                "Leave it out: keys, locks and results are the store's; tags are given by `with prefect.tags(…)`.",
            )
        if refresh_cache is not None:
            options["allow_reuse"] = not refresh_cache
        changed = copy.copy(self)
        changed.name = self.name if name is None else name
        changed._settings = {**self._settings, **options}  # noqa: SLF001
        return changed

    def _is_decided_later(self, value: Any) -> bool:
        raise NotImplementedError

    def _mapped_over(self, inputs: tuple[Any, ...], bindings: Mapping[str, Any]) -> Self:
        raise NotImplementedError

    def _define_alone(self) -> StepDefinition:
        raise NotImplementedError

    @property
    def _named(self) -> NamedWorkspaces:
        raise NotImplementedError


def _bound(definition: StepDefinition, inputs: tuple[Any, ...], bindings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bindings, those by position among them."""
    names = inputs_of(definition)
    twice = [name for name in names[: len(inputs)] if name in bindings]
    if len(inputs) > len(names) or twice:
        raise UserErrorException(
            f"The step {definition.name!r} is given its input {twice[0]!r} twice"
            if twice
            else f"The step {definition.name!r} takes {len(names)} inputs by position, not {len(inputs)}",
            {"inputs": ", ".join(names) or "none"},
            "Pass parameters by name, and each input once.",
        )
    return {**dict(zip(names, inputs, strict=False)), **bindings}


def _is_mapped(value: Any) -> bool:
    single = (str, bytes, Mapping, StepResult, DataReference, PrefectFuture, unmapped, allow_failure)
    return isinstance(value, Iterable) and not isinstance(value, single)


def _unmarked(value: Any) -> Any:
    return value.value if isinstance(value, unmapped) else value


def _ended(future: StepFuture) -> State[Any]:
    future.wait()
    return future.state
