"""Registered environments: Prefect blocks, one for each version of each name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from prefect.types import SecretDict
from pydantic import Field

from stepwell.blocks.server import documents

if TYPE_CHECKING:
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace


class EnvironmentBlock(documents.NamedBlock):
    """One version of a registered environment; its content is kept secret, as variables and index URLs may be."""

    _block_type_name: ClassVar[str] = "Stepwell Environment"
    _block_type_slug: ClassVar[str] = "stepwell-environment"
    _description: ClassVar[str] = "Packages, variables and image of steps."
    named_by: ClassVar[tuple[str, ...]] = ("workspace", "name", "version")

    workspace: str = Field(description="The workspace that the environment belongs to.")
    name: str = Field(description="The environment's name.")
    version: int = Field(description="The version, counted from 1.")
    digest: str = Field(description="What tells whether another environment of the name holds the same.")
    content: SecretDict = Field(description="The environment as v1's files have it.")


def versions_of(workspace: BaseWorkspace, name: str) -> list[EnvironmentBlock]:
    """Return every version of the environment `name` in the workspace, the oldest first."""
    found = documents.load_all(EnvironmentBlock, workspace=workspace.name, name=name)
    return sorted(found, key=lambda block: block.version)


def latest_of(blocks: Iterable[EnvironmentBlock]) -> EnvironmentBlock | None:
    """Return the latest of the versions, None if there are none."""
    return max(blocks, key=lambda block: block.version, default=None)
