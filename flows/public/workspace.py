"""`Workspace`: the public workspace, which also knows its experiments and runs."""

from __future__ import annotations

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.compute_target import targets_of
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.model import Model
from stepwell.flows.public.pipeline_run import PipelineRun, all_runs


@checked
class Workspace(BaseWorkspace):
    """A home for pipelines: `create` it once, `get` it by name, or find it with `from_config`."""

    @property
    def compute_targets(self) -> dict[str, Compute]:
        """The workspace's compute targets, by name: one of each kind with its defaults, and those that were saved."""
        return targets_of(self)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that have runs, by name."""
        names = dict.fromkeys(run.experiment_name for run in all_runs(self))
        return {name: Experiment(self, name) for name in names}

    @property
    def models(self) -> dict[str, Model]:
        """The latest version of each registered model, by name."""
        return {model.name: model for model in Model.list(self, latest=True)}

    def get_run(self, run_id: str) -> PipelineRun:
        """Find a run by its short name, its id, or the beginning of that.

        Args:
            run_id: `digits#12`, `#12`, the id, or as much of its beginning as no other run has.

        Returns:
            The run.

        Raises:
            ExperimentExecutionException: No run, or more than one, is meant.
        """
        return PipelineRun.get(self, run_id)
