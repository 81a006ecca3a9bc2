"""Data on a datastore of this machine, whose links are followed wherever they lead: their digest, and copies without links."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.datastores.datastore_files import PRIVATE, DatastoreBlock, DatastoreFiles
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import copy_named, remove
from stepwell.errors import DatastoreException, StoreException
from stepwell.model.definitions import THIS_MACHINE
from stepwell.model.tree import Tree, scan, scan_through


@dataclass(frozen=True)
class LocatedData:
    """Where the links at a path lead.

    `outward` are links that lead out of the datastore, with what they lead to, by their paths on it. `as_it_is`: whoever
    sees the path alone finds all of that there.
    """

    outward: dict[str, str]
    as_it_is: bool


def this_machine() -> DatastoreFiles:
    """Return the file system of this machine as a datastore to read from."""
    return DatastoreFiles(DatastoreBlock(workspace="", name=THIS_MACHINE, url="file:///"))


def look(store: Store, datastore: DatastoreFiles, path: str) -> tuple[Tree, LocatedData]:
    """Return what stands at a path, by content, and where its links lead; nothing there raises FileNotFoundError."""
    assert datastore.local_root
    place, root = datastore.local_root / path, os.path.realpath(datastore.local_root)
    with store.digests.under(place) as digest_file:
        tree, links = scan_through(place, digest_file, skip=lambda name, _: not path and name == PRIVATE)
    ends = {f"{path}/{name}".lstrip("/"): end for name, end in links.items()}
    if path:
        ends[path] = os.path.realpath(place)
    outward = {name: end for name, end in ends.items() if not f"{end}/".startswith(f"{root.rstrip('/')}/")}
    return tree, LocatedData(outward, as_it_is=not links and (bool(path) or not (place / PRIVATE).exists()))


def copy_without_links(store: Store, place: Path, tree: Tree, target: Path) -> Path:
    """Copy what `look` found at a place, links followed, to `target`, and return that; one made before is taken as it is."""
    if target.exists():
        return target
    draft = store.scratch_folder()
    try:
        copy_named(place, draft / "data", tree, through_links=True)
        if scan(draft / "data").digest != tree.digest:
            raise StoreException("A file changed while it was copied", {"path": place}, "Run again.")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(draft / "data", target)
    except OSError as error:
        raise DatastoreException(
            "Data that links lead to can't be copied",
            {"path": place, "reason": error},
            "Run again once they are at rest.",
        ) from error
    finally:
        remove(draft)
    return target


def check_outward(data: LocatedData, name: str, datastore: str, *, refuse: bool, warn: Callable[[str], None]) -> None:
    """Warn that links of an input lead out of its datastore, if any do, or raise DatastoreException if that is refused."""
    for link, end in data.outward.items():
        if not refuse:
            warn(
                f"The input {name!r} holds links that lead out of its datastore, such as {link}; they are followed "
                "(`follow_links=True` says that this is meant, False refuses it)"
            )
            return
        raise DatastoreException(
            f"The input {name!r} holds a link that leads out of its datastore",
            {"datastore": datastore, "link": link, "leads to": end},
            "Pass `follow_links=True` to follow it, or put there what it leads to.",
        )
