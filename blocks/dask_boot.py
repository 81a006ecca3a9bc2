"""What is sent to Dask workers by value: it finds Stepwell's kit there, or says that it has to be sent too.

A worker needs Python and Dask only, so nothing here may refer to Stepwell before the kit is there.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
import types
import zipfile
from typing import Any


def start(digest: str, archive: bytes | None, order: bytes) -> Any:
    """What the kit's `dask_worker.work` returns; "kit" if the worker lacks the kit `digest` and `archive` doesn't hold it.

    An exception comes back as a value: raised, Dask would log the order.
    """
    shelf = sys.modules.setdefault("_stepwell_kit", types.ModuleType("_stepwell_kit"))
    try:
        with vars(shelf).setdefault("lock", threading.Lock()):
            module = _loaded(digest) or (_unpacked(digest, archive) if archive else None)
        return "kit" if module is None else module.work(order)
    except Exception as error:  # noqa: BLE001
        return error


def _loaded(digest: str) -> Any:
    """The worker's module, if the Stepwell that the worker can import is the same as the sender's."""
    try:
        if importlib.import_module("stepwell.blocks.kit").kit_digest() == digest:
            return importlib.import_module("stepwell.blocks.dask_worker")
    except (ImportError, AttributeError, OSError):
        pass
    return None


def _unpacked(digest: str, archive: bytes) -> Any:
    from distributed import get_worker

    folder = os.path.join(get_worker().local_directory, f"stepwell-kit-{digest}")
    if not os.path.isdir(folder):
        draft = f"{folder}.{os.getpid()}.{threading.get_ident()}"
        with zipfile.ZipFile(io.BytesIO(archive)) as kit:
            kit.extractall(draft)
        try:
            os.rename(draft, folder)
        except OSError:
            if not os.path.isdir(folder):
                raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "stepwell"]:
        del sys.modules[name]  # another release; who runs with it now keeps it
    sys.path[:] = [folder, *(path for path in sys.path if "stepwell-kit-" not in path)]
    importlib.invalidate_caches()
    return _loaded(digest)
