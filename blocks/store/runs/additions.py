"""What others than a run's own process log for it, on any machine: it is only ever added to, so that all of it comes together everywhere.

It stands in the run's folder `control`, that of its steps in `control/steps/<step>`, as events with the files that they name.
What was added here and others have yet to hear of is noted in `said/pending.jsonl`; what came from them, by name, in `said/taken.jsonl`.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.store.runs.words import FOLDER, changing
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import UserErrorException
from stepwell.model.nofollow import open_file
from stepwell.model.regular_files import read_bytes
from stepwell.script.events import EVENTS, FOLDERS, confined

OWN = "control"
_PENDING, _TAKEN = "pending.jsonl", "taken.jsonl"
_LOG = re.compile(rf"{OWN}/(steps/[^/]+/)?{re.escape(EVENTS)}")


def note(run: RunFolder, folder: str, event: Event) -> None:
    """Note that the event was added to a folder of the run, named from the run's own, and others have yet to hear of it."""
    with changing(run):
        _append(run.path / FOLDER / _PENDING, [json.dumps({"folder": folder, "event": event})])


def is_pending(run: RunFolder) -> bool:
    """Return whether something was added of which others have yet to hear."""
    with suppress(OSError):
        return os.stat(run.path / FOLDER / _PENDING).st_size > 0
    return False


def telling(run: RunFolder) -> AbstractContextManager[bool]:
    """Let nobody else on this machine tell what is noted."""
    return exclusive(run.path / FOLDER / ".telling")


def pending(run: RunFolder) -> tuple[int, dict[str, bytes]]:
    """Return how much is noted of which others have yet to hear, and archives of it: `files`, which come first, and the `events` that name them."""
    with changing(run):
        noted = _read(run.path / FOLDER / _PENDING)
    events: dict[str, list[str]] = {}
    files: list[str] = []
    for one in _objects(noted):
        folder, event = one.get("folder"), one.get("event")
        if isinstance(folder, str) and isinstance(event, dict):
            events.setdefault(f"{folder}/{EVENTS}", []).append(json.dumps(event))
            if event.get("type") in ("file", "image"):
                files.append(f"{folder}/{FOLDERS[event['scope']]}/{event['value']}")
    told = {
        "files": _zipped(_held(run, dict.fromkeys(files))),
        "events": _zipped((name, _lines(lines)) for name, lines in events.items()),
    }
    return len(noted), {kind: data for kind, data in told.items() if data}


def forget_pending(run: RunFolder, size: int, names: Iterable[str]) -> None:
    """Forget as much of what is noted, which others have heard of by objects of these names."""
    with changing(run):
        path = run.path / FOLDER / _PENDING
        write_atomically(path, _read(path)[size:])
        _append(run.path / FOLDER / _TAKEN, map(json.dumps, names))


def taken(run: RunFolder) -> set[str]:
    """Return the names of what was taken over from others, or told to them."""
    found = (_loaded(line) for line in _read(run.path / FOLDER / _TAKEN).splitlines())
    return {name for name in found if isinstance(name, str)}


def take(run: RunFolder, name: str, data: bytes) -> None:
    """Take over what others added, by an archive of that name: of events those that are not here, of files as well."""
    with changing(run):
        merge(run, data)
        _append(run.path / FOLDER / _TAKEN, [json.dumps(name)])


def merge(run: RunFolder, data: bytes) -> None:
    """Add what an archive has of the run's folder `control` and is not here; what would stand elsewhere is left out."""
    with suppress(zipfile.BadZipFile, ValueError, OSError), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if not name.startswith(f"{OWN}/") or {"..", "", "."} & set(name.split("/")) or "\0" in name:
                continue
            place = run.path / name
            make_folder(place.parent)
            if _LOG.fullmatch(name):
                known = set(_read(place).splitlines())
                new = [line for line in archive.read(name).splitlines() if line.strip() and line not in known]
                _append(place, (line.decode("ascii", "replace") for line in new))
            elif not os.path.lexists(place):
                write_atomically(place, archive.read(name))


def _held(run: RunFolder, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        with suppress(OSError, UnicodeEncodeError, UserErrorException), open_file(run.path, confined(name)) as source:
            yield name, source.read()


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    data, found = io.BytesIO(), False
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for name, content in files:
            archive.writestr(name, content)
            found = True
    return data.getvalue() if found else b""


def _append(path: Path, lines: Iterable[str]) -> None:
    """Append whole lines, each after a break, lest a torn one before takes it along."""
    text = _lines(lines)
    if text:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o666), "wb") as stream:
            stream.write(text)


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"\n{line}\n" for line in lines).encode("ascii", "replace")


def _read(path: Path) -> bytes:
    with suppress(OSError):
        return read_bytes(path)
    return b""


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    yield from (found for found in map(_loaded, data.splitlines()) if isinstance(found, dict))


def _loaded(line: bytes) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(line)
    return None
