"""Runs that v1 has beside those of pipelines.

An `InteractiveRun` is logged to by a notebook or program while it works, from `Experiment.start_logging` to `complete`; a
`ScriptRun` is that of one script or command, submitted as a `ScriptRunConfig`.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import State, StateType
from prefect.states import Running

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server.connection import named_server
from stepwell.blocks.server.documents import client
from stepwell.blocks.source.provenance import git_provenance
from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import run_label
from stepwell.blocks.store.runs.telling import telling
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.living import machine
from stepwell.blocks.workspace.workspace_store import place_tags
from stepwell.errors import ExperimentExecutionException
from stepwell.flows.public.host_run import ENDED, ExperimentLike
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.step_run import StepRun
from stepwell.flows.runs.artifacts import publish_artifacts
from stepwell.flows.runs.flow_run import run_tags
from stepwell.flows.runs.launch import given_up
from stepwell.flows.runs.states import why_failed
from stepwell.flows.runs.summary import FINAL
from stepwell.flows.trials.definition import run_definition
from stepwell.model.redaction import here

KIND, SCRIPT = "interactive", "script"
"""The fact of a run's folder that tells what it is."""

_ENDS = {"Finished": StateType.COMPLETED, "Failed": StateType.FAILED, "Canceled": StateType.CANCELLED}
_POLL_SECONDS = 0.1
_LIVING: dict[str, tuple[int, InteractiveRun, ExitStack]] = {}
"""The runs that this process, or the one that it was forked from, has begun and not ended."""


@checked
class InteractiveRun(PipelineRun):
    """A run of whoever logs to it. It ends by `complete`, `fail` or `cancel`, or with the process that began it.

    Used as a context manager, it is complete at the end of the block, and has failed if the block raised.

    Args:
        experiment: The run's experiment.
        run_id: The run's whole id.
    """

    _finished: ClassVar[str] = "Completed"

    @classmethod
    def start(
        cls,
        experiment: ExperimentLike,
        *,
        name: str | None = None,
        parent_id: str | None = None,
        display_name: str | None = None,
        outputs: str | None = None,
        tags: Mapping[str, Any] | None = None,
        source: str = ".",
    ) -> InteractiveRun:
        """Begin a run, which Prefect knows from now on.

        Args:
            experiment: The experiment that it belongs to.
            name: What it is called before its number; by default as the experiment.
            parent_id: The run that it belongs to.
            display_name: A name for people.
            outputs: A folder whose files are kept with the run when it is complete.
            tags: Labels of the run.
            source: The folder whose commit is noted.

        Returns:
            The run, at work.
        """
        store, redact = experiment.workspace.store, here().redact
        labels = {redact(str(key)): redact(str(value)) for key, value in (tags or {}).items()}
        properties = git_provenance(Path(source))
        with told_in_words("The run can't be recorded, so it was not started", store.written):
            number = store.next_run_number()
            label = run_label(name or experiment.name, number)
            with client() as api:
                flow_run = api.create_flow_run(
                    Flow(_interactive, name=experiment.name),
                    name=label,
                    tags=place_tags(
                        [*run_tags(experiment.name, properties), *(f"{k}:{v}" if v else k for k, v in labels.items())],
                        experiment.workspace.name,
                    ),
                    state=Running(),
                )
            run = cls(experiment, str(flow_run.id))
            living = ExitStack()
            with given_up(flow_run.id):
                living.enter_context(run.folder.alive())
                living.enter_context(telling(run.folder, experiment.workspace.shared_runs))
                run.folder.describe(
                    {
                        "id": run.id,
                        "number": number,
                        "created": time.time(),
                        "kind": KIND,
                        "name": label,
                        "display_name": display_name or name,
                        "workspace": experiment.workspace.name,
                        "experiment": experiment.name,
                        "tags": labels,
                        "properties": properties,
                        "parent_run_id": parent_id,
                        "outputs": os.path.abspath(outputs) if outputs else None,
                        "pid": os.getpid(),
                        "machine": dict(machine()),
                    }
                )
                untold.note(run.folder, named_server())
                run._append_state({"status": "Running"})
        _LIVING[run.id] = (os.getpid(), run, living)
        return run

    @property
    def type(self) -> str:
        """`azureml.scriptrun`, as v1 has it."""
        return "azureml.scriptrun"

    # Ending ---------------------------------------------------------------------------------------------------------

    def complete(self, _set_status: bool = True) -> None:
        """End the run: it has succeeded. One that has ended stays as it is."""
        folder = self.folder.facts().get("outputs")
        if isinstance(folder, str) and os.path.isdir(folder) and self._goes_on():
            kept = set(self.get_file_names())
            for place, _, names in os.walk(folder):
                for path in (os.path.join(place, name) for name in sorted(names)):
                    name = f"{os.path.basename(folder)}/{os.path.relpath(path, folder)}"
                    if name not in kept:
                        self.upload_file(name, path)
        self._end("Finished")

    def fail(self, error_details: object = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """End the run: it has failed. One that has ended stays as it is.

        Args:
            error_details: What went wrong, as text or as an exception.
            error_code: A short code, put before the details.
        """
        parts = [str(part) for part in (error_code, error_details) if part is not None]
        self._end("Failed", ": ".join(parts))

    def cancel(self) -> None:
        """End the run: it is cancelled. One that has ended stays as it is."""
        self._end("Canceled")

    def _end(self, status: str, problem: str = "") -> None:
        if self._goes_on():
            problem = here().redact(problem)
            self._append_state({"problem": problem} if problem else {})
            self._append_state({"status": status})
            with suppress(Exception), client() as api:  # it is noted who is still to be told
                state = State(type=_ENDS[status], message=problem or None)
                api.set_flow_run_state(UUID(self.id), state, force=True)
                untold.forget(self.id)
                publish_artifacts(self.folder)
        pid, _, living = _LIVING.get(self.id, (0, None, None))
        if living is not None and pid == os.getpid():
            _LIVING.pop(self.id)
            living.close()

    def _goes_on(self) -> bool:
        return self.folder.status().get("status") not in FINAL

    def _append_state(self, event: dict[str, Any]) -> None:
        if event:
            self.folder.append({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})

    def wait_for_completion(  # type: ignore[override]  # (as v1: another one than a pipeline's run has)
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> dict[str, Any]:
        """Wait until the run has ended, which whoever began it has to say.

        Args:
            show_output: Accepted for v1's sake; not used.
            wait_post_processing: Accepted for v1's sake; not used.
            raise_on_error: Whether a failure raises; if False, it is only returned.

        Returns:
            The run's details.

        Raises:
            ActivityFailedException: The run failed, and `raise_on_error` is left True.
            ExperimentExecutionException: This process began the run, and would wait for itself.
        """
        if self.id in _LIVING and self._goes_on():
            hint = "Call `run.complete()` first."
            raise ExperimentExecutionException("The run goes on until this program ends it", {"run": self.id}, hint)
        while self.get_status() not in ENDED:
            time.sleep(_POLL_SECONDS)
        if raise_on_error and self.get_status() == "Failed":
            raise why_failed(self.folder)
        return self.get_details()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.complete()
        else:
            self.fail(f"{type(error).__name__}: {error}")

    # Children -------------------------------------------------------------------------------------------------------

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | None = None
    ) -> InteractiveRun:  # type: ignore[override]
        """Begin a run that belongs to this one, and is ended by itself.

        Args:
            name: Its name; by default that of the experiment.
            run_id: Accepted for v1's sake; not used: Prefect gives runs their ids.
            outputs: A folder whose files are kept with the run when it is complete.

        Returns:
            The run, at work.
        """
        return InteractiveRun.start(self.experiment, name=name, parent_id=self.id, outputs=outputs)

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[Any] | None = None
    ) -> list[InteractiveRun]:
        """Begin several runs that belong to this one.

        Args:
            count: How many; by default as many as `tag_values`.
            tag_key: A tag that each has.
            tag_values: The tag's values, one for each run.

        Returns:
            The runs, at work.
        """
        marks: Sequence[Any] = tag_values if tag_values is not None else [None] * (count or 0)
        tags = [{tag_key: mark} if tag_key else {} for mark in marks]
        return [InteractiveRun.start(self.experiment, parent_id=self.id, tags=tag) for tag in tags]

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment_name}, Id: {self.id}, Type: {self.type}, Status: {self.status})"


@checked
class ScriptRun(PipelineRun):
    """A run of one script or command: what that logged and left is the run's own.

    Args:
        experiment: The run's experiment.
        run_id: The run's whole id.
    """

    _of_steps: ClassVar[bool] = False
    _finished: ClassVar[str] = "Completed"

    @property
    def type(self) -> str:
        """`azureml.scriptrun`, as v1 has it."""
        return "azureml.scriptrun"

    @property
    def _step(self) -> StepRun | None:
        return next(self.get_steps(), None)

    def _children_now(self) -> Iterator[Any]:
        return (run for run in super()._children_now() if not isinstance(run, StepRun))

    @property
    def tags(self) -> dict[str, Any]:
        """The tags that the run was submitted with, and those that its script or others set."""
        return {**(self._step.tags if self._step else {}), **self.get_tags()}

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Collect the metrics that the script, or anybody else, logged for the run.

        Args:
            name: Only the metric of this name; by default all.
            recursive: Accepted for v1's sake; not used.
            run_type: Accepted for v1's sake; not used.
            populate: Accepted for v1's sake; not used.

        Returns:
            The metrics by name.
        """
        return {**(self._step.get_metrics(name) if self._step else {}), **super().get_metrics(name)}

    def get_file_names(self) -> list[str]:
        """List the files that the script left in `outputs/` and `logs/`, or uploaded.

        Returns:
            Their names, sorted.
        """
        return sorted({*super().get_file_names(), *(self._step.get_file_names() if self._step else ())})

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None, _validate_checksum: bool = False
    ) -> None:
        """Copy a file that `get_file_names` lists.

        Args:
            name: The file's name, as listed.
            output_file_path: Where to copy it; by default under its last name to the current directory.

        Raises:
            UserErrorException: The run has no such file.
        """
        if self._step is not None and name in self._step.get_file_names():
            self._step.download_file(name, None if output_file_path is None else os.fspath(output_file_path))
        else:
            super().download_file(name, output_file_path)

    def get_details(self) -> dict[str, Any]:
        """Return the same as of a pipeline's run, and what was asked to run.

        Returns:
            The details by v1's names; `runDefinition` has `script`, `command`, `arguments` and `target`.
        """
        return {**super().get_details(), "runDefinition": run_definition(self.folder.facts())}

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return the same as `get_details`, with the text of each of the script's logs.

        Returns:
            The details.
        """
        logs = self._step.get_details_with_logs()["logFiles"] if self._step else {}
        return {**self.get_details(), "logFiles": logs}

    def get_all_logs(self, destination: str | None = None) -> list[str]:
        """Copy the script's logs into a folder.

        Args:
            destination: The folder; by default one called as the run's id, in the current directory.

        Returns:
            The paths of the copies.
        """
        return self._step.get_all_logs(destination or self.id) if self._step else []

    def wait_for_completion(  # type: ignore[override]  # (as v1: another one than a pipeline's run has)
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> dict[str, Any]:
        """Wait until the run has ended.

        Args:
            show_output: Whether standard error shows how it goes, and standard output what the script writes, as it comes.
            wait_post_processing: Accepted for v1's sake; not used.
            raise_on_error: Whether a failure raises; if False, it is only returned.

        Returns:
            The run's details.

        Raises:
            ActivityFailedException: The run failed, and `raise_on_error` is left True.
            ExperimentExecutionException: Ctrl-C was pressed.
        """
        super().wait_for_completion(show_output, raise_on_error=raise_on_error)
        return self.get_details()


def _interactive() -> None:
    """Stand for what an interactive run does, which Prefect doesn't run."""


@atexit.register
def _end_with_the_process() -> None:
    """End the runs that this process began: those of one that ends by an exception have failed."""
    error = getattr(sys, "last_value", None)
    for pid, run, _ in reversed([*_LIVING.values()]):
        if pid == os.getpid():
            with suppress(Exception):
                run.complete() if error is None else run.fail(f"{type(error).__name__}: {error}")
