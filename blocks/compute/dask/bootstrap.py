"""The function that is sent to Dask workers by value: it finds the worker bundle there, or reports that it is missing.

A worker needs Python and Dask only, so nothing here may refer to Stepwell before the bundle is there.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import sys
import threading
import types
import zipfile
from typing import Any


def start(digest: str, archive: bytes | None, request: bytes) -> Any:
    """Run the request by the bundle's `worker.work`; return "bundle" if the worker lacks it and `archive` is None.

    `digest` names the bundle. An exception comes back as a value: raised, Dask would log the request.
    """
    holder = sys.modules.setdefault("_stepwell_bundle", types.ModuleType("_stepwell_bundle"))
    try:
        with vars(holder).setdefault("lock", threading.Lock()):
            module = _load(digest) or (_unpack(digest, archive) if archive else None)
        return "bundle" if module is None else module.work(request)
    except Exception as error:  # noqa: BLE001
        return error


def _load(digest: str) -> Any:
    """Return the module `worker` if the Stepwell that the worker can import is the same as the sender's."""
    try:
        if importlib.import_module("stepwell.blocks.compute.worker_bundle").bundle_digest() == digest:
            return importlib.import_module("stepwell.blocks.compute.dask.worker")
    except (ImportError, AttributeError, OSError):
        pass
    return None


def _unpack(digest: str, archive: bytes) -> Any:
    from distributed import get_worker

    folder = os.path.join(get_worker().local_directory, f"stepwell-bundle-{digest}")
    if not os.path.isdir(folder):
        draft = f"{folder}.{os.getpid()}.{threading.get_ident()}"
        with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
            bundle.extractall(draft)
        try:
            os.rename(draft, folder)
        except OSError:
            if not os.path.isdir(folder):
                raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "stepwell"]:
        del sys.modules[name]  # another release; who runs with it now keeps it
    sys.path[:] = [folder, *(path for path in sys.path if "stepwell-bundle-" not in path)]
    importlib.invalidate_caches()
    importlib.import_module("stepwell.blocks.compute.dask.worker")  # raises what `_load` takes for a missing bundle
    return _load(digest)


async def take(name: str, most: int) -> bytes:
    """Return what a script's connection on this worker brings next, at most so many bytes; none at its end."""
    connection, _ = vars(sys.modules["_stepwell_bundle"])["connections"][name]
    try:
        return await asyncio.get_running_loop().sock_recv(connection, most)
    except OSError:
        return b""


async def put(name: str, data: bytes) -> None:
    """Send the bytes over a script's connection on this worker; none let go of it."""
    connection, done = vars(sys.modules["_stepwell_bundle"])["connections"][name]
    if data:
        await asyncio.get_running_loop().sock_sendall(connection, data)
    else:
        done.set()
