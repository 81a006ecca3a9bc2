"""Write-back: times are believed exactly where the kernel makes them tell."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.blocks.store import write_back
from stepwell.blocks.store.write_back import interval_ns, may_be_written, times_tell

LATER = 3_600_000_000_000


def tell(path: Path, later: int = LATER) -> bool:
    """Return whether the file's times would be believed so many nanoseconds from now."""
    with open(path, "rb") as stream:
        return times_tell(stream.fileno(), str(path), os.fstat(stream.fileno()), time.time_ns() + later)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0" * 8192)
    with open(path, "rb") as stream:
        if write_back._file_system(stream.fileno()) not in write_back._DISKS:
            pytest.skip("the temporary folder stands on a file system whose times don't tell")
    return path


@pytest.fixture
def mapped(file: Path) -> Iterator[mmap.mmap]:
    descriptor = os.open(file, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as memory:
        os.close(descriptor)
        yield memory


@pytest.fixture(params=["lease", "maps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the kernel for a lease, or, as for files of somebody else, look at everybody's maps."""
    write_back._maps.forget()
    if request.param == "maps":
        monkeypatch.setattr(write_back, "_lease", lambda _: None)
        monkeypatch.setattr(write_back, "_SCAN_SECONDS", 0.0)


def test_a_file_tells_once_it_has_settled(file: Path, way: None, request: pytest.FixtureRequest) -> None:
    assert not tell(file, 0)
    assert not tell(file, write_back._STEP_NS - 1_000_000_000)
    leased = "lease" in request.node.name
    assert tell(file, interval_ns() - 2_000_000_000) == leased
    assert tell(file, interval_ns() + 1_000_000)


def test_of_an_overlay_a_lease_tells_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_back, "_file_system", lambda _: write_back._OVERLAY)
    assert not tell(file, interval_ns() - 2_000_000_000)
    assert tell(file, interval_ns() + 1_000_000)


def test_a_new_map_stamps_a_page_that_waits_for_write_back(file: Path) -> None:
    for number in range(5):
        with open(file, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as memory:
            memory[0] = number
        assert tell(file), "the page is dirty now, and nobody has the file open"
        before = file.stat()
        time.sleep(0.05)
        with open(file, "r+b") as stream:
            memory = mmap.mmap(stream.fileno(), 0)
        memory[0] = 100 + number
        memory.close()
        assert file.stat().st_ctime_ns != before.st_ctime_ns


def test_the_interval_is_the_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    centiseconds = [
        int(Path("/proc/sys/vm", name).read_text()) for name in ("dirty_expire_centisecs", "dirty_writeback_centisecs")
    ]
    assert interval_ns() > 10_000_000 * sum(centiseconds)
    for text, expected in {
        "9000": 185_000_000_000,
        "1": 35_000_000_000,
        "0": sys.maxsize,
        "no number": sys.maxsize,
    }.items():
        monkeypatch.setattr(Path, "read_text", lambda _, text=text: text)
        assert write_back.interval_ns.__wrapped__() == expected


def test_a_mapped_file_tells_nothing_until_the_map_is_gone(file: Path, mapped: mmap.mmap, way: None) -> None:
    assert may_be_written(str(file))
    assert not tell(file)
    mapped.close()
    assert not may_be_written(str(file))
    assert tell(file)


def test_a_map_of_another_process_is_seen_though_its_descriptor_is_closed(file: Path, way: None) -> None:
    code = (
        "import ctypes, os, sys; fd = os.open(sys.argv[1], os.O_RDWR); libc = ctypes.CDLL(None); "
        "libc.mmap.restype = ctypes.c_void_p; at = libc.mmap(None, 4096, 3, 1, fd, ctypes.c_long(0)); os.close(fd); "
        "print('mapped', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"mapped\n"
        assert may_be_written(str(file)) and not tell(file)
        other.stdin.close()
    assert tell(file)


def test_a_map_to_read_is_in_nobodys_way(file: Path, way: None) -> None:
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ):
        assert not may_be_written(str(file))
        assert tell(file)


def test_pages_that_wait_are_written_out_so_that_the_next_write_leaves_its_mark(file: Path, mapped: mmap.mmap) -> None:
    mapped[0] = 1
    before = file.stat().st_mtime_ns
    with open(file, "rb") as stream:
        assert write_back._written_out(stream.fileno())
    time.sleep(0.05)
    mapped[0] = 2
    assert file.stat().st_mtime_ns != before


def test_tmpfs_never_tells(way: None) -> None:
    folder = Path("/dev/shm")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        pytest.skip("no tmpfs to write to")
    path = folder / f"stepwell-test-{os.getpid()}"
    try:
        path.write_bytes(b"0")
        assert not tell(path)
    finally:
        path.unlink()


def test_a_look_leaves_no_lease_behind(file: Path) -> None:
    for _ in range(100):
        assert not may_be_written(str(file))
        with open(file, "r+b") as stream:
            stream.write(b"1")
