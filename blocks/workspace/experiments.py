"""What is known of experiments beside their runs: labels, and whether they are archived; a Prefect block for each that has any."""

from __future__ import annotations

import uuid
from typing import ClassVar

from pydantic import Field

from stepwell.blocks.server import documents


class ExperimentBlock(documents.NamedBlock):
    """The labels of an experiment."""

    _block_type_name: ClassVar[str] = "Stepwell Experiment"
    _block_type_slug: ClassVar[str] = "stepwell-experiment"
    _description: ClassVar[str] = "A name for runs that belong together: its labels."

    workspace: str = Field(description="The workspace that the experiment belongs to.")
    name: str = Field(description="The experiment's name.")
    tags: dict[str, str] = Field(default_factory=dict, description="Free labels.")
    archived: str = Field(default="", description="When it was archived, empty if it is not.")


def id_of(workspace: str, name: str) -> str:
    """Return an id for the experiment, the same in every process."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"stepwell:{workspace}/{name}"))


def facts_of(workspace: str, name: str) -> ExperimentBlock:
    """Return what is known of the experiment, not saved yet if that is nothing."""
    known = documents.load_named(ExperimentBlock, workspace, name)
    return known or ExperimentBlock(workspace=workspace, name=name)


def all_facts(workspace: str) -> dict[str, ExperimentBlock]:
    """Return what is known of the workspace's experiments, by name."""
    return {block.name: block for block in documents.load_any([ExperimentBlock], workspace=workspace)}
