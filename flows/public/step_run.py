"""`StepRun`: a step of a run, as other processes see it."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.store import Miss
from stepwell.blocks.system.files import copy_tree
from stepwell.errors import (
    ActivityFailedException,
    ModelPathNotFoundException,
    UserErrorException,
)
from stepwell.flows.pages.shown_tables import Metrics
from stepwell.flows.public.host_run import ENDED, kept_files
from stepwell.flows.public.model import Model
from stepwell.flows.public.port_data_reference import PortDataReference
from stepwell.flows.public.step_details import StepDetails
from stepwell.flows.runs.elsewhere.finding import bring_added, bring_step, renew
from stepwell.flows.runs.elsewhere.from_server import server_log
from stepwell.flows.runs.live.step_logs import follow_step
from stepwell.flows.runs.summary import StepSummary
from stepwell.model.fingerprint import CONTENT
from stepwell.model.nofollow import files_below, is_file, open_file
from stepwell.model.records import StepRecord
from stepwell.script.events import FOLDERS
from stepwell.script.metrics import metrics_of

if TYPE_CHECKING:
    from stepwell.flows.public.pipeline_run import PipelineRun

_POLL_SECONDS = 0.1


@checked
class StepRun(StepDetails):
    """A step of a run. For a reused step, logs, metrics and outputs are those of the run that made its result.

    Args:
        run: The run of the pipeline.
        summary: What is known of the step.
    """

    def __init__(self, run: PipelineRun, summary: StepSummary) -> None:
        super().__init__(run, summary)

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
        """What the script noted of its step, and v1's names for where a reused result is from."""
        origin = {"azureml.reusedrunid": self.id, "azureml.reusedpipelinerunid": self._summary.run_id}
        return {**self._noted(), **(origin if self.reused else {})}

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons why the step ran or was reused."""
        return self._summary.why

    def get_status(self) -> str:
        """Return the step's status now.

        Returns:
            `NotStarted`, `Queued`, `Running`, `Failed`, `Finished`, `Canceled` or `Bypassed`, as in Azure ML SDK v1.
        """
        return _STEP_STATUS.get(self.current().status, "NotStarted")

    @property
    def status(self) -> str:
        """As `get_status`, with `Completed` for `Finished`."""
        status = self.get_status()
        return "Completed" if status == "Finished" else status

    @property
    def folder(self) -> Path:
        """The folder of the step's logs, metrics and files."""
        return self._summary.folder(self._run.folder)

    def wait_for_completion(
        self, show_output: bool = True, timeout_seconds: float = sys.maxsize, raise_on_error: bool = True
    ) -> str:
        """Wait until the step, or its run, has ended.

        Args:
            show_output: Whether to print what the step's script writes, as it comes.
            timeout_seconds: How long to wait; by default without end. A time-out just returns, as in Azure ML SDK v1.
            raise_on_error: Whether a failure raises; if False, it is only returned.

        Returns:
            The status: the final one, unless the time ran out.

        Raises:
            ActivityFailedException: The step failed, and `raise_on_error` is left True.
        """
        deadline = time.monotonic() + timeout_seconds
        printed = False
        if show_output:
            for line, whole in self.follow_log(until=deadline):
                printed = printed or whole
                print(line, end="\n" if whole else "\r", flush=True)
        while self.get_status() in ("NotStarted", "Queued", "Running") and time.monotonic() < deadline:
            if self._run.get_status() in ENDED:
                break
            time.sleep(_POLL_SECONDS)
        if show_output and not printed:
            print(self.get_job_log(), end="")
        if raise_on_error and self.get_status() == "Failed":
            raise ActivityFailedException(self._summary.error or "The step failed", {"step": self.name})
        return self.get_status()

    def follow_log(self, until: float = float("inf")) -> Iterator[tuple[str, bool]]:
        """Iterate over the lines that the script writes to its standard output and error, as they come.

        Args:
            until: What the monotonic clock reads when the waiting is over; by default the step's end.

        Returns:
            An iterator over pairs: a line and True, or what a progress bar shows now and False.
        """
        return follow_step(self._run.folder, self.id_in_pipeline, until=until, renew=self._bring_again)

    def _bring_again(self) -> None:
        renew(self._run.workspace, self._run.folder)
        self.current()
        self._bring()

    def get_stdout_log(self) -> str:
        """Read what the script wrote to its standard output so far.

        Returns:
            The text; empty if there is none.
        """
        return self._read_log("stdout.txt")

    def get_stderr_log(self) -> str:
        """Read what the script wrote to its standard error so far.

        Returns:
            The text; empty if there is none.
        """
        return self._read_log("stderr.txt")

    def get_job_log(self) -> str:
        """Read both, standard output and standard error, in order of arrival.

        Returns:
            The text; empty if there is none.
        """
        return self._read_log("70_driver_log.txt")

    def _read_log(self, name: str) -> str:
        if not self.id:
            return ""
        self._bring()
        try:
            stream = open_file(self.folder, f"logs/{name}")
        except OSError:
            return server_log(self.id) if self._run.folder.heard() and name != "stderr.txt" else ""
        with io.TextIOWrapper(stream, errors="replace") as text:
            return text.read()

    def _bring(self, *, files: bool = False) -> None:
        """Bring what the step left on another machine, if it ran there."""
        origin = RunFolder(self.folder.parent.parent)
        if self.id and (origin.heard() or not origin.path.exists()):
            bring_step(self._run.workspace, origin.run_id, self.id, files=files)

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Collect the metrics that the script logged, or others for it.

        Args:
            name: Only the metric of this name; by default all.
            recursive: Accepted for v1's sake; not used.
            run_type: Accepted for v1's sake; not used.
            populate: Accepted for v1's sake; not used.

        Returns:
            The metrics by name.
        """
        self._bring()
        return Metrics.named(name, metrics_of(self._log.events(), "step"))

    def get_file_names(self) -> list[str]:
        """List the files that the script left in `outputs/` and `logs/`, or uploaded.

        Returns:
            Their names, such as `outputs/model.pkl`; uploaded files have the name that they were given.
        """
        self._bring()
        self._bring(files=True)
        bring_added(self._run.workspace, self._run.folder)
        return [f"{prefix}{name}" for below, folder, prefix in self._kept for name in files_below(below, folder)]

    @property
    def _kept(self) -> list[tuple[Path, str, str]]:
        """The folders of kept files, below what they are, and what the names of their files begin with."""
        return [*((self.folder, *one) for one in _FILES.items()), (self.added, FOLDERS["step"], "")]

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None, _validate_checksum: bool = False
    ) -> None:
        """Copy a file that `get_file_names` lists.

        Args:
            name: The file's name, as listed.
            output_file_path: Where to copy it; by default under its last name to the current directory, as in Azure ML SDK v1.

        Raises:
            UserErrorException: The step left no such file.
        """
        for below, folder, prefix in self._kept:
            path = f"{folder}/{name.removeprefix(prefix)}"
            if name in self.get_file_names() and name.startswith(prefix) and is_file(below, path):
                target = Path(output_file_path or os.path.basename(path))
                target = target / os.path.basename(path) if target.is_dir() else target
                copy_tree(below / path, target, below=below)
                return
        raise UserErrorException(f"The step left no file {name!r}", hint="List the files with `get_file_names()`.")

    def register_model(  # type: ignore[override]  # (a run's takes more, and uses none of it)
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> Model:
        """Keep files that the script left as the next version of a model.

        Args:
            model_name: The model's name.
            model_path: A file of `get_file_names`, or a folder of such files; by default the model's name.
            tags: What the model is marked with.
            properties: Facts about it, which are never changed.
            model_framework: What made it, such as `Model.Framework.SCIKITLEARN`.
            model_framework_version: The version of what made it.
            description: What it is.
            datasets: What it was made with: pairs of a scenario, such as `training`, and a dataset.
            sample_input_dataset: Accepted for v1's sake; not used.
            sample_output_dataset: Accepted for v1's sake; not used.
            resource_configuration: Accepted for v1's sake; not used.

        Returns:
            The model, which knows this step and what it read.

        Raises:
            ModelPathNotFoundException: The step left no such file.
        """
        wanted = (model_path or model_name).strip("/")
        store = self._run.workspace.store
        record = store.read_record(self._summary.key) if self._summary.key else None
        rows = record.fingerprint.rows if isinstance(record, StepRecord) else ()
        hint = "List the files with `get_file_names()`."
        missing = ModelPathNotFoundException(f"The step left no file {wanted!r}", {"step": self.name}, hint)
        with kept_files(self, self._run.workspace, wanted, missing) as path:
            return Model.register(
                self._run.workspace,
                path,
                model_name,
                tags=tags,
                properties=properties,
                description=description,
                datasets=datasets,
                model_framework=model_framework,
                model_framework_version=model_framework_version,
                origin={
                    "run_id": self._run.id,
                    "experiment": self._run.experiment_name,
                    "step": self.name,
                    "inputs": {row.name: row.value.removeprefix(CONTENT) for row in rows if row.kind == "input"},
                },
            )

    def get_outputs(self) -> dict[str, PortDataReference]:
        """Collect the step's outputs.

        Returns:
            The outputs by name; empty until the step has ended well.

        Raises:
            WorkspaceException: They are in the store of another home, which this one does not reach.
        """
        self._run.workspace.require_here()
        record = self._record()
        if not isinstance(record, StepRecord):
            return {}
        return {
            name: PortDataReference(self._run.workspace, name, record, artifact)
            for name, artifact in record.written.items()
        }

    def _record(self) -> StepRecord | Miss:
        """Return the record of the step's result, of another machine's run that which it shares."""
        store, key = self._run.workspace.store, self._summary.key
        found = store.read_record(key) if key else Miss()
        return store.lookup(key) if key and isinstance(found, Miss) and self._run.folder.heard() else found

    def gone_outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs that the step made or reused, and the store no longer has.

        Returns:
            The names; empty if everything is there, or the step has not ended well.
        """
        if not self._summary.key or self._summary.status not in ("done", "reused"):
            return ()
        store, record = self._run.workspace.store, self._record()
        if isinstance(record, StepRecord):
            return tuple(
                name
                for name, artifact in record.outputs.items()
                if not (store.tree_path(artifact.digest).exists() or store.is_promised(artifact.digest))
            )
        steps = self._run.folder.facts().get("pipeline", {}).get("steps")
        if steps is None:  # a step of the user's own flow, whose definition nobody has noted
            return ("all outputs",)
        wanted = self._summary.defined_as
        return tuple(port["name"] for step in steps if step["id"] == wanted for port in step.get("outputs", ()))

    def get_output_data(self, name: str) -> PortDataReference:
        """Find an output by name.

        Args:
            name: The output's name: v1's `output_name`, by default the name of the PipelineData.

        Returns:
            The output.

        Raises:
            UserErrorException: The step has no such output, or none yet.
        """
        outputs = self.get_outputs()
        if name not in outputs:
            raise UserErrorException(
                f"The step {self.name!r} has no output {name!r}",
                {"outputs": ", ".join(outputs) or "none yet"},
                "Correct the name.",
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
