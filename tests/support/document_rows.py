"""Block documents as rows of the database of this home's server: written past its API, which takes 20 ms for each."""

from __future__ import annotations

import json
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import prefect_api
from cryptography.fernet import Fernet
from waiting import PATIENCE


class DocumentRows:
    """The rows of a server's block documents; its guard is told of each change, for it remembers what it has answered."""

    def __init__(self, server: str, auth: tuple[str, str], database: Path, key: bytes) -> None:
        self._api = httpx.Client(base_url=server, auth=auth, trust_env=False, timeout=PATIENCE)
        self._database, self._cipher = database, Fernet(key)
        self._new: list[dict[str, Any]] = []

    @classmethod
    def of(cls, server: str) -> DocumentRows | None:
        """Return those of the server, None if it is not this home's or has never kept a document."""
        from stepwell.blocks.server import process

        own = process.recorded()
        key = _key(process.database_file(), own.pid) if own is not None and own.url == server else None
        return None if key is None else _rows(cls, server, prefect_api.auth(), process.database_file(), key)

    def add(self, block: Any, name: str) -> None:
        """Have `keep` save a block whose class is registered, as Prefect's own `save` does with a name that is new."""
        document = block._to_block_document(name=name, include_secrets=True)
        block._block_document_id, block._block_document_name, block._is_anonymous = uuid.uuid4(), name, False
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        row = {
            "id": str(block._block_document_id),
            "created": now,
            "updated": now,
            "name": name,
            "data": json.dumps(self._cipher.encrypt(json.dumps(document.data).encode()).decode()),
            "block_schema_id": str(block._block_schema_id),
            "block_type_id": str(block._block_type_id),
            "is_anonymous": False,
            "block_type_name": block._block_type_name,
        }
        self._new.append(row)

    def keep(self) -> None:
        """Save what was added."""
        rows, self._new = self._new, []
        names = list(rows[0])
        statement = f"INSERT INTO block_document ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        self._write(statement, [tuple(row.values()) for row in rows])

    def remove(self, block: Any) -> None:
        """Delete the document that the block came from, if it is there."""
        self._write("DELETE FROM block_document WHERE id = ?", [(str(block._block_document_id),)])

    def _tell(self) -> None:
        """Have the server's guard forget what it has answered: what looks like a write does that, and this writes nothing."""
        self._api.delete("/block_capabilities/")

    def _write(self, statement: str, values: list[tuple[Any, ...]]) -> None:
        with closing(sqlite3.connect(self._database, timeout=PATIENCE)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = OFF")  # nobody needs these rows after a crash
            connection.executemany(statement, values)
        self._tell()


_rows = cache(lambda cls, *facts: cls(*facts))
_keys: dict[tuple[Path, int], bytes] = {}


def _key(database: Path, server: int) -> bytes | None:
    """Return what the server of that process encrypts documents with, which it makes up when it keeps the first one."""
    if (database, server) not in _keys and (found := _read_key(database)) is not None:
        _keys[database, server] = found
    return _keys.get((database, server))


def _read_key(database: Path) -> bytes | None:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        found = connection.execute("SELECT value FROM configuration WHERE key = 'ENCRYPTION_KEY'").fetchone()
    return json.loads(found[0])["fernet_key"].encode() if found else None
