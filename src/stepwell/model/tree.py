"""A tree: the files of a folder (or one file) by path and content, with one digest for all of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stepwell.errors import StoreException
from stepwell.model.digests import digest, file_digest
from stepwell.model.regular_files import regular_only

Kind = Literal["file", "link", "folder"]

DigestFile = Callable[[str, os.stat_result], str]
"""An absolute path and its stat in; the content's SHA-256 out."""

Skip = Callable[[str, bool], bool]
"""A path below the root, and whether it is a folder, in; whether to pass it by, unread, out."""


class Entry(NamedTuple):
    """A file, link or empty folder. `path` is relative, `/`-separated, surrogate-escaped; '' for a lone file."""

    path: str
    kind: Kind
    digest: str
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """Ordered entries. Times, owners and permissions other than `executable` are not part of it."""

    entries: tuple[Entry, ...]

    @property
    def digest(self) -> str:
        """64 hex digits that name the content."""
        return digest("tree", self.entries)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @property
    def is_file(self) -> bool:
        """Whether the tree is one lone file."""
        return len(self.entries) == 1 and self.entries[0].path == ""

    def to_json(self) -> list[list[Any]]:
        """Return the entries as plain lists."""
        return [list(entry) for entry in self.entries]

    @classmethod
    def from_json(cls, data: list[list[Any]]) -> Tree:
        """Return the tree that `to_json` wrote; malformed data raises TypeError or ValueError."""
        return cls(tuple(Entry(*row) for row in data))

    def diff(self, earlier: Tree) -> tuple[str, ...]:
        """List `path changed`, `path added` and `path removed`, in words, since `earlier`."""
        before, after = _by_path(earlier), _by_path(self)
        words = [
            f"{_shown(path)} {'changed' if path in before else 'added'}"
            for path, entry in after.items()
            if before.get(path) != entry
        ]
        return (*words, *(f"{_shown(path)} removed" for path in before if path not in after))


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode() or "its content"


def _by_path(tree: Tree) -> Mapping[str, Entry]:
    return {entry.path: entry for entry in tree.entries}


def plain_digest(path: str, _: os.stat_result) -> str:
    """Return the SHA-256 of a file, read anew."""
    with open(path, "rb", buffering=0, opener=regular_only) as stream:
        return file_digest(stream)


def skip_nothing(_: str, __: bool) -> bool:
    """Return False, whatever the path."""
    return False


def scan(
    root: Path, digest_file: DigestFile = plain_digest, *, confine: Path | None = None, skip: Skip = skip_nothing
) -> Tree:
    """Return the tree at `root`, a file or a folder, without what `skip` passes by.

    Links inside `confine` (default: `root`) stay links; a link that leads out of it, and a pipe, socket or device,
    raise StoreException. A missing `root` raises FileNotFoundError.
    """
    status = root.stat()
    if stat.S_ISREG(status.st_mode):
        return Tree((_file_entry("", str(root), status, digest_file),))
    if not stat.S_ISDIR(status.st_mode):
        raise _special_file(str(root))
    border = os.path.realpath(confine or root)
    return Tree(tuple(sorted(_entries(os.path.realpath(root), "", border, digest_file, skip))))


def _entries(folder: str, prefix: str, border: str, digest_file: DigestFile, skip: Skip) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        children = [child for child in found if not skip(prefix + child.name, child.is_dir(follow_symlinks=False))]
    if not children and prefix:
        yield Entry(prefix.rstrip("/"), "folder", "", 0, False)
    for child in children:
        path = prefix + child.name
        if child.is_symlink():
            yield _link_entry(path, child.path, border)
        elif child.is_dir(follow_symlinks=False):
            yield from _entries(child.path, path + "/", border, digest_file, skip)
        elif child.is_file(follow_symlinks=False):
            yield _file_entry(path, child.path, child.stat(follow_symlinks=False), digest_file)
        else:
            raise _special_file(child.path)


def _file_entry(path: str, full: str, status: os.stat_result, digest_file: DigestFile) -> Entry:
    return Entry(path, "file", digest_file(full, status), status.st_size, bool(status.st_mode & 0o100))


def _link_entry(path: str, full: str, border: str) -> Entry:
    target = os.readlink(full)
    by_name = os.path.normpath(os.path.join(os.path.relpath(os.path.dirname(full), border), target))
    escapes = by_name.split(os.sep)[0] == os.pardir  # and comes back, perhaps, by a name that the folder won't keep
    real = os.path.realpath(full)  # other links on the way may lead elsewhere than their names suggest
    if os.path.isabs(target) or escapes or (real != border and not real.startswith(border + os.sep)):
        raise StoreException(
            "A symbolic link leads out of its folder",
            {"link": full, "leads to": target},
            "Copy the file that it points to instead of linking it.",
        )
    return Entry(path, "link", target, 0, False)


def _special_file(path: str) -> StoreException:
    return StoreException(
        "Only files, folders and links can be kept",
        {"path": path, "found": "a pipe, socket or device"},
        "Remove it, or list it in the ignore file.",
    )
