"""What a script writes beside the paths of its outputs: taken when it has ended, and shown beside these to who reads them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from stepwell.blocks.system.files import copy_tree, remove
from stepwell.model.definitions import InputPort, OutputSource, StepDefinition
from stepwell.model.records import beside

_MOST_NAMED = 5


def drop_links_and_pipes(place: Path) -> list[str]:
    """Remove from a folder that no step can touch any more what no folder can be kept with, and return its paths there."""
    dropped, inside = [], f"{os.path.realpath(place)}/"
    for folder, folders, files in os.walk(place):
        for path in (Path(folder, name) for name in (*folders, *files)):
            kind = path.lstat().st_mode
            leads_out = stat.S_ISLNK(kind) and not os.path.realpath(path).startswith(inside)
            if leads_out or not (stat.S_ISLNK(kind) or stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
                path.unlink()
                dropped.append(str(path.relative_to(place)))
    return dropped


def warning_of(definition: StepDefinition, place: Path) -> str:
    """Return the words that warn of what is not kept of a folder of files beside outputs, '' if nothing is lost.

    Of what is kept, it is what no folder can be kept with, which is removed.
    """
    dropped = drop_links_and_pipes(place) if definition.keeps_files_beside else sorted(os.listdir(place))
    if not dropped:
        return ""
    shown = ", ".join(dropped[:_MOST_NAMED]) + (
        f" and {len(dropped) - _MOST_NAMED} more" if dropped[_MOST_NAMED:] else ""
    )
    hint = "" if definition.keeps_files_beside else "; write into them"
    return f"Step {definition.id!r} wrote beside its outputs what is not kept: {shown}{hint}"


def with_files_beside(port: InputPort, data: Path, inputs: dict[str, Path], folder: Path) -> Path:
    """Return the path of an input, which is in a folder below `folder` if its step wrote something beside it.

    There it has the name that it had, as a link to the data, beside copies of what was written there.
    """
    written = inputs.get(beside(port.name))
    if written is None or not isinstance(port.source, OutputSource):
        return data
    copy_tree(written, folder / "inputs" / port.name)
    path = folder / "inputs" / port.name / port.source.output
    remove(path)
    path.symlink_to(os.path.realpath(data))
    return path
