"""`StepDetails`: what v1's runs tell of themselves, of a step: what it belongs to, what its script said of it, its logs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.datasets.run_datasets import input_datasets, output_datasets
from stepwell.flows.public.host_run import Marks
from stepwell.flows.runs.summary import StepSummary

if TYPE_CHECKING:
    from stepwell.flows.public.host_run import ExperimentLike
    from stepwell.flows.public.pipeline_run import PipelineRun

_LOGS = ("70_driver_log.txt", "stderr.txt", "stdout.txt")


@checked
class StepDetails:
    """A step of a run, as far as every run of v1 tells the same."""

    _run: PipelineRun
    _summary: StepSummary

    if TYPE_CHECKING:

        @property
        def id(self) -> str:
            """The id of the step run that made the result."""

        @property
        def name(self) -> str:
            """The step's name."""

        @property
        def status(self) -> str:
            """v1's word for how it stands."""

        @property
        def folder(self) -> Path:
            """The folder of its logs, metrics and files."""

        @property
        def properties(self) -> dict[str, str]:
            """Facts about it."""

        def _current(self) -> StepSummary: ...

        def get_file_names(self) -> list[str]:
            """Return the files that its script left."""

        def download_file(self, name: str, output_file_path: str | None = None) -> None:
            """Copy one of them."""

    @property
    def type(self) -> str:
        """`azureml.StepRun`, as in v1."""
        return "azureml.StepRun"

    @property
    def display_name(self) -> str:
        """The step's name."""
        return self.name

    @property
    def experiment(self) -> ExperimentLike:
        """The experiment of the run."""
        return self._run.experiment

    @property
    def parent(self) -> PipelineRun:
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
    def tags(self) -> dict[str, Any]:
        """The tags that the script gave its step."""
        found: dict[str, Any] = {}
        for event in self._current().events:
            if event["scope"] == "step" and event["type"] == "tag":
                found[event["name"]] = event["value"]
            elif event["scope"] == "step" and event["type"] == "untag":
                found.pop(event["name"], None)
        return found

    def get_tags(self) -> dict[str, Any]:
        """Return the same as `tags`, under v1's other name.

        Returns:
            The step's tags by name.
        """
        return self.tags

    def get_properties(self) -> dict[str, Any]:
        """Return the same as `properties`, under v1's other name.

        Returns:
            The step's properties by name.
        """
        return self.properties

    def _noted(self) -> dict[str, str]:
        events = self._current().events
        return {e["name"]: str(e["value"]) for e in events if e["scope"] == "step" and e["type"] == "property"}

    def get_details(self) -> dict[str, Any]:
        """Collect the id, status, tags, properties, logs, and the datasets that it read and wrote.

        Returns:
            The details by v1's names: `runId`, `target`, `status`, `properties`, `tags`, `inputDatasets` (each with its
            `dataset` and `consumptionDetails`), `outputDatasets` (each with its `dataset`, `identifier` and
            `outputDetails`), and `logFiles`, paths by name.
        """
        summary = self._current()
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

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | None = None,
        output_paths: list[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
    ) -> None:
        """Copy the files of `get_file_names` that begin with `prefix` into a folder.

        Args:
            prefix: Beginning of the names; None for all files.
            output_directory: The folder; None for the current directory.
            output_paths: Paths of the copies below the folder, in the order of the names; None for those names.
            batch_size: Accepted for v1's sake; not used.
            append_prefix: Whether copies keep the prefix in their paths; without effect if `output_paths` are given.
            timeout_seconds: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: There are more `output_paths` than files or fewer.
        """
        names = [name for name in self.get_file_names() if name.startswith(prefix or "")]
        cut = 0 if append_prefix else len(prefix or "")
        paths = output_paths or [name[cut:].lstrip("/") for name in names]
        if len(paths) != len(names):
            raise UserErrorException("As many paths as files are needed", {"files": names, "paths": len(paths)})
        for name, path in zip(names, paths, strict=True):
            target = os.path.join(output_directory or ".", path)
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            self.download_file(name, target)

    def get_portal_url(self) -> str:
        """Return the address of the run's page in Prefect's UI.

        Returns:
            A URL.
        """
        return self._run.get_portal_url()
