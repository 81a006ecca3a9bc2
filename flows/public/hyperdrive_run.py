"""Sweeps as their submitters see them: `HyperDriveStepRun` of a step, `HyperDriveRun` of a search submitted by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.public.host_run import ExperimentLike, Marks, fits
from stepwell.flows.public.interactive_run import ScriptRun
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.step_run import StepRun
from stepwell.flows.steps.fan_out.hyperdrive_config import HyperDriveConfig
from stepwell.flows.trials.definition import defined_steps
from stepwell.flows.trials.recorded_sweep import config_of
from stepwell.flows.trials.summary import TrialSummary, trials_of

KIND = "hyperdrive"
"""The fact of a run's folder that tells that it is a search."""

_STATUS = {"Finished": "Completed"}


class SweepTrials:
    """The trials of a sweep, by the primary metric."""

    checked_by_heirs = True

    def _trials(self) -> list[TrialSummary]:
        raise NotImplementedError

    def _workspace(self) -> BaseWorkspace:
        raise NotImplementedError

    def get_best_run_by_primary_metric(
        self, include_failed: bool = True, include_canceled: bool = True, include_resume_from_runs: bool = True
    ) -> Any:
        """Find the run of the best trial.

        Args:
            include_failed: Whether trials that failed count, too.
            include_canceled: Whether trials that were ended early count, too.
            include_resume_from_runs: Accepted for v1's sake; not used.

        Returns:
            The run, the first of several that are as good; None if no trial logged the primary metric.
        """
        left_out = {*(() if include_failed else ("Failed",)), *(() if include_canceled else ("Canceled",))}
        known = [trial for trial in self._trials() if trial.best is not None and trial.status not in left_out]
        return self._run_of(min(known, key=TrialSummary.rank)) if known else None

    def get_children_sorted_by_primary_metric(
        self, top: int = 0, reverse: bool = False, discard_no_metric: bool = False
    ) -> list[dict[str, Any]]:
        """List the trials, the best first.

        Args:
            top: How many; 0 for all.
            reverse: Whether the worst come first.
            discard_no_metric: Whether trials without the primary metric are left out.

        Returns:
            `run_id`, `hyperparameters` (as JSON text), `best_primary_metric` and `status` of each; trials without the metric
            come last.
        """
        known = sorted((trial for trial in self._trials() if trial.best is not None), key=TrialSummary.rank)
        if reverse:
            known.reverse()
        without = [] if discard_no_metric else [trial for trial in self._trials() if trial.best is None]
        found = [
            {
                "run_id": trial.run.run_id,
                "hyperparameters": trial.hyperparameters_json,
                "best_primary_metric": trial.best,
                "status": _STATUS.get(trial.status, trial.status),
            }
            for trial in (*known, *without)
        ]
        return found[:top] if top > 0 else found

    @property
    def hyperdrive_config(self) -> HyperDriveConfig:
        """What is searched for, as the run's record tells: inputs and outputs among the arguments as variables of their paths."""
        return config_of(self._definition())

    def _definition(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def get_diagnostics(self) -> NoReturn:
        """Refuse, as in Azure ML SDK v1: the logs of the sweep and of its trials tell what happened.

        Raises:
            UserErrorException: Always.
        """
        raise UserErrorException(
            "A sweep has no diagnostics beside its logs and those of its trials",
            hint="Read `get_details_with_logs()`, of each of `get_children()` too.",
        )

    def get_hyperparameters(self) -> dict[str, str]:
        """Return the hyperparameters of each trial.

        Returns:
            JSON text by the id of the trial's run.
        """
        return {trial.run.run_id: trial.hyperparameters_json for trial in self._trials()}

    def _metrics(self, name: str | None) -> dict[str, Any]:
        return {
            trial.run.run_id: {key: value for key, value in trial.metrics.items() if name in (None, key)}
            for trial in self._trials()
        }

    def _runs(self) -> Iterator[Any]:
        return (self._run_of(trial) for trial in reversed(self._trials()))

    def _run_of(self, trial: TrialSummary) -> PipelineRun:
        return PipelineRun.of_folder(self._workspace(), trial.run)


@checked
class HyperDriveStepRun(SweepTrials, StepRun):
    """A HyperDriveStep of a run, with its trials; of a reused one, those of the run that made its result.

    Args:
        step_run: The step, as `run.find_step_run(name)[0]` finds it.

    Raises:
        UserErrorException: The step has made no trials.
    """

    def __init__(self, step_run: StepRun) -> None:
        super().__init__(step_run._run, step_run._summary)  # noqa: SLF001  (the same step, seen in another way)
        if not self._trials():
            title = f"The step {step_run.name!r} has made no trials"
            raise UserErrorException(title, {"status": step_run.status}, "Pass a step that is a HyperDriveStep.")

    def _trials(self) -> list[TrialSummary]:
        return trials_of(self._run.folder, self.current())

    def _workspace(self) -> BaseWorkspace:
        return self._run.workspace

    def _definition(self) -> Mapping[str, Any]:
        return next(step for step in defined_steps(self._run.folder.facts()) if step.get("id") == self.id_in_pipeline)

    def cancel(self) -> bool:  # type: ignore[override]
        """Cancel the sweep with its trials, as `StepRun.cancel` does. One that has ended stays as it is.

        Returns:
            True.
        """
        super().cancel()
        return True

    @property
    def type(self) -> str:
        """`hyperdrive`, as in v1."""
        return KIND

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Collect the metrics of the trials.

        Args:
            name: Only the metrics of this name; by default all.
            recursive: Accepted for v1's sake; not used.
            run_type: Accepted for v1's sake; not used.
            populate: Accepted for v1's sake; not used.

        Returns:
            The metrics of each trial by name, by the id of the trial's run.
        """
        return self._metrics(name)

    def get_children(
        self,
        recursive: bool = False,
        tags: Marks = None,
        properties: Marks = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Iterate over the runs of the trials, newest first.

        Args:
            recursive: Accepted for v1's sake; not used.
            tags: Only runs that have this tag, or these tags with these values.
            properties: Only runs that have this property, or these properties with these values.
            type: Only runs of this type.
            status: Only runs of this status.

        Returns:
            An iterator over runs.
        """
        return (run for run in self._runs() if fits(run, tags, properties, type) and status in (None, run.status))


@checked
class HyperDriveRun(SweepTrials, ScriptRun):
    """A run of a search, submitted as a HyperDriveConfig; its children are the trials.

    Args:
        experiment: The run's experiment.
        run_id: The run's whole id.
        hyperdrive_config: What it searches for; by default the run's record tells.
    """

    def __init__(self, experiment: ExperimentLike, run_id: str, hyperdrive_config: Any = None) -> None:
        super().__init__(experiment, run_id)
        self._config = hyperdrive_config

    @property
    def hyperdrive_config(self) -> HyperDriveConfig:
        """What is searched for: as the argument, by default as the run's record tells."""
        return self._config if self._config is not None else super().hyperdrive_config

    def _definition(self) -> Mapping[str, Any]:
        return defined_steps(self.folder.facts())[0]

    def _trials(self) -> list[TrialSummary]:
        summary = self.summary()
        return [trial for step in summary.steps for trial in trials_of(self.folder, step)]

    def _workspace(self) -> BaseWorkspace:
        return self.workspace

    def _children_now(self) -> Iterator[Any]:
        return self._runs()

    @property
    def type(self) -> str:
        """`hyperdrive`, as in v1."""
        return KIND

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Collect the metrics of the trials.

        Args:
            name: Only the metrics of this name; by default all.
            recursive: Accepted for v1's sake; not used.
            run_type: Accepted for v1's sake; not used.
            populate: Accepted for v1's sake; not used.

        Returns:
            The metrics of each trial by name, by the id of the trial's run.
        """
        return self._metrics(name)

    def cancel(self) -> bool:  # type: ignore[override]
        """Cancel the search: end its trials. One that has ended stays as it is.

        Returns:
            True.
        """
        super().cancel()
        return True
