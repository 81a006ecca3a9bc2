"""`PipelineRun`: a run as its submitter, or any other process, sees it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.run_index import RunEntry
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.datasets.run_datasets import input_datasets, output_datasets
from stepwell.flows.pages.live import progress_here
from stepwell.flows.pages.notebook import steps_html
from stepwell.flows.pages.shown import ShownRun
from stepwell.flows.pages.shown_tables import Listed, Metrics, Shown, runs_table
from stepwell.flows.parameters.values import values_in
from stepwell.flows.public.host_run import ENDED, HostRun, Named
from stepwell.flows.public.port_data_reference import PortDataReference, gone_error
from stepwell.flows.public.step_run import StepRun
from stepwell.flows.runs.cancel import cancel
from stepwell.flows.runs.elsewhere.finding import find_runs, known_runs, renew
from stepwell.flows.runs.live.progress import follow
from stepwell.flows.runs.states import why_failed
from stepwell.model.names import folder_name
from stepwell.script.metrics import metrics_of
from stepwell.script.run import Run

if TYPE_CHECKING:
    from stepwell.flows.public.published_pipeline import PublishedPipeline

_POLL_SECONDS = 0.1


@checked
class PipelineRun(ShownRun, HostRun):
    """A run of a pipeline, found by its id from any process.

    Args:
        experiment: The run's experiment.
        run_id: The run's whole id; `PipelineRun.get` also takes its beginning.

    Attributes:
        experiment: The run's experiment.
        workspace: The experiment's workspace.
        folder: The run's folder: its facts, its journal, its steps' files.
    """

    @classmethod
    def get(cls, workspace: BaseWorkspace, run_id: str) -> PipelineRun:
        """Find a run by its short name, its id, or the beginning of that.

        Args:
            workspace: The workspace to look in.
            run_id: `digits#12`, `#12`, the id, or as much of its beginning as no other run has.

        Returns:
            The run.

        Raises:
            ExperimentExecutionException: No run, or more than one, is meant.
        """
        found = find_runs(workspace, run_id)
        if len(found) != 1:
            raise ExperimentExecutionException(
                f"There is no run {run_id!r}" if not found else f"{run_id!r} means several runs",
                {"workspace": workspace.name, **{run.label: run.run_id for run in found[:5]}},
                "List the runs with `stepwell runs`.",
            )
        return cls.of_folder(workspace, found[0])

    @staticmethod
    def get_pipeline_runs(workspace: BaseWorkspace, pipeline_id: str) -> list[PipelineRun]:
        """Find the runs of a published pipeline, newest first.

        Args:
            workspace: The workspace to look in.
            pipeline_id: The published pipeline's id.

        Returns:
            The runs.
        """
        found = list(all_runs(workspace, lambda run: run.published == pipeline_id))
        return Listed(found, lambda: runs_table(found))

    @classmethod
    def of_folder(cls, workspace: BaseWorkspace, folder: RunFolder) -> PipelineRun:
        """Return the run of a folder, as the kind of run that it is.

        Args:
            workspace: The workspace that it belongs to.
            folder: The run's folder.

        Returns:
            The run.
        """
        from stepwell.flows.public import hyperdrive_run as sweeps  # which stand on this module
        from stepwell.flows.public import interactive_run as others

        facts = folder.facts()
        kinds = {others.KIND: others.InteractiveRun, others.SCRIPT: others.ScriptRun, sweeps.KIND: sweeps.HyperDriveRun}
        kind = kinds.get(str(facts.get("kind")), PipelineRun)
        return kind(Named(workspace, str(facts.get("experiment", "flows"))), folder.run_id)

    # What it is -----------------------------------------------------------------------------------------------------

    def get_details(self) -> dict[str, Any]:
        """Collect ids, times, parameters, properties and the status of every step.

        Returns:
            The details by v1's names: `runId`, `status`, `startTimeUtc` and `endTimeUtc` (ISO 8601, '' if not yet), and
            `properties`, and `inputDatasets` and `outputDatasets` of all steps, as `StepRun.get_details` has them; also
            `parameters` in their own types, and `steps` by id, in the pipeline's order.
        """
        summary = self.summary()
        return {
            "runId": self.id,
            "status": self.status,
            "startTimeUtc": summary.started,
            "endTimeUtc": summary.ended,
            "properties": self.properties,
            "parameters": values_in(summary.facts),
            "steps": {step.id: step.happened for step in summary.steps},
            "inputDatasets": [
                found for step in summary.steps for found in input_datasets(self.workspace, step.datasets)
            ],
            "outputDatasets": [
                found for step in summary.steps for found in output_datasets(self.workspace, step.registered)
            ],
        }

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return the same as `get_details`, with the text of each step's logs.

        Returns:
            The details; `logFiles` by `<step>/logs/<name>`.
        """
        logs = {step.name: step.get_details_with_logs()["logFiles"] for step in self.get_steps()}
        texts = {f"{step}/{name}": text for step, found in logs.items() for name, text in found.items()}
        return {**self.get_details(), "logFiles": texts}

    def get_all_logs(self, destination: str | None = None) -> list[str]:
        """Copy the logs of each step into a folder of its own.

        Args:
            destination: The folder of these; by default one called as the run's id, in the current directory.

        Returns:
            The paths of the copies.
        """
        top = Path(destination or self.id)
        return [path for step in self.get_steps() for path in step.get_all_logs(str(top / folder_name(step.name)))]

    # Waiting and stopping -------------------------------------------------------------------------------------------

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """Wait until the run has ended.

        Ctrl-C stops the waiting, not the run.

        Args:
            show_output: Whether standard error, or in a notebook a table, shows the steps as they come, and standard output what
                their scripts write, each line with its step in front.
            timeout_seconds: How long to wait; by default without end. A time-out just returns, as in Azure ML SDK v1.
            raise_on_error: Whether a failure raises; if False, it is only returned.

        Returns:
            The status: the final one, unless the time ran out.

        Raises:
            ActivityFailedException: The run failed, for the reason that this tells, and `raise_on_error` is left True.
            ExperimentExecutionException: Ctrl-C was pressed.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            if show_output:
                progress = progress_here(self.folder, names=self._of_steps)
                follow(self.folder, progress, until=deadline, renew=lambda: renew(self.workspace, self.folder))
            while self.get_status() not in ENDED and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            raise ExperimentExecutionException(
                "Stopped waiting; the run goes on", {"run": self.id}, "Stop it with `run.cancel()`."
            ) from None
        status = self.get_status()
        if status == "Failed" and raise_on_error:
            raise why_failed(self.folder)
        return status

    def cancel(self) -> None:
        """Cancel the run: stop its steps, now or within seconds. A run that has ended stays as it is."""
        renew(self.workspace, self.folder)
        cancel(self.folder)

    def publish_pipeline(
        self,
        name: str,
        description: str | None = None,
        version: str | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PublishedPipeline:
        """Publish what this run ran: its snapshots, steps and parameters.

        Args:
            name: The name to publish under; if empty, the pipeline's.
            description: What it is for; by default the pipeline's description.
            version: Any text; by default the next number for the name.
            continue_on_step_failure: Whether runs go on past failed steps unless told otherwise; by default as this run did.

        Returns:
            The published pipeline.

        Raises:
            UserErrorException: The run's record does not tell all that is needed, or a snapshot is gone.
        """
        from stepwell import PublishedPipeline  # which stands on this module

        return PublishedPipeline.of_run(self, name, description, version, continue_on_step_failure)

    def complete(self, _set_status: bool = True) -> None:
        """Refuse: a pipeline's run is complete when its steps are.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        raise NotImplementedError("A run of a pipeline is complete when its steps are")

    def fail(self, error_details: object = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """Refuse: a pipeline's run fails when a step does; `cancel` ends it.

        Args:
            error_details: Not used.
            error_code: Not used.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        raise NotImplementedError("A run of a pipeline fails when a step does; `run.cancel()` ends it")

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: str | None = None) -> Run:
        """Refuse: a pipeline's run has its steps; `submit_child` adds a run.

        Args:
            name: Not used.
            run_id: Not used.
            outputs: Not used.

        Returns:
            Never.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        raise NotImplementedError("A run of a pipeline has steps; use `run.submit_child(…)` to add a run")

    # Steps and what they left ---------------------------------------------------------------------------------------

    def get_steps(self) -> Iterator[StepRun]:
        """Iterate over the run's steps, newest first, as in Azure ML SDK v1.

        Returns:
            An iterator over the steps.
        """
        return Shown(
            lambda: (StepRun(self, step) for step in reversed(self.summary().steps)),
            lambda: steps_html(self.summary().steps),
        )

    def _children_now(self) -> Iterator[Any]:
        yield from self.get_steps()
        yield from all_runs(self.workspace, lambda run: run.parent == self.id)

    def find_step_run(self, name: str) -> list[StepRun]:
        """Find the run's steps by name.

        Args:
            name: A step's name, or its id in the pipeline.

        Returns:
            The steps of that name; empty if there are none.
        """
        names = {step["id"]: step.get("name") for step in self.folder.facts().get("pipeline", {}).get("steps", [])}
        found = [step for step in self.get_steps() if name in (step.id_in_pipeline, names.get(step.id_in_pipeline))]
        return Listed(found, lambda: steps_html([step.current() for step in found]))

    def get_outputs(self) -> dict[str, dict[str, PortDataReference]]:
        """Collect every output that there is.

        Returns:
            The outputs by step and output name; steps without any are left out.
        """
        return {step.name: step.get_outputs() for step in self.get_steps() if step.get_outputs()}

    def get_pipeline_output(self, pipeline_output_name: str) -> PortDataReference:
        """Find the output that a PipelineData's `pipeline_output_name` exposes.

        Args:
            pipeline_output_name: As the PipelineData has it.

        Returns:
            The output.

        Raises:
            UserErrorException: The pipeline has no such output, or its step has not ended well.
        """
        for step in self.folder.facts().get("pipeline", {}).get("steps", []):
            for port in step.get("outputs", ()):
                if port.get("pipeline_output") == pipeline_output_name:
                    return self.find_step_run(step["id"])[0].get_output_data(port["name"])
        raise UserErrorException(
            f"The pipeline has no output {pipeline_output_name!r}", hint="Set `pipeline_output_name` on a PipelineData."
        )

    def download(self, target: str | Path, overwrite: bool = False, steps: Collection[str] | None = None) -> int:
        """Copy the outputs to `<target>/<step>/<output>`, writable and independent of the store.

        A name that can't be a folder's (with `/`, dots alone, longer than 200 bytes …) ends in a digest there.

        Args:
            target: The folder to copy to.
            overwrite: Whether files that exist there are replaced; by default they stay.
            steps: Only the outputs of the steps of these names.

        Returns:
            How many files were copied.

        Raises:
            DatastoreException: An output is gone or was damaged; the others were copied.
        """
        gone = {step: names for step, names in self.gone_outputs().items() if steps is None or step in steps}
        found = {step: outputs for step, outputs in self.get_outputs().items() if steps is None or step in steps}
        count = 0
        for step, outputs in found.items():
            for name, data in outputs.items():
                if name not in gone.get(step, ()):
                    count += data.copy_to(Path(target) / folder_name(step) / folder_name(name), overwrite)
        if gone:
            raise gone_error(gone, count)
        return count

    def gone_outputs(self) -> dict[str, tuple[str, ...]]:
        """Return the names of outputs that the run made or used, and the store no longer has.

        Returns:
            The names by step; empty if everything is there.
        """
        found = {step.name: step.gone_outputs() for step in self.get_steps()}
        return {step: names for step, names in found.items() if names}

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Collect the metrics that were logged on the run itself, by scripts with `run.parent.log`.

        Args:
            name: Only the metric of this name, or the step of this name; by default all.
            recursive: Whether to add each step's metrics, under the step's id.
            run_type: Accepted for v1's sake; not used.
            populate: Accepted for v1's sake; not used.

        Returns:
            The metrics by name.
        """
        own, summary = metrics_of(self._log.events(), "parent"), self.summary()
        if recursive:
            own |= {step.id: metrics_of(step.events, "step") for step in summary.steps}
        return Metrics.named(name, own)

    def __repr__(self) -> str:
        return f"PipelineRun(name={self.name!r}, id={self.id!r}, experiment={self.experiment_name!r})"


def all_runs(
    workspace: BaseWorkspace, wanted: Callable[[RunEntry], bool] = lambda _: True, most: int | None = None
) -> Iterator[PipelineRun]:
    """Iterate over the runs of the workspace that are wanted, newest first; each is read when its turn comes."""
    return (PipelineRun.of_folder(workspace, entry.folder) for entry in known_runs(workspace, most) if wanted(entry))
