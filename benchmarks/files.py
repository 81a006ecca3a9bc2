"""Source directories and inputs: snapshots and hashes."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

from place import Place
from rows import Row

from stepwell.blocks.store.write_back import interval_ns

FILES, FOLDERS = 10_000, 100


def snapshot(place: Place) -> Iterator[Row]:
    """Yield the snapshot of 10,000 small files: new, with the copy into the store, and once more."""
    count = 1 if place.quick else place.repeat
    sources = [_many_files(place.folder / f"many{number}", number) for number in range(count)]
    rest = interval_ns() / 1e9 + 1
    found = place.ask("snapshot", sources=list(map(str, sources)), unchanged=place.repeat + 2, rest=rest)
    yield Row(f"snapshot of {FILES:,} files, cold", found["cold"], 3, "s", "hashed, and copied into the store")
    yield Row(f"snapshot of {FILES:,} files, unchanged", found["unchanged"], 0.5, "s", "settled; also checks the copy")


def _many_files(root: Path, number: int) -> Path:
    for folder in range(FOLDERS):
        (root / f"f{folder}").mkdir(parents=True)
        for file in range(FILES // FOLDERS):
            (root / f"f{folder}" / f"{file}.py").write_text(f"# {number} {folder} {file}\n" * 20)
    return root


def hashing(place: Place) -> Iterator[Row]:
    """Yield a large input: hashed first, beside `sha256sum`; hashed again unchanged, fresh, then settled, and mapped by somebody."""
    megabytes = 500
    file = place.folder / "large.bin"
    with open(file, "wb") as out:
        out.writelines(os.urandom(1_000_000) for _ in range(megabytes))
    written = time.monotonic()
    fresh = place.ask("hashing", file=str(file), repeat=place.repeat)
    detail = f"{fresh['first']:.2f} s / {fresh['sha256sum']:.2f} s"
    yield Row(f"new input of {megabytes} MB / sha256sum", fresh["ratio"], 1.3, "x", detail)
    yield Row(
        f"fresh input of {megabytes} MB, again / sha256sum", fresh["again"] / fresh["sha256sum"], 1.3, "x", "read"
    )
    os.sync()
    time.sleep(max(0.0, written + interval_ns() / 1e9 + 1 - time.monotonic()))
    settled = place.ask("hashing", file=str(file), repeat=place.repeat)
    yield Row(f"settled input of {megabytes} MB, hashed again", 1000 * settled["again"], 10, "ms", "cache opened anew")
    with open(file, "r+b") as stream, mmap.mmap(stream.fileno(), 0):
        found = place.ask("hashing", file=str(file), repeat=place.repeat)
    yield Row(
        f"mapped input of {megabytes} MB, again / sha256sum", found["again"] / found["sha256sum"], 1.3, "x", "read"
    )
    file.unlink()
