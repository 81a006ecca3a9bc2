"""What differs between two snapshots: each file as a unified diff, or in words where it is no text."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from stepwell.blocks.store.store import Store
from stepwell.errors import StepwellError
from stepwell.model.digests import bytes_digest
from stepwell.model.redaction import here
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry

_LARGEST = 1 << 20
"""Bytes up to which a file is compared line by line."""


@dataclass(frozen=True)
class FileDifference:
    """A file that differs: `what` became of it, and its `lines` as a unified diff, none if it is no text or too large."""

    path: str
    what: str
    lines: tuple[str, ...] = ()


def trees_of(tree: str, store: Store) -> Tree | None:
    """Return what the tree of a digest consists of; None if that is not known any more. An empty digest has no files."""
    return store.manifest(tree) if tree else Tree(())


def snapshot_differences(
    before: tuple[Store, str, str], after: tuple[Store, str, str]
) -> tuple[list[FileDifference], str]:
    """Return the files that differ between two snapshots, each given as its store, digest and the name to show.

    The second value says why that is not all, '' if it is.
    """
    trees = [trees_of(digest, store) for store, digest, _ in (before, after)]
    lost = [name for tree, (_, _, name) in zip(trees, (before, after), strict=True) if tree is None]
    if trees[0] is None or trees[1] is None:
        return [], f"The snapshot of {' and of '.join(lost)} is gone: the store no longer knows its files"
    old, new = _by_path(trees[0]), _by_path(trees[1])
    changed = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
    if not changed:
        return [], ""
    texts, problem = [], ""
    for (store, digest, name), entries in ((before, old), (after, new)):
        wanted = [path for path in changed if path in entries]
        found, lacks = _texts(store, digest, entries, wanted)
        problem = problem or (f"The files of {name} can't be read: {lacks}" if lacks else "")
        texts.append(found)
    found_files = [
        _difference(path, old.get(path), new.get(path), texts[0].get(path), texts[1].get(path), before[2], after[2])
        for path in changed
    ]
    return found_files, problem


def _by_path(tree: Tree) -> Mapping[str, Entry]:
    return {entry.path: entry for entry in tree.entries if entry.kind != "folder"}


def _texts(
    store: Store, digest: str, entries: Mapping[str, Entry], wanted: list[str]
) -> tuple[dict[str, list[str]], str]:
    """Return the lines of the files that are texts; and why some can't be read."""
    small = [path for path in wanted if entries[path].kind == "file" and entries[path].size <= _LARGEST]
    if not small:
        return {}, ""
    found: dict[str, list[str]] = {}
    try:
        snapshot = store.bring_snapshot(digest)
        for path in small:
            data = snapshot.read(path) if snapshot else b""
            if bytes_digest(data) != entries[path].digest:
                return found, "they are gone or damaged"
            try:
                text = data.decode()
            except UnicodeDecodeError:
                continue
            if "\0" not in text:
                found[path] = here().redact(text).splitlines()
    except StepwellError as error:
        return found, error.title
    except OSError as error:
        return found, error.strerror or str(error)
    return found, ""


def _difference(
    path: str,
    old: Entry | None,
    new: Entry | None,
    before: list[str] | None,
    after: list[str] | None,
    *names: str,
) -> FileDifference:
    what = "added" if old is None else "removed" if new is None else "changed"
    shown = path.encode("utf-8", "backslashreplace").decode()
    if old is not None and new is not None and old.digest == new.digest and old.kind == new.kind:
        return FileDifference(shown, "executable in one of them only")
    if (old is not None and before is None) or (new is not None and after is None):
        return FileDifference(shown, what)
    lines = difflib.unified_diff(
        before or [],
        after or [],
        f"{names[0]}/{shown}" if old is not None else "/dev/null",
        f"{names[1]}/{shown}" if new is not None else "/dev/null",
        lineterm="",
    )
    return FileDifference(shown, what, tuple(lines))
