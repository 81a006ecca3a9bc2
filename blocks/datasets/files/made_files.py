"""Files that are made of a table: kept in the store by content, and made once as long as the table stays the same."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import remove
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import LocalFile
from stepwell.model.digests import digest
from stepwell.model.tree import Tree, scan
from stepwell.script.tables.reading import frame_of
from stepwell.script.tables.writing import write_table

_RULES = "1"


def made_files(
    store: Store | None,
    table: DatasetDefinition,
    definition: DatasetDefinition,
    content: str,
    content_now: Callable[[], str],
    here: Callable[[Path], Iterable[LocalFile]],
) -> tuple[Path, Tree]:
    """Return the folder of the files that a definition makes of its table, and what it holds.

    Args:
        store: Where they are kept; None for a folder of this process.
        table: The definition of the table, with its root.
        definition: The definition of the files.
        content: What tells whether the table is the same.
        content_now: Finds that anew: files of a table that changed while it was read are not remembered.
        here: Gives the table's files, some of them in a folder.
    """
    assert definition.written is not None
    arguments = definition.written.arguments
    name = f"files of a table|{digest('made-files', [content, arguments])}"
    known = store and store.digests.recall(name, _RULES)
    if store and known and store.tree_intact(known):
        tree = store.manifest(known)
        if tree is not None:
            return store.tree_path(known), tree
    with _scratch_folder(store) as scratch:
        frame = frame_of(table, here(scratch / "fetched"))
        made = _kept(store, scratch, frame, arguments["format"], arguments.get("separator", ","))
    if store is not None and content_now() == content:
        store.digests.remember(name, _RULES, made[1].digest)
    return made


def kept_table(store: Store, frame: Any) -> tuple[Path, Tree]:
    """Return the folder of the Parquet file that holds a table, and what the folder holds."""
    with _scratch_folder(store) as scratch:
        return _kept(store, scratch, frame, "parquet")


def _kept(store: Store | None, scratch: Path, frame: Any, form: str, separator: str = ",") -> tuple[Path, Tree]:
    place = scratch / "made" / f"part-00000.{form}"
    place.parent.mkdir()
    write_table(frame, place, separator)
    tree = scan(place.parent)
    if store is None:
        return place.parent, tree
    store.add_tree(place.parent, tree, move=True)
    return store.tree_path(tree.digest), tree


@contextmanager
def _scratch_folder(store: Store | None) -> Iterator[Path]:
    """Make a folder of the store's; without a store, one that stays until this process ends."""
    scratch = store.scratch_folder() if store else Path(tempfile.mkdtemp(prefix="stepwell-"))
    try:
        yield scratch
    finally:
        if store is None:
            atexit.register(remove, scratch)
        else:
            remove(scratch)
