"""The digest cache: believed exactly when nothing can have changed, and never in its caller's way."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.model import digests
from stepwell.blocks.store import stat_cache, write_back
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.model.tree import scan


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


SOON_NS = 50_000_000


@pytest.fixture(autouse=True)
def quick_write_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file settles soon, on whatever file system the tests run."""
    monkeypatch.setattr(write_back, "interval_ns", lambda: SOON_NS)
    monkeypatch.setattr(write_back, "_STEP_NS", SOON_NS)
    monkeypatch.setattr(write_back, "_file_system", lambda _: 0xEF53)


def write(path: Path, content: bytes) -> str:
    """Write a file that is old enough for the cache, and return its digest."""
    path.write_bytes(content)
    time.sleep(SOON_NS / 1e9 + 0.02)
    return sha(content)


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "cache" / "digests.sqlite3")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths of the files that are really read, as they are read."""
    paths: list[str] = []
    read = stat_cache._read

    def counted(path: str) -> tuple[str, stat_cache._Row | None]:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(stat_cache, "_read", counted)
    return paths


def look(cache: StatCache, path: Path) -> str:
    return cache.digest_file(str(path), path.lstat())


def test_an_unchanged_file_is_read_once(cache: StatCache, tmp_path: Path, reads: list[str]) -> None:
    digest = write(tmp_path / "a", b"content")
    assert [look(cache, tmp_path / "a") for _ in range(3)] == [digest] * 3
    assert look(StatCache(tmp_path / "cache" / "digests.sqlite3"), tmp_path / "a") == digest
    assert len(reads) == 1


def test_same_size_and_mtime_with_other_bytes_is_seen(cache: StatCache, tmp_path: Path) -> None:
    file = tmp_path / "a"
    write(file, b"one")
    look(cache, file)
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert look(cache, file) == sha(b"two")


def test_a_file_replaced_by_another_is_seen(cache: StatCache, tmp_path: Path) -> None:
    write(tmp_path / "a", b"one")
    write(tmp_path / "b", b"two")
    look(cache, tmp_path / "a")
    os.replace(tmp_path / "b", tmp_path / "a")
    assert look(cache, tmp_path / "a") == sha(b"two")


def test_a_file_changed_just_now_is_not_remembered(
    cache: StatCache, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_back, "interval_ns", lambda: 3600 * 10**9)
    monkeypatch.setattr(write_back, "_STEP_NS", 3600 * 10**9)
    (tmp_path / "a").write_bytes(b"content")
    look(cache, tmp_path / "a")
    look(cache, tmp_path / "a")
    assert len(reads) == 2


def test_many_quick_rewrites_are_all_seen(cache: StatCache, tmp_path: Path) -> None:
    file = tmp_path / "a"
    for number in range(200):
        content = b"%03d" % number
        file.write_bytes(content)
        assert look(cache, file) == sha(content)


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    cache: StatCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    write(file, b"0")
    count = iter(range(1, 100))
    real = digests.file_digest

    def meddled(stream: object) -> str:
        digest = real(stream)  # type: ignore[arg-type]
        file.write_bytes(b"%d" % next(count))
        return digest

    monkeypatch.setattr(stat_cache, "file_digest", meddled)
    assert look(cache, file) == sha(b"2")
    assert next(count) == stat_cache.ATTEMPTS + 1
    assert cache._rows("path = ?", os.fsencode(file)) == []


def test_another_boot_believes_settled_files_only(
    cache: StatCache, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "fresh", b"fresh")
    look(cache, tmp_path / "fresh")
    monkeypatch.setattr(stat_cache, "SETTLED_NS", 0)
    write(tmp_path / "settled", b"settled")
    look(cache, tmp_path / "settled")
    monkeypatch.setattr(stat_cache, "_THIS_BOOT", b"another boot")
    known = {row.path: row for row in cache._rows("1 = 1")}
    for name in ("settled", "fresh"):
        path = tmp_path / name
        assert stat_cache._believed(known[os.fsencode(path)], str(path), path.stat()) == (name == "settled")
    assert look(cache, tmp_path / "fresh") == sha(b"fresh")


def test_a_folder_is_preloaded_and_saved_at_once(cache: StatCache, tmp_path: Path, reads: list[str]) -> None:
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    (tmp_path / "root2").mkdir()
    for name in ("root/a", "root/deep/b", "root2/c"):
        (tmp_path / name).write_bytes(name.encode())
    write(Path(os.fsdecode(os.fsencode(root) + b"/\xff\n")), b"odd name")
    expected = scan(root)
    for _ in range(2):
        with cache.under(root) as digest_file:
            assert scan(root, digest_file) == expected
    assert len(reads) == 3
    with cache.under(root) as digest_file:
        outside = tmp_path / "root2" / "c"
        assert digest_file(str(outside), outside.stat()) == sha(b"root2/c")


@pytest.mark.parametrize("order", [1, -1])
def test_a_folder_is_known_by_parts_in_whatever_order_its_files_are_asked_for(
    cache: StatCache, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    monkeypatch.setattr(stat_cache, "_AT_ONCE", 3)
    monkeypatch.setattr(stat_cache, "_FEW", 2)
    monkeypatch.setattr(stat_cache, "_SAVED", 4)
    paths = sorted(str(tmp_path / "root" / place / f"{number}") for place in ("a", "b", "b.c") for number in range(5))
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    time.sleep(SOON_NS / 1e9 + 0.02)
    for _ in range(3):
        with cache.under(tmp_path / "root") as digest_file:
            for path in paths[::order]:
                assert digest_file(path, os.stat(path)) == sha(path.encode())
    assert len(reads) == len(paths)
    for path in paths[4:14]:
        os.unlink(path)
    with cache.under(tmp_path / "root") as digest_file:
        digest_file(paths[1], os.stat(paths[1]))
    assert [os.fsdecode(row.path) for row in cache._rows("1 = 1")] == [*paths[:4], paths[14]]
    assert len(reads) == len(paths)


def test_what_is_known_of_a_folder_is_never_held_as_a_whole(cache: StatCache, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    paths = [str(tmp_path / "root" / f"{number:06}") for number in range(20_000)]
    cache._save(stat_cache._row(path, os.stat(tmp_path), "0" * 64, 0) for path in paths)
    with cache.under(tmp_path / "root") as digest_file:
        Path(paths[-1]).touch()
        tracemalloc.start()
        try:
            digest_file(paths[-1], os.stat(paths[-1]))
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def test_some_files_are_preloaded_and_saved_at_once(
    cache: StatCache, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(tmp_path / name) for name in ("a", "b", "c")]
    for path in paths:
        Path(path).write_text(path)
    time.sleep(SOON_NS / 1e9 + 0.02)
    monkeypatch.setattr(stat_cache, "_AT_ONCE", 2)
    for _ in range(2):
        with cache.among(paths) as digest_file:
            assert [digest_file(path, os.stat(path)) for path in paths] == [sha(path.encode()) for path in paths]
    assert len(reads) == 3
    with cache.among(paths) as digest_file:
        monkeypatch.setattr(cache, "_rows", lambda *_: pytest.fail("a file was asked for alone"))
        assert digest_file(paths[0], os.stat(paths[0])) == sha(paths[0].encode())


def test_a_linked_folder_and_a_lone_file_are_found_again(cache: StatCache, tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "root").mkdir()
    write(tmp_path / "root" / "a", b"content")
    (tmp_path / "link").symlink_to("root")
    for root in (tmp_path / "link", tmp_path / "root", tmp_path / "root" / "a", tmp_path / "root" / "a"):
        with cache.under(root) as digest_file:
            scan(root, digest_file)
    assert len(reads) == 1


def test_rows_of_files_that_are_gone_are_removed_and_others_kept(cache: StatCache, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("kept", "skipped", "gone"):
        write(root / name, b"")
    with cache.under(root) as digest_file:
        scan(root, digest_file)
    (root / "gone").unlink()
    with cache.under(root) as digest_file:
        scan(root, digest_file, skip=lambda path, _: path == "skipped")
    assert [row.path for row in cache._rows("1 = 1")] == [os.fsencode(root / name) for name in ("kept", "skipped")]


def test_what_was_read_is_saved_although_the_scan_fails(cache: StatCache, tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "a"
    digest = write(file, b"content")
    with pytest.raises(KeyError), cache.under(tmp_path) as digest_file:
        digest_file(str(file), file.stat())
        raise KeyError
    assert look(cache, file) == digest
    assert len(reads) == 1


def test_all_is_read_where_asked_and_remembered_for_others(cache: StatCache, tmp_path: Path, reads: list[str]) -> None:
    digest = write(tmp_path / "a", b"content")
    careful = cache.reading_all()
    for _ in range(2):
        assert look(careful, tmp_path / "a") == digest
        with careful.under(tmp_path) as digest_file:
            assert digest_file(str(tmp_path / "a"), (tmp_path / "a").stat()) == digest
    assert len(reads) == 4
    assert look(cache, tmp_path / "a") == digest
    assert len(reads) == 4


def test_rows_of_earlier_rules_are_not_believed(
    cache: StatCache, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = write(tmp_path / "a", b"content")
    with monkeypatch.context() as earlier:
        earlier.setattr(stat_cache, "_RULES", b"1")
        look(cache, tmp_path / "a")
    assert [look(cache, tmp_path / "a") for _ in range(2)] == [digest] * 2
    assert len(reads) == 2


@pytest.mark.parametrize("size", [10, stat_cache.ASKED])
def test_a_file_open_for_writing_is_not_remembered(
    size: int, cache: StatCache, tmp_path: Path, reads: list[str]
) -> None:
    digest = write(tmp_path / "a", b"a" * size)
    with open(tmp_path / "a", "r+b"):
        assert [look(cache, tmp_path / "a") for _ in range(2)] == [digest] * 2
    assert len(reads) == 2
    assert [look(cache, tmp_path / "a") for _ in range(2)] == [digest] * 2
    assert len(reads) == 3


def test_a_remembered_file_is_read_again_while_somebody_can_write_to_it(
    cache: StatCache, tmp_path: Path, reads: list[str]
) -> None:
    write(tmp_path / "a", b"a" * stat_cache.ASKED)
    look(cache, tmp_path / "a")
    with open(tmp_path / "a", "r+b"):
        look(cache, tmp_path / "a")
    assert len(reads) == 2
    look(cache, tmp_path / "a")
    assert len(reads) == 2


def test_an_error_of_the_file_is_the_callers(cache: StatCache, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cache.digest_file(str(tmp_path / "none"), tmp_path.stat())


def damaged(path: Path) -> Iterator[str]:
    good = path.read_bytes()
    for name, content in {
        "empty": b"",
        "no database": b"no database" * 1000,
        "cut": good[: len(good) // 2],
        "zeros": bytes(len(good)),
    }.items():
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(content)
        yield name


def test_a_damaged_cache_is_replaced(cache: StatCache, tmp_path: Path) -> None:
    file, database = tmp_path / "a", tmp_path / "cache" / "digests.sqlite3"
    digest = write(file, b"content")
    look(cache, file)
    cache.close()
    for name in damaged(database):
        again = StatCache(database)
        assert look(again, file) == digest, name
        assert len(again._rows("1 = 1")) == 1, name
        again.close()


def test_no_flipped_bit_yields_a_wrong_digest(tmp_path: Path) -> None:
    file, database = tmp_path / "a", tmp_path / "digests.sqlite3"
    digest = write(file, b"content")
    cache = StatCache(database)
    look(cache, file)
    cache.close()
    good = database.read_bytes()
    digits = good.index(digest.encode())
    for place in (*range(0, 100), *range(digits - 100, digits + 70), *range(100, len(good), 211)):
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        database.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        cache = StatCache(database)
        assert look(cache, file) == digest, place
        cache.close()


@pytest.mark.parametrize("place", ["/proc/nowhere/digests", "/dev/null/digests", "/proc/self/status"])
def test_a_place_that_cannot_be_written_is_bypassed(place: str, tmp_path: Path) -> None:
    digest = write(tmp_path / "a", b"content")
    cache = StatCache(Path(place))
    assert look(cache, tmp_path / "a") == digest
    with cache.under(tmp_path) as digest_file:
        assert scan(tmp_path, digest_file) == scan(tmp_path)


def test_a_cache_whose_log_another_process_removed_is_replaced(cache: StatCache, tmp_path: Path) -> None:
    cache.remember("first", "tag", "digest")
    (
        tmp_path / "cache" / "digests.sqlite3"
    ).read_bytes()  # whoever reads a file and closes it frees the locks of its whole process
    code = "import sys; from pathlib import Path; from stepwell.blocks.store.stat_cache import StatCache\n"
    code += "cache = StatCache(Path(sys.argv[1])); cache.remember('name', 'tag', 'digest'); cache.close()"
    subprocess.run([sys.executable, "-c", code, tmp_path / "cache" / "digests.sqlite3"], check=True)
    assert not (tmp_path / "cache" / "digests.sqlite3-wal").exists()
    cache.remember("second", "tag", "digest")  # into the log that was removed
    new = StatCache(tmp_path / "cache" / "digests.sqlite3")
    new.remember("other", "tag", "digest")
    assert new.recall("other", "tag") == "digest"


def test_a_locked_or_deleted_cache_is_bypassed(cache: StatCache, tmp_path: Path) -> None:
    database = tmp_path / "cache" / "digests.sqlite3"
    digest = write(tmp_path / "a", b"content")
    assert cache._rows("1 = 1") == []
    with sqlite3.connect(database, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert look(cache, tmp_path / "a") == digest
        other.execute("ROLLBACK")
    for file in database.parent.iterdir():
        file.unlink()
    assert look(cache, tmp_path / "a") == digest
    cache.close()
    assert look(cache, tmp_path / "a") == digest


def test_a_cache_grown_too_large_starts_anew(cache: StatCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", b"content")
    look(cache, tmp_path / "a")
    cache.close()
    monkeypatch.setattr(stat_cache, "MOST_BYTES", 1)
    assert cache._rows("1 = 1") == []


def test_threads_share_a_cache(cache: StatCache, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    time.sleep(0.07)
    wrong: list[int] = []

    def work() -> None:
        for number in range(50):
            if look(cache, tmp_path / f"{number}") != sha(b"%d" % number):
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache._rows("1 = 1")) == 50


PROCESS = """
import sys
from pathlib import Path
from stepwell.blocks.store import write_back
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.model.tree import scan
write_back.interval_ns, write_back._file_system = lambda: 50_000_000, lambda _: 0xEF53
write_back._STEP_NS = 50_000_000
cache, root = StatCache(Path(sys.argv[1])), Path(sys.argv[2])
for _ in range(5):
    with cache.under(root) as digest_file:
        print(scan(root, digest_file).digest)
"""


def test_processes_share_a_cache(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(100):
        (root / f"{number}").write_bytes(b"%d" % number)
    time.sleep(0.07)
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "digests.sqlite3"), str(root)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert {digest for output in outputs for digest in output} == {scan(root).digest}
    assert len(StatCache(tmp_path / "digests.sqlite3")._rows("1 = 1")) == 100


def test_a_fork_opens_its_own_connection(cache: StatCache, tmp_path: Path) -> None:
    digest = write(tmp_path / "a", b"content")
    look(cache, tmp_path / "a")
    cache._guard.acquire()  # as if another thread were at work
    child = os.fork()
    if child == 0:
        os._exit(0 if cache._connection is None and look(cache, tmp_path / "a") == digest else 1)
    cache._guard.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert look(cache, tmp_path / "a") == digest
