"""Source directories and inputs: snapshots and hashes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from place import Place
from rows import Row

FILES, FOLDERS = 10_000, 100


def snapshot(place: Place) -> Iterator[Row]:
    """The snapshot of 10,000 small files: new, with the copy into the store, and once more."""
    count = 1 if place.quick else place.repeat
    sources = [_many_files(place.folder / f"many{number}", number) for number in range(count)]
    found = place.ask("snapshot", sources=list(map(str, sources)), unchanged=place.repeat + 2)
    yield Row(f"snapshot of {FILES:,} files, cold", found["cold"], 3, "s", "hashed, and copied into the store")
    yield Row(f"snapshot of {FILES:,} files, unchanged", found["unchanged"], 0.5, "s", "also checks the store's copy")


def _many_files(root: Path, number: int) -> Path:
    for folder in range(FOLDERS):
        (root / f"f{folder}").mkdir(parents=True)
        for file in range(FILES // FOLDERS):
            (root / f"f{folder}" / f"{file}.py").write_text(f"# {number} {folder} {file}\n" * 20)
    return root


def hashing(place: Place) -> Iterator[Row]:
    """A large input: hashed first, beside `sha256sum`, and hashed again unchanged."""
    megabytes = 500
    file = place.folder / "large.bin"
    with open(file, "wb") as out:
        out.writelines(os.urandom(1_000_000) for _ in range(megabytes))
    found = place.ask("hashing", file=str(file), repeat=place.repeat)
    file.unlink()
    yield Row(f"unchanged input of {megabytes} MB, hashed again", 1000 * found["again"], 10, "ms", "cache opened anew")
    detail = f"{found['first']:.2f} s / {found['sha256sum']:.2f} s"
    yield Row(f"new input of {megabytes} MB / sha256sum", found["ratio"], 1.3, "x", detail)
