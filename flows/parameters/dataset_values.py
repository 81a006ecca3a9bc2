"""Datasets as values of parameters: looked up in the registry, so that every step of a run reads the same version."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.blocks.datasets.inputs import pinned
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.values import Value
from stepwell.model.definitions import DatasetSource


def with_versions(values: Mapping[str, Value], workspace: BaseWorkspace) -> dict[str, Value]:
    """Return the values, of each dataset the version that it is now; raise UserErrorException if it is not registered."""
    return {
        name: _pinned(name, value, workspace) if isinstance(value, DatasetSource) else value
        for name, value in values.items()
    }


def _pinned(name: str, value: DatasetSource, workspace: BaseWorkspace) -> DatasetSource:
    try:
        return pinned(workspace, value)
    except UserErrorException as error:
        title = error.title[0].lower() + error.title[1:]
        raise UserErrorException(f"The parameter {name!r} has no dataset: {title}", error.facts, error.hint) from None
