"""`StepDetails`: a step as a run like every other of v1's: what it belongs to, what was logged for it, its logs.

What its script logged stands with the run that made its result; what others add, such as a tag, with the run that it is a
step of.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.keyvault import Keyvault
from stepwell.errors import UserErrorException
from stepwell.flows.datasets.run_datasets import input_datasets, output_datasets
from stepwell.flows.pages.notebook import step_html
from stepwell.flows.public.host_run import Marks
from stepwell.flows.runs.cancel import cancel_step
from stepwell.flows.runs.elsewhere.host_logs import StepLog
from stepwell.flows.runs.summary import StepSummary, added_to
from stepwell.script.run import Run

if TYPE_CHECKING:
    from stepwell.flows.public.host_run import ExperimentLike
    from stepwell.flows.public.pipeline_run import PipelineRun

_LOGS = ("70_driver_log.txt", "stderr.txt", "stdout.txt")


@checked
class StepDetails(Run):
    """A step of a run, as far as every run of v1 has the same.

    Args:
        run: The run of the pipeline.
        summary: What is known of the step.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Return a step, whatever its own constructor takes."""
        return object.__new__(cls)

    def __init__(self, run: PipelineRun, summary: StepSummary) -> None:
        self._run = run
        self._summary = summary
        super().__init__(StepLog(run.workspace, run.folder, summary.id), summary.step_run_id)

    if TYPE_CHECKING:

        @property
        def id(self) -> str:
            """The id of the step run that made the result."""

        @property
        def folder(self) -> Path:
            """The folder of its logs, metrics and files."""

    @property
    def added(self) -> Path:
        """The folder of what others than its script log for the step; none if there is nothing."""
        return added_to(self._run.folder, self._summary.id)

    @property
    def _run_id(self) -> str:
        """The id, by the name that much code of v1's takes it by."""
        return self.id

    def _repr_html_(self) -> str:
        return step_html(self.current(), self._run.name)

    def current(self) -> StepSummary:
        """Read what is known of the step now.

        Returns:
            Its status, reasons and events.
        """
        for step in self._run.summary().steps:
            if step.id == self._summary.id:
                self._summary = step
        return self._summary

    @property
    def type(self) -> str:
        """`azureml.StepRun`, as in v1."""
        return "azureml.StepRun"

    @property
    def display_name(self) -> str:  # type: ignore[override]
        """The step's name."""
        return self.name

    @property
    def experiment(self) -> ExperimentLike:  # type: ignore[override]  # (that of a script knows less)
        """The experiment of the run."""
        return self._run.experiment

    @property
    def parent(self) -> PipelineRun:  # type: ignore[override]
        """The run that the step belongs to."""
        return self._run

    @property
    def number(self) -> int:
        """The run's number in its workspace."""
        return self._run.number

    @property
    def description(self) -> str | None:
        """None: no step has one."""
        return None

    @property
    def input_datasets(self) -> dict[str, Any]:
        """The datasets that the step read, by input, as far as they can be found again."""
        found = input_datasets(self._run.workspace, self.current().datasets)
        return {one["consumptionDetails"]["inputName"]: one["dataset"] for one in found}

    @property
    def output_datasets(self) -> dict[str, Any]:
        """The datasets that the step's outputs became, by output."""
        found = output_datasets(self._run.workspace, self.current().registered)
        return {one["outputDetails"]["outputName"]: one["dataset"] for one in found}

    def get_properties(self) -> dict[str, Any]:
        """Return the same as `properties`, under v1's other name.

        Returns:
            The step's properties by name.
        """
        return self.properties

    def _noted(self) -> dict[str, str]:
        events = self.current().events
        return {e["name"]: str(e["value"]) for e in events if e["scope"] == "step" and e["type"] == "property"}

    def get_details(self) -> dict[str, Any]:
        """Collect the id, status, tags, properties, logs, and the datasets that it read and wrote.

        Returns:
            The details by v1's names: `runId`, `target`, `status`, `properties`, `tags`, `inputDatasets` (each with its
            `dataset` and `consumptionDetails`), `outputDatasets` (each with its `dataset`, `identifier` and
            `outputDetails`), and `logFiles`, paths by name.
        """
        summary = self.current()
        return {
            "runId": self.id,
            "target": summary.ran_on.get("target", "local"),
            "status": self.status,
            "properties": self.get_properties(),
            "tags": self.tags,
            "inputDatasets": input_datasets(self._run.workspace, summary.datasets),
            "outputDatasets": output_datasets(self._run.workspace, summary.registered),
            "logFiles": {f"logs/{name}": str(path) for name, path in self._logs().items()},
        }

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return the same as `get_details`, with the text of each log.

        Returns:
            The details.
        """
        texts = {f"logs/{name}": path.read_text(errors="replace") for name, path in self._logs().items()}
        return {**self.get_details(), "logFiles": texts}

    def get_all_logs(self, destination: str | None = None) -> list[str]:
        """Copy the step's logs into a folder.

        Args:
            destination: The folder; by default one called as the step's id, in the current directory.

        Returns:
            The paths of the copies.
        """
        folder = Path(destination or self.id or self.name)
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in self._logs().items():
            (folder / name).write_bytes(path.read_bytes())
        return [str(folder / name) for name in self._logs()]

    def _logs(self) -> dict[str, Path]:
        if not self.id:
            return {}
        found = {name: self.folder / "logs" / name for name in _LOGS}
        return {name: path for name, path in found.items() if path.is_file() and not path.is_symlink()}

    def get_children(
        self,
        recursive: bool = False,
        tags: Marks = None,
        properties: Marks = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Iterate over nothing: what a script logs for its children is kept with its step.

        Args:
            recursive: Not used.
            tags: Not used.
            properties: Not used.
            type: Not used.
            status: Not used.

        Returns:
            An empty iterator.
        """
        return iter(())

    def get_portal_url(self) -> str:
        """Return the address of the run's page in Prefect's UI.

        Returns:
            A URL.
        """
        return self._run.get_portal_url()

    def get_secret(self, name: str) -> str:
        """Return a secret of the workspace.

        Args:
            name: Its name in the workspace's key vault.

        Returns:
            Its value.

        Raises:
            UserErrorException: There is none of that name.
        """
        return Keyvault(self._run.workspace).get_secret(name)

    def get_snapshot_id(self) -> str:
        """Return the digest of the step's source directory as it ran.

        Returns:
            The digest.

        Raises:
            UserErrorException: The run has noted none.
        """
        facts = self._run.folder.facts()
        steps = facts.get("pipeline", {}).get("steps", [])
        source = next((one.get("source_directory") for one in steps if one.get("id") == self._summary.defined_as), None)
        found = facts.get("snapshots", {}).get(source)
        if not found:
            raise UserErrorException("The step has no snapshot", {"step": self.name}, "Run it in a pipeline.")
        return str(found)

    def restore_snapshot(self, snapshot_id: str | None = None, path: str | None = None) -> str:
        """Write the step's source directory as it ran to a ZIP file.

        Args:
            snapshot_id: The digest; by default that of the step.
            path: The folder to write to; by default the current directory.

        Returns:
            The path of the file.

        Raises:
            UserErrorException: There is no such snapshot any more.
        """
        wanted = snapshot_id or self.get_snapshot_id()
        store = self._run.workspace.store
        snapshot = store.bring_snapshot(wanted)
        if snapshot is None or store.snapshot_damage(wanted):
            raise UserErrorException(
                "The snapshot is gone: the store no longer keeps it", {"snapshot": wanted}, "Run the pipeline again."
            )
        with tempfile.TemporaryDirectory(prefix="stepwell-") as folder:
            snapshot.copy_to(Path(folder, "source"))
            return shutil.make_archive(os.path.join(path or ".", wanted[:32]), "zip", Path(folder, "source"))

    # Ending, children -----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel the step: end it now, or when it begins. The run ends with it, or goes on past it as past a failure.

        A step that has ended stays as it is.

        Raises:
            ExperimentExecutionException: It is a step in a flow of the user's own.
        """
        cancel_step(self._run.folder, self._summary.id)

    def complete(self, _set_status: bool = True) -> None:
        """Refuse: a step is complete when its script ends.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        raise NotImplementedError("A step is complete when its script ends")

    def fail(self, error_details: object = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """Refuse: a step fails when its script does; `cancel` ends it.

        Args:
            error_details: Not used.
            error_code: Not used.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        raise NotImplementedError("A step fails when its script does; `cancel()` ends it")

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: str | None = None) -> NoReturn:
        """Refuse: only a step's script can have children for it.

        Args:
            name: Not used.
            run_id: Not used.
            outputs: Not used.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        raise NotImplementedError(
            "Only a step's script makes children of its run; use `step_run.parent.submit_child(…)`"
        )

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[Any] | None = None
    ) -> NoReturn:
        """Refuse, as `child_run`.

        Args:
            count: Not used.
            tag_key: Not used.
            tag_values: Not used.

        Raises:
            NotImplementedError: Always, as in Azure ML SDK v1.
        """
        self.child_run()

    def submit_child(self, config: Any, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> NoReturn:
        """Refuse, as `child_run`: the pipeline's run can have it submitted.

        Args:
            config: Not used.
            tags: Not used.
            **kwargs: Not used.

        Raises:
            NotImplementedError: Always.
        """
        self.child_run()

    def find_step_run(self, name: str) -> list[Any]:
        """Return no steps: a step has none.

        Args:
            name: Not used.

        Returns:
            An empty list.
        """
        return []

    def get_steps(self) -> Iterator[Any]:
        """Iterate over nothing: a step has no steps.

        Returns:
            An empty iterator.
        """
        return iter(())
