"""The database of this home's server: which Prefect wrote it, whether the installed one can use it, and how to get back.

Prefect migrates its database when it starts, and only forwards. So a copy is made first, and a migration that was interrupted
begins again from it; a Prefect that is too old for the database is not started, since it could only fail.

prefect.db       the database
alive.lock       locked by the server that is at work on it
versions.json    which Prefect was the last at work on each revision of the database
migration.json   the migration that is under way: from, to, by which Prefect, and the copy from before it
backups/         these copies, the newest few, and what was replaced by one
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepwell.blocks.server.start import block_types
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.files import copy_file, write_atomically
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.locks import NO_LOCKS_HERE, file_lock, shared
from stepwell.errors import ServerException, StepwellError

MOST_BACKUPS = 3
_MOST_REPLACED = 1
_REVISION = re.compile(r"""^revision\s*(?::[^=\n]*)?=\s*["'](\w+)["']""", re.MULTILINE)
_DOWN_REVISION = re.compile(r"^down_revision\s*(?::[^=\n]*)?=(.*)$", re.MULTILINE)
_WORD = re.compile(r"""["'](\w+)["']""")
_NONE = ""


@dataclass(frozen=True)
class _Prefect:
    """The installed Prefect: its version, the revisions that it knows, none if that can't be told, and the last of them."""

    version: str
    revisions: frozenset[str]
    head: str

    def can_use(self, revision: str) -> bool:
        return not self.revisions or revision in (_NONE, *self.revisions)


def database(folder: Path) -> Path:
    """Return the path of the database of the server that has this folder."""
    return folder / "prefect.db"


def lock(folder: Path, seconds: float) -> int | None:
    """Return a descriptor with the lock that a living server holds, None where locks can't be had.

    If somebody has it for longer than so many seconds, TimeoutError is raised.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            descriptor = file_lock(_lock_file(folder), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
            return None
        if descriptor is not None:
            return descriptor
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)  # somebody may only be looking, or ending


def is_locked(folder: Path) -> bool:
    """Return whether a server lives, wherever its process is."""
    with shared(_lock_file(folder), blocking=False) as free:  # shared: others who ask don't look alive
        return not free


def _lock_file(folder: Path) -> Path:
    return folder / "alive.lock"


def prepare(folder: Path, log: Callable[[str], None]) -> None:
    """Make ready what a server is about to start on: a copy if it is to be migrated, the last one if that was interrupted.

    A database that this Prefect can't use, or that is damaged, raises ServerException. Whoever calls holds the locks.
    """
    prefect, marker = _installed(), _read(folder / "migration.json")
    if marker and not _is_over(folder, marker):
        _undo(folder, marker, log)
    elif marker:
        finish(folder)
        marker = {}
    found = _revision(folder)
    if not prefect.can_use(found):
        raise _too_old(folder, found, prefect)
    if not found:
        block_types.forget(folder)
    last = _read(folder / "versions.json").get(found, "")
    if found == prefect.head if prefect.head else last == prefect.version:
        (folder / "migration.json").unlink(missing_ok=True)
        return
    backup = str(marker.get("backup", "")) or (_back_up(folder, found, prefect, log) if found else "")
    facts = {"from": found, "to": prefect.head, "prefect": prefect.version, "backup": backup}
    write_atomically(folder / "migration.json", json.dumps(facts).encode(), durable=True)


def finish(folder: Path) -> None:
    """Remember who wrote the database, now that a server answers on it, and that no migration of it is under way."""
    marker, found = _read(folder / "migration.json"), ""
    with suppress(ServerException):
        found = _revision(folder)
    with suppress(OSError):  # the server answers; what can't be written now is found out again
        if found:
            versions = _read(folder / "versions.json")
            version = marker.get("prefect") or versions.get(found) if marker else _installed().version
            write_atomically(folder / "versions.json", json.dumps({**versions, found: version}).encode())
        (folder / "migration.json").unlink(missing_ok=True)


def is_migrating(folder: Path) -> bool:
    """Return whether a migration of the database has begun of which nobody knows yet that it has ended."""
    return (folder / "migration.json").exists()


def facts_of_migration(folder: Path) -> dict[str, object]:
    """Return, for who is told that the server did not start, where the copy from before its migration is."""
    backup = _read(folder / "migration.json").get("backup")
    return {"copy of its database": folder / "backups" / str(backup)} if backup else {}


def check(folder: Path) -> None:
    """Raise ServerException if the database is damaged; that takes longer the larger it is."""
    try:
        _revision(folder)
        with closing(sqlite3.connect(database(folder))) as connection:
            result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        raise _damaged(folder, error) from None
    if result != "ok":
        raise _damaged(folder, result)


def restore(folder: Path, *, empty: bool = False) -> str:
    """Put the newest copy that this Prefect can use in the place of the database, or nothing; return what was done.

    What was there is kept among the copies. Whoever calls holds the locks.
    """
    prefect = _installed()
    backup = None if empty else _usable(folder, prefect)
    if backup is None and not empty:
        facts = {"folder": folder / "backups", "installed": f"Prefect {prefect.version}"}
        hint = "Install a newer Prefect, or run `stepwell server restore --empty` to begin with an empty database."
        raise ServerException("There is no copy of Prefect's database that this Prefect can use.", facts, hint)
    with told_in_words("Prefect's database can't be replaced", folder):
        kept = _replace(folder, backup)
        (folder / "migration.json").unlink(missing_ok=True)
    became = f"that of {_made(backup)} again" if backup else "empty when the server starts next"
    return f"Prefect's database is {became}" + (f"; what it was is kept as {kept}" if kept else "")


# What is known ----------------------------------------------------------------------------------------------------------


def _installed() -> _Prefect:
    """Return what the installed Prefect is, told without importing it, which takes seconds."""
    version, revisions, before = importlib.metadata.version("prefect"), set[str](), set[str]()
    spec = importlib.util.find_spec("prefect")
    for place in (spec and spec.submodule_search_locations) or ():
        for path in Path(place).glob("server/database/_migrations/versions/sqlite/*.py"):
            text = path.read_text(errors="replace")
            revisions.update(_REVISION.findall(text))
            before.update(_WORD.findall(" ".join(_DOWN_REVISION.findall(text))))
    heads = revisions - before
    return _Prefect(version, frozenset(revisions), heads.pop() if len(heads) == 1 else "")


def _revision(folder: Path) -> str:
    """Return the revision of the database, '' if it has none yet; raise ServerException if it is damaged."""
    path = database(folder)
    if path.is_file() and path.stat().st_size == 0 and _read(folder / "versions.json"):
        raise _damaged(folder, "the file is empty")
    try:
        return _revision_of(path)
    except sqlite3.DatabaseError as error:
        raise _damaged(folder, error) from None


def _revision_of(path: Path) -> str:
    if not path.exists():
        return _NONE
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.OperationalError:  # no such table, or no file that can be opened: Prefect says what it makes of that
        return _NONE
    return str(rows[0][0]) if len(rows) == 1 else _NONE


def _is_over(folder: Path, marker: dict[str, Any]) -> bool:
    """Return whether the migration that was under way has come to its end."""
    with suppress(ServerException):
        return _revision(folder) == marker.get("to") or not marker.get("to")
    return False


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


# Copies -----------------------------------------------------------------------------------------------------------------


def _back_up(folder: Path, revision: str, prefect: _Prefect, log: Callable[[str], None]) -> str:
    """Copy the database before Prefect migrates it, and return the copy's name; of older copies the newest few stay."""
    last = _read(folder / "versions.json").get(revision, "")
    name = f"{_now()}-prefect-{re.sub('[^0-9A-Za-z.]', '', last) or 'unknown'}.db"
    log(f"Copying Prefect's database before Prefect {prefect.version} migrates it")
    make_folder(folder / "backups")
    draft = folder / "backups" / ".draft"
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(database(folder))) as source, closing(sqlite3.connect(draft)) as target:
            source.backup(target)
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, folder / "backups" / name)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            draft.unlink()
        size = database(folder).stat().st_size / 1e6
        back = f", or install the Prefect that wrote it (`pip install 'prefect=={last}'`)" if last else ""
        raise ServerException(
            f"Prefect {prefect.version} would migrate its database, and no copy of that can be made first.",
            {"database": database(folder), "copies": folder / "backups", "reason": error},
            f"Free {size:.0f} MB there{back}.",
        ) from None
    _keep_newest(folder, "-prefect-", MOST_BACKUPS)
    return name


def _undo(folder: Path, marker: dict[str, Any], log: Callable[[str], None]) -> None:
    """Put the database back to what it was before a migration that was interrupted."""
    name = os.path.basename(str(marker.get("backup", "")))
    backup = folder / "backups" / name
    if name and not backup.is_file():
        raise _damaged(folder, f"its migration was interrupted, and the copy {backup} is gone")
    if not name and marker.get("from") != _NONE:
        return
    log("Prefect's database was left amid a migration, and is what it was before")
    with told_in_words("Prefect's database can't be put back to before its migration", folder):
        _replace(folder, backup if name else None)


def _replace(folder: Path, backup: Path | None) -> Path | None:
    """Put a copy in the database's place, or nothing; return where what was there is kept, None if that was nothing."""
    place, draft = database(folder), folder / ".prefect.db.draft"
    block_types.forget(folder)
    if backup is not None:
        draft.unlink(missing_ok=True)
        try:
            copy_file(backup, draft)
            draft.chmod(0o600)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    kept = None
    if place.exists():
        make_folder(folder / "backups")
        kept = folder / "backups" / f"{_now()}-replaced.db"
        # The log of what was written last goes with it, first, lest it be taken for that of the copy.
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(f"{place}{suffix}", f"{kept}{suffix}")
        os.replace(place, kept)
        _keep_newest(folder, "-replaced", _MOST_REPLACED)
    if backup is not None:
        os.replace(draft, place)
    return kept


def _keep_newest(folder: Path, kind: str, count: int) -> None:
    for path in _copies(folder, kind)[count:]:
        for suffix in ("-wal", "-shm", ""):
            with suppress(OSError):
                os.unlink(f"{path}{suffix}")


def _copies(folder: Path, kind: str) -> list[Path]:
    """Return the copies of a kind, the newest first."""
    return sorted((folder / "backups").glob(f"[0-9]*{kind}*.db"), reverse=True)


def _usable(folder: Path, prefect: _Prefect) -> Path | None:
    """Return the newest copy from before a migration that this Prefect can use."""
    for path in _copies(folder, "-prefect-"):
        with suppress(sqlite3.DatabaseError):
            if (found := _revision_of(path)) and prefect.can_use(found):
                return path
    return None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _made(copy: Path) -> str:
    """Return when a copy was made, as its name says."""
    with suppress(ValueError):
        return datetime.strptime(copy.name.partition("Z")[0] + "+0000", "%Y%m%dT%H%M%S.%f%z").strftime("%Y-%m-%d %H:%M")
    return copy.name


# Errors -----------------------------------------------------------------------------------------------------------------


def _too_old(folder: Path, revision: str, prefect: _Prefect) -> StepwellError:
    version = _read(folder / "versions.json").get(revision, "")
    install = (
        f"`pip install 'prefect=={version}'`" if version else f"`pip install --upgrade 'prefect>{prefect.version}'`"
    )
    return ServerException(
        f"Prefect's database was written by {f'Prefect {version}' if version else 'a newer Prefect'},"
        f" and the installed Prefect {prefect.version} can't use it.",
        {
            "database": database(folder),
            "written by": version and f"Prefect {version}",
            "installed": f"Prefect {prefect.version}",
        },
        f"Install that one here ({install}), or {_way_back(folder, prefect)}.",
    )


def _damaged(folder: Path, reason: object) -> StepwellError:
    return ServerException(
        "Prefect's database is damaged.",
        {"database": database(folder), "reason": reason},
        f"Restore the file from a copy of yours, or {_way_back(folder, _installed())}.",
    )


def _way_back(folder: Path, prefect: _Prefect) -> str:
    backup = _usable(folder, prefect)
    if backup is not None:
        return f"run `stepwell server restore` to go back to the copy of {_made(backup)}, without the runs since then"
    return "run `stepwell server restore --empty` to begin with an empty one: results stay, workspaces are to be made again"
