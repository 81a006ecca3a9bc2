"""`DataTransferStep`: a step that copies data from one datastore to another."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any, Literal, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.workspace.references import DataReference
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import StepOptions
from stepwell.flows.steps.data.sql_data_reference import SqlDataReference
from stepwell.flows.steps.outputs import PipelineData
from stepwell.flows.steps.ports import refuse_local
from stepwell.flows.steps.step import Step

_COPY = (
    "import os, shutil, sys; source, target = sys.argv[1:]; "
    "(shutil.copytree if os.path.isdir(source) else shutil.copyfile)(source, target)"
)
_COPY_TABLE = (
    "import os, shutil, sys; source, target = sys.argv[1:]; "
    "shutil.copyfile(os.path.join(source, *os.listdir(source)), target)"
)
"""Copies the one file that a table has become."""


@checked
class DataTransferStep(Step):
    """A step that copies the data of one reference to the place of another; equal bytes are not copied again.

    It has the arguments of Azure ML SDK v1, and runs on this machine. The rows of a SqlDataReference become a file as the
    destination's name asks for (`.csv`, `.tsv`, else Parquet), or a folder that holds one.

    Args:
        name: The step's name.
        source_data_reference: The data to copy, on a datastore, from another step, or of a database.
        destination_data_reference: Where to copy them to.
        compute_target: A `DataFactoryCompute`, or another for v1's sake; this machine does the work.
        source_reference_type: `file` or `directory`; counts only beside `destination_reference_type`.
        destination_reference_type: `directory` with a source that is a `file` puts the file into that folder.
        allow_reuse: Whether nothing is done when the same data was copied before.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is no source, or no destination, or one of them is in the other.
    """

    def __init__(
        self,
        name: str,
        source_data_reference: DataReference | PipelineData | SqlDataReference | None = None,
        destination_data_reference: DataReference | SqlDataReference | None = None,
        compute_target: Any = None,
        source_reference_type: Literal["file", "directory"] | None = None,
        destination_reference_type: Literal["file", "directory"] | None = None,
        allow_reuse: bool = True,
        **more: Unpack[StepOptions],
    ) -> None:
        if isinstance(destination_data_reference, SqlDataReference):
            raise UserErrorException(
                f"The transfer {name!r} can't write to a database, where nobody could tell what stands there already",
                hint="Write the rows in a script, or swap source and destination.",
            )
        if source_data_reference is None or not isinstance(destination_data_reference, DataReference):
            raise UserErrorException(
                f"The transfer {name!r} needs a source and a destination",
                hint="Pass `source_data_reference` and `destination_data_reference`.",
            )
        target = destination_data_reference
        refuse_local(target)
        if destination_reference_type == "directory" and source_reference_type == "file":
            file_name = posixpath.basename(
                getattr(source_data_reference, "path_on_datastore", None) or source_data_reference.name
            )
            target = target.path(file_name, target.name)
        target = replace(target, mode="mount", data_reference_name=f"{target.name}_out")
        _refuse_nested(name, source_data_reference, target)
        source: Any = source_data_reference
        script = _COPY
        if isinstance(source, SqlDataReference):
            suffix = posixpath.splitext(target.path_on_datastore or "")[1].lstrip(".").lower()
            named = bool(suffix) and destination_reference_type != "directory"
            source = DatasetConsumptionConfig(source.name, source.files(suffix if named else "parquet"), "mount")
            script = _COPY_TABLE if named else _COPY
        super().__init__(
            name=name,
            arguments=["python", "-c", script, source, target],
            inputs=[source],
            outputs=[target],
            compute_target=None,
            allow_reuse=allow_reuse,
            **more,
        )

    _needs_source = False

    def get_output(self) -> Any:
        """Return the copied data, as an input for other steps.

        Returns:
            A reference to the destination, for another step's `inputs`.
        """
        return self.outputs[0]


def _refuse_nested(name: str, source: Any, target: DataReference) -> None:
    """Raise UserErrorException if data would be copied to where they stand, or into themselves, or over what holds them."""
    if not isinstance(source, DataReference) or source.source.datastore != target.source.datastore:
        return
    here, there = (posixpath.normpath(f"/{one.source.path}") for one in (source, target))
    for inner, outer in ((here, there), (there, here)):
        if inner == outer or inner.startswith(f"{outer.rstrip('/')}/"):
            raise UserErrorException(
                f"The transfer {name!r} would copy data to where they stand"
                if here == there
                else f"The transfer {name!r} would copy a folder into itself"
                if inner == there
                else f"The transfer {name!r} would copy data over the folder that holds them",
                {
                    "source": here.lstrip("/") or "the whole datastore",
                    "destination": there.lstrip("/") or "the whole datastore",
                },
                "Name a destination beside the source.",
            )
