"""A pipeline's definition as a Prefect flow, with a typed parameter for each of its own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Self

from prefect import Flow
from prefect.states import Cancelled
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server.connection import client_settings, ensure_server
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.results import results_block
from stepwell.flows.parameters.dataset_values import with_versions
from stepwell.flows.parameters.pipeline_parameter import Value, assign
from stepwell.flows.parameters.schema import docstring, flow_parameter, flow_values, from_prefect
from stepwell.flows.runs.flow_run import RunCancelled, RunOptions, run_pipeline
from stepwell.flows.task_runs.sending import sent_together
from stepwell.model.definitions import PipelineDefinition
from stepwell.model.records import StepResult

RESERVED = ("regenerate_outputs", "continue_on_step_failure")
VERIFY = "verify_digests"
"""An option of a call from Python; no parameter of the flow, so that forms and published schemas stay as they are."""


@checked
class PipelineFlow:
    """A pipeline's definition and its workspace. Calling it runs it as a Prefect flow; `flow` is that flow.

    Attributes:
        workspace: The workspace that keeps the results.
        definition: The steps and parameters as plain values.
    """

    workspace: BaseWorkspace
    definition: PipelineDefinition

    @classmethod
    def of(cls, definition: PipelineDefinition, workspace: BaseWorkspace) -> Self:
        """Return the pipeline of a stored definition.

        Args:
            definition: The steps and parameters as plain values.
            workspace: The workspace that keeps the results.

        Returns:
            The pipeline.
        """
        pipeline = cls.__new__(cls)
        pipeline.workspace, pipeline.definition = workspace, definition
        return pipeline

    @property
    def name(self) -> str:
        """The pipeline's name: the flow's in Prefect."""
        return self.definition.name

    def values(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Return a value for every parameter.

        Args:
            given: Values by parameter; the others get their defaults.

        Returns:
            The values by parameter.

        Raises:
            UserErrorException: A parameter is unknown, its value has a wrong type, or it names no registered dataset.
        """
        return with_versions(assign(self.definition.parameters, given), self.workspace)

    @cached_property
    def flow(self) -> Flow[..., Any]:
        """The pipeline as a Prefect flow with a typed, described parameter for each of its own."""
        return self.flow_with(RunOptions())

    def flow_with(self, options: RunOptions) -> Flow[..., Any]:
        """Return the flow, run under these options.

        Args:
            options: How to run; what the flow is called with comes on top.

        Returns:
            A new Prefect flow.
        """

        def body(**given: Any) -> Any:
            chosen = self._options(given, options)
            try:
                return run_pipeline(self.definition, self.workspace, self._plain_values(given), chosen)
            except RunCancelled:
                return Cancelled(message="The run was cancelled")
            finally:
                self._ended()

        signature = self._signature()
        summary = self.definition.description or f"Pipeline of workspace {self.workspace.name}"
        body.__signature__ = signature  # type: ignore[attr-defined]
        body.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
        body.__name__ = body.__qualname__ = "pipeline"
        body.__doc__ = docstring(summary, signature)
        return Flow(
            body,
            name=self.name,
            description=summary,
            task_runner=ThreadPoolTaskRunner(max_workers=max(1, len(self.definition.steps))),  # type: ignore[arg-type]
            persist_result=False,
            result_storage=results_block(ensure_server()),  # else Prefect pickles the error of each run that fails
            validate_parameters=True,
        )

    def _options(self, given: dict[str, Any], options: RunOptions) -> RunOptions:
        """Take the options out of what the flow was given, and return those of the run."""
        regenerate, go_on = (bool(given.pop(name, False)) for name in RESERVED)
        return replace(
            options,
            regenerate=options.regenerate or regenerate,
            continue_on_failure=options.continue_on_failure or go_on,
        )

    def _ended(self) -> None:
        """Clean up after a run of the flow, however it ended; there is nothing to do here."""

    def __call__(self, **parameters: Any) -> dict[str, StepResult]:
        """Run the pipeline here and now as a Prefect flow.

        Args:
            **parameters: Values by parameter, `regenerate_outputs`, `continue_on_step_failure` and `verify_digests`: read every
                byte, instead of believing digests of files that look unchanged.

        Returns:
            The result of each step by its id.

        Raises:
            UserErrorException: A parameter is unknown, or its value has a wrong type.
            ActivityFailedException: A step failed.
        """
        verify = bool(parameters.pop(VERIFY, False))
        names = {*RESERVED, *(definition.name for definition in self.definition.parameters)}
        self.values(dict.fromkeys(set(parameters) - names))  # raises if there are any
        given = {name: parameters[name] for name in RESERVED if name in parameters}
        given |= flow_values(self.definition.parameters, parameters, secrets=True)
        with client_settings(), sent_together():
            return (self.flow_with(RunOptions(verify=True)) if verify else self.flow)(**given)  # type: ignore[no-any-return]

    def _plain_values(self, given: Mapping[str, Any]) -> dict[str, Value]:
        found = {
            definition.name: from_prefect(definition, given.get(definition.variable))
            for definition in self.definition.parameters
        }
        return with_versions(found, self.workspace)

    def _signature(self) -> inspect.Signature:
        own = [flow_parameter(definition) for definition in self.definition.parameters]
        for name, description in zip(RESERVED, ("Run every step anew.", "Go on past failed steps."), strict=True):
            annotation = Annotated[bool, Field(description=description)]
            own.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation))
        return inspect.Signature(own)
