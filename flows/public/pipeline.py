"""`Pipeline`: steps that belong together, usable as a Prefect flow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypedDict, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.hints import Words
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.compute_target import ComputeTarget, name_of, unsaved
from stepwell.blocks.server.documents import ui_url
from stepwell.blocks.server.work_pool import POOL
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.references import Storage
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.engine.reuse import plan
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.pages.shown_tables import Plan
from stepwell.flows.runs.drawing import draw
from stepwell.flows.runs.flow_run import CIRCLE, preflight, provenance_of
from stepwell.flows.runs.launch import RunToBe
from stepwell.flows.runs.names import UNFIT, usual_name
from stepwell.flows.runs.pipeline_flow import RESERVED, VERIFY, PipelineFlow
from stepwell.flows.steps.argument_types import Plain
from stepwell.flows.steps.graph import Graph
from stepwell.flows.steps.outputs import REFERENCE
from stepwell.flows.steps.step import Step
from stepwell.model.definitions import OutputPort, PipelineDefinition
from stepwell.model.records import Decision
from stepwell.rules import STEPWELL, Rules, switches_of

if TYPE_CHECKING:
    from stepwell.flows.public.pipeline_run import PipelineRun
    from stepwell.flows.public.published_pipeline import PublishedPipeline


class V1Pipeline(TypedDict, total=False):
    """v1's arguments of `Pipeline` that mean nothing here."""

    enable_email_notification: bool | None


@checked
class Pipeline(PipelineFlow):
    """Steps, nested to any depth, with everything that they need.

    Calling it runs it as a Prefect flow, with its parameters as keyword arguments; `pipeline.flow` is that flow. Nothing is
    read, hashed or started when a pipeline is made.

    Args:
        workspace: The workspace that keeps the results.
        steps: A step, a list of steps or of lists (at any depth), a StepSequence, or a PipelineData (its producer).
        description: What the pipeline is for, any text; its name too, as in Azure ML SDK v1, where `name` is not given, on one
            line and with `_` for what no flow's name can have.
        default_datastore: The datastore, or its name, of PipelineData that name none; None: the workspace's default datastore.
        default_source_directory: The source directory of steps that name none; by default the folder of the file that
            makes the step, if its script is there, else the current directory.
        resolve_closure: Whether steps that a listed step depends on belong to the pipeline too. If False, one that is not
            listed is an error.
        name: The pipeline's name, and that of its Prefect flow; by default made of the description, else `pipeline`.
        rules: `stepwell` or `v1`: whether it behaves as Stepwell does by itself, or as code of Azure ML SDK v1 expects; None:
            `v1` if the class was imported under the SDK's name, else `stepwell`.
        **kwargs: `enable_email_notification`, accepted for v1's sake and not used.

    Raises:
        UserErrorException: An argument or name is wrong, a script is missing, or the steps don't fit together.

    Attributes:
        workspace: The pipeline's workspace.
        definition: The steps and parameters as plain values.
    """

    default_rules: ClassVar[Rules] = STEPWELL
    """The rules of pipelines that are made without `rules`."""

    _steps: tuple[Step, ...] = ()
    _is_named = True

    def __init__(
        self,
        workspace: BaseWorkspace,
        steps: Any,
        description: str | None = None,
        default_datastore: Storage | str | None = None,
        default_source_directory: str | PurePath | None = None,
        resolve_closure: bool = True,
        _workflow_provider: object = None,
        _service_endpoint: object = None,
        *,
        name: str | None = None,
        rules: Rules | None = None,
        **kwargs: Unpack[V1Pipeline],
    ) -> None:
        self.workspace = workspace
        rules = rules or self.default_rules
        place = str(getattr(default_datastore, "name", default_datastore or ""))
        may_be_circular = switches_of(rules).circles_are_listed
        graph = Graph(steps, resolve_closure=resolve_closure, may_be_circular=may_be_circular)
        _check_name(name or usual_name(description))
        steps = graph.define(Path(default_source_directory) if default_source_directory else None)
        self.definition = PipelineDefinition(
            name=name or usual_name(description),
            description=description or "",
            workspace=workspace.name,
            steps=tuple(replace(step, rules=rules, outputs=_placed(step.outputs, place)) for step in steps),
            parameters=graph.parameters(),
            rules=rules,
        )
        self._is_named = bool(name or description)
        self._steps = graph.steps
        for step in graph.steps:
            step.workspace = step.workspace or workspace
        taken = sorted({parameter.variable for parameter in self.definition.parameters} & {*RESERVED, VERIFY})
        if taken:
            raise UserErrorException(f"{taken[0]!r} can't name a pipeline parameter", hint="Rename it.")
        self._refuse_missing_scripts()

    def service_endpoint(self) -> str:
        """Return the address of Prefect's server, which runs pipelines here.

        Returns:
            A URL.
        """
        return ui_url()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in an order in which they can run."""
        return self._steps

    def on(self, compute_target: Annotated[Compute | str, Words("a compute target or its name")]) -> Pipeline:
        """Return the same pipeline with every step on one compute target.

        Args:
            compute_target: The target, or its name.

        Returns:
            A new pipeline; this one stays as it is.

        Raises:
            ComputeTargetException: The workspace has no such target.
        """
        asked = name_of(compute_target)
        name = (unsaved(self.workspace.name, asked) or ComputeTarget.get(self.workspace, asked)).name
        steps = tuple(replace(step, compute_target=name) for step in self.definition.steps)
        moved = type(self).of(replace(self.definition, steps=steps), self.workspace)
        moved._steps = self._steps  # noqa: SLF001
        return moved

    # Deciding -------------------------------------------------------------------------------------------------------

    def validate(self) -> list[str]:
        """Find what is wrong with the pipeline, without running or raising anything, as in Azure ML SDK v1.

        Returns:
            A sentence for each error; empty if there is none.
        """
        errors = [f"{CIRCLE}: {', '.join(self.definition.circle)}"] if self.definition.circle else []
        context = RunToBe(self.workspace, "validation")
        with closing(context):
            for step in self.definition.steps:
                try:
                    preflight(context, replace(self.definition, steps=(step,)), self.values({}))
                except StepwellError as error:
                    errors.append(error.title)
        return errors

    def plan(
        self, *, regenerate_outputs: bool = False, verify_digests: bool = False, **parameters: Any
    ) -> tuple[Decision, ...]:
        """Tell for every step what a run with these parameters would do, and why, without running anything.

        Args:
            regenerate_outputs: Whether the run would be told to run every step anew.
            verify_digests: Whether every byte is read, instead of believing digests of files that look unchanged.
            **parameters: Values by parameter; the others keep their defaults.

        Returns:
            A decision for each step, in an order in which they can run.

        Raises:
            UserErrorException: A parameter is unknown or has a wrong value.
            StepwellError: Something that no run could get past: a missing script, compute target or input.
        """
        values = self.values(parameters)
        context = RunContext(self.workspace, "plan", regenerate=regenerate_outputs, verify=verify_digests)
        context.expected_properties = partial(provenance_of, self.definition)
        with closing(context):
            preflight(context, self.definition, values)
            return Plan(plan(context, self.definition, values))

    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        continue_on_step_failure: bool = False,
        regenerate_outputs: bool = False,
        parent_run_id: str | None = None,
        credential_passthrough: bool | None = None,
        *,
        tags: Mapping[str, Plain] | None = None,
        **kwargs: Any,
    ) -> PipelineRun:
        """Start the pipeline in an experiment, as `Experiment.submit` does.

        Args:
            experiment_name: The experiment's name.
            pipeline_parameters: Values by parameter; the others keep their defaults.
            continue_on_step_failure: Whether steps that do not depend on a failed one go on.
            regenerate_outputs: Whether every step runs anew, whatever earlier runs left.
            parent_run_id: The run that this one belongs to.
            credential_passthrough: Accepted for v1's sake; not used.
            tags: Labels of the run.
            **kwargs: v1's further arguments; not used.

        Returns:
            The run, at work.

        Raises:
            UserErrorException: The name can't name an experiment, or a parameter is unknown or has a wrong value.
            ExperimentExecutionException: The run's process ended before it began.
        """
        from stepwell import Experiment  # which stands on this module

        return Experiment(self.workspace, experiment_name).submit(
            self,
            tags,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            regenerate_outputs=regenerate_outputs,
            parent_run_id=parent_run_id,
        )

    def _set_experiment_name(self, name: str) -> None:
        """Call a pipeline that has neither name nor description as an experiment, as code for v1 does before it publishes."""
        if not self._is_named:
            self.definition = replace(self.definition, name=usual_name(name))
            self.__dict__.pop("flow", None)

    def publish(
        self,
        name: str | None = None,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
        *,
        work_pool: str = POOL,
        lenient: bool | None = None,
    ) -> PublishedPipeline:
        """Publish what is on disk now, callable from anywhere however the source changes.

        Args:
            name: The name to publish under; by default the pipeline's.
            description: What it is for; by default the pipeline's description.
            version: Any text; by default the next number for the name.
            continue_on_step_failure: Whether runs go on past failed steps unless told otherwise; by default not.
            work_pool: The Prefect work pool whose workers run it.
            lenient: Whether calls of the HTTP endpoint may assign parameters, and have fields, that there are not, which are passed over
                and named in the answer; None: only under v1's rules, as there.

        Returns:
            The published pipeline.

        Raises:
            UserErrorException: The name, the version or the work pool won't do.
            SnapshotException: The source can't be read.
        """
        from stepwell import PublishedPipeline  # which stands on this module

        go_on = bool(continue_on_step_failure)
        return PublishedPipeline.of(self, name or "", description, version, go_on, work_pool, lenient)

    # ----------------------------------------------------------------------------------------------------------------

    def _refuse_missing_scripts(self) -> None:
        for step in self.definition.steps:
            if step.script is not None and not (Path(step.source_directory) / step.script).is_file():
                raise UserErrorException(
                    f"Step [{step.id}]: script not found at: {Path(step.source_directory) / step.script}",
                    hint="Correct its name, or pass `source_directory=`: a script is looked for beside the file that makes the "
                    "step, then in the current directory.",
                )

    def _repr_svg_(self) -> str:
        return draw(self.definition)

    def __repr__(self) -> str:
        return f"Pipeline(name={self.name!r}, steps={[step.id for step in self.definition.steps]})"


def _placed(ports: tuple[OutputPort, ...], datastore: str) -> tuple[OutputPort, ...]:
    """Return the outputs, PipelineData that name no datastore on that one, if it is not ''."""
    return tuple(
        replace(port, datastore=datastore)
        if datastore and port.datastore is None and port.variable.startswith(REFERENCE)
        else port
        for port in ports
    )


def _check_name(name: str) -> None:
    if not name.isprintable() or any(character in name for character in UNFIT):
        raise UserErrorException(
            f"{name!r} can't name a pipeline", hint="Pass `name=` with letters, digits, blanks, '_' and '-'."
        )
