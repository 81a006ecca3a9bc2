"""What several steps wrote as folders of one: the outputs of the step that joins a mapped step's items."""

from __future__ import annotations

from pathlib import Path

from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import copy_tree
from stepwell.model.records import StepCall
from stepwell.model.tree import Tree, scan
from stepwell.model.trees.entries import Entry


def join_inputs(store: Store, call: StepCall, folder: Path) -> dict[str, tuple[Path, Tree]]:
    """Return where each output stands, below an empty folder, and what it holds: the inputs called `<output>/<path in it>`.

    What the store keeps already is not written again. Bytes that can't be had raise LostBytes.
    """
    found = {}
    for number, port in enumerate(call.definition.outputs):
        place = folder / str(number)
        place.mkdir()
        parts = {
            name.removeprefix(f"{port.name}/"): artifact.digest
            for name, artifact in call.inputs.items()
            if name.startswith(f"{port.name}/")
        }
        tree = joined({path: store.manifest(digest) or scan(store.bring(digest)) for path, digest in parts.items()})
        if not store.tree_intact(tree.digest):
            for path, digest in parts.items():
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                copy_tree(store.bring(digest), place / path)
        found[port.name] = place, tree
    return found


def joined(trees: dict[str, Tree]) -> Tree:
    """Return the folder that has these trees at these paths."""
    entries = list[Entry]()
    for path, tree in trees.items():
        entries += [entry._replace(path=f"{path}/{entry.path}" if entry.path else path) for entry in tree.entries]
        if not tree.entries:
            entries.append(Entry(path, "folder", "", 0, False))
    return Tree(tuple(sorted(entries)))
