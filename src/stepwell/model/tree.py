"""A tree: the files of a folder (or one file) by path and content, with one digest for all of it."""

from __future__ import annotations

import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

from stepwell.errors import StoreException
from stepwell.model.digests import digest_of_parts, encoded_parts, file_digest, rows_in
from stepwell.model.nofollow import MOST_DEPTH, leads_out, open_file, open_folder
from stepwell.model.trees.entries import Entries, Entry
from stepwell.model.trees.real_paths import real_path

DigestFile = Callable[[str, os.stat_result], str]
"""An absolute path and its stat in; the content's SHA-256 out."""

Skip = Callable[[str, bool], bool]
"""A path below the root, and whether it is a folder, in; whether to pass it by, unread, out."""


MOST_LINKS = 100_000
"""How many links are followed: folders that link each other can be gone through in n! ways."""

_MOST_HOPS = 40
"""How many links lead to a file, as the kernel counts them."""

_LOOKS, _TRIES, _PAUSE_SECONDS = 3, 10, 0.05


@dataclass(frozen=True, init=False)
class Tree:
    """Ordered entries. Times, owners and permissions other than `executable` are not part of it."""

    entries: Entries

    def __init__(self, entries: Iterable[Entry]) -> None:
        object.__setattr__(self, "entries", entries if isinstance(entries, Entries) else Entries(entries))

    @cached_property
    def digest(self) -> str:
        """64 hex digits that name the content."""
        return digest_of_parts("tree", self.parts())

    def parts(self) -> Iterator[bytes]:
        """Yield the one JSON text of the entries in parts, so that nobody has to hold all of it."""
        return encoded_parts(self.entries)

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
    def from_json(cls, data: Iterable[list[Any]]) -> Tree:
        """Return the tree that `to_json` wrote; malformed data raises TypeError or ValueError."""
        return cls(Entry(*row) for row in data)

    @classmethod
    def read(cls, stream: IO[bytes]) -> Tree:
        """Return the tree whose `parts` the rest of a stream holds; malformed data raises TypeError or ValueError."""
        return cls.from_json(rows_in(stream))

    def diff(self, earlier: Tree) -> tuple[str, ...]:
        """List `path changed`, `path added` and `path removed`, in words, since `earlier`."""
        words, removed = list[str](), list[str]()
        before = iter(earlier.entries.in_order())
        held = next(before, None)
        for entry in self.entries.in_order():
            while held is not None and held.path < entry.path:
                removed.append(f"{_shown(held.path)} removed")
                held = next(before, None)
            known = held is not None and held.path == entry.path
            if held != entry:
                words.append(f"{_shown(entry.path)} {'changed' if known else 'added'}")
            held = next(before, None) if known else held
        left = () if held is None else chain((held,), before)
        return (*words, *removed, *(f"{_shown(entry.path)} removed" for entry in left))


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode() or "its content"


def resolve(entries: Mapping[str, Entry], path: str) -> str:
    """Return a path below a tree's root in its normal form, links on the way followed inside the tree."""
    for _ in range(_MOST_HOPS):
        parts = posixpath.normpath(path).split("/")
        for count in range(1, len(parts) + 1):
            entry = entries.get("/".join(parts[:count]))
            if entry is not None and entry.kind == "link":
                path = posixpath.join(*parts[: count - 1], entry.digest, *parts[count:])
                break
        else:
            return "/".join(parts)
    return path


def listing(names: Iterable[str]) -> Tree:
    """Return the names in a folder as a tree, whatever stands under them."""
    return Tree(Entry(name, "file", "", 0, False) for name in sorted(names))


def part_of(tree: Tree, path: str) -> Tree:
    """Return the folder that has of `tree` only what stands at `path`, at the same path."""
    return Tree(entry for entry in tree.entries if entry.path == path or entry.path.startswith(f"{path}/"))


def plain_digest(path: str, _: os.stat_result) -> str:
    """Return the SHA-256 of a file, read anew; a link or pipe in its place raises OSError."""
    return _digest_at(os.path.dirname(path), os.path.basename(path))


def _digest_at(folder: str | int, name: str) -> str:
    with open_file(folder, name) as stream:
        return file_digest(stream)


def skip_nothing(_: str, __: bool) -> bool:
    """Return False, whatever the path."""
    return False


def scan(
    root: Path, digest_file: DigestFile = plain_digest, *, confine: Path | None = None, skip: Skip = skip_nothing
) -> Tree:
    """Return the tree at `root`, a file or a folder, without what `skip` passes by.

    Links inside `confine` (default: `root`) stay links; a link that leads out of it, and a pipe, socket or device,
    raise StoreException. A missing `root` raises FileNotFoundError; what vanishes meanwhile is no part of the tree. No link below `root` is followed, whenever it comes.
    """
    status = root.stat()
    top = real_path(root)
    if stat.S_ISREG(status.st_mode):
        entry = Entry("", "file", digest_file(top, status), status.st_size, bool(status.st_mode & 0o100))
        return Tree((entry,))
    if not stat.S_ISDIR(status.st_mode):
        raise _special_file(str(root))
    return _Walk(top, top if confine is None else real_path(confine), digest_file, skip).tree()


def scan_through(
    root: Path, digest_file: DigestFile = plain_digest, *, skip: Skip = skip_nothing
) -> tuple[Tree, dict[str, str]]:
    """Return the tree at `root` as `scan` does, with what links lead to outside of it by content, and these links.

    They are found by their paths below `root`; each has the path that it leads to in the end. One that leads nowhere, or
    back to a folder above it, stays a link. Only for what no step could touch.
    """
    if not os.path.isdir(root):
        return scan(root, digest_file), {}
    top = os.path.realpath(root)
    walk = _Walk(top, top, digest_file, skip, {})
    return walk.tree(), walk.followed or {}


class _Walk(NamedTuple):
    """A walk through the folder `top`, each folder opened relative to the one before.

    `followed`: links that lead out of the folder are followed, and noted there.
    """

    top: str
    border: str
    digest_file: DigestFile
    skip: Skip
    followed: dict[str, str] | None = None
    prefix: str = ""
    above: tuple[str, ...] = ()

    def tree(self) -> Tree:
        """Return what the folder holds."""
        folder = open_folder(self.top)
        try:
            return Tree(self.entries(folder, "").in_order())
        finally:
            os.close(folder)

    def entries(self, folder: int, prefix: str, depth: int = 0) -> Entries:
        """Return what an open folder holds, as entries with this prefix; when something vanished, as it is a moment later."""
        found, read = Entries(), set[str]()
        for left in reversed(range(_LOOKS)):
            inner = self._children(folder, prefix)
            if read and (gone := read.difference(inner)):
                read -= gone
                found = Entries(entry for entry in found if not _stands_in(entry.path[len(prefix) :], gone))
            for child in inner:
                if child not in read and (entries := self._read(folder, child, prefix, depth)) is not None:
                    if found or not isinstance(entries, Entries):
                        found.extend(entries)
                    else:
                        found = entries
                    read.add(child)
            if len(read) == len(inner):
                break
            if left:
                time.sleep(_PAUSE_SECONDS)
        if not read and prefix:
            found.extend((Entry(prefix.rstrip("/"), "folder", "", 0, False),))
        return found

    def _children(self, folder: int, prefix: str) -> list[str]:
        """Return the names in a folder, each with a mark of what it is, in the order of the paths of what they hold."""
        with os.scandir(folder) as found:
            return sorted(
                child.name + (_FOLDER if _is_folder(child) else _LINK if child.is_symlink() else _OTHER)
                for child in found
                if not self.skip(prefix + child.name, _is_folder(child))
            )

    def _read(self, folder: int, child: str, prefix: str, depth: int) -> Iterable[Entry] | None:
        """Return what a child is or holds; None if it is gone."""
        mark = child[-1]
        name = child.removesuffix(mark)
        for left in reversed(range(_TRIES)):
            try:
                if mark == _FOLDER:
                    return self._folder(folder, name, prefix + name, depth)
                if mark == _LINK:
                    return self._link(prefix + name, os.readlink(name, dir_fd=folder))
                return (self._file(folder, name, prefix + name),)
            except FileNotFoundError:
                try:
                    os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    return None
                if not left:
                    raise
        return None

    def _link(self, path: str, target: str) -> Iterable[Entry]:
        full = f"{self.top}/{path}"
        real = os.path.realpath(full)
        if self.followed is None:
            return (_link_entry(path, full, target, self.border),)
        kept = (Entry(path, "link", target, 0, False),)
        if not leads_out(path, target) and self._keeps(real):
            return kept
        above = (*self.above, full)
        if not os.path.exists(real) or any(f"{place}/".startswith(f"{real.rstrip('/')}/") for place in above):
            return kept
        if len(self.followed) == MOST_LINKS:
            raise StoreException(
                "Folders link each other too often", {"folder": self.top}, "Remove the links between them."
            )
        self.followed[self.prefix + path] = real
        if not os.path.isdir(real):
            return (scan(Path(real), self.digest_file).entries[0]._replace(path=path),)
        walk = self._replace(top=real, border=real, skip=skip_nothing, prefix=f"{self.prefix}{path}/", above=above)
        inner = walk.tree().entries
        return Entries(
            (entry._replace(path=f"{path}/{entry.path}") for entry in inner)
            if inner
            else (Entry(path, "folder", "", 0, False),)
        )

    def _keeps(self, real: str) -> bool:
        """Return whether the place belongs to the tree."""
        inner = os.path.relpath(real, self.border)
        return inner.split("/")[0] != os.pardir and not self.skip(inner.split("/")[0], True)

    def _folder(self, folder: int, name: str, path: str, depth: int) -> Entries:
        if depth == MOST_DEPTH:
            raise StoreException(
                "Folders are nested too deeply to be kept",
                {"folder": self.top, "levels": f"more than {MOST_DEPTH}"},
                "Nest them less, or pack them into an archive.",
            )
        inner = open_folder(folder, name)
        try:
            return self.entries(inner, f"{path}/", depth + 1)
        finally:
            os.close(inner)

    def _file(self, folder: int, name: str, path: str) -> Entry:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise _special_file(f"{self.top}/{path}")
        if self.digest_file is plain_digest:
            content = _digest_at(folder, name)
        else:
            content = self.digest_file(f"{self.top}/{path}", status)
        return Entry(path, "file", content, status.st_size, bool(status.st_mode & 0o100))


_FOLDER, _LINK, _OTHER = "/", "\1", "\0"
"""Marks behind names by which these have the order of paths: what is in a folder comes after what begins as its name does."""


def _stands_in(path: str, children: set[str]) -> bool:
    """Return whether a path below a folder is that of one of its children, or below it."""
    name = path.partition("/")[0]
    return not children.isdisjoint((name + _FOLDER, name + _LINK, name + _OTHER))


def _is_folder(child: os.DirEntry[str]) -> bool:
    return child.is_dir(follow_symlinks=False)


def _link_entry(path: str, full: str, target: str, border: str) -> Entry:
    below = os.path.relpath(full, border)  # a target may go up and come back by a name that the folder won't keep
    real = os.path.realpath(full)  # other links on the way may lead elsewhere than their names suggest
    if leads_out(below, target) or (real != border and not real.startswith(border + os.sep)):
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
