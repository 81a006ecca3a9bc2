"""A tree: the files of a folder (or one file) by path and content, with one digest for all of it."""

from __future__ import annotations

import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stepwell.errors import StoreException
from stepwell.model.digests import digest, file_digest
from stepwell.model.nofollow import MOST_DEPTH, leads_out, open_file, open_folder
from stepwell.model.real_paths import real_path

Kind = Literal["file", "link", "folder"]

DigestFile = Callable[[str, os.stat_result], str]
"""An absolute path and its stat in; the content's SHA-256 out."""

Skip = Callable[[str, bool], bool]
"""A path below the root, and whether it is a folder, in; whether to pass it by, unread, out."""


MOST_LINKS = 100_000
"""How many links are followed: folders that link each other can be gone through in n! ways."""

_MOST_HOPS = 40
"""How many links lead to a file, as the kernel counts them."""

_LOOKS, _TRIES, _PAUSE_SECONDS = 3, 10, 0.05


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
    return Tree(tuple(Entry(name, "file", "", 0, False) for name in sorted(names)))


def part_of(tree: Tree, path: str) -> Tree:
    """Return the folder that has of `tree` only what stands at `path`, at the same path."""
    return Tree(tuple(entry for entry in tree.entries if entry.path == path or entry.path.startswith(f"{path}/")))


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
            return Tree(tuple(sorted(self.entries(folder, ""))))
        finally:
            os.close(folder)

    def entries(self, folder: int, prefix: str, depth: int = 0) -> Iterator[Entry]:
        """Yield what an open folder holds, as entries with this prefix; when something vanished, as it is a moment later."""
        read: dict[str, list[Entry]] = {}
        for left in reversed(range(_LOOKS)):
            with os.scandir(folder) as found:
                inner = [child for child in found if not self.skip(prefix + child.name, _is_folder(child))]
            read = {child.name: read[child.name] for child in inner if child.name in read}
            new = [child for child in inner if child.name not in read]
            for child in new:
                entries = self._read(folder, child, prefix + child.name, depth)
                if entries is not None:
                    read[child.name] = entries
            if len(read) == len(inner):
                break
            if left:
                time.sleep(_PAUSE_SECONDS)
        if not read and prefix:
            yield Entry(prefix.rstrip("/"), "folder", "", 0, False)
        for entries in read.values():
            yield from entries

    def _read(self, folder: int, child: os.DirEntry[str], path: str, depth: int) -> list[Entry] | None:
        """Return what a child is or holds; None if it is gone."""
        for left in reversed(range(_TRIES)):
            try:
                return list(self._child(folder, child, path, depth))
            except FileNotFoundError:
                try:
                    os.stat(child.name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    return None
                if not left:
                    raise
        return None

    def _child(self, folder: int, child: os.DirEntry[str], path: str, depth: int) -> Iterator[Entry]:
        if child.is_symlink():
            yield from self._link(path, os.readlink(child.name, dir_fd=folder))
        elif _is_folder(child):
            yield from self._folder(folder, child.name, path, depth)
        elif child.is_file(follow_symlinks=False):
            yield self._file(folder, child.name, path)
        else:
            os.stat(child.name, dir_fd=folder, follow_symlinks=False)  # some file systems tell no kind of what vanished
            raise _special_file(f"{self.top}/{path}")

    def _link(self, path: str, target: str) -> Iterator[Entry]:
        full = f"{self.top}/{path}"
        real = os.path.realpath(full)
        if self.followed is None:
            yield _link_entry(path, full, target, self.border)
            return
        if not leads_out(path, target) and self._keeps(real):
            yield Entry(path, "link", target, 0, False)
            return
        above = (*self.above, full)
        if not os.path.exists(real) or any(f"{place}/".startswith(f"{real.rstrip('/')}/") for place in above):
            yield Entry(path, "link", target, 0, False)
            return
        if len(self.followed) == MOST_LINKS:
            raise StoreException(
                "Folders link each other too often", {"folder": self.top}, "Remove the links between them."
            )
        self.followed[self.prefix + path] = real
        if not os.path.isdir(real):
            yield scan(Path(real), self.digest_file).entries[0]._replace(path=path)
            return
        walk = self._replace(top=real, border=real, skip=skip_nothing, prefix=f"{self.prefix}{path}/", above=above)
        inner = walk.tree().entries
        yield from (entry._replace(path=f"{path}/{entry.path}") for entry in inner)
        if not inner:
            yield Entry(path, "folder", "", 0, False)

    def _keeps(self, real: str) -> bool:
        """Return whether the place belongs to the tree."""
        inner = os.path.relpath(real, self.border)
        return inner.split("/")[0] != os.pardir and not self.skip(inner.split("/")[0], True)

    def _folder(self, folder: int, name: str, path: str, depth: int) -> Iterator[Entry]:
        if depth == MOST_DEPTH:
            raise StoreException(
                "Folders are nested too deeply to be kept",
                {"folder": self.top, "levels": f"more than {MOST_DEPTH}"},
                "Nest them less, or pack them into an archive.",
            )
        inner = open_folder(folder, name)
        try:
            yield from self.entries(inner, f"{path}/", depth + 1)
        finally:
            os.close(inner)

    def _file(self, folder: int, name: str, path: str) -> Entry:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if self.digest_file is plain_digest:
            content = _digest_at(folder, name)
        else:
            content = self.digest_file(f"{self.top}/{path}", status)
        return Entry(path, "file", content, status.st_size, bool(status.st_mode & 0o100))


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
