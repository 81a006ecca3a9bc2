"""What the tests of the store share: results of known bytes, and a look at what the store has for them."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import strategies
from waiting import PATIENCE

from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Miss, Store
from stepwell.model.fingerprint import CONTENT, Fingerprint, Row
from stepwell.model.tree import scan
from stepwell.model.records import Artifact, StepRecord

SIGNING_KEY = "5" * 64
Outputs = dict[str, "strategies.Folder | bytes"]
OUTPUTS: Outputs = {"model": {"weights": b"0123", "sub": {"notes": b"fine"}, "empty": {}}, "table": b"a,b\n1,2\n"}


def open_store(root: Path, signing_key: str = SIGNING_KEY) -> Store:
    """Open a store whose cache of digests stands beside it."""
    return Store(root, signing_key, StatCache(root.parent / f"{root.name}.sqlite3"))


def fingerprint(value: object = 10, data: str = "b") -> Fingerprint:
    """Return the rows of a step with a parameter and an input."""
    return Fingerprint(
        (
            Row("step type", "", "PythonScriptStep"),
            Row("script", "train.py", CONTENT + "a" * 64),
            Row("parameter", "rate", str(value)),
            Row("input", "table", CONTENT + data * 64),
        )
    )


def commit(
    store: Store, rows: Fingerprint | None = None, outputs: Outputs = OUTPUTS, step: str = "train.py"
) -> StepRecord:
    """Commit the record of a step with these rows that wrote these outputs now, and return it."""
    rows = rows or fingerprint()
    work = store.scratch_folder()
    staged, artifacts = {}, {}
    for name, content in outputs.items():
        place = work / name
        if isinstance(content, bytes):
            place.write_bytes(content)
        else:
            strategies.write_folder(place, content)
        tree = scan(place)
        staged[name] = (place, tree)
        artifacts[name] = Artifact("store", f"azureml/1/{name}", tree.digest, tree.size, kept=True)
    record = StepRecord(rows.key, step, rows, artifacts, "run", "step-run", "2026-01-01T00:00:00+00:00", 1.5)
    kept = store.commit(record, staged)
    os.rmdir(work)
    return kept


def cached(store: Store, rows: Fingerprint | None = None) -> Outputs | Miss:
    """Return the outputs, byte for byte, that the store has for these rows, or why there are none."""
    found = store.lookup((rows or fingerprint()).key)
    if isinstance(found, Miss):
        return found
    return {name: strategies.read_folder(store.tree_path(artifact.digest)) for name, artifact in found.outputs.items()}


def files_below(root: Path) -> list[Path]:
    """Return every file of a store."""
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def overwrite(path: Path, data: bytes) -> None:
    """Write `data` into the file, protected or not."""
    path.chmod(0o644)
    path.write_bytes(data)


def exercise(store: Store) -> None:
    """Do everything that only reads, whatever the store holds."""
    rows = fingerprint()
    store.nearest("train.py", rows)
    list(store.alike(rows))
    store.observed(rows)
    list(store.records())
    for path in (store.root / "manifests").glob("*/*"):
        store.manifest(path.stem)
        store.explain_trees(path.stem, "0" * 64)


def in_child(action: Callable[[], object]) -> int:
    """Return the exit code of a forked process that does it: 0, or 1 if the action raised or gave False."""
    properties = _cached_properties(len(sys.modules))
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(int(PATIENCE))  # what hangs ends
        try:
            for (
                one
            ) in properties:  # Python 3.11: the thread that made it here when this process was forked does not go on
                one.lock = threading.RLock()
            gc.freeze()  # what was garbage before is not collected here: its end may allocate, or end what the parent has
            code = 1 if action() is False else 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@cache
def _cached_properties(modules: int) -> list[Any]:
    """Return all cached properties that can be held by a thread, as there are with that number of modules."""
    return [one for one in gc.get_objects() if type(one) is cached_property and hasattr(one, "lock")]


def open_to_all() -> Path:
    """Make a new folder that users other than root can reach."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="stepwell-test-"))
    folder.chmod(0o777)
    return folder
