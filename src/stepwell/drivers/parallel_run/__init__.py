"""The driver of ParallelRunStep: items in mini-batches, given to worker processes that run the entry script's `run`."""

from __future__ import annotations

import json
import re
import symtable
from collections.abc import Mapping

from stepwell.drivers.parallel_run.driving import drive
from stepwell.drivers.parallel_run.results import read_index
from stepwell.drivers.parallel_run.settings import EARLIER, Settings
from stepwell.drivers.parallel_run.sources import foretold_sources, refuse_kinds
from stepwell.drivers.parallel_run.splitting import Split, refuse_keys
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.records import Contents, Known

__all__ = ["foretell", "main", "refuse"]

_BOUND_ELSEHOW = re.compile(rb"\b(?:global\s+run|globals|exec|vars|setattr|__dict__|__getattr__)\b|import\s*\*")


def main(script: str, settings: Mapping[str, str]) -> None:
    """Run the entry script over all items of the step's inputs; end as a script does that failed if too many fail."""
    drive(script, settings)


def foretell(settings: Mapping[str, str], contents: Mapping[str, Contents]) -> str:
    """Return in words how many mini-batches will run, '' if nothing is known of an earlier execution.

    That is what the host can say before the step runs.
    """
    chosen = Settings.of(settings)
    if not chosen.keeps:
        return ""
    earlier = read_index(contents[EARLIER].path)
    if earlier.why_not:
        return f"all mini-batches will run: {earlier.why_not}"
    if not earlier:
        return ""
    count = new = files = 0
    for _, batch, stands in Split(chosen, foretold_sources(contents, chosen.inputs), earlier).mini_batches():
        count += 1
        if stands is None:
            new += 1
            files += len(batch.names)
    return f"{new:,} of {count:,} mini-batches will run, with {files:,} file{'s' if files != 1 else ''}"


def refuse(known: Known) -> None:
    """Raise UserErrorException for what no mini-batch could be made or run with."""
    chosen = Settings.of(known.settings)
    definitions = {
        name: DatasetDefinition.from_json(json.loads(known.inputs[name].document))
        if known.inputs[name].document
        else None
        for name in chosen.inputs
        if name in known.inputs
    }
    tables = {name: definition is not None and definition.kind == "tabular" for name, definition in definitions.items()}
    refuse_kinds(tables)
    for name, definition in definitions.items():
        if chosen.partition_keys:
            refuse_keys(name, definition, chosen.partition_keys)
        else:
            _ = chosen.bytes if tables[name] else chosen.files
    with open(known.script, "rb") as stream:
        text = stream.read()
    if lacks_run(text):
        raise UserErrorException(
            "The entry script has no function `run(mini_batch)`",
            {"step": known.step, "script": known.script},
            "Write one: it is called for each mini-batch.",
        )


def lacks_run(text: bytes) -> bool:
    """Return whether a script is sure to have no name `run` once it was executed."""
    if _BOUND_ELSEHOW.search(text):
        return False
    try:
        table = symtable.symtable(text.decode("utf-8-sig"), "entry script", "exec")
    except (SyntaxError, ValueError):
        return False
    bound = (name for name in table.get_symbols() if name.is_assigned() or name.is_imported() or name.is_namespace())
    return all(name.get_name() != "run" for name in bound)
