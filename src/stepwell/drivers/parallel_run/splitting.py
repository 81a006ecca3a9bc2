"""How the files of the inputs are split into mini-batches, and which of these an earlier execution had already.

What an earlier execution has of a mini-batch is used again if all its files are there with the same content. Files that
are left over make new mini-batches, by name, as many in each as they may be: so one new file makes one new mini-batch,
and moves none. Nothing here holds all items: what is sorted or read again is on disk, and of a mini-batch that stood there
are numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import count, groupby, islice
from typing import Any, NamedTuple

from stepwell.drivers.parallel_run.batches import Item, MiniBatch, Source, batch_of
from stepwell.drivers.parallel_run.results import Earlier
from stepwell.drivers.parallel_run.settings import Settings
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.file_names import full_path, partition_columns, typed_partition_values
from stepwell.model.datasets.on_disk import Records, Spool, in_order

Place = Callable[[int, int, int], object]
"""What is told, in the order of the items, that so many of them are those of a mini-batch from some place on in it."""

_OUT, _NONE = 0xFFFFFFFF, (-1, 0, 0)


class Planned(NamedTuple):
    """A mini-batch with its number, and the number of the earlier one whose result it may have."""

    number: int
    batch: MiniBatch
    earlier: int | None


class Layout:
    """Which items of the inputs are in which mini-batches, in their order: its number, the first's place in it, how many."""

    def __init__(self) -> None:
        self._runs: Spool[tuple[int, int, int]] = Spool()
        self._last = (-1, 0, 0)

    def __call__(self, number: int, place: int, items: int) -> None:
        """Add the items that come next."""
        last, start, length = self._last
        if number == last and place == start + length:
            self._last = (number, start, length + items)
            return
        if last >= 0:
            self._runs.append(self._last)
        self._last = (number, place, items)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        yield from self._runs
        if self._last[0] >= 0:
            yield self._last


def _nowhere(_: int, __: int, ___: int) -> None:
    pass


class Split:
    """The mini-batches of the inputs, with those of an earlier execution among them that still have the same files."""

    def __init__(self, settings: Settings, sources: Sequence[Source], earlier: Earlier) -> None:
        self._sources, self._earlier, self._keys = sources, earlier, settings.partition_keys
        is_table = any(source.is_table for source in sources)
        self._files, self._bytes = (0, settings.bytes) if is_table else (settings.files, 0)
        self._standing: dict[str, _Standing] = {}
        if earlier and earlier.in_order and not (is_table or self._keys):
            self._standing = {source.name: _Standing(source, earlier, self._files) for source in sources}

    @property
    def is_moved(self) -> bool:
        """Whether the mini-batches are others than those of an execution that knows of no earlier one."""
        return any(standing.is_moved for standing in self._standing.values())

    def mini_batches(self, place: Place = _nowhere, *, anew: bool = False) -> Iterator[Planned]:
        """Yield them; `anew`: as they are if none had run before, so that only the same stand."""
        numbers = count()
        for source in self._sources:
            standing = self._standing.get(source.name)
            if standing is not None and standing.is_moved and not anew:
                yield from standing.mini_batches(numbers, place)
            elif self._keys:
                for number, batch in _by_keys(source, self._keys, numbers, place):
                    yield Planned(number, batch, self._earlier.find(batch))
            else:
                for batch in _parts(source, self._bytes) if source.is_table else _by_count(source, self._files):
                    number = next(numbers)
                    place(number, 0, len(batch.names))
                    yield Planned(number, batch, self._earlier.find(batch))


def _by_count(source: Source, files: int) -> Iterator[MiniBatch]:
    items = iter(source.items)
    while group := list(islice(items, files)):
        yield batch_of(source.name, group)


def _parts(source: Source, size: int) -> Iterator[MiniBatch]:
    groups = ([item] for item in source.items) if source.is_read_by_file else iter([list(source.items)])
    for group in groups:
        parts = max(1, -(-sum(size for _, _, size in group) // size)) if group else 0
        yield from (batch_of(source.name, group, part, parts) for part in range(parts))


def _by_keys(
    source: Source, keys: Sequence[str], numbers: Iterator[int], place: Place
) -> Iterator[tuple[int, MiniBatch]]:
    """Yield a mini-batch for each value of the keys, in the order of their first items."""
    definition = refuse_keys(source.name, source.definition, keys)
    keyed = in_order(
        (repr(values_of(definition, keys, item[0])), position, item) for position, item in enumerate(source.items)
    )
    groups, firsts, spread = Records(), Spool[tuple[int, int]](), Spool[tuple[int, int, int]]()
    for _, found in groupby(keyed, lambda one: one[0]):
        members = [one[1:] for one in found]
        firsts.append((members[0][0], groups.put(members)))
    for _, at in in_order(firsts):
        members, number = groups.get(at), next(numbers)
        for inner, (position, _) in enumerate(members):
            spread.append((position, number, inner))
        yield number, batch_of(source.name, [item for _, item in members])
    for _, number, inner in in_order(spread):
        place(number, inner, 1)


def refuse_keys(name: str, definition: DatasetDefinition | None, keys: Sequence[str]) -> DatasetDefinition:
    """Return the definition of an input that has these partition keys; raise UserErrorException if it lacks one."""
    known = partition_columns(definition.options.partition_format) if definition else []
    missing = [key for key in keys if key not in known]
    if definition is None or missing:
        raise UserErrorException(
            f"The input {name!r} has no partition key {(missing or list(keys))[0]!r}",
            {"partition keys": ", ".join(known) or "none"},
            "Make them with `partition_by`, or read the files with `partition_format=`.",
        )
    return definition


def values_of(definition: DatasetDefinition, keys: Sequence[str], name: str) -> dict[str, Any]:
    """Return the values of the partition keys that the file of this name has."""
    found = typed_partition_values(definition.options, full_path(definition, name))
    return {key: found[key] for key in keys}


class _Standing:
    """Which earlier mini-batches of an input stand: those with all files as they were, in the same order."""

    def __init__(self, source: Source, earlier: Earlier, files: int) -> None:
        self._source, self._earlier, self._files = source, earlier, files
        self._found = Spool(in_order(_found_again(source, earlier)))
        seen, first = array("I", [0]) * len(earlier), array("Q", [0]) * len(earlier)
        before = -1
        for position, number, place in self._found:
            if place == 0:
                first[number] = position
            seen[number] = place + 1 if seen[number] == place and position != before else _OUT
            before = position
        self._stands = bytearray(len(earlier))
        self.is_moved = False
        for number, batch in earlier.batches():
            size, begin = len(batch.names), first[number]
            if batch.input == source.name and seen[number] == size:
                self._stands[number] = True
                self.is_moved |= begin % files > 0 or size != min(files, len(source.items) - begin)

    def mini_batches(self, numbers: Iterator[int], place: Place) -> Iterator[Planned]:
        """Yield what stands, and new ones of the files that are left; numbers are in the order of the first items."""
        found = ((position, number, inner) for position, number, inner in self._found if self._stands[number])
        position, earlier, inner = next(found, _NONE)
        numbered = array("Q", [0]) * len(self._earlier)
        new, own = list[Item](), 0
        for here, item in enumerate(self._source.items):
            if here == position:
                if inner == 0:
                    numbered[earlier] = next(numbers)
                    yield Planned(numbered[earlier], self._earlier.batch(earlier), earlier)
                place(numbered[earlier], inner, 1)
                position, earlier, inner = next(found, _NONE)
                continue
            own = own if new else next(numbers)
            place(own, len(new), 1)
            new.append(item)
            if len(new) == self._files:
                yield Planned(own, batch_of(self._source.name, new), None)
                new = []
        if new:
            yield Planned(own, batch_of(self._source.name, new), None)


def _found_again(source: Source, earlier: Earlier) -> Iterator[tuple[int, int, int]]:
    """Yield the position of each file of earlier mini-batches that is as it was, with their number and its place there."""
    before = in_order(
        (*file, number, place)
        for number, batch in earlier.batches()
        if batch.input == source.name and batch.parts == 1 and batch.is_known
        for place, file in enumerate(zip(batch.names, batch.digests, strict=True))
    )
    there = in_order((name, digest, position) for position, (name, digest, _) in enumerate(source.items))
    held = next(there, None)
    for name, digest, number, place in before:
        while held is not None and held[:2] < (name, digest):
            held = next(there, None)
        if held is not None and held[:2] == (name, digest):
            yield held[2], number, place
