"""Which runs of this home Prefect's server may not know the end of: noted while they run, forgotten once that is sure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.model.regular_files import read_bytes, read_text

_SECONDS_TO_COME_TO_IT = 3600.0
"""How long a server that goes on may take until it has done what it was asked while it hung."""


def note(run: RunFolder, server: str) -> None:
    """Remember that `server`, '' for this home's own, has to be told of the run, however this process ends."""
    with suppress(OSError):  # a full disk must not end a run
        write_atomically(_folder() / run.run_id, json.dumps({"path": str(run.path), "server": server}).encode())


def forget(run_id: str) -> None:
    """Forget the run, of which the server knows all."""
    with suppress(OSError):
        (_folder() / run_id).unlink(missing_ok=True)


def untold() -> Iterator[tuple[RunFolder, str]]:
    """Yield each run that was noted, and its server; a note without a run is dropped."""
    try:
        noted = sorted(path for path in _folder().iterdir() if not path.name.startswith("."))
    except OSError:
        return
    for path in noted:
        try:
            found = json.loads(read_bytes(path))
            run, server = RunFolder(Path(found["path"])), str(found["server"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            forget(path.name)
            continue
        if run.run_id == path.name and run.path.is_dir():
            yield run, server
        else:
            forget(path.name)


def note_unanswered(token: str, server: str) -> None:
    """Remember that `server` was asked to register a run under the token, and did not answer: it may have done so."""
    with suppress(OSError):
        write_atomically(_unanswered() / token, server.encode())


def unanswered(server: str) -> list[str]:
    """Return the tokens noted for the server."""
    try:
        return [path.name for path in _notes(server)]
    except OSError:
        return []


def forget_unanswered(server: str) -> None:
    """Forget the tokens of requests so old that the server, which answers, has come to them."""
    with suppress(OSError):
        for path in _notes(server):
            if time.time() - path.stat().st_mtime > _SECONDS_TO_COME_TO_IT:
                path.unlink(missing_ok=True)


def _notes(server: str) -> list[Path]:
    return [path for path in sorted(_unanswered().glob("[0-9a-f]*")) if read_text(path) == server]


def _folder() -> Path:
    return home() / "untold"


def _unanswered() -> Path:
    return home() / "unanswered"
