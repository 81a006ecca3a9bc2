from __future__ import annotations

import hashlib
import io
import json
import pickle
import tracemalloc

import pytest

from stepwell.model.digests import digest, encode
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entries, Entry

ODD = (
    Entry("], [/x],[", "file", hashlib.sha256(b"a").hexdigest(), 1, True),
    Entry('a],["b', "link", '../x],["', 0, False),
    Entry("bad\udcff/é😀\ud83d", "file", hashlib.sha256(b"").hexdigest().upper(), 1 << 40, False),
    Entry("z", "folder", "", 0, False),
)


def entries(count: int) -> list[Entry]:
    found = (
        Entry(f"{n // 100:04}/{n:07}.txt", "file", hashlib.sha256(b"%d" % n).hexdigest(), n, n % 7 == 0)
        for n in range(count)
    )
    return [*found, *ODD]


def test_entries_come_back_as_they_were_given() -> None:
    kept = Entries(ODD)
    assert tuple(kept) == ODD == kept
    assert (len(kept), kept[1], kept[-1], kept[1:3]) == (4, ODD[1], ODD[-1], ODD[1:3])
    assert pickle.loads(pickle.dumps(kept)) == kept
    assert Entries(kept) == kept
    assert hash(Entries(kept)) == hash(kept)
    assert kept != Entries(ODD[:3])
    with pytest.raises(IndexError):
        kept[4]


def test_entries_are_put_in_the_order_of_their_paths_whatever_was_joined() -> None:
    every = entries(50)
    joined = Entries(reversed(every[:20]))
    joined.extend(Entries(every[20:]))
    assert tuple(joined.in_order()) == tuple(sorted(every))
    assert joined.in_order().in_order() == joined.in_order()
    assert tuple(Entries(every[:20]).in_order()) == tuple(every[:20])


def test_a_tree_is_written_and_digested_in_parts_as_in_one_piece() -> None:
    for every in ([], ODD, entries(1), entries(499), entries(2_000)):
        tree = Tree(every)
        text = b"".join(tree.parts())
        assert text == encode([list(entry) for entry in every])
        assert tree.digest == digest("tree", every)
        assert Tree.read(io.BytesIO(text)) == tree == Tree.from_json(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"3", b"[3]", b'[["a"]]', b'[["a","file","",1.5,true]]', b'[["a","what","",1,true]]', b'[["a","file","",1,1]]',
        b'[["a","file","",99999999999999999999,true]]', b'[[1,"file","",1,true]]', b'[["a",[],"",1,true]]',
        b'[["a","file","",1,true],["b', b'[["a","file","",1,true],["b"]],["c"]]',
    ],
)  # fmt: skip
def test_what_is_no_tree_is_an_error(text: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        Tree.read(io.BytesIO(text))


def test_a_damaged_text_is_read_at_once_once_it_is_known_to_be() -> None:
    class Counted(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            return super().read(size)

    stream = Counted(b'[["a","fi' + b'x],["' * 100_000)
    with pytest.raises(ValueError, match="delimiter"):
        Tree.read(stream)
    assert stream.reads <= 3


def test_entries_take_few_bytes_each() -> None:
    count = 5_000
    text = b"".join(Tree(entries(count)).parts())
    tracemalloc.start()
    try:
        tree = Tree.read(io.BytesIO(text))
        assert len(tree.digest) == 64
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 90 * count
    assert peak - held < 1 << 20
