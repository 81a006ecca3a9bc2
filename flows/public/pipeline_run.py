"""`PipelineRun`: a run as its submitter, or any other process, sees it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server.documents import ui_url
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import (
    DatastoreException,
    ExperimentExecutionException,
    UserErrorException,
)
from stepwell.flows.parameters.values import plain_value
from stepwell.flows.public.port_data_reference import PortDataReference
from stepwell.flows.public.run_references import matching_runs
from stepwell.flows.public.step_run import StepRun
from stepwell.flows.runs.cancel import cancel
from stepwell.flows.runs.progress import Progress, follow
from stepwell.flows.runs.states import fetch_status, why_failed
from stepwell.flows.runs.summary import FINAL, RunSummary, summarize
from stepwell.model.definitions import ParameterDefinition
from stepwell.model.names import folder_name
from stepwell.script.metrics import metrics_of

if TYPE_CHECKING:
    from stepwell.flows.public.published_pipeline import PublishedPipeline

_POLL_SECONDS = 0.1


class ExperimentLike(Protocol):
    """What a run has to know of its experiment."""

    @property
    def workspace(self) -> BaseWorkspace:
        """Its workspace."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...


class _Named(NamedTuple):
    workspace: BaseWorkspace
    name: str


@checked
class PipelineRun:
    """A run of a pipeline, found by its id from any process.

    Args:
        experiment: The run's experiment.
        run_id: The run's whole id; `PipelineRun.get` also takes its beginning.

    Attributes:
        experiment: The run's experiment.
        workspace: The experiment's workspace.
        folder: The run's folder: its facts, its journal, its steps' files.
    """

    def __init__(self, experiment: ExperimentLike, run_id: str) -> None:
        self.experiment = experiment
        self.workspace = experiment.workspace
        self.folder = RunFolder(self.workspace.store.run_folder(run_id))

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
        found = matching_runs(workspace, run_id)
        if len(found) != 1:
            raise ExperimentExecutionException(
                f"There is no run {run_id!r}" if not found else f"{run_id!r} means several runs",
                {"workspace": workspace.name, **{run.label: run.run_id for run in found[:5]}},
                "List the runs with `stepwell runs`.",
            )
        return cls(_Named(workspace, _experiment_of(found[0])), found[0].run_id)

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id: that of Prefect's flow run."""
        return self.folder.run_id

    @property
    def name(self) -> str:
        """The run's short name in its workspace, such as `digits#12`: the flow run's in Prefect, unless somebody chose one."""
        return self.folder.label

    @property
    def number(self) -> int:
        """The run's number in its workspace, from 1."""
        return int(self.folder.facts().get("number", 0))

    @property
    def experiment_name(self) -> str:
        """The name of the run's experiment."""
        return self.experiment.name

    @property
    def properties(self) -> dict[str, str]:
        """What is known of the source: repository, branch, commit."""
        return dict(self.folder.facts().get("properties", {}))

    @property
    def tags(self) -> dict[str, str]:
        """The tags that the run was submitted with, and those that its scripts set."""
        summary = self.summary()
        tags = dict(summary.facts.get("tags", {}))
        for step in summary.steps:
            tags |= {e["name"]: str(e["value"]) for e in step.events if e["type"] == "tag" and e["scope"] == "parent"}
        return tags

    def get_tags(self) -> dict[str, str]:
        """Return the same as `tags`, under v1's other name.

        Returns:
            The run's tags by name.
        """
        return self.tags

    def summary(self) -> RunSummary:
        """Read what is known of the run now.

        Returns:
            The run's status, facts and steps.
        """
        return summarize(self.folder)

    def get_status(self) -> str:
        """Return the run's status now; Prefect is asked if the run has not begun.

        Returns:
            `NotStarted`, `Running`, `Finished`, `Failed` or `Canceled`, as in Azure ML SDK v1.

        Raises:
            ExperimentExecutionException: There is no such run.
        """
        status = self.summary().status
        return fetch_status(self.folder) if status == "NotStarted" else status

    @property
    def status(self) -> str:
        """As `get_status`, with v1's other word `Completed` for a run that has finished."""
        status = self.get_status()
        return "Completed" if status == "Finished" else status

    def get_details(self) -> dict[str, Any]:
        """Collect ids, times, parameters, properties and the status of every step.

        Returns:
            The details by v1's names: `runId`, `status`, `startTimeUtc` and `endTimeUtc` (ISO 8601, '' if not yet), and
            `properties`; also `parameters` in their own types, and `steps` by id, in the pipeline's order.
        """
        summary = self.summary()
        return {
            "runId": self.id,
            "status": self.status,
            "startTimeUtc": summary.started,
            "endTimeUtc": summary.ended,
            "properties": self.properties,
            "parameters": _parameters(summary.facts),
            "steps": {step.id: step.happened for step in summary.steps},
        }

    def get_portal_url(self) -> str:
        """Return the address of the run's page in Prefect's UI.

        Returns:
            A URL.
        """
        return ui_url(f"/runs/flow-run/{self.id}")

    # Waiting and stopping -------------------------------------------------------------------------------------------

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """Wait until the run has ended.

        Ctrl-C stops the waiting, not the run.

        Args:
            show_output: Whether standard error shows the steps as they come.
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
                follow(self.folder, Progress.of_terminal(), until=deadline)
            while self.get_status() not in FINAL and time.monotonic() < deadline:
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

    # Steps and what they left ---------------------------------------------------------------------------------------

    def get_steps(self) -> Iterator[StepRun]:
        """Iterate over the run's steps, newest first, as in Azure ML SDK v1.

        Returns:
            An iterator over the steps.
        """
        return (StepRun(self, step) for step in reversed(self.summary().steps))

    get_children = get_steps

    def find_step_run(self, name: str) -> list[StepRun]:
        """Find the run's steps by name.

        Args:
            name: A step's name, or its id in the pipeline.

        Returns:
            The steps of that name; empty if there are none.
        """
        names = {step["id"]: step["name"] for step in self.folder.facts().get("pipeline", {}).get("steps", [])}
        return [step for step in self.get_steps() if name in (step.id_in_pipeline, names.get(step.id_in_pipeline))]

    def get_outputs(self) -> dict[str, dict[str, PortDataReference]]:
        """Collect every output that there is.

        Returns:
            The outputs by step and output name; steps without any are left out.
        """
        return {step.name: step.get_outputs() for step in self.get_steps() if step.get_outputs()}

    def get_pipeline_output(self, name: str) -> PortDataReference:
        """Find the output that a PipelineData's `pipeline_output_name` exposes.

        Args:
            name: The `pipeline_output_name`.

        Returns:
            The output.

        Raises:
            UserErrorException: The pipeline has no such output, or its step has not ended well.
        """
        for step in self.folder.facts().get("pipeline", {}).get("steps", []):
            for port in step["outputs"]:
                if port["pipeline_output"] == name:
                    return self.find_step_run(step["id"])[0].get_output_data(port["name"])
        raise UserErrorException(
            f"The pipeline has no output {name!r}", hint="Set `pipeline_output_name` on a PipelineData."
        )

    def download(self, target: str | Path, overwrite: bool = False) -> int:
        """Copy the outputs to `<target>/<step>/<output>`, writable and independent of the store.

        A name that can't be a folder's (with `/`, dots alone, longer than 200 bytes …) ends in a digest there.

        Args:
            target: The folder to copy to.
            overwrite: Whether files that exist there are replaced; by default they stay.

        Returns:
            How many files were copied.

        Raises:
            DatastoreException: An output is gone or was damaged; the others were copied.
        """
        count, gone, found = 0, self.gone_outputs(), self.get_outputs()
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

    def get_metrics(self, name: str | None = None, recursive: bool = False) -> dict[str, Any]:
        """Collect the metrics that scripts logged on the run itself (`run.parent.log`).

        Args:
            name: Only the metric of this name, or the step of this name; by default all.
            recursive: Whether to add each step's metrics, under the step's id.

        Returns:
            The metrics by name.
        """
        summary = self.summary()
        own = metrics_of([event for step in summary.steps for event in step.events], "parent")
        if recursive:
            own |= {step.id: metrics_of(step.events, "step") for step in summary.steps}
        return {key: value for key, value in own.items() if name in (None, key)}

    def __repr__(self) -> str:
        return f"PipelineRun(name={self.name!r}, id={self.id!r}, experiment={self.experiment_name!r})"


def _parameters(facts: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, ParameterDefinition] = {}
    for plain in facts.get("pipeline", {}).get("parameters", []):
        with suppress(TypeError, ValueError, AttributeError):  # of a record that somebody edited
            definition = ParameterDefinition.from_json(plain)
            known[definition.name] = definition
    texts = facts.get("parameters", {})
    return {name: plain_value(known[name], text) if name in known else text for name, text in texts.items()}


def gone_error(gone: Mapping[str, tuple[str, ...]], copied: int | None = None) -> DatastoreException:
    """Return the error that names the outputs which are gone."""
    facts: dict[str, object] = {step: ", ".join(names) for step, names in gone.items()}
    facts |= {} if copied is None else {"files copied": copied}
    title = "Outputs of the run are gone: the store no longer keeps them"
    return DatastoreException(title, facts, "Run the pipeline again: they will be made anew.")


def all_runs(workspace: BaseWorkspace) -> list[PipelineRun]:
    """Return every run of the workspace, newest first."""
    folders = sorted(
        map(RunFolder, workspace.store.run_folders()), key=lambda run: int(run.facts().get("number", 0)), reverse=True
    )
    return [PipelineRun(_Named(workspace, _experiment_of(run)), run.run_id) for run in folders]


def _experiment_of(run: RunFolder) -> str:
    return str(run.facts().get("experiment", "flows"))
