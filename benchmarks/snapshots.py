"""What a snapshot costs: a source of many files of which one changed, and a large file beside a script that changes.

    python benchmarks/snapshots.py [FILES]

Processor time of this process, without any step; the store and the source stand in a temporary folder.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stepwell.blocks.source.snapshot import source_tree
from stepwell.blocks.store.maintenance import measure
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Store
from stepwell.blocks.store.write_back import interval_ns

_LARGE = 400 << 20


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        root, source = Path(folder), Path(folder, "source")
        store = Store(root / "store", "key", StatCache(root / "digests.sqlite3"))
        for number in range(count):
            place = source / str(number % 100) / f"{number}.py"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"# {number}\n" * 40)

        def keep() -> None:
            with store.digests.under(source) as digest_file:
                tree = source_tree(source, digest_file)
            store.add_snapshot(source, tree)

        print(f"{count} files, first kept: {_seconds(keep):.2f} s")
        time.sleep(interval_ns() / 1e9 + 1)  # until their times tell of every change
        keep()
        for number in range(3):
            (source / "0" / "0.py").write_text(f"changed {number}")
            print(f"one of them changed: {_seconds(keep):.2f} s")
        (source / "big.bin").write_bytes(b"x" * _LARGE)
        before = measure(store).bytes
        for number in range(3):
            (source / "0" / "0.py").write_text(f"changed again {number}")
            keep()
        print(
            f"{_LARGE >> 20} MB beside a script that changed three times: {(measure(store).bytes - before) >> 20} MB more"
        )


def _seconds(action: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
