"""Outputs of runs as files to download: exactly those of the verified tree, several of them as one zip."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from stepwell.blocks.store.sharing import LostBytes
from stepwell.deployments.access.http_errors import HttpError
from stepwell.deployments.endpoint.run_views import KnownRun
from stepwell.flows.public.port_data_reference import PortDataReference
from stepwell.model.nofollow import open_file
from stepwell.model.tree import Tree

_CHUNK = 1 << 20
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}


def download(known: KnownRun, step: str, output: str, path: str | None) -> Response:
    """Return an output, a folder as a zip, or the file `path` within it; raise HttpError with status 404 or 410."""
    data, tree = _find(known, step, output)
    root = data.local_path
    files = {entry.path: entry for entry in tree.entries if entry.kind == "file"}
    if path is not None:
        if path not in files:
            raise HttpError(404, "NotFound", "The output holds no such file", "Leave `path` out to get all of it.")
        return _file(root / path if path else root, Path(path or data.path_on_datastore).name)
    if tree.is_file and "" in files:
        return _file(root, Path(data.path_on_datastore).name or output)
    return _zip(root, tree, output)


def _find(known: KnownRun, step: str, output: str) -> tuple[PortDataReference, Tree]:
    workspace = known.run.workspace
    if not workspace.is_here:
        hint = f"Ask the endpoint of {known.run.folder.machine_name or 'that machine'}."
        raise HttpError(
            404, "NotFound", f"The run's outputs are at {workspace.store_place}, out of this one's reach", hint
        )
    for one in known.run.find_step_run(step):
        data = one.get_outputs().get(output)
        if data is not None:
            store = known.run.workspace.store
            with suppress(LostBytes):
                store.bring(data.artifact.digest)
            if not store.tree_intact(data.artifact.digest):
                raise HttpError(410, "Gone", "The output is gone or was damaged", "Run the pipeline again.")
            return data, store.tree_at(data.local_path)
    raise HttpError(404, "NotFound", "The run has no such output", "Look at GET /runs/{id}.")


def _file(path: Path, name: str) -> Response:
    return FileResponse(
        path,
        media_type="application/octet-stream",
        headers={**_HEADERS, "Content-Disposition": _attachment(name)},
    )


def _zip(root: Path, tree: Tree, name: str) -> Response:
    scratch = tempfile.TemporaryFile()  # noqa: SIM115  (the response closes it)
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for entry in tree.entries:
            if entry.kind == "file":
                shown = os.fsencode(entry.path).decode(errors="replace")
                with (
                    open_file(root, entry.path) as source,
                    archive.open(zipfile.ZipInfo(shown, _EARLIEST), "w") as sink,
                ):
                    while data := source.read(_CHUNK):
                        sink.write(data)
    size = scratch.tell()
    scratch.seek(0)
    headers = {**_HEADERS, "Content-Disposition": _attachment(f"{name}.zip"), "Content-Length": str(size)}
    return StreamingResponse(_read(scratch), media_type="application/zip", headers=headers)


def _read(scratch: IO[bytes]) -> Iterator[bytes]:
    with scratch:
        while data := scratch.read(_CHUNK):
            yield data


def _attachment(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}"
