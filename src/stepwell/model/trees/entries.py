"""The entries of a tree, as few bytes each as they can be: a folder may hold hundreds of thousands of files."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, overload

Kind = Literal["file", "link", "folder"]


class Entry(NamedTuple):
    """A file, link or empty folder. `path` is relative, `/`-separated, surrogate-escaped; '' for a lone file."""

    path: str
    kind: Kind
    digest: str
    size: int
    executable: bool


class Entries(Sequence[Entry]):
    """Entries in columns: some 45 bytes and the path for each, which is made when it is asked for.

    They are gone through from the first to the last: one from the middle takes as long. Entries that don't hold what they
    should raise TypeError or ValueError.
    """

    __slots__ = ("_digests", "_kinds", "_last", "_lengths", "_others", "_paths", "_sizes", "_sorted")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._paths, self._lengths, self._sizes = bytearray(), array("I"), array("q")
        self._kinds, self._digests = bytearray(), bytearray()
        self._others: dict[int, str] = {}
        self._last, self._sorted = "", True
        self.extend(entries)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add entries behind the others."""
        if isinstance(entries, Entries):
            self._join(entries)
            return
        for path, kind, content, size, executable in entries:
            if not (isinstance(path, str) and isinstance(content, str) and isinstance(executable, bool)):
                raise TypeError(f"An entry of a tree holds what it should not: {path!r}")
            self._sorted = self._sorted and self._last <= path
            self._last = path
            digest = _packed(content)
            if not digest:
                self._others[len(self._kinds)] = content
            encoded = path.encode("utf-8", "surrogatepass")
            try:
                self._sizes.append(size)
                self._lengths.append(len(encoded))
                self._kinds.append(_KINDS.index(kind) * 2 + executable)
            except OverflowError as error:
                raise ValueError(f"An entry of a tree is too large: {path!r}") from error
            self._paths += encoded
            self._digests += digest or _NONE

    def _join(self, other: Entries) -> None:
        count = len(self)
        self._sorted = self._sorted and other._sorted and (not count or not other or self._last <= other[0].path)
        self._last = other._last if other else self._last
        self._others.update((count + number, content) for number, content in other._others.items())
        self._paths += other._paths
        self._lengths += other._lengths
        self._sizes += other._sizes
        self._kinds += other._kinds
        self._digests += other._digests

    def in_order(self) -> Entries:
        """Return the entries in the order of their paths."""
        if self._sorted:
            return self
        paths = list(self._encoded_paths())
        order = sorted(range(len(paths)), key=paths.__getitem__)
        found = Entries()
        found._paths = bytearray().join(map(paths.__getitem__, order))
        found._lengths = array("I", map(self._lengths.__getitem__, order))
        found._sizes = array("q", map(self._sizes.__getitem__, order))
        found._kinds = bytearray(map(self._kinds.__getitem__, order))
        found._digests = bytearray().join(self._digests[_SIZE * at : _SIZE * (at + 1)] for at in order)
        found._others = {new: self._others[old] for new, old in enumerate(order) if old in self._others}
        found._last = paths[order[-1]].decode("utf-8", "surrogatepass")
        return found

    def _encoded_paths(self) -> Iterator[bytes]:
        start = 0
        for length in self._lengths:
            yield bytes(self._paths[start : start + length])
            start += length

    def __iter__(self) -> Iterator[Entry]:
        others, digests = self._others, self._digests
        for number, (path, size, kind) in enumerate(zip(self._encoded_paths(), self._sizes, self._kinds, strict=True)):
            content = others.get(number) if others else None
            if content is None:
                content = digests[_SIZE * number : _SIZE * (number + 1)].hex()
            yield Entry(path.decode("utf-8", "surrogatepass"), _KINDS[kind >> 1], content, size, bool(kind & 1))

    def __len__(self) -> int:
        return len(self._kinds)

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, place: int | slice) -> Entry | tuple[Entry, ...]:
        """Return the entry at a place, or those of a slice."""
        if isinstance(place, slice) or place < 0:
            return tuple(self)[place]
        for entry in islice(self, place, place + 1):
            return entry
        raise IndexError(place)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entries):
            return tuple(self) == other if isinstance(other, tuple) else NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COLUMNS)

    def __hash__(self) -> int:
        return hash((bytes(self._paths), bytes(self._digests)))

    def __repr__(self) -> str:
        return repr(tuple(self))


_KINDS: tuple[Kind, ...] = ("file", "link", "folder")
_COLUMNS = ("_paths", "_lengths", "_sizes", "_kinds", "_digests", "_others")
_SIZE = 32
_NONE = bytes(_SIZE)


def _packed(digest: str) -> bytes:
    """Return the bytes that 64 hex digits stand for, b'' if others are written."""
    if len(digest) == 2 * _SIZE:
        try:
            packed = bytes.fromhex(digest)
        except ValueError:
            return b""
        return packed if packed.hex() == digest else b""
    return b""
