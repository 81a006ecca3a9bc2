"""`Experiment`: a name for runs that belong together, and the way to submit a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Protocol, TypedDict, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.hints import Words
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun, all_runs
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import detach, register
from stepwell.flows.runs.names import check_experiment
from stepwell.flows.steps.argument_types import Plain


class Submittable(Protocol):
    """What knows itself how to be run: a published pipeline, or an endpoint over several."""

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        ...

    def submit(
        self,
        workspace: BaseWorkspace | None,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None,
        parent_run_id: str | None,
        continue_on_step_failure: bool | None,
        *,
        tags: Mapping[str, str] | None,
        regenerate_outputs: bool,
    ) -> PipelineRun:
        """Return the run, at work or soon to be."""
        ...


class V1Submit(TypedDict, total=False):
    """v1's arguments of `Experiment.submit` that mean nothing here."""

    parent_run_id: str | None
    credential_passthrough: bool | None


class V1Runs(TypedDict, total=False):
    """v1's arguments of `Experiment.get_runs` that mean nothing here."""

    include_children: bool


@checked
class Experiment:
    """Runs that belong together.

    Args:
        workspace: The workspace whose pipelines run in the experiment.
        name: 1 to 255 letters, digits, '_' and '-', the first a letter or digit, as in Azure ML SDK v1.

    Raises:
        UserErrorException: The name can't name an experiment.

    Attributes:
        workspace: The experiment's workspace.
        name: The experiment's name.
    """

    def __init__(self, workspace: BaseWorkspace, name: str) -> None:
        self.workspace = workspace
        self.name = check_experiment(name)

    def submit(
        self,
        config: Annotated[Pipeline | Submittable, Words("a Pipeline, a PublishedPipeline or a PipelineEndpoint")],
        tags: Mapping[str, Plain] | None = None,
        *,
        pipeline_parameters: Mapping[str, Any] | None = None,
        pipeline_params: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
        continue_on_step_failure: bool = False,
        verify_digests: bool = False,
        **ignored: Unpack[V1Submit],
    ) -> PipelineRun:
        """Start the pipeline, or a published one, in a process of its own that outlives this one.

        Wrong parameters, missing scripts, data, modules and targets raise before anything is started: what `validate` lists.

        Args:
            config: A Pipeline, a PublishedPipeline or a PipelineEndpoint.
            tags: Labels of the run, by which `get_runs` finds it.
            pipeline_parameters: Values by parameter; the others keep their defaults.
            pipeline_params: v1's older name of `pipeline_parameters`.
            regenerate_outputs: Whether every step runs anew, whatever earlier runs left.
            continue_on_step_failure: Whether steps that do not depend on a failed one go on. False leaves it to what a
                published pipeline was published with.
            verify_digests: Whether every byte is read, instead of believing digests of files that look unchanged; of a Pipeline
                only.
            **ignored: `parent_run_id` and `credential_passthrough`, accepted for v1's sake; not used.

        Returns:
            The run, at work or, if a worker is to take it, soon to be.

        Raises:
            UserErrorException: A parameter is unknown or has a wrong value.
            ExperimentExecutionException: The run's process ended before it began.
        """
        given = pipeline_parameters or pipeline_params or {}
        labels = {name: str(value) for name, value in (tags or {}).items()}
        if not isinstance(config, Pipeline):
            go_on = continue_on_step_failure or None
            return config.submit(
                self.workspace, self.name, given, None, go_on, tags=labels, regenerate_outputs=regenerate_outputs
            )
        values = config.values(given)
        options = RunOptions(
            regenerate=regenerate_outputs, continue_on_failure=continue_on_step_failure, verify=verify_digests
        )
        folder = register(config, self.name, values, labels, options, check=True)
        detach(config, folder, values)
        run = PipelineRun(self, folder.run_id)
        print(f"Submitted PipelineRun {run.id} ({run.name})\n{run.get_portal_url()}")
        return run

    def get_runs(self, tags: Mapping[str, str] | None = None, **ignored: Unpack[V1Runs]) -> Iterator[PipelineRun]:
        """Find the experiment's runs, newest first.

        Args:
            tags: Only runs that have all of these tags; without them, every run.
            **ignored: `include_children`, accepted for v1's sake; not used.

        Returns:
            An iterator over the runs.
        """
        return (
            run
            for run in all_runs(self.workspace)
            if run.experiment_name == self.name and (tags or {}).items() <= run.tags.items()
        )

    def __repr__(self) -> str:
        return f"Experiment(name={self.name!r}, workspace={self.workspace.name!r})"
