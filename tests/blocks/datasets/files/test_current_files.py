"""The files that a dataset stands for now: found, named, ordered, by content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from far_away import TaggedMemory

from stepwell import Dataset, Datastore
from stepwell.blocks.datasets.files.current_files import look
from stepwell.blocks.remote.storage_drivers.any_filesystem import AnyFilesystem
from stepwell.errors import DatasetValidationError
from stepwell.model.tree import scan


@pytest.fixture
def store(workspace, tmp_path) -> Datastore:
    return filled(Datastore.register(workspace, "local", f"file://{tmp_path}/data"), tmp_path)


def filled(datastore: Datastore, tmp_path: Path) -> Datastore:
    for name in ("a/1.csv", "a/b/2.csv", "a/b/3.txt", "c/4.csv"):
        place = tmp_path / "source" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"x\n{place.stem}\n")
        datastore.put_file(place, name)
    return datastore


@pytest.fixture(params=["local", "far"])
def either(request, workspace, tmp_path) -> Datastore:
    if request.param == "local":
        return request.getfixturevalue("store")
    TaggedMemory.store, TaggedMemory.pseudo_dirs = {}, [""]
    return filled(Datastore.register(workspace, "far", "tagged://data"), tmp_path)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a"], ["1.csv", "b/2.csv", "b/3.txt"]),
        (["a/**/*.csv"], ["1.csv", "b/2.csv"]),
        (["a/*.csv"], ["1.csv"]),
        (["a/b/2.csv"], ["2.csv"]),
        (["c/4.csv", "a/b/2.csv"], ["c/4.csv", "a/b/2.csv"]),
        (["a/b", "a/1.csv"], ["b/2.csv", "b/3.txt", "1.csv"]),
        (["a/b/*.txt", "nowhere/*", "a/b"], ["3.txt", "2.csv"]),
        (["**/*.csv"], ["a/1.csv", "a/b/2.csv", "c/4.csv"]),
    ],
)
def test_files_are_named_from_the_innermost_folder_and_come_in_the_order_of_the_paths(either, paths, names) -> None:
    files = Dataset.File.from_files([(either, path) for path in paths])
    assert files.to_path() == [f"/{name}" for name in names]


def test_the_whole_of_a_datastore_is_without_what_is_stepwells(workspace, tmp_path) -> None:
    datastore = filled(workspace.get_default_datastore(), tmp_path)
    assert Dataset.File.from_files(datastore).to_path() == ["/a/1.csv", "/a/b/2.csv", "/a/b/3.txt", "/c/4.csv"]


def test_files_of_several_datastores_have_their_names_before(store, workspace, tmp_path) -> None:
    other = filled(Datastore.register(workspace, "other", f"file://{tmp_path}/other"), tmp_path)
    files = Dataset.File.from_files([(store, "a/1.csv"), (other, "a/*.csv")])
    assert files.to_path() == ["/local/a/1.csv", "/other/a/1.csv"]
    [one, two] = files.download(tmp_path / "copy")
    assert Path(two).relative_to(tmp_path / "copy") == Path("other/a/1.csv") and Path(one).read_text() == "x\n1\n"


@pytest.mark.parametrize("path", ["nowhere", "a/*.png"])
def test_where_nothing_is_nothing_is_found(either, path) -> None:
    with pytest.raises(DatasetValidationError, match="no data") as caught:
        Dataset.File.from_files((either, path))
    assert caught.value.facts == {"datastore": either.name, "path": path}
    assert Dataset.File.from_files((either, path), validate=False).definition.kind == "file"


def test_content_is_what_counts(store, workspace, tmp_path) -> None:
    table = Dataset.Tabular.from_delimited_files((store, "a/**/*.csv"))
    before = table.current_files().content
    os.utime(tmp_path / "data" / "a" / "1.csv", (1, 1))
    moved = Datastore.register(workspace, "moved", f"file://{tmp_path}/moved")
    for name in ("z/1.csv", "z/2.csv"):
        moved.put_file(tmp_path / "source" / ("a/1.csv" if "1" in name else "a/b/2.csv"), name)
    assert table.current_files().content == before
    assert Dataset.Tabular.from_delimited_files((moved, "z")).current_files().content == before
    assert table.take(1).current_files().content != before
    (tmp_path / "data" / "a" / "1.csv").write_text("x\n9\n")
    assert table.current_files().content != before


def test_the_tree_is_that_of_the_folder(either, tmp_path) -> None:
    found = Dataset.File.from_files((either, "a")).current_files()
    assert found.tree == scan(tmp_path / "source" / "a") and not found.is_single_file
    one = Dataset.File.from_files((either, "a/1.csv")).current_files()
    assert one.is_single_file and one.tree == scan(tmp_path / "source" / "a" / "1.csv")
    found.put_into(tmp_path / "laid")
    assert scan(tmp_path / "laid") == found.tree


def test_unchanged_files_elsewhere_are_not_read_again(workspace, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(AnyFilesystem.schemes, "tagged", "unique tags")
    TaggedMemory.store, TaggedMemory.pseudo_dirs = {}, [""]
    far = filled(Datastore.register(workspace, "far", "tagged://data"), tmp_path)
    definition = Dataset.File.from_files((far, "a")).definition
    first = look(workspace, definition).digests
    TaggedMemory.calls.clear()
    assert look(workspace, definition).digests == first
    assert {call for call, _ in TaggedMemory.calls} <= {"list", "info", "ls", "find"}


def test_links_are_followed_but_not_in_circles(store, tmp_path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "5.csv").write_text("x\n5\n")
    (tmp_path / "data" / "a" / "out").symlink_to(outside)
    (tmp_path / "data" / "a" / "b" / "up").symlink_to(tmp_path / "data" / "a")
    assert Dataset.File.from_files((store, "a/**/*.csv")).to_path() == ["/1.csv", "/b/2.csv", "/out/5.csv"]


def test_files_are_chosen_by_facts_count_and_chance(store) -> None:
    files = Dataset.File.from_files(store)
    assert files.filter(files.file_metadata("Extension") == ".txt").to_path() == ["/a/b/3.txt"]
    assert len(files.filter(files.file_metadata("Size") > 3).to_path()) == 4
    assert files.skip(1).take(2).to_path() == ["/a/b/2.csv", "/a/b/3.txt"]
    first, second = files.random_split(0.5, seed=1)
    assert sorted(first.to_path() + second.to_path()) == files.to_path() and first.to_path() == first.to_path()
