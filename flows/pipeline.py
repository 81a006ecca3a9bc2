"""`Pipeline`: steps that belong together, usable as a Prefect flow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prefect import Flow
from prefect.states import Cancelled
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from stepwell.blocks.compute_target import ComputeTarget
from stepwell.blocks.server import client_settings
from stepwell.blocks.work_pool import POOL
from stepwell.blocks.workspace import BaseWorkspace
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.drawing import draw
from stepwell.flows.engine import MOST_AT_ONCE
from stepwell.flows.graph import Graph
from stepwell.flows.parameter_schema import docstring, flow_parameter, for_prefect, from_prefect
from stepwell.flows.parameters import Value, assign
from stepwell.flows.planning import plan
from stepwell.flows.running import RunCancelled, RunOptions, preflight, run_pipeline
from stepwell.flows.setting import Setting
from stepwell.flows.step import Step
from stepwell.vocabulary import Decision, PipelineDefinition, StepResult

if TYPE_CHECKING:
    from stepwell.flows.published_pipeline import PublishedPipeline

RESERVED = ("regenerate_outputs", "continue_on_step_failure")


class Pipeline:
    """Steps, nested to any depth, with everything that they need.

    Calling it runs it as a Prefect flow, with its parameters as keyword arguments; `pipeline.flow` is that flow. Nothing is
    read, hashed or started when a pipeline is made.
    """

    def __init__(
        self,
        workspace: BaseWorkspace,
        steps: Any,
        description: str | None = None,
        default_datastore: Any = None,
        default_source_directory: str | Path | None = None,
        resolve_closure: bool = True,
        *,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        unknown = sorted(set(kwargs) - {"enable_email_notification"})
        if unknown:
            raise UserErrorException(f"Pipeline takes no argument {unknown[0]!r}", hint="Remove it.")
        self.workspace = workspace
        graph = Graph(steps, resolve_closure=resolve_closure)
        _check_name(name or description or "pipeline")
        self.definition = PipelineDefinition(
            name=name or description or "pipeline",
            description=description or "",
            workspace=workspace.name,
            steps=graph.define(Path(default_source_directory or Path.cwd())),
            parameters=graph.parameters(),
        )
        self._steps = graph.steps
        for step in graph.steps:
            step.workspace = step.workspace or workspace
        taken = sorted({parameter.name for parameter in self.definition.parameters} & set(RESERVED))
        if taken:
            raise UserErrorException(f"{taken[0]!r} can't name a pipeline parameter", hint="Rename it.")
        self._refuse_missing_scripts()

    @classmethod
    def of(cls, definition: PipelineDefinition, workspace: BaseWorkspace) -> Pipeline:
        """The pipeline of a stored definition."""
        pipeline = cls.__new__(cls)
        pipeline.workspace, pipeline.definition, pipeline._steps = workspace, definition, ()  # noqa: SLF001
        return pipeline

    @property
    def name(self) -> str:
        """The pipeline's name: the flow's in Prefect."""
        return self.definition.name

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in an order in which they can run."""
        return self._steps

    def on(self, compute_target: Any) -> Pipeline:
        """The same pipeline with every step on this target, or the one of this name; ComputeTargetException if there is none."""
        name = ComputeTarget.get(self.workspace, str(getattr(compute_target, "name", compute_target))).name
        steps = tuple(replace(step, compute_target=name) for step in self.definition.steps)
        moved = Pipeline.of(replace(self.definition, steps=steps), self.workspace)
        moved._steps = self._steps  # noqa: SLF001
        return moved

    # Deciding -------------------------------------------------------------------------------------------------------

    def validate(self) -> list[str]:
        """What is wrong with the pipeline, a sentence each; empty if nothing is. Raises nothing."""
        errors = []
        with closing(Setting(self.workspace, "validation")) as setting:
            for step in self.definition.steps:
                try:
                    setting.compute(step.compute_target)
                    setting.call(step, self.values({}), {})
                except StepwellError as error:
                    errors.append(error.title)
        return errors

    def plan(self, *, regenerate_outputs: bool = False, **parameters: Any) -> tuple[Decision, ...]:
        """For every step what a run with these parameters would do, and why; nothing is run."""
        values = self.values(parameters)
        with closing(Setting(self.workspace, "plan", regenerate=regenerate_outputs)) as setting:
            preflight(setting, self.definition, values)
            return plan(setting, self.definition, values)

    def values(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """A value for every parameter; unknown names and wrong types raise UserErrorException."""
        return assign(self.definition.parameters, given)

    def publish(
        self,
        name: str | None = None,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
        *,
        work_pool: str = POOL,
    ) -> PublishedPipeline:
        """The published pipeline: what is on disk now, callable from anywhere however the source changes.

        Without `version` it is the next number for the name. Workers of the Prefect work pool run it.
        """
        from stepwell import PublishedPipeline  # which stands on this module

        go_on = bool(continue_on_step_failure)
        return PublishedPipeline.of(self, name or "", description, version, go_on, work_pool)

    # The flow -------------------------------------------------------------------------------------------------------

    @cached_property
    def flow(self) -> Flow[..., Any]:
        """The pipeline as a Prefect flow with a typed, described parameter for each of its own."""
        return self.flow_with(RunOptions())

    def flow_with(self, options: RunOptions) -> Flow[..., Any]:
        """The flow, run under these options; those it is called with win."""

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
            task_runner=ThreadPoolTaskRunner(max_workers=MOST_AT_ONCE),  # type: ignore[arg-type]
            persist_result=False,
            validate_parameters=True,
        )

    def _options(self, given: dict[str, Any], options: RunOptions) -> RunOptions:
        """The options of a run, what is said of them taken out of what the flow was given."""
        regenerate, go_on = (bool(given.pop(name, False)) for name in RESERVED)
        return replace(
            options,
            regenerate=options.regenerate or regenerate,
            continue_on_failure=options.continue_on_failure or go_on,
        )

    def _ended(self) -> None:
        """Nothing; called when a run of the flow has ended, however it did."""

    def __call__(self, **parameters: Any) -> dict[str, StepResult]:
        """The result of each step by its id, once the pipeline has run here and now as a Prefect flow."""
        names = {*RESERVED, *(definition.name for definition in self.definition.parameters)}
        self.values(dict.fromkeys(set(parameters) - names))  # raises if there are any
        known = {definition.name: definition for definition in self.definition.parameters}
        given = {
            name: for_prefect(known[name], value) if name in known else value for name, value in parameters.items()
        }
        with client_settings():
            return self.flow(**given)  # type: ignore[no-any-return]

    def _plain_values(self, given: Mapping[str, Any]) -> dict[str, Value]:
        return {
            definition.name: from_prefect(definition, given.get(definition.name))
            for definition in self.definition.parameters
        }

    def _signature(self) -> inspect.Signature:
        own = [flow_parameter(definition) for definition in self.definition.parameters]
        for name, words in zip(RESERVED, ("Run every step anew.", "Go on past failed steps."), strict=True):
            annotation = Annotated[bool, Field(description=words)]
            own.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation))
        return inspect.Signature(own)

    # ----------------------------------------------------------------------------------------------------------------

    def _refuse_missing_scripts(self) -> None:
        for step in self.definition.steps:
            if step.script is not None and not (Path(step.source_directory) / step.script).is_file():
                raise UserErrorException(
                    f"Step [{step.name}]: script not found at: {Path(step.source_directory) / step.script}",
                    hint="Correct `script_name`, or pass `source_directory=`: the default is the current directory.",
                )

    def _repr_svg_(self) -> str:
        return draw(self.definition)

    def __repr__(self) -> str:
        return f"Pipeline(name={self.name!r}, steps={[step.id for step in self.definition.steps]})"


def _check_name(name: str) -> None:
    if not name.isprintable() or any(sign in name for sign in "/%&><"):
        raise UserErrorException(
            f"{name!r} can't name a pipeline", hint="Pass `name=` with letters, digits, blanks, '_' and '-'."
        )
