"""`PortDataReference`: an output of a step that has run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.system.files import copy_tree
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import DatastoreException
from stepwell.model.records import Artifact, StepRecord


@checked
class PortDataReference:
    """An output of a step that has run: its place on its datastore, and a way to get it.

    Attributes:
        name: The output's name.
        datastore_name: The datastore that it is on.
        path_on_datastore: Its path there.
        pipeline_run_id: The id of the run that made it.
        artifact: Its digest and place, as the step's record has them.
    """

    def __init__(self, workspace: BaseWorkspace, name: str, record: StepRecord, artifact: Artifact) -> None:
        self._workspace = workspace
        self._record = record
        self.artifact = artifact
        self.name = name
        self.datastore_name = artifact.datastore
        self.path_on_datastore = artifact.path
        self.pipeline_run_id = record.run_id

    def get_port_data_reference(self) -> PortDataReference:
        """Return this object, as v1's StepRunOutput has it.

        Returns:
            This object.
        """
        return self

    @property
    def local_path(self) -> Path:
        """Where the bytes are on this machine; not to be written to."""
        return self._workspace.store.bring(self.artifact.digest)

    def download(self, local_path: str | Path, overwrite: bool | None = None, show_progress: bool | None = None) -> int:
        """Copy the output to a folder, under the whole path that it has on its datastore, as in Azure ML SDK v1.

        Args:
            local_path: The folder to copy to.
            overwrite: Whether files that exist there are replaced; by default they stay.
            show_progress: Accepted for v1's sake; not used.

        Returns:
            How many files were copied.

        Raises:
            DatastoreException: The output is gone or was damaged.
        """
        return self.copy_to(Path(local_path) / self.path_on_datastore, bool(overwrite))

    def copy_to(self, target: Path, overwrite: bool = False) -> int:
        """Copy the output to `target` itself.

        Args:
            target: The path of the copy: a folder's, or a file's if the output is one file.
            overwrite: Whether files that exist there are replaced; by default they stay.

        Returns:
            How many files were copied.

        Raises:
            DatastoreException: The output is gone or was damaged.
        """
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
                root = self.local_path
                copy_tree(root / entry.path, place, below=root if entry.path else root.parent)
                count += 1
        return count

    def __repr__(self) -> str:
        return f"PortDataReference(name={self.name!r}, path_on_datastore={self.path_on_datastore!r})"


def gone_error(gone: Mapping[str, tuple[str, ...]], copied: int | None = None) -> DatastoreException:
    """Return the error that names the outputs which are gone."""
    facts: dict[str, object] = {step: ", ".join(names) for step, names in gone.items()}
    facts |= {} if copied is None else {"files copied": copied}
    title = "Outputs of the run are gone: the store no longer keeps them"
    return DatastoreException(title, facts, "Run the pipeline again: they will be made anew.")
