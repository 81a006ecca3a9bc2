"""Locks: threads, processes and tasks exclude each other, and a dead holder holds nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect.locking.protocol import LockManager

from stepwell.blocks.system import locks as module
from stepwell.blocks.system.locks import KeyLocks, exclusive, shared

HOLDER = """
import sys, time
from pathlib import Path
from stepwell.blocks.system.locks import KeyLocks
KeyLocks(Path(sys.argv[1])).acquire_lock("key", "other")
print("held", flush=True)
time.sleep(900)
"""

COUNTER = """
import sys
from pathlib import Path
from stepwell.blocks.system.locks import KeyLocks
locks, file = KeyLocks(Path(sys.argv[1]) / "locks"), Path(sys.argv[1]) / "count"
for _ in range(200):
    locks.acquire_lock("key", sys.argv[2])
    file.write_text(str(int(file.read_text()) + 1))
    locks.release_lock("key", sys.argv[2])
"""


@pytest.fixture
def locks(tmp_path: Path) -> KeyLocks:
    return KeyLocks(tmp_path / "locks")


@pytest.fixture
def other(locks: KeyLocks) -> Iterator[subprocess.Popen[str]]:
    """Start another process that holds `key`."""
    process = python(HOLDER, str(locks.folder))
    assert process.stdout and process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def python(code: str, *argv: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code, *argv], env=environment, stdout=subprocess.PIPE, text=True)


def seconds(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def test_is_what_prefect_calls_a_lock_manager(locks: KeyLocks) -> None:
    assert isinstance(locks, LockManager)


def test_one_holder_at_a_time_and_no_file_stays(locks: KeyLocks) -> None:
    assert not locks.is_locked("key")
    assert locks.acquire_lock("key", "a") and locks.acquire_lock("key", "a")
    assert locks.is_locked("key") and locks.is_lock_holder("key", "a") and not locks.is_lock_holder("key", "b")
    assert not locks.acquire_lock("key", "b", acquire_timeout=0)
    assert 0.1 <= seconds(lambda: locks.acquire_lock("key", "b", acquire_timeout=0.1))
    assert locks.acquire_lock("another key", "b", acquire_timeout=0)
    locks.release_lock("another key", "b")
    locks.release_lock("key", "a")
    assert not locks.is_locked("key") and not locks.is_lock_holder("key", "a")
    assert os.listdir(locks.folder) == []


def test_only_the_holder_can_release(locks: KeyLocks) -> None:
    locks.acquire_lock("key", "a")
    for holder, key in (("b", "key"), ("a", "nothing")):
        with pytest.raises(ValueError, match=f"No lock held by {holder} for transaction with key {key}"):
            locks.release_lock(key, holder)
    locks.release_lock("key", "a")
    with pytest.raises(ValueError, match="No lock held"):
        locks.release_lock("key", "a")


@pytest.mark.parametrize("key", ["", "..", ".hidden", "a/b", "/etc/passwd", "x" * 1000, "ü\n\0", "A" * 64])
def test_any_text_is_a_key(locks: KeyLocks, key: str) -> None:
    assert locks.acquire_lock(key, "a") and locks.is_locked(key)
    assert [path.parent for path in locks.folder.parent.rglob("*.lock")] == [locks.folder]
    locks.release_lock(key, "a")


def test_copies_agree(locks: KeyLocks) -> None:
    copy = pickle.loads(pickle.dumps(locks))
    locks.acquire_lock("key", "a")
    assert copy == locks and copy.is_lock_holder("key", "a")
    copy.release_lock("key", "a")
    assert not locks.is_locked("key")


def test_lock_that_is_held_too_long_expires(locks: KeyLocks) -> None:
    started = time.monotonic()
    locks.acquire_lock("key", "a", hold_timeout=0.1)
    assert locks.acquire_lock("key", "b")
    assert time.monotonic() - started >= 0.1
    time.sleep(0.1)
    assert locks.is_lock_holder("key", "b") and not locks.is_lock_holder("key", "a")
    locks.release_lock("key", "b")


def test_threads_wait_for_each_other(locks: KeyLocks) -> None:
    counts = [0]

    def count(number: int) -> None:
        for _ in range(50):
            assert locks.acquire_lock("key", f"thread {number}")
            seen = counts[0]
            time.sleep(0)
            counts[0] = seen + 1
            locks.release_lock("key", f"thread {number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert counts == [400] and os.listdir(locks.folder) == []


def test_processes_wait_for_each_other(locks: KeyLocks, tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    for process in [python(COUNTER, str(tmp_path), f"process {number}") for number in range(3)]:
        with process:
            assert process.wait() == 0
    assert (tmp_path / "count").read_text() == "600" and os.listdir(locks.folder) == []


def test_lock_of_another_process_is_seen(locks: KeyLocks, other: subprocess.Popen[str]) -> None:
    assert locks.is_locked("key") and not locks.is_lock_holder("key", "other")
    assert not locks.acquire_lock("key", "other", acquire_timeout=0.05)
    assert not locks.wait_for_lock("key", timeout=0.05)
    with pytest.raises(ValueError, match="No lock held"):
        locks.release_lock("key", "other")


@pytest.mark.parametrize("timeout", [None, 300])
def test_lock_of_a_killed_process_is_free_at_once(
    locks: KeyLocks, other: subprocess.Popen[str], timeout: float | None
) -> None:
    started = time.monotonic()
    threading.Timer(0.2, other.kill).start()
    assert locks.acquire_lock("key", "me", acquire_timeout=timeout)
    assert time.monotonic() - started >= 0.2
    assert locks.is_lock_holder("key", "me")
    locks.release_lock("key", "me")
    assert os.listdir(locks.folder) == []


@pytest.mark.parametrize("timeout", [None, 300])
def test_waiting_ends_when_the_lock_is_free(
    locks: KeyLocks, other: subprocess.Popen[str], timeout: float | None
) -> None:
    started = time.monotonic()
    threading.Timer(0.2, other.kill).start()
    assert locks.wait_for_lock("key", timeout)
    assert time.monotonic() - started >= 0.2
    assert not locks.is_locked("key") and locks.wait_for_lock("key") and locks.wait_for_lock("no such key", 0)


def test_tasks_wait_without_a_thread_and_can_be_cancelled(locks: KeyLocks) -> None:
    async def scenario() -> None:
        assert await locks.aacquire_lock("key", "a") and await locks.aacquire_lock("key", "a")
        assert not await locks.aacquire_lock("key", "b", acquire_timeout=0.05)
        assert not await locks.await_for_lock("key", 0.05)
        waiting = asyncio.create_task(locks.aacquire_lock("key", "b"))
        following = asyncio.create_task(locks.aacquire_lock("key", "c"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        locks.release_lock("key", "a")
        assert await following
        assert not locks.is_lock_holder("key", "b")
        locks.release_lock("key", "c")
        assert await locks.await_for_lock("key")

    asyncio.run(scenario())
    assert os.listdir(locks.folder) == []


def test_looking_is_never_mistaken_for_holding(locks: KeyLocks) -> None:
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            locks.is_locked("key")
            locks.wait_for_lock("key", 0)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(look)
        try:
            for _ in range(300):
                assert locks.acquire_lock("key", "a", acquire_timeout=0)
                locks.release_lock("key", "a")
        finally:
            done.set()


def test_forked_process_holds_nothing_and_keeps_nothing(locks: KeyLocks) -> None:
    locks.acquire_lock("key", "a")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"%d%d" % (locks.is_lock_holder("key", "a"), locks.is_locked("key")))
        time.sleep(0.5)
        os._exit(0)
    assert os.read(reader, 2) == b"01"
    locks.release_lock("key", "a")
    assert locks.acquire_lock("key", "b", acquire_timeout=0)
    locks.release_lock("key", "b")
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_read_only_folder_needs_no_lock(locks: KeyLocks, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def refuse(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(module, "_opened", refuse)
    assert locks.acquire_lock("key", "a") and locks.acquire_lock("key", "b", acquire_timeout=0)
    assert asyncio.run(locks.aacquire_lock("key", "c"))
    assert locks.is_lock_holder("key", "a") and locks.is_lock_holder("key", "b")
    assert not locks.is_locked("key") and locks.wait_for_lock("key")
    for holder in "abc":
        locks.release_lock("key", holder)
    with pytest.raises(ValueError, match="No lock held"):
        locks.release_lock("key", "a")
    with exclusive(locks.folder / "file") as taken:
        assert taken


def test_other_errors_are_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        KeyLocks(tmp_path / "file").acquire_lock("key", "a")


def test_no_descriptor_leaks(locks: KeyLocks) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        locks.acquire_lock("key", "a")
        locks.acquire_lock("key", "b", acquire_timeout=0)
        locks.is_locked("key")
        locks.release_lock("key", "a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_whole_files_are_shared_or_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with shared(path) as one, shared(path) as two, exclusive(path, blocking=False) as three:
        assert (one, two, three) == (True, True, False)
    with exclusive(path) as one, shared(path, blocking=False) as two:
        assert (one, two) == (True, False)
    with pytest.raises(KeyError), exclusive(path):
        raise KeyError
    with exclusive(path, blocking=False) as one:
        assert one


def test_exclusive_waits_for_its_turn(tmp_path: Path) -> None:
    path, order = tmp_path / "file", list[str]()

    def second() -> None:
        with exclusive(path):
            order.append("second")

    with exclusive(path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
