"""`PipelineRun` and `StepRun`: a run as its submitter, or any other process, sees it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stepwell.blocks.documents import ui_url
from stepwell.blocks.files import copy_tree
from stepwell.blocks.run_folder import RunFolder
from stepwell.blocks.workspace import BaseWorkspace
from stepwell.errors import ActivityFailedException, DatastoreException, ExperimentExecutionException, UserErrorException
from stepwell.flows.cancelling import cancel
from stepwell.flows.progress import Progress, follow
from stepwell.flows.summary import FINAL, RunSummary, StepSummary, summarize
from stepwell.run import metrics_of, read_events
from stepwell.vocabulary import Artifact, StepRecord

_POLL_SECONDS = 0.1


class ExperimentLike(Protocol):
    """What a run has to know of its experiment."""

    @property
    def workspace(self) -> BaseWorkspace: ...

    @property
    def name(self) -> str: ...


class _Named(NamedTuple):
    workspace: BaseWorkspace
    name: str


class PipelineRun:
    """A run of a pipeline, found by its id from any process."""

    def __init__(self, experiment: ExperimentLike, run_id: str) -> None:
        self.experiment = experiment
        self.workspace = experiment.workspace
        self.folder = RunFolder(self.workspace.store.run_folder(run_id))

    @classmethod
    def get(cls, workspace: BaseWorkspace, run_id: str) -> PipelineRun:
        """The run of that id, or of the one id that starts so; ExperimentExecutionException if there is none."""
        found = [run for run in _folders(workspace) if run.run_id.startswith(run_id)]
        if len(found) != 1 or not run_id:
            raise ExperimentExecutionException(
                f"There is no run {run_id!r}" if not found else f"Several runs start with {run_id!r}",
                {"workspace": workspace.name},
                "List the runs with `stepwell runs`.",
            )
        return cls(_Named(workspace, _experiment_of(found[0])), found[0].run_id)

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id: that of Prefect's flow run."""
        return self.folder.run_id

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
        tags = dict(self.folder.facts().get("tags", {}))
        for step in self.summary().steps:
            tags |= {e["name"]: str(e["value"]) for e in step.events if e["type"] == "tag" and e["scope"] == "parent"}
        return tags

    def get_tags(self) -> dict[str, str]:
        """As `tags`."""
        return self.tags

    def summary(self) -> RunSummary:
        """What is known of the run now."""
        return summarize(self.folder)

    def get_status(self) -> str:
        """`NotStarted`, `Running`, `Finished`, `Failed` or `Canceled`."""
        return self.summary().status

    @property
    def status(self) -> str:
        """As `get_status`, with v1's other word `Completed` for a run that has finished."""
        status = self.get_status()
        return "Completed" if status == "Finished" else status

    def get_details(self) -> dict[str, Any]:
        """Ids, times, parameters, properties and the status of every step."""
        summary = self.summary()
        return {
            "runId": self.id,
            "status": self.status,
            "startTimeUtc": summary.started,
            "endTimeUtc": summary.ended,
            "properties": self.properties,
            "parameters": summary.facts.get("parameters", {}),
            "steps": {step.id: step.happened for step in summary.steps},
        }

    def get_portal_url(self) -> str:
        """The run's page in Prefect's UI."""
        return ui_url(f"/runs/flow-run/{self.id}")

    # Waiting and stopping -------------------------------------------------------------------------------------------

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """The final status. A failed run raises ActivityFailedException unless told not to; a time-out just returns.

        Ctrl-C stops the waiting with ExperimentExecutionException, not the run.
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
            failed = [step for step in self.summary().steps if step.error]
            raise ActivityFailedException(
                failed[0].error.splitlines()[0] if failed else "The run failed",
                {"run": self.id, **{step.id: step.error for step in failed[:3]}},
                f"Look at `stepwell show {self.id[:8]}`.",
            )
        return status

    def cancel(self) -> None:
        """Nothing; the run's steps are stopped and the run is cancelled, or will be within seconds."""
        cancel(self.folder)

    # Steps and what they left ---------------------------------------------------------------------------------------

    def get_steps(self) -> Iterator[StepRun]:
        """The run's steps, newest first."""
        return (StepRun(self, step) for step in reversed(self.summary().steps))

    get_children = get_steps

    def find_step_run(self, name: str) -> list[StepRun]:
        """The steps of that name."""
        names = {step["id"]: step["name"] for step in self.folder.facts().get("pipeline", {}).get("steps", [])}
        return [step for step in self.get_steps() if name in (step.id_in_pipeline, names.get(step.id_in_pipeline))]

    def get_outputs(self) -> dict[str, dict[str, PortDataReference]]:
        """Every output that there is, by step and output name."""
        return {step.name: step.get_outputs() for step in self.get_steps() if step.get_outputs()}

    def get_pipeline_output(self, name: str) -> PortDataReference:
        """The output that a PipelineData's `pipeline_output_name` exposes."""
        for step in self.folder.facts().get("pipeline", {}).get("steps", []):
            for port in step["outputs"]:
                if port["pipeline_output"] == name:
                    return self.find_step_run(step["id"])[0].get_output_data(port["name"])
        raise UserErrorException(f"The pipeline has no output {name!r}", hint="Set `pipeline_output_name` on a PipelineData.")

    def download(self, target: str | Path, overwrite: bool = False) -> int:
        """How many outputs were copied to `<target>/<step>/<output>`, writable and independent of the store."""
        count = 0
        for step, outputs in self.get_outputs().items():
            for name, data in outputs.items():
                count += data.copy_to(Path(target) / step.replace("/", "_") / name, overwrite)
        return count

    def get_metrics(self, name: str | None = None, recursive: bool = False) -> dict[str, Any]:
        """Metrics that scripts logged on the run itself (`run.parent.log`); with `recursive`, also each step's, by step."""
        summary = self.summary()
        own = metrics_of([event for step in summary.steps for event in step.events], "parent")
        if recursive:
            own |= {step.id: metrics_of(step.events, "step") for step in summary.steps}
        return {key: value for key, value in own.items() if name in (None, key)}

    def __repr__(self) -> str:
        return f"PipelineRun(id={self.id!r}, experiment={self.experiment_name!r})"


class StepRun:
    """A step of a run. For a reused step, logs, metrics and outputs are those of the run that made its result."""

    def __init__(self, run: PipelineRun, summary: StepSummary) -> None:
        self._run = run
        self._summary = summary

    @property
    def id(self) -> str:
        """The id of the step run that made the result: that of Prefect's task run."""
        return self._summary.step_run_id

    @property
    def id_in_pipeline(self) -> str:
        """The step's id in its pipeline: its name, made unique."""
        return self._summary.id

    @property
    def name(self) -> str:
        """The step's name."""
        return self._summary.id

    @property
    def pipeline_run_id(self) -> str:
        """The id of the run."""
        return self._run.id

    @property
    def reused(self) -> bool:
        """Whether the result is that of an earlier run."""
        return self._summary.status == "reused"

    @property
    def properties(self) -> dict[str, str]:
        """v1's names for where a reused result is from."""
        return {"azureml.reusedrunid": self.id, "azureml.reusedpipelinerunid": self._summary.run_id} if self.reused else {}

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons why the step ran or was reused."""
        return self._summary.why

    def get_status(self) -> str:
        """`NotStarted`, `Queued`, `Running`, `Failed`, `Finished`, `Canceled` or `Bypassed`."""
        return _STEP_STATUS.get(self._current().status, "NotStarted")

    @property
    def status(self) -> str:
        """As `get_status`, with `Completed` for `Finished`."""
        status = self.get_status()
        return "Completed" if status == "Finished" else status

    def _current(self) -> StepSummary:
        for step in self._run.summary().steps:
            if step.id == self._summary.id:
                self._summary = step
        return self._summary

    @property
    def folder(self) -> Path:
        """The folder of the step's logs, metrics and files."""
        return self._summary.folder(self._run.folder)

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """The final status; a failed step raises ActivityFailedException unless told not to."""
        deadline = time.monotonic() + timeout_seconds
        while self.get_status() in ("NotStarted", "Queued", "Running") and time.monotonic() < deadline:
            if self._run.get_status() in FINAL:
                break
            time.sleep(_POLL_SECONDS)
        if show_output:
            print(self.get_stdout_log(), end="")
        if raise_on_error and self.get_status() == "Failed":
            raise ActivityFailedException(self._summary.error or "The step failed", {"step": self.name})
        return self.get_status()

    def get_stdout_log(self) -> str:
        """What the script wrote to its standard output so far."""
        return self._log("stdout.txt")

    def get_stderr_log(self) -> str:
        """What the script wrote to its standard error so far."""
        return self._log("stderr.txt")

    def get_job_log(self) -> str:
        """Both, in order of arrival."""
        return self._log("70_driver_log.txt")

    def _log(self, name: str) -> str:
        path = self.folder / "logs" / name
        return path.read_text(errors="replace") if self.id and path.is_file() else ""

    def get_metrics(self, name: str | None = None) -> dict[str, Any]:
        """The metrics that the script logged."""
        events = read_events(self.folder / "control") if self.id else []
        return {key: value for key, value in metrics_of(events, "step").items() if name in (None, key)}

    def get_file_names(self) -> list[str]:
        """The files that the script left in `outputs/` and `logs/`, or uploaded."""
        found = []
        for folder, prefix in _FILES.items():
            root = self.folder / folder
            found += [f"{prefix}{p.relative_to(root).as_posix()}" for p in sorted(root.rglob("*")) if p.is_file()]
        return found

    def download_file(self, name: str, output_file_path: str | None = None) -> None:
        """Nothing; the file that `get_file_names` lists stands at `output_file_path`, by default under its own name here."""
        for folder, prefix in _FILES.items():
            path = self.folder / folder / name.removeprefix(prefix)
            if name in self.get_file_names() and name.startswith(prefix) and path.is_file():
                copy_tree(path, Path(output_file_path or path.name))
                return
        raise UserErrorException(f"The step left no file {name!r}", hint="List the files with `get_file_names()`.")

    def get_outputs(self) -> dict[str, PortDataReference]:
        """The step's outputs by name; empty until it has ended well."""
        record = self._run.workspace.store.read_record(self._summary.key) if self._summary.key else None
        if not isinstance(record, StepRecord):
            return {}
        return {name: PortDataReference(self._run.workspace, name, record, artifact) for name, artifact in record.outputs.items()}

    def get_output_data(self, name: str) -> PortDataReference:
        """The output of that name; UserErrorException if there is none."""
        outputs = self.get_outputs()
        if name not in outputs:
            raise UserErrorException(
                f"The step {self.name!r} has no output {name!r}", {"outputs": ", ".join(outputs) or "none yet"}, "Correct the name."
            )
        return outputs[name]

    get_output = get_output_data

    def __repr__(self) -> str:
        return f"StepRun(name={self.name!r}, status={self._summary.status!r})"


_FILES = {"outputs": "outputs/", "user_logs": "logs/", "control/files": ""}
_STEP_STATUS = {
    "waiting": "NotStarted",
    "starting": "Queued",
    "running": "Running",
    "retrying": "Running",
    "done": "Finished",
    "reused": "Finished",
    "failed": "Failed",
    "cancelled": "Canceled",
    "skipped": "Bypassed",
}


class PortDataReference:
    """An output of a step that has run: its place on its datastore, and a way to get it."""

    def __init__(self, workspace: BaseWorkspace, name: str, record: StepRecord, artifact: Artifact) -> None:
        self._workspace = workspace
        self._record = record
        self.artifact = artifact
        self.name = name
        self.datastore_name = artifact.datastore
        self.path_on_datastore = artifact.path
        self.pipeline_run_id = record.run_id

    def get_port_data_reference(self) -> PortDataReference:
        """This object, as v1's StepRunOutput has it."""
        return self

    @property
    def local_path(self) -> Path:
        """Where the bytes are on this machine; not to be written to."""
        return self._workspace.store.tree_path(self.artifact.digest)

    def download(self, local_path: str | Path, overwrite: bool | None = None, show_progress: bool | None = None) -> int:
        """How many files were copied to `local_path`, under the whole path that the output has on its datastore."""
        return self.copy_to(Path(local_path) / self.path_on_datastore, bool(overwrite))

    def copy_to(self, target: Path, overwrite: bool = False) -> int:
        """How many files were copied to `target` itself; existing ones stay unless `overwrite`."""
        tree = self._workspace.store.tree_at(self.local_path) if self.local_path.exists() else None
        if tree is None or tree.digest != self.artifact.digest:
            raise DatastoreException(
                f"The output {self.name!r} is gone or was damaged",
                {"step": self._record.step},
                "Run the pipeline again: it will be made anew.",
            )
        count = 0
        for entry in tree.entries:
            place = target / entry.path if entry.path else target
            if entry.kind == "file" and (overwrite or not place.exists()):
                copy_tree(self.local_path / entry.path if entry.path else self.local_path, place)
                count += 1
        return count

    def __repr__(self) -> str:
        return f"PortDataReference(name={self.name!r}, path_on_datastore={self.path_on_datastore!r})"


def _folders(workspace: BaseWorkspace) -> list[RunFolder]:
    root = workspace.store.run_folder("x").parent
    return [RunFolder(path) for path in sorted(root.glob("*")) if (path / "run.json").is_file()]


def all_runs(workspace: BaseWorkspace) -> list[PipelineRun]:
    """Every run of the workspace, newest first."""
    folders = sorted(_folders(workspace), key=lambda run: (run.path / "run.json").stat().st_ctime_ns, reverse=True)
    return [PipelineRun(_Named(workspace, _experiment_of(run)), run.run_id) for run in folders]


def _experiment_of(run: RunFolder) -> str:
    return str(run.facts().get("experiment", "flows"))
