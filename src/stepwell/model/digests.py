"""The only place that hashes: tagged pre-images in one canonical encoding, and the digests of files."""

from __future__ import annotations

import hashlib
import json
from typing import IO, Any

RECIPE = 2
"""Version of the rules that decide reuse; raising it makes every step run again."""


def encode(value: Any) -> bytes:
    """Return the one JSON text of `value`: sorted keys, no blanks, ASCII; raise ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest(tag: str, value: Any) -> str:
    """Return the SHA-256, as hex, of `value`'s canonical encoding under `tag`; different tags never collide."""
    hasher = hashlib.sha256(f"stepwell:{tag}\0".encode())
    hasher.update(encode(value))
    return hasher.hexdigest()


def bytes_digest(data: bytes) -> str:
    """Return the SHA-256, as hex, of the bytes alone: what `sha256sum` prints."""
    return hashlib.sha256(data).hexdigest()


def file_digest(stream: IO[bytes]) -> str:
    """Return the SHA-256, as hex, of the rest of an open binary file, in constant memory."""
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # (IO is what open returns)


def md5_digest(stream: IO[bytes]) -> bytes:
    """Return the MD5 of the rest of an open binary file: what object stores tell of theirs, to be compared with it."""
    return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()  # type: ignore[arg-type]
