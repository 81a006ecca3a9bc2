"""What every kind of storage promises of its objects, tried on real ones."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from far_away import ftp_server
from object_stores import KINDS, Place, place

from stepwell.blocks.remote.storage_drivers import folders
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.errors import DatastoreException

GUARANTEES = {"folder": "create", "s3": "create+swap", "azure": "create+swap", "sftp": "create", "ftp": "none"}


@pytest.fixture(scope="module", params=[*KINDS, "ftp"])
def at(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "ftp":
        pytest.importorskip("pyftpdlib")
        with ftp_server(folder / "served") as url:
            yield Place("ftp", f"{url}data", {"username": "u", "password": "hidden"})
    else:
        with place(request.param, folder) as found:
            yield found


@pytest.fixture
def opened(at, request, tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))

    def opened(**more):
        return RemoteObjects(f"{at.url}/{request.node.originalname}", at.options, **more)

    return opened


def test_what_is_written_is_read(opened, tmp_path):
    objects = opened()
    assert objects.get("a/b") is None
    assert objects.stat("a/b") is None
    assert not objects.get_to("a/b", tmp_path / "none")
    objects.put("a/b", b"one")
    assert objects.get("a/b") == b"one"
    objects.put("a/b", b"other")
    assert opened().get("a/b") == b"other"
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    objects.put("a/large", tmp_path / "large")
    assert objects.get_to("a/large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()
    assert objects.stat("a/large").size == 3 << 20


def test_an_object_is_created_once(opened):
    objects = opened()
    assert objects.create("x/y", b"first")
    assert not objects.create("x/y", b"second")
    assert objects.get("x/y") == b"first"


def test_the_guarantee_is_tried_and_kept(opened, at):
    objects = opened()
    assert objects.guarantee == GUARANTEES[at.kind]
    assert [*objects.list()] == []
    again = opened()
    assert again.guarantee == GUARANTEES[at.kind]
    assert again.traffic.requests == 0


def test_of_several_creators_one_wins(opened, at):
    if GUARANTEES[at.kind] == "none":
        pytest.skip("it promises nothing of the kind")
    objects, ready, won = opened(), threading.Barrier(6), []

    def race(number: int) -> None:
        ready.wait()
        if objects.create("race", f"{number}".encode()):
            won.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objects.get("race") == f"{won[0]}".encode()
    assert len(won) == 1


def test_a_known_version_is_replaced_once(opened, at):
    objects = opened()
    objects.put("head", b"1")
    tag = objects.stat("head").tag
    if at.kind not in ("s3", "azure"):
        with pytest.raises(DatastoreException, match="on a condition"):
            objects.swap("head", tag, b"2")
        return
    new = objects.swap("head", tag, b"2")
    assert new
    assert new == objects.stat("head").tag
    assert objects.swap("head", tag, b"3") is None
    assert objects.swap("none", tag, b"3") is None
    assert objects.get("head") == b"2"


def test_objects_are_listed_by_name_as_they_are_now(opened):
    objects, other = opened(), opened()
    for name in ("b/2", "b/1", "a", "b-", "b/10"):
        objects.put(name, b"12")
    assert [entry.name for entry in objects.list()] == ["a", "b-", "b/1", "b/10", "b/2"]
    assert [(entry.name, entry.size) for entry in objects.list("b/1")] == [("b/1", 2), ("b/10", 2)]
    assert [*objects.list("c/")] == []
    other.put("b/3", b"")
    other.delete(["b/1", "b/10", "none"])
    assert [entry.name for entry in objects.list("b/")] == ["b/2", "b/3"]


def test_times_are_the_storages(opened):
    objects = opened()
    before = objects.now()
    objects.put("timed", b"1")
    entry = objects.stat("timed")
    assert before - 2 <= entry.modified <= objects.now() + 2
    assert abs(before - time.time()) < 300  # the same machine
    assert [found.modified for found in objects.list("timed")] == [pytest.approx(entry.modified, abs=1)]


def test_requests_and_bytes_are_counted(opened, at, tmp_path):
    objects = opened()
    objects.put("counted", b"123")
    sent = objects.traffic.sent
    assert sent == 3
    before = objects.traffic.requests
    objects.get("counted")
    if at.kind in ("s3", "azure", "folder"):
        assert objects.traffic.requests == before + 1
    objects.get_to("counted", tmp_path / "copy")
    assert objects.traffic.received == 6
    assert objects.traffic.sent == sent


def test_many_threads_share_it(opened):
    objects, failed = opened(), []

    def work(number: int) -> None:
        try:
            for _ in range(3):
                data = hashlib.sha256(f"{number}".encode()).digest() * 100
                objects.put(f"mine/{number}", data)
                assert objects.get(f"mine/{number}") == data
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a\\b"])
def test_names_stay_below_the_place(tmp_path, name):
    with pytest.raises(DatastoreException, match="none of an object"):
        RemoteObjects(f"file://{tmp_path}").put(name, b"")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://bucket/data", {"key": "a", "secret": "b", "endpoint_url": "http://127.0.0.1:1"}),
        ("sftp://127.0.0.1/data", {"port": 1}),
        ("ftp://127.0.0.1:1/data", {}),
        ("nonsense://x", {}),
    ],
)
def test_a_store_that_is_away_says_so(url, options):
    with pytest.raises(DatastoreException, match="can't be read or written") as failed:
        RemoteObjects(url, options, pauses=()).get("x")
    assert "hidden" not in str(failed.value)


def test_what_opens_a_store_is_in_no_message():
    key = "c2VjcmV0IGtleSBvZiBtaW5l=="
    options = {"connection_string": f"AccountName=someone;AccountKey={key};x=y", "client_kwargs": {"token": "hidden!"}}
    objects = RemoteObjects("s3://bucket", options)
    told = objects._failed(ValueError(f"no entry with {key} or hidden! of someone"))
    assert key[:20] not in str(told) and "hidden!" not in str(told)


class TestSharedFolder:
    """Several Unix users of one group."""

    def test_files_have_the_rights_of_the_folder(self, tmp_path):
        tmp_path.chmod(0o2770)
        objects = RemoteObjects(f"file://{tmp_path}/store")
        (tmp_path / "store").mkdir()
        (tmp_path / "store").chmod(0o2770)
        objects.put("a/b/c", b"")
        objects.create("a/b/d", b"")
        modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "store").rglob("*")}
        assert modes == {"a": 0o2770, "b": 0o2770, "c": 0o660, "d": 0o660}

    def test_who_comes_while_a_folder_is_made_gives_the_same_rights(self, tmp_path, monkeypatch):
        tmp_path.chmod(0o2770)
        objects, other = (RemoteObjects(f"file://{tmp_path}") for _ in range(2))
        real, come = folders._like, []

        def somebody_comes(parent, descriptor, mask):
            if not come:
                come.append(True)
                other.put("a/c", b"")
            real(parent, descriptor, mask)

        monkeypatch.setattr(folders, "_like", somebody_comes)
        before = os.umask(0o077)
        try:
            objects.put("a/b", b"")
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
        assert modes == {"a": 0o2770, "b": 0o660, "c": 0o660}

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")
    def test_files_have_the_group_of_the_folder(self, tmp_path):
        os.chown(tmp_path, -1, 4321)
        RemoteObjects(f"file://{tmp_path}").put("a/b", b"")
        assert {path.stat().st_gid for path in tmp_path.rglob("*")} == {4321}


def test_what_killed_writers_left_is_removed_once_it_is_old(opened, at, request):
    objects = opened()
    objects.put("a/b", b"1")
    objects.put("probe-0123456789abcdef", b"first")
    drafts = 0
    if at.kind in ("folder", "sftp"):
        top = Path(at.url.partition("://")[2].removeprefix("127.0.0.1"), request.node.originalname)
        (top / "a" / ".draft-1").write_bytes(b"half")
        (top / ".draft-2").mkdir()
        drafts = 2
    now = objects.now()
    assert objects.remove_leftovers(now - 3600) == 0
    assert objects.remove_leftovers(now + 3600, dry_run=True) == drafts + 1
    assert objects.remove_leftovers(now + 3600) == drafts + 1
    assert objects.remove_leftovers(now + 3600) == 0
    assert [entry.name for entry in objects.list("")] == ["a/b"]
    if drafts:
        assert not (top / "a" / ".draft-1").exists() and not (top / ".draft-2").exists()


def test_who_only_looks_waits_once_for_a_store_that_does_not_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections wait in its queue for ever
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        objects = RemoteObjects("s3://team/data", options, timeout=0.2, pauses=(0.0,) * 9, rests=0.0)
        asked = [objects.get, objects.stat, lambda name: list(objects.list(name))]
        reasons = set()
        for ask in [*asked, *asked]:
            with pytest.raises(DatastoreException) as failed:
                ask("a")
            reasons.add(str(failed.value.facts["reason"]))
    assert len(reasons) == 1
    assert objects.rests


def test_a_server_that_never_lets_send_is_not_waited_for_without_end(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        objects = RemoteObjects("s3://team/data", options, timeout=0.2, pauses=())
        for write in (objects.put, objects.create):
            with pytest.raises(DatastoreException):
                write("a", b"x")
        with pytest.raises(DatastoreException):
            objects.put("a", tmp_path / "file")


def test_what_fails_for_good_is_asked_again(tmp_path):
    objects = RemoteObjects(f"file://{tmp_path / 'file'}", pauses=(), rests=0.0)
    objects.put("a", b"x")
    with pytest.raises(DatastoreException):
        objects.put("a/b", b"x")
    assert objects.get("a") == b"x" and not objects.rests
