"""Digests of files, remembered for as long as nothing can have changed the files."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from stepwell.blocks.store.write_back import may_be_written, times_tell
from stepwell.blocks.system.home import make_folder, new_file
from stepwell.model.digests import file_digest
from stepwell.model.regular_files import regular_only
from stepwell.model.tree import DigestFile
from stepwell.model.trees.real_paths import real_path

SETTLED_NS = 60_000_000_000
"""After this long the kernel has written content back: a power cut can't keep a file's times but lose its content."""

ATTEMPTS = 3
LARGE = 64 << 20
"""Bytes from which a file's digest is saved at once: hashing it again would cost more than the transaction."""

ASKED = 64 << 10
"""Bytes from which it is asked each time who writes to a file: below, reading the file costs no more than that."""

MOST_BYTES = 256 << 20
"""A cache that has grown beyond this, by files long gone, starts anew."""

_PAUSE_SECONDS = 2.0
_GONE_CHECKED = 1000
_AT_ONCE, _FEW = 500, 16
"""How many paths a query asks for: older SQLite takes 999; and how many where files are not asked for in order."""

_SAVED = 1000
_T = TypeVar("_T")


class _Row(NamedTuple):
    path: bytes
    identity: bytes
    digest: bytes
    boot: bytes
    check: int


_Find = Callable[..., list[_Row]]


class StatCache:
    """SHA-256 of files in one SQLite file, found again by path, device, inode, size, mtime and ctime.

    A file is remembered only if its times tell of every later change: not while it is fresh, or open for writing.
    It is safe among threads, forks and processes, and it never fails its caller: a cache that can't be read, written or
    trusted is bypassed or replaced.
    """

    def __init__(self, path: Path, *, believes: bool = True) -> None:
        self._path = path
        self._believes = believes
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._paused_until = 0.0
        _caches.add(self)

    def reading_all(self) -> StatCache:
        """Return the same cache as one that believes nothing: it reads every byte, and remembers what it read."""
        return StatCache(self._path, believes=False)

    def digest_file(self, path: str, status: os.stat_result) -> str:
        """Return the SHA-256 of the file at `path`, read only if nothing is known for this `status`."""
        for row in self._rows("path = ?", os.fsencode(path)):
            if _believed(row, path, status):
                return row.digest.decode()
        digest, new = _read(path)
        if new:
            self._save([new])
        return digest

    @contextmanager
    def under(self, root: Path) -> Iterator[DigestFile]:
        """Yield a DigestFile for the files of a folder, asked for in the order of their paths; it reads what is known by many."""
        rows = _Below(self._rows, os.fsencode(real_path(root)).rstrip(b"/") + b"/")
        with self._knowing(rows) as digest_file:
            try:
                yield digest_file
            finally:
                self._save((), [path for path in rows.unseen() if not os.path.lexists(path)])

    @contextmanager
    def among(self, paths: Iterable[str]) -> Iterator[DigestFile]:
        """Yield a DigestFile for these files, asked for in this order; it reads what is known by many."""
        with self._knowing(_Listed(self._rows, map(os.fsencode, paths))) as digest_file:
            yield digest_file

    @contextmanager
    def _knowing(self, known: _Below | _Listed) -> Iterator[DigestFile]:
        """Yield a DigestFile that asks for these rows first, and saves what it read, by many."""
        new: dict[bytes, _Row] = {}

        def digest_file(path: str, status: os.stat_result) -> str:
            name = os.fsencode(path)
            if not known.covers(name):
                return self.digest_file(path, status)
            row = new.get(name) or known.rows.get(name)
            if row and _believed(row, path, status):
                return row.digest.decode()
            digest, read = _read(path)
            if read:
                new[name] = read
                if status.st_size >= LARGE or len(new) >= _SAVED:
                    self._save(new.values())
                    new.clear()
            return digest

        try:
            yield digest_file
        finally:
            self._save(new.values())

    def recall(self, name: str, tag: str) -> str | None:
        """Return the SHA-256 of a file elsewhere that had this tag when `remember` was told, None if that is not known."""
        for row in self._rows("path = ?", os.fsencode(name)):
            if row.identity == tag.encode() and row.check == _checksum(*row[:4]):
                return row.digest.decode()
        return None

    def recall_below(self, beginning: str) -> dict[str, tuple[str, str]]:
        """Return tag and SHA-256 of all files elsewhere whose names begin so, by name, as `remember_all` was told."""
        first = os.fsencode(beginning)
        rows = self._rows("path >= ? AND path < ?", first, first + b"\xff")  # which no text has
        return {
            os.fsdecode(row.path): (row.identity.decode(), row.digest.decode())
            for row in rows
            if row.check == _checksum(*row[:4])
        }

    def remember(self, name: str, tag: str, digest: str) -> None:
        """Save the SHA-256 of a file elsewhere, whose tag changes with its content."""
        self.remember_all({name: (tag, digest)})

    def remember_all(self, found: Mapping[str, tuple[str, str]]) -> None:
        """Save tag and SHA-256 of files elsewhere, by name."""
        facts = [(os.fsencode(name), tag.encode(), text.encode(), b"") for name, (tag, text) in found.items()]
        self._save([_Row(*one, _checksum(*one)) for one in facts])

    def close(self) -> None:
        """Close the connection; it is opened again when needed."""
        with self._guard:
            self._disconnect()

    def _rows(self, condition: str, *values: bytes | int) -> list[_Row]:
        def read(connection: sqlite3.Connection) -> list[_Row]:
            found = connection.execute(f"SELECT {_COLUMNS} FROM digests WHERE {condition}", values)  # noqa: S608
            return list(map(_Row._make, found))

        return self._use(read, []) if self._believes else []

    def _save(self, rows: Iterable[_Row], gone: Iterable[bytes] = ()) -> None:
        new, old = list(rows), [(path,) for path in gone]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", new)
                connection.executemany("DELETE FROM digests WHERE path = ?", old)

        if new or old:
            self._use(write, None)

    def _use(self, action: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        with self._guard:
            for _ in range(2):
                if time.monotonic() < self._paused_until:
                    return otherwise
                try:
                    return action(self._connect())
                except (sqlite3.OperationalError, OSError) as error:  # locked, read-only, no space, no such folder
                    self._disconnect()
                    if _lost_its_log(error):
                        self._drop()
                    else:
                        self._paused_until = time.monotonic() + _PAUSE_SECONDS
                except (sqlite3.Error, ValueError, TypeError):  # damaged
                    self._disconnect()
                    self._drop()
        return otherwise

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            make_folder(self._path.parent)
            if self._path.exists() and self._path.stat().st_size > MOST_BYTES:
                self._drop()
            with suppress(FileExistsError):  # SQLite would keep it from the group of a folder that a team shares
                os.close(new_file(self._path, os.O_RDWR))
            self._connection = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
            for statement in _SETUP:
                self._connection.execute(statement)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                _abandoned.append(connection)

    def _drop(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self._path}{suffix}")

    def _after_fork(self) -> None:
        self._guard = threading.Lock()
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None


def _lost_its_log(error: Exception) -> bool:
    """Return whether the write-ahead log is not the one that an open connection of this process has.

    SQLite's locks are the process's, and gone when anything in it has read the file and closed it: then another process that
    closes the cache takes itself for the last, and removes the log. Only another file lets this process connect again.
    """
    return getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHORT_READ"


class _Listed:
    """What is known of listed files: of some in a row at once, in the order of the list."""

    def __init__(self, find: _Find, names: Iterable[bytes]) -> None:
        self._find, self._left = find, iter(names)
        self.rows: dict[bytes, _Row] = {}
        self._load()

    def covers(self, name: bytes) -> bool:
        """Return whether `rows` has what is known of the file: not of one that is not listed, or whose turn is over."""
        while name not in self._held and self._held:
            self._load()
        return name in self._held

    def _load(self) -> None:
        some = list(islice(self._left, _AT_ONCE))
        self._held = frozenset(some)
        found = self._find(f"path IN ({','.join('?' * len(some))})", *some) if some else ()
        self.rows = {row.path: row for row in found}


class _Below:
    """What is known of the files below a folder: of some in a row at once, in the order of their paths."""

    def __init__(self, find: _Find, folder: bytes) -> None:
        self._find, self._folder = find, folder
        self._start, self._next, self._end = folder, folder, folder[:-1] + b"0"  # '0' is the character after '/'
        self.rows: dict[bytes, _Row] = {}
        self._few, self._seen, self._unseen = _AT_ONCE, set[bytes](), list[bytes]()

    def covers(self, name: bytes) -> bool:
        """Return whether `rows` has what is known of the file: not of one that stands elsewhere."""
        if not name.startswith(self._folder):
            return False
        if name < self._start:
            self._next, self._few = name, _FEW
        while name >= self._next:
            self._load()
        if name in self.rows:
            self._seen.add(name)
        return True

    def unseen(self) -> list[bytes]:
        """Return some of the paths of which something is known, and nobody asked for them."""
        while self._next < self._end and len(self._unseen) < _GONE_CHECKED:
            self._load()
        return self._pass()[:_GONE_CHECKED]

    def _load(self) -> None:
        self._pass()
        self._start, count = self._next, self._few
        found = self._find("path >= ? AND path < ? ORDER BY path LIMIT ?", self._start, self._end, count)
        self.rows = {row.path: row for row in found}
        self._next = found[-1].path + b"\0" if len(found) == count else self._end
        self._few = min(2 * count, _AT_ONCE)

    def _pass(self) -> list[bytes]:
        """Note which of the rows nobody asked for."""
        if len(self._unseen) < _GONE_CHECKED:
            self._unseen += [path for path in self.rows if path not in self._seen]
        self._seen.clear()
        return self._unseen


_COLUMNS = "path, identity, digest, boot, checksum"
_SETUP = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, identity BLOB NOT NULL, digest BLOB NOT NULL,"
    " boot BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
)

_caches: weakref.WeakSet[StatCache] = weakref.WeakSet()
_abandoned: list[sqlite3.Connection] = []
"""Connections that a parent process still uses: closing them in the child would take its locks and its log away."""


def _forget_connections() -> None:
    for cache in list(_caches):
        cache._after_fork()  # noqa: SLF001


os.register_at_fork(after_in_child=_forget_connections)


def _boot() -> bytes:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return uuid.uuid4().bytes


_THIS_BOOT = _boot()


def _identity(status: os.stat_result) -> bytes:
    facts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return b"%d:%d:%d:%d:%d" % facts


def _checksum(path: bytes, identity: bytes, digest: bytes, boot: bytes) -> int:
    return zlib.crc32(b"\0".join((_RULES, path, identity, digest, boot)))


_RULES = b"2"
"""The version of the rules by which files are remembered; rows of other rules count as damaged."""


def _believed(row: _Row, path: str, status: os.stat_result) -> bool:
    known = row.identity == _identity(status) and row.boot in (b"", _THIS_BOOT) and row.check == _checksum(*row[:4])
    return known and not (status.st_size >= ASKED and may_be_written(path))


def _read(path: str) -> tuple[str, _Row | None]:
    """Return the file's digest, and the row to save if its times will tell of every change since it was read."""
    for _ in range(ATTEMPTS):
        with open(path, "rb", buffering=0, opener=regular_only) as stream:
            before, started = os.fstat(stream.fileno()), time.time_ns()
            telling = times_tell(stream.fileno(), path, before, started)
            digest = file_digest(stream)
            after = os.fstat(stream.fileno())
        if _identity(before) == _identity(after):
            return digest, _row(path, after, digest, started) if telling else None
    return digest, None


def _row(path: str, status: os.stat_result, digest: str, started: int) -> _Row:
    boot = b"" if started - status.st_ctime_ns >= SETTLED_NS else _THIS_BOOT
    facts = os.fsencode(path), _identity(status), digest.encode(), boot
    return _Row(*facts, _checksum(*facts))
