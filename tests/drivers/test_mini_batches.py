"""Mini-batches and what is kept of them, over any history of the files: nothing twice, nothing lost, as if all had run."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import in_child
from stepwell.drivers.parallel_run.batches import MiniBatch, Source
from stepwell.drivers.parallel_run.results import INDEX, Earlier, Results, read_index
from stepwell.drivers.parallel_run.settings import Settings
from stepwell.drivers.parallel_run.splitting import Layout, Split
from stepwell.model.datasets import on_disk
from stepwell.model.datasets.on_disk import Records, Spool

SIZE = 3
folders = st.dictionaries(st.integers(0, 15).map("f{:02}".format), st.sampled_from("abc"), max_size=12)


def source_of(files):
    return Source("data", Spool((name, digest, 0) for name, digest in sorted(files.items())))


def items_of(batch):
    return list(zip(batch.names, batch.digests, strict=True))


def row_of(item):
    return f"{item[0]} {item[1]}\n".encode()


def executed(top, number, files, before, *, twice=()):
    """Run over the files as the driver does; return which mini-batches there are, which ran, and where what they left is."""
    source, folder = source_of(files), top / str(number)
    earlier = read_index(str(before / "kept")) if before else Earlier()
    jobs, layout = Records(), Layout()
    results = Results(earlier, str((before or folder) / "rows.txt"), jobs)
    batches, ran = {}, []
    split = Split(Settings(("data",), mini_batch_size=str(SIZE)), [source], earlier)
    for n, batch, stands in split.mini_batches(layout):
        batches[n] = batch
        if not results.stands(n, batch, stands):
            rows = b"".join(row_of(item) * (2 if item[0] in twice else 1) for item in items_of(batch))
            results.add(n, jobs.put((n, *batch)), batch, rows, len(batch.names), whole=True)
            ran.append(batch)
    results.write(str(folder / "rows.txt"), str(folder / "kept"), "", layout)
    results.close()
    assert sorted(batches) == list(range(len(batches)))
    in_order = [batches[n] for n in sorted(batches)]
    assert [batch.names[0] for batch in in_order] == sorted(batch.names[0] for batch in in_order)
    return in_order, ran, folder


@given(history=st.lists(folders, min_size=1, max_size=5))
def test_whatever_was_before_the_rows_are_those_of_an_execution_of_all(tmp_path_factory, history):
    top, before = tmp_path_factory.mktemp("history"), None
    stood: list[MiniBatch] = []
    for number, files in enumerate(history):
        batches, ran, before = executed(top, number, files, before)
        items = sorted(files.items())
        assert sorted(item for batch in batches for item in items_of(batch)) == items
        assert all(0 < len(batch.names) <= SIZE for batch in batches)
        unchanged = [batch for batch in stood if set(items_of(batch)) <= set(items)]
        assert [batch for batch in unchanged if batch in ran] == []
        assert sum(len(batch.names) for batch in ran) == len(items) - sum(len(batch.names) for batch in unchanged)
        assert (before / "rows.txt").read_bytes() == b"".join(map(row_of, items))
        stood = batches


def test_one_new_file_makes_one_new_mini_batch_and_moves_none(tmp_path):
    files = {f"f{number:02}": "a" for number in range(10)}
    _, _, before = executed(tmp_path, 0, files, None)
    _, ran, _ = executed(tmp_path, 1, {**files, "e": "a"}, before)
    assert [list(batch.names) for batch in ran] == [["e"]]


def test_rows_that_are_not_one_for_each_item_stay_together(tmp_path):
    files = {"f0": "a", "f1": "b", "f2": "a", "f3": "b"}
    _, _, before = executed(tmp_path, 0, files, None, twice=["f1"])
    rows = (before / "rows.txt").read_text()
    _, ran, after = executed(tmp_path, 1, {**files, "f3": "c"}, before)
    assert [list(batch.names) for batch in ran] == [["f3"]]
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
    assert (after / "rows.txt").read_bytes() == b"".join(map(row_of, sorted(files.items())))


def test_memory_does_not_grow_with_the_number_of_files(tmp_path, monkeypatch):
    """Nor, but for some bytes for each earlier mini-batch, if some of these are torn by new files, and some changed."""
    for name, value in {"_IN_MEMORY": 64, "_MERGED_RUNS": 3, "_IN_A_BLOCK": 16, "_BUFFERED_BYTES": 1 << 10}.items():
        monkeypatch.setattr(on_disk, name, value)

    def peaks(count):
        found, before, top = [], None, tmp_path / str(count)
        for execution in range(3):
            files = (
                (name, f"{execution if number % 50 == 0 else 0:064}", 0)
                for number in range(count)
                for name in [f"{number:06}", *(f"{number:06}.{n}" for n in range(execution) if number % 20 == 0)]
            )
            source, folder = Source("data", Spool(files)), top / str(execution)
            tracemalloc.start()
            earlier = read_index(str(before / "kept")) if before else Earlier()
            jobs, layout = Records(), Layout()
            results = Results(earlier, str((before or folder) / "rows.txt"), jobs)
            ran = 0
            for n, batch, stands in Split(Settings(("data",)), [source], earlier).mini_batches(layout):
                if not results.stands(n, batch, stands):
                    rows = b"".join(map(row_of, items_of(batch)))
                    results.add(n, jobs.put((n, *batch)), batch, rows, len(batch.names), whole=True)
                    ran += 1
            results.write(str(folder / "rows.txt"), str(folder / "kept"), "", layout)
            results.close()
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert (folder / "rows.txt").read_bytes() == b"".join(map(row_of, (item[:2] for item in source.items)))
            assert 0 < ran <= count / (10 if execution == 0 else 25)
            before = folder
        return found

    def compare():
        few, many = peaks(1000), peaks(5000)
        assert many[0] - few[0] < 4_000, (few, many)
        assert all(more - less < 60_000 for less, more in zip(few, many, strict=True)), (few, many)

    assert in_child(compare) == 0  # no thread of another test allocates there
