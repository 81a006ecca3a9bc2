"""Mini-batches and what is kept of them, over any history of the files: nothing twice, nothing lost, as if all had run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell.drivers.parallel_run.batches import Item, MiniBatch, Source, split
from stepwell.drivers.parallel_run.results import INDEX, Earlier, Results, read_index

SIZE = 3
folders = st.dictionaries(st.integers(0, 15).map("f{:02}".format), st.sampled_from("abc"), max_size=12)


def source_of(files):
    return Source("data", tuple(Item(name, digest) for name, digest in sorted(files.items())))


def row_of(item):
    return f"{item.name} {item.digest}\n".encode()


def executed(top, number, files, before, *, twice=()):
    """Run over the files as the driver does; return which mini-batches ran, and where what they left is."""
    source, folder = source_of(files), top / str(number)
    earlier = read_index(str(before / "kept")) if before else Earlier()
    batches = list(enumerate(split([source], SIZE, 0, (), earlier.moved)))
    results = Results(earlier.rows, str((before or folder) / "rows.txt"))
    ran = [(n, batch) for n, batch in batches if not results.stands(n, batch)]
    for n, batch in ran:
        rows = b"".join(row_of(item) * (2 if item.name in twice else 1) for item in batch.items)
        results.add(n, batch, rows, len(batch.items), whole=True)
    order = {"data": {item.name: position for position, item in enumerate(source.items)}}
    results.write(str(folder / "rows.txt"), str(folder / "kept"), "", order)
    results.close()
    return [batch for _, batch in batches], [batch for _, batch in ran], folder


@given(history=st.lists(folders, min_size=1, max_size=5))
def test_whatever_was_before_the_rows_are_those_of_an_execution_of_all(tmp_path_factory, history):
    top, before = tmp_path_factory.mktemp("history"), None
    stood: list[MiniBatch] = []
    for number, files in enumerate(history):
        batches, ran, before = executed(top, number, files, before)
        items = source_of(files).items
        assert sorted(item for batch in batches for item in batch.items) == sorted(items)
        assert all(0 < len(batch.items) <= SIZE for batch in batches)
        unchanged = [batch for batch in stood if set(batch.items) <= set(items)]
        assert [batch for batch in unchanged if batch in ran] == []
        assert sum(len(batch.items) for batch in ran) == len(items) - sum(len(batch.items) for batch in unchanged)
        assert (before / "rows.txt").read_bytes() == b"".join(map(row_of, items))
        stood = batches


def test_one_new_file_makes_one_new_mini_batch_and_moves_none(tmp_path):
    files = {f"f{number:02}": "a" for number in range(10)}
    _, _, before = executed(tmp_path, 0, files, None)
    _, ran, _ = executed(tmp_path, 1, {**files, "e": "a"}, before)
    assert [[item.name for item in batch.items] for batch in ran] == [["e"]]


def test_rows_that_are_not_one_for_each_item_stay_together(tmp_path):
    files = {"f0": "a", "f1": "b", "f2": "a", "f3": "b"}
    _, _, before = executed(tmp_path, 0, files, None, twice=["f1"])
    rows = (before / "rows.txt").read_text()
    _, ran, after = executed(tmp_path, 1, {**files, "f3": "c"}, before)
    assert [[item.name for item in batch.items] for batch in ran] == [["f3"]]
    assert (after / "rows.txt").read_text() == rows.replace("f3 b", "f3 c")


@pytest.mark.parametrize("harm", ["rows", "digest", "garbage", "format", "gone"])
def test_what_was_harmed_is_not_believed(tmp_path, harm):
    files = {f"f{number}": "a" for number in range(6)}
    _, _, before = executed(tmp_path, 0, files, None)
    index = before / "kept" / INDEX
    first, second = index.read_text().splitlines(keepends=True)
    if harm == "rows":
        (before / "rows.txt").write_bytes((before / "rows.txt").read_bytes().replace(b"f0", b"f9"))
    elif harm == "digest":
        index.write_text(first.replace(json.loads(first)[1][2], "0" * 64) + second)
    elif harm == "garbage":
        index.write_text(first[:-9])
    elif harm == "format":
        (before / "kept" / "state.json").write_text('{"format": 0, "why_not": ""}')
    else:
        (before / "rows.txt").unlink()
    _, ran, after = executed(tmp_path, 1, files, before)
    assert len(ran) == (1 if harm in ("rows", "digest") else 2)
    assert (after / "rows.txt").read_bytes() == b"".join(map(row_of, source_of(files).items))
