"""Deliveries: a place holds what the last one brought, here and elsewhere, and whatever others put there."""

from __future__ import annotations

import os
import pytest
import strategies
from far_away import TaggedMemory, ftp_server
from keeping import open_store

from stepwell.blocks.remote.storage_drivers.any_filesystem import AnyFilesystem
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.blocks.datastores.delivery import Delivery, deliver
from stepwell.errors import DatastoreException
from stepwell.model.tree import scan


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


@pytest.fixture(params=["folder", "memory", "ftp"])
def far(request, tmp_path):
    """A datastore of each kind."""
    if request.param == "ftp":
        with ftp_server(tmp_path / "served") as url:
            yield datastore(url, username="u", password="hidden")
    else:
        place = tmp_path / "folder" if request.param == "folder" else f"{request.node.name}{tmp_path.name}"
        yield datastore(f"{'file' if request.param == 'folder' else 'memory'}://{place}")


@pytest.fixture
def tagged(monkeypatch):
    """A datastore whose files have tags."""
    monkeypatch.setitem(AnyFilesystem.schemes, "tagged", "unique tags")
    monkeypatch.setattr(TaggedMemory, "store", {})
    monkeypatch.setattr(TaggedMemory, "calls", [])
    return datastore("tagged://bucket")


def datastore(url, **options):
    return DatastoreFiles(DatastoreBlock(workspace="w", name="far", url=url, options=options or None))


def made(store, tmp_path, content):
    """Keep a tree and return it."""
    place = tmp_path / f"made{len(os.listdir(tmp_path))}"
    place.write_bytes(content) if isinstance(content, bytes) else strategies.write_folder(place, content)
    tree = scan(place)
    store.add_tree(place, tree, move=False)
    return tree


def there(datastore):
    """Return all files of a datastore with what they hold."""
    found = {}
    for name in datastore.files():
        with datastore.filesystem.open(datastore.locate(name), "rb") as stream:
            found[name] = stream.read()
    return found


def wrote(datastore, path, data, tmp_path):
    (tmp_path / "by hand").write_bytes(data)
    datastore.put_file(tmp_path / "by hand", path)


def bring(store, far, tree, path="out", **more):
    return deliver(store, far, path, tree, **{"who": "p/s/o", "fresh": False, **more})


def test_bytes_of_the_same_size_are_told_apart(store, far, tmp_path):
    one, two = (made(store, tmp_path, {"model": data}) for data in (b"rate 1", b"rate 2"))
    for tree, data, fresh in ((one, b"rate 1", True), (two, b"rate 2", True), (one, b"rate 1", False)):
        bring(store, far, tree, fresh=fresh)
        assert there(far) == {"out/model": data}


def test_what_somebody_removed_or_changed_comes_back(store, far, tmp_path):
    tree = made(store, tmp_path, {"a": b"1", "b": b"2"})
    bring(store, far, tree)
    assert sorted(far.files("out/")) == ["out/a", "out/b"]
    other = datastore(far.url, **(far._block.options.get_secret_value() if far._block.options else {}))
    other.filesystem.rm_file(other.locate("out/a"))
    wrote(other, "out/b", b"X", tmp_path)
    assert not far.exists("out/a") and far.size("out/a") is None and list(far.files()) == ["out/b"]
    bring(store, far, tree)
    assert there(far) == {"out/a": b"1", "out/b": b"2"}


def test_parts_that_a_new_result_lacks_go_and_nothing_else(store, far, tmp_path):
    many = made(store, tmp_path, {"p0": b"4", "p1": b"4", "deep": {"er": {"p2": b"4"}}, "both": b"4"})
    few = made(store, tmp_path, {"p0": b"2"})
    wrote(far, "out/user", b"mine", tmp_path)
    wrote(far, "out/deep/user", b"mine", tmp_path)
    assert bring(store, far, many) == Delivery()
    bring(store, far, made(store, tmp_path, {"both": b"4", "theirs": b"5"}), who="p/other/o")
    assert bring(store, far, few, fresh=True) == Delivery(("deep/er/p2", "p1"))
    kept = {"out/user": b"mine", "out/deep/user": b"mine", "out/both": b"4", "out/theirs": b"5"}
    assert there(far) == {**kept, "out/p0": b"2"}
    assert not far.exists("out/deep/er")
    assert bring(store, far, many) == Delivery()
    assert there(far) == {**kept, "out/p0": b"4", "out/p1": b"4", "out/deep/er/p2": b"4"}
    assert bring(store, far, few) == Delivery(("deep/er/p2", "p1"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_part_that_somebody_changed_stays_unless_overwritten(store, far, tmp_path, overwrite):
    bring(store, far, made(store, tmp_path, {"a": b"1", "b": b"1"}))
    wrote(far, "out/b", b"2", tmp_path)
    done = bring(store, far, made(store, tmp_path, {"a": b"3"}), overwrite=overwrite)
    assert done == (Delivery(("b",)) if overwrite else Delivery((), ("b",)))
    assert there(far) == {"out/a": b"3"} | ({} if overwrite else {"out/b": b"2"})
    assert bring(store, far, made(store, tmp_path, {"a": b"4"})) == Delivery()


def test_files_become_folders_and_folders_files(store, far, tmp_path):
    for content, name in (({"x": b"1"}, "/x"), ({"x": {"y": {"z": b"2"}}}, "/x/y/z"), (b"3", ""), ({"x": b"4"}, "/x")):
        bring(store, far, made(store, tmp_path, content))
        assert list(there(far)) == [f"out{name}"]


def test_a_delivery_that_was_cut_off_is_known_too(store, far, tmp_path, monkeypatch):
    bring(store, far, made(store, tmp_path, {"a": b"1"}))
    with monkeypatch.context() as patch:
        patch.setattr("stepwell.blocks.store.deliveries.Deliveries.end", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring(store, far, made(store, tmp_path, {"a": b"2", "b": b"2"}))
    assert bring(store, far, made(store, tmp_path, {"c": b"3"})) == Delivery(("a", "b"))
    assert there(far) == {"out/c": b"3"}


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"format": 1, "by": {"p/s/o": {"../../x": ["1"]}}}', b'{"format": 9}']
)
def test_a_damaged_note_removes_nothing(store, far, tmp_path, damage):
    bring(store, far, made(store, tmp_path, {"a": b"1", "b": b"1"}))
    for path in (store.root / "deliveries").glob("*.json"):
        path.write_bytes(damage)
    (tmp_path / "x").write_text("1")
    done = None
    try:
        done = bring(store, far, made(store, tmp_path, {"a": b"2"}))
    except DatastoreException as error:
        assert "leads out" in str(error)
    assert there(far)["out/b"] == b"1" and (tmp_path / "x").exists()
    assert done in (None, Delivery())


def test_links_arrive_as_links_here_and_as_what_they_lead_to_elsewhere(store, far, tmp_path):
    place = strategies.write_folder(tmp_path / "links", {"models": {"3": b"three"}})
    for name, target in (
        ("best", "models/3"),
        ("again", "best"),
        ("all", "models"),
        ("models/up", ".."),
        ("gone", "no"),
    ):
        os.symlink(target, place / name)
    tree = scan(place)
    store.add_tree(place, tree, move=False)
    bring(store, far, tree)
    if far.local_root:
        assert os.readlink(far.local_root / "out/best") == "models/3"
        return
    assert there(far) == {f"out/{name}": b"three" for name in ("models/3", "best", "again", "all/3")}
    bring(store, far, made(store, tmp_path, {"best": b"4"}))
    assert there(far) == {"out/best": b"4"}


def test_a_link_on_the_way_is_not_followed_to_remove(store, tmp_path):
    far = datastore(f"file://{tmp_path}/folder")
    bring(store, far, made(store, tmp_path, {"sub": {"a": b"1"}}))
    os.rename(tmp_path / "folder/out/sub", tmp_path / "folder/kept")
    os.symlink("../kept", tmp_path / "folder/out/sub")
    assert bring(store, far, made(store, tmp_path, {"b": b"1"})).left == ("sub/a",)
    assert (tmp_path / "folder/kept/a").read_bytes() == b"1"


@pytest.mark.parametrize("opaque", [False, True])
def test_what_the_store_vouches_for_is_not_read(store, tagged, tmp_path, monkeypatch, opaque):
    monkeypatch.setattr(TaggedMemory, "opaque", opaque)
    tree = made(store, tmp_path, {"a": b"1" * 99, "b": b"2" * 99})
    fs = tagged.filesystem
    bring(store, tagged, tree, fresh=True)
    assert len(fs.asked("write")) == 2
    bring(store, tagged, tree)
    assert fs.asked("read", "write") == []  # they are known by their tags
    bring(store, tagged, tree)
    assert fs.asked("read", "write") == []
    wrote(tagged, "out/a", b"3" * 99, tmp_path)
    fs.asked()
    bring(store, tagged, tree)
    assert there(tagged) == {"out/a": b"1" * 99, "out/b": b"2" * 99}


def test_times_are_not_believed(store, tagged, tmp_path, monkeypatch):
    monkeypatch.setitem(AnyFilesystem.schemes, "tagged", "times")
    tree = made(store, tmp_path, {"a": b"1"})
    for _ in range(2):
        tagged.filesystem.asked()
        bring(store, tagged, tree)
    assert tagged.filesystem.asked("read") == ["/bucket/out/a"]


def test_only_the_place_is_listed(store, tagged, tmp_path):
    fs = tagged.filesystem
    for name in ("in/a", "other/b", ".stepwell/depot/c.tar", "in2/d", "inner"):
        fs.pipe_file(f"/bucket/{name}", b"1")
    assert list(tagged.files()) == ["in/a", "in2/d", "inner", "other/b"] == sorted(tagged.listed(""))
    assert list(tagged.files("in")) == ["in/a", "in2/d", "inner"] and list(tagged.listed("in")) == ["in/a"]
    fs.asked()
    assert list(tagged.files("in/")) == ["in/a"]
    bring(store, tagged, made(store, tmp_path, {"a": b"1"}), path="in")
    assert set(fs.asked("find", "ls")) == {"/bucket/in"}
    assert tagged.listed("nothing") == {} == tagged.listed("nothing/below")


def test_a_connection_that_the_server_ended_is_opened_again(store, tmp_path):
    with ftp_server(tmp_path / "served") as url:
        far = datastore(url, username="u", password="hidden")
        bring(store, far, made(store, tmp_path, {"a": b"1"}))
        far.filesystem.ftp.close()
        bring(store, far, made(store, tmp_path, {"a": b"2"}))
        assert there(far) == {"out/a": b"2"}


def test_a_server_that_is_away_is_told_in_words(store, tmp_path):
    with ftp_server(tmp_path / "served") as url:
        far = datastore(url, username="u", password="hidden")
        far.filesystem  # noqa: B018
    with pytest.raises(DatastoreException) as caught:
        far.exists("a")
    assert "Hint: " in str(caught.value)
