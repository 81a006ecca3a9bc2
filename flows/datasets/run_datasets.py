"""The datasets that steps read and wrote, as v1's `get_details()` has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from stepwell.blocks.datasets.abstract_dataset import AbstractDataset
from stepwell.blocks.datasets.dataset import dataset_of
from stepwell.blocks.datasets.file_dataset import FileDataset
from stepwell.blocks.datasets.registry import find
from stepwell.blocks.datasets.sources import definition_in
from stepwell.blocks.datasets.tabular_dataset import TabularDataset
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import datastores_of
from stepwell.model.definitions import OUTPUT

Noted = Mapping[str, Mapping[str, Any]]
"""What a run has noted of the datasets of a step, by input or output."""


def input_datasets(workspace: BaseWorkspace, read: Noted) -> list[dict[str, Any]]:
    """Return what a step read of datasets; what another step wrote is none that could be found again."""
    return [
        {
            "dataset": dataset,
            "consumptionDetails": {
                "type": "RunInput",
                "inputName": name,
                "mechanism": str(facts.get("mode", "direct")).capitalize(),
                "pathOnCompute": facts.get("path_on_compute"),
            },
        }
        for name, facts in read.items()
        for dataset in _found(workspace, facts)
    ]


def output_datasets(workspace: BaseWorkspace, registered: Noted) -> list[dict[str, Any]]:
    """Return the datasets of the workspace that a step's outputs became."""
    return [
        {
            "identifier": {"savedId": dataset.id, "registeredId": facts.get("name")},
            "outputType": "RunOutput",
            "outputDetails": {"outputName": name},
            "dataset": dataset,
        }
        for name, facts in registered.items()
        for dataset in _found(workspace, facts)
    ]


def _found(workspace: BaseWorkspace, facts: Mapping[str, Any]) -> Iterator[AbstractDataset]:
    """Yield the dataset, as it is registered or else as the run had it; none if it can't be found again."""
    with suppress(UserErrorException):
        if facts.get("name"):
            yield dataset_of(workspace, find(workspace, str(facts["name"]), facts.get("version")))
            return
    with suppress(ValueError):
        definition = definition_in(str(facts.get("document", "")))
        if definition.places and OUTPUT not in datastores_of(definition):
            yield (TabularDataset if definition.kind == "tabular" else FileDataset)(definition, workspace)
