"""Inputs and outputs of steps as their authors write them: their names, modes and ports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.datasets.sources import dataset_source, document_of
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.references import DataPathComputeBinding, DataReference, LocalData
from stepwell.errors import UserErrorException
from stepwell.flows.datasets.output_datasets import PipelineOutputFileDataset, PipelineOutputTabularDataset
from stepwell.flows.datasets.output_tables import OutputTabularDatasetConfig
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.outputs import REFERENCE, OutputFileDatasetConfig, OutputInput, PipelineData
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.definitions import Argument, OutputPort, Piece

_CONFIGS = (OutputFileDatasetConfig, OutputTabularDatasetConfig)
_PIPELINE_DATASETS = (PipelineOutputFileDataset, PipelineOutputTabularDataset)

PARAMETER = "AML_PARAMETER_"
OUTPUT, INPUT = "DatasetOutputConfig:", "DatasetConsumptionConfig:"
_WORD = re.compile(rf"(\$\{{|\$)?({REFERENCE}|{PARAMETER}|{OUTPUT}|{INPUT})(\w+)")

Named = Mapping[str, Mapping[str, Piece]]
"""What texts may name, by kind of reference and name."""


def pieces_of(text: str, known: Named, is_kept: Callable[[str, int], bool] = lambda *_: False) -> Argument:
    """Return the pieces of a text that names what is known as `str(port)` and `arg_val` do, wherever in it.

    `is_kept`, called with a variable that is named and its place, returns whether the text is left as it is there.
    """
    pieces, end = list[Piece](), 0
    for start, after, kind, word, piece in _named(text, known):
        if not (kind == REFERENCE and is_kept(kind + word, start)):
            pieces += [Piece("text", text[end:start]), piece]
            end = after
    pieces.append(Piece("text", text[end:]))
    return tuple(piece for piece in pieces if piece.value or len(pieces) == 1)


def _named(text: str, known: Named) -> Iterator[tuple[int, int, str, str, Piece]]:
    """Yield the begin and end of each reference, its kind, its whole word and what it names: of no more than a word's begin too."""
    for match in _WORD.finditer(text):
        opening, kind, word = match.groups()
        braced = opening == "${" and text.startswith("}", match.end())
        variable = kind in (REFERENCE, PARAMETER)
        if variable and not (braced or opening == "$"):
            continue
        shortest = len(word) if braced or kind == PARAMETER else 1
        for length in range(len(word), shortest - 1, -1):
            if piece := known[kind].get(word[:length]):
                start = match.start() if variable or braced else match.start(2)
                yield start, match.start(3) + length + braced, kind, word, piece
                break


def workspace_of(items: Iterable[Any]) -> BaseWorkspace | None:
    """Return the workspace whose datastore or dataset an input or output names, None if none does."""
    for item in items:
        data = original(item)
        datastore = getattr(data, "datastore", None)
        owner = datastore.workspace if isinstance(datastore, Datastore) else getattr(data, "workspace", None)
        if isinstance(owner, BaseWorkspace):
            return owner
    return None


def original(item: Any) -> Any:
    """Return the data that an input or output stands for: the object that its producer writes, or a dataset."""
    data = item.dataset if isinstance(item, DatasetConsumptionConfig) else item
    data = data.data if isinstance(data, (OutputInput, *_PIPELINE_DATASETS)) else data
    return data.original if isinstance(data, _CONFIGS) else data


def is_output(item: Any) -> bool:
    """Return whether the item is an output of a step, or an input made of one."""
    return isinstance(original(item), (PipelineData, OutputFileDatasetConfig))


def is_dataset(item: Any) -> bool:
    """Return whether the item is an input whose environment variable has its name, as datasets' have."""
    return isinstance(item, (DatasetConsumptionConfig, *_PIPELINE_DATASETS)) or isinstance(original(item), _CONFIGS)


def parameter_of(item: Any) -> PipelineParameter | None:
    """Return the parameter that names the data of an input, None if none does."""
    named = item.dataset if isinstance(item, DatasetConsumptionConfig) else item
    named = named[0] if isinstance(named, tuple) and named else None if isinstance(named, tuple) else named
    if named is item:
        return None
    return named if isinstance(named, PipelineParameter) else None


def reading_of(item: Any) -> str:
    """Return how the files of an output are read where it is an input that is a dataset, as JSON text."""
    data = item.dataset if isinstance(item, DatasetConsumptionConfig) else item
    if isinstance(data, (OutputTabularDatasetConfig, *_PIPELINE_DATASETS)):
        return data.reading
    return document_of(DatasetDefinition("file")) if is_output(data) else ""


def is_port(value: Any) -> bool:
    """Return whether an argument stands for an input or output."""
    return is_output(value) or isinstance(value, (DataReference, DatasetConsumptionConfig, tuple))


def is_among(value: Any, items: Iterable[Any]) -> bool:
    """Return whether the very object is one of the items."""
    return any(item is value for item in items)


def name_of(item: Any) -> str:
    """Return the name of an input or output; raise UserErrorException if the item can be neither."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], PipelineParameter):
        return item[0].name
    if isinstance(item, _PIPELINE_DATASETS):
        return str(item.input_name)
    if isinstance(item, (DataReference, DatasetConsumptionConfig)) or is_output(item):
        return str(item.name)
    raise UserErrorException(
        f"Unexpected input type: {type(item).__name__}",
        {"value": repr(item)},
        "Pass a DataReference, a dataset, PipelineData, OutputFileDatasetConfig, or a (PipelineParameter, "
        "DataPathComputeBinding).",
    )


def access_of(item: Any) -> tuple[Any, str | None]:
    """Return the mode of an input, and the path on the compute target that it names."""
    if isinstance(item, tuple):
        binding = item[1] if isinstance(item[1], DataPathComputeBinding) else DataPathComputeBinding()
        return binding.mode, binding.path_on_compute
    if isinstance(item, (DataReference, OutputInput, DatasetConsumptionConfig, *_PIPELINE_DATASETS)):
        return item.mode, item.path_on_compute
    return "mount", None


def refuse_local(reference: DataReference) -> None:
    """Raise UserErrorException if what is to be written are data of this machine."""
    if isinstance(reference, LocalData):
        reference.as_upload()


def port_of(item: Any) -> OutputPort:
    """Return the port of an output; raise UserErrorException if the item can't be one."""
    if isinstance(item, (PipelineData, *_CONFIGS, *_PIPELINE_DATASETS)):
        return item.port
    if isinstance(item, DataReference):
        refuse_local(item)
        return OutputPort(
            name=item.name,
            variable=f"AZUREML_DATAREFERENCE_{item.name}",
            datastore=item.datastore.name,
            mode="upload" if item.mode == "upload" else "mount",
            path_on_compute=item.path_on_compute,
            destination=item.path_on_datastore or "",
            overwrite=item.overwrite,
        )
    raise UserErrorException(
        f"Unexpected output type: {type(item).__name__}",
        {"value": repr(item)},
        "Pass PipelineData, OutputFileDatasetConfig or a DataReference.",
    )


def as_input(item: Any) -> Any:
    """Return the item as an input: a dataset that is passed as it is gets the name that it is registered under."""
    if dataset_source(item) is None:
        return item
    name = re.sub(r"\W", "_", getattr(item, "name", None) or "dataset", flags=re.ASCII)
    return DatasetConsumptionConfig(f"_{name}" if name[0].isdigit() else name, item)


def adopted(arguments: Iterable[Any], inputs: list[Any], outputs: list[Any]) -> list[Any]:
    """Return the arguments, datasets among them as inputs; what stands only there joins `inputs` or `outputs`, as in v1."""
    listed, found = {id(original(item)) for item in (*inputs, *outputs)}, []
    for argument in arguments:
        value = argument
        if dataset_source(value) is not None:
            value = next((item for item in inputs if original(item) is value), None) or as_input(value)
        if isinstance(value, _CONFIGS) and id(value.original) not in listed:
            outputs.append(value)
            listed.add(id(value.original))
        consumed = isinstance(value, OutputInput) and isinstance(value.data, OutputFileDatasetConfig)
        if (consumed or isinstance(value, DatasetConsumptionConfig)) and not (
            is_among(value, inputs) or any(_is_same(value, item) for item in inputs)
        ):
            inputs.append(value)
        found.append(value)
    return found


def _is_same(first: Any, second: Any) -> bool:
    """Return whether both are one dataset under one name, if in two modes perhaps."""
    both = (first, second)
    return (
        all(isinstance(item, DatasetConsumptionConfig) for item in both)
        and first.name == second.name
        and (original(first) is original(second))
    )
