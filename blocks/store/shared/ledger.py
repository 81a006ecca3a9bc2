"""What this machine knows of the shared store: in one SQLite file, which may be lost."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from stepwell.blocks.system.home import make_folder

BELIEVED_SECONDS = 3 * 3600.0
"""How long bytes that were seen in the shared store are believed to be there, before they are left out of an upload."""

_TABLES = """
create table if not exists shared (key text primary key, by text, run text, key_id text) without rowid;
create table if not exists waiting (key text primary key) without rowid;
create table if not exists promised (tree text primary key) without rowid;
create table if not exists there (name text primary key, at real) without rowid;
create table if not exists used (key text primary key, day integer) without rowid;
create table if not exists held (blob text primary key, path text) without rowid;
"""
_AT_ONCE = 500
_DAY = 86_400


class Ledger:
    """Which records are shared and whose they are, which wait, whose trees are promised, and which objects are there.

    It never fails its caller: what can't be read is not known, what can't be written is forgotten.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_shared(self, key: str) -> bool:
        """Return whether the key's record is in the shared store."""
        return bool(self._rows("select 1 from shared where key = ?", key))

    def origin(self, key: str) -> tuple[str, str, str]:
        """Return who made the result elsewhere, in which run, and what signed it; empty if it was made here."""
        found = self._rows("select by, run, key_id from shared where key = ?", key)
        return (str(found[0][0]), str(found[0][1]), str(found[0][2])) if found else ("", "", "")

    def origins(self, keys: list[str]) -> dict[str, tuple[str, str, str]]:
        """Return the origins of those of the keys whose records are in the shared store."""
        found: dict[str, tuple[str, str, str]] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._rows(f"select key, by, run, key_id from shared where key in ({marks})", *part)  # noqa: S608
            found |= {str(row[0]): (str(row[1]), str(row[2]), str(row[3])) for row in rows}
        return found

    def note_shared(self, key: str, by: str = "", run: str = "", key_id: str = "") -> None:
        """Note that the key's record is there; `by` whom, if it was made elsewhere."""
        self._write(
            ("insert or replace into shared values (?, ?, ?, ?)", [(key, by, run, key_id)]),
            ("delete from waiting where key = ?", [(key,)]),
        )

    def note_adopted(self, key: str, by: str, run: str, key_id: str, trees: Iterable[str]) -> None:
        """Note that the key's record is there, made elsewhere `by` whom, and that the bytes of its trees can be fetched."""
        self._write(
            ("insert or replace into shared values (?, ?, ?, ?)", [(key, by, run, key_id)]),
            ("delete from waiting where key = ?", [(key,)]),
            ("insert or ignore into promised values (?)", [(tree,) for tree in trees]),
        )

    def forget_shared(self, key: str) -> None:
        """Forget that the key's record is there."""
        self._write(("delete from shared where key = ?", [(key,)]))

    def note_waiting(self, key: str) -> None:
        """Note that the key's record is to be shared, until it is."""
        self._write(("insert or ignore into waiting values (?)", [(key,)]))

    def forget_waiting(self, key: str) -> None:
        """Forget that the record is to be shared: it is gone."""
        self._write(("delete from waiting where key = ?", [(key,)]))

    def waiting(self) -> list[str]:
        """Return the keys whose records are to be shared."""
        return [str(row[0]) for row in self._rows("select key from waiting")]

    def count_shared(self) -> int:
        """Return how many records are known to be shared."""
        found = self._rows("select count(*) from shared")
        return int(found[0][0]) if found else 0

    def promise(self, trees: Iterable[str]) -> None:
        """Note that the bytes of these trees can be fetched."""
        self._write(("insert or ignore into promised values (?)", [(tree,) for tree in trees]))

    def is_promised(self, tree: str) -> bool:
        """Return whether the bytes of the tree can be fetched, as far as is known."""
        return bool(self._rows("select 1 from promised where tree = ?", tree))

    def break_promise(self, tree: str) -> None:
        """Note that they can't."""
        self._write(("delete from promised where tree = ?", [(tree,)]))

    def note_there(self, names: Iterable[str]) -> None:
        """Note that these objects are there now."""
        now = time.time()
        self._write(("insert or replace into there values (?, ?)", [(name, now) for name in names]))

    def there(self, names: list[str]) -> set[str]:
        """Return those of the objects that were there a short while ago."""
        found: set[str] = set()
        since = time.time() - BELIEVED_SECONDS
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._rows(f"select name from there where at > ? and name in ({marks})", since, *part)  # noqa: S608
            found |= {str(row[0]) for row in rows}
        return found

    def forget_there(self, names: Iterable[str]) -> None:
        """Forget that these objects are there."""
        self._write(("delete from there where name = ?", [(name,) for name in names]))

    def used_today(self) -> set[str]:
        """Return the keys whose use was told today."""
        return {str(row[0]) for row in self._rows("select key from used where day = ?", int(time.time() // _DAY))}

    def note_used(self, keys: Iterable[str]) -> None:
        """Note that the use of these keys was told today."""
        today = int(time.time() // _DAY)
        self._write(("insert or replace into used values (?, ?)", [(key, today) for key in keys]))

    def note_held(self, paths: Iterable[tuple[str, str]]) -> None:
        """Note where the bytes of files are on this machine."""
        self._write(("insert or replace into held values (?, ?)", list(paths)))

    def held(self, blob: str) -> str:
        """Return where the bytes of a file were on this machine, '' if nowhere."""
        found = self._rows("select path from held where blob = ?", blob)
        return str(found[0][0]) if found else ""

    # ----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        make_folder(self._path.parent)
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
            connection.execute("pragma synchronous = off")  # what a power cut takes is found out anew
            connection.executescript(_TABLES)
            yield connection

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._path.exists():
            with self._forgiving(), self._opened() as connection:
                return connection.execute(statement, values).fetchall()
        return []

    def _write(self, *statements: tuple[str, list[tuple[Any, ...]]]) -> None:
        with self._forgiving(), self._opened() as connection:
            connection.execute("begin immediate")
            for statement, rows in statements:
                connection.executemany(statement, rows)
            connection.execute("commit")

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Let nothing fail; remove a file that is damaged, so that a new one is begun."""
        try:
            with suppress(sqlite3.OperationalError, OSError):  # locked, read-only, no space
                yield
        except sqlite3.Error:
            for suffix in ("", "-journal"):
                with suppress(OSError):
                    os.unlink(f"{self._path}{suffix}")
