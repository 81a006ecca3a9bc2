"""Files of datasets: copied to a folder, shown in one, given to steps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepwell import Dataset, Datastore, FileDataset
from stepwell.errors import DatastoreException, UserErrorException


@pytest.fixture
def files(workspace, tmp_path) -> FileDataset:
    for name in ("a/1.txt", "a/b/2.txt"):
        place = tmp_path / "data" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(place.stem)
    return Dataset.File.from_files((Datastore.register(workspace, "local", f"file://{tmp_path}/data"), "a"))


def test_files_are_copied_under_their_names(files, tmp_path) -> None:
    copies = files.download(tmp_path / "copy")
    assert [Path(path).relative_to(tmp_path / "copy").as_posix() for path in copies] == ["1.txt", "b/2.txt"]
    with pytest.raises(UserErrorException, match="stands where") as caught:
        files.download(tmp_path / "copy")
    assert "overwrite=True" in caught.value.hint
    Path(copies[0]).write_text("spoilt")
    assert Path(files.download(tmp_path / "copy", overwrite=True)[0]).read_text() == "1"
    assert Path(files.download()[1]).read_text() == "2"


def test_a_mount_shows_files_as_long_as_it_is_in_use(files, tmp_path) -> None:
    with files.mount() as mounted:
        folder = mounted.mount_point
        assert Path(folder, "b", "2.txt").read_text() == "2"
    assert not os.path.exists(folder)
    own = tmp_path / "own"
    context = files.mount(own)
    assert context.mount_point == str(own)
    context.start()
    assert sorted(os.listdir(own)) == ["1.txt", "b"]
    with pytest.raises(UserErrorException, match="not empty"):
        files.mount(own).start()
    context.stop()
    assert list(own.iterdir()) == [] and files.to_path() == ["/1.txt", "/b/2.txt"]


def test_the_mount_of_one_named_file_is_its_path(files, workspace) -> None:
    with Dataset.File.from_files((workspace.datastores["local"], "a/1.txt")).mount() as mounted:
        assert Path(mounted.mount_point).name == "1.txt" and Path(mounted.mount_point).read_text() == "1"


def test_inputs_have_names_and_ways(files) -> None:
    named = files.as_named_input("raw")
    assert (named.name, named.mode, named.as_mount().mode) == ("raw", "direct", "mount")
    assert named.as_download("there").path_on_compute == "there"
    assert files.as_mount().name == files.as_download().name
    with pytest.raises(UserErrorException, match="can't name an input"):
        files.as_named_input("1-a")


def test_files_without_bytes_can_be_passed_over(workspace, tmp_path) -> None:
    none = Dataset.File.from_files((workspace.get_default_datastore(), "none"), validate=False)
    assert none.download(tmp_path, ignore_not_found=True) == []


def test_a_local_folder_becomes_a_dataset(workspace, tmp_path) -> None:
    for name in ("one.csv", "two.txt", "deep/three.csv"):
        place = tmp_path / "src" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x")
    datastore = workspace.get_default_datastore()
    assert Dataset.File.upload_directory(tmp_path / "src", (datastore, "all")).to_path() == [
        "/deep/three.csv",
        "/one.csv",
        "/two.txt",
    ]
    some = Dataset.File.upload_directory(tmp_path / "src", (datastore, "some"), pattern="**/*.csv")
    assert some.to_path() == ["/deep/three.csv", "/one.csv"]
    with pytest.raises(UserErrorException, match="fits the pattern"):
        Dataset.File.upload_directory(tmp_path / "src", (datastore, "some"), pattern="*.png")
    with pytest.raises(DatastoreException, match="does not exist"):
        Dataset.File.upload_directory(tmp_path / "none", (datastore, "some"))


@pytest.mark.parametrize("path", ["data/a.csv", "abfss://c@a/b.csv", [], 3, None])
def test_what_is_no_path_of_a_dataset_is_refused(path) -> None:
    with pytest.raises(UserErrorException, match="dataset") as caught:
        Dataset.File.from_files(path)
    assert caught.value.hint
