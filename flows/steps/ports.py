"""Inputs and outputs of steps as their authors write them: their names, modes and ports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.references import DataPathComputeBinding, DataReference
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, OutputInput, PipelineData
from stepwell.model.definitions import Argument, OutputPort, Piece

REFERENCE, PARAMETER = "AZUREML_DATAREFERENCE_", "AML_PARAMETER_"
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
    """Return the workspace whose datastore an input or output names, None if none does."""
    for item in items:
        datastore = getattr(original(item), "datastore", None)
        if isinstance(datastore, Datastore) and isinstance(datastore.workspace, BaseWorkspace):
            return datastore.workspace
    return None


def original(item: Any) -> Any:
    """Return the data that an input or output stands for: the object that its producer writes."""
    data = item.data if isinstance(item, OutputInput) else item
    return data.original if isinstance(data, OutputFileDatasetConfig) else data


def is_output(item: Any) -> bool:
    """Return whether the item is an output of a step, or an input made of one."""
    return isinstance(item, (PipelineData, OutputFileDatasetConfig, OutputInput))


def is_port(value: Any) -> bool:
    """Return whether an argument stands for an input or output."""
    return is_output(value) or isinstance(value, (DataReference, tuple))


def is_among(value: Any, items: Iterable[Any]) -> bool:
    """Return whether the very object is one of the items."""
    return any(item is value for item in items)


def name_of(item: Any) -> str:
    """Return the name of an input or output; raise UserErrorException if the item can be neither."""
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], PipelineParameter):
        return item[0].name
    if isinstance(item, DataReference) or is_output(item):
        return str(item.name)
    raise UserErrorException(
        f"Unexpected input type: {type(item).__name__}",
        {"value": repr(item)},
        "Pass a DataReference, PipelineData, OutputFileDatasetConfig, or a (PipelineParameter, DataPathComputeBinding).",
    )


def access_of(item: Any) -> tuple[Any, str | None]:
    """Return the mode of an input, and the path on the compute target that it names."""
    if isinstance(item, tuple):
        binding = item[1] if isinstance(item[1], DataPathComputeBinding) else DataPathComputeBinding()
        return binding.mode, binding.path_on_compute
    if isinstance(item, (DataReference, OutputInput)):
        return item.mode, item.path_on_compute
    return "mount", None


def port_of(item: Any) -> OutputPort:
    """Return the port of an output; raise UserErrorException if the item can't be one."""
    if isinstance(item, (PipelineData, OutputFileDatasetConfig)):
        return item.port
    if isinstance(item, DataReference):
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
