"""The only place that hashes: tagged pre-images in one canonical encoding, and the digests of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import IO, Any

RECIPE = 2
"""Version of the rules that decide reuse; raising it makes every step run again."""

_ROWS, _BLOCK, _BETWEEN, _TRIES = 500, 1 << 16, b'],["', 5


def encode(value: Any) -> bytes:
    """Return the one JSON text of `value`: sorted keys, no blanks, ASCII; raise ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def encoded_parts(rows: Iterable[Any]) -> Iterator[bytes]:
    """Yield the JSON text that `encode` returns of the list of rows, in parts."""
    left, start = iter(rows), b"["
    while some := list(islice(left, _ROWS)):
        yield start + encode(some)[1:-1]
        start = b","
    yield b"[]" if start == b"[" else b"]"


def rows_in(stream: IO[bytes]) -> Iterator[Any]:
    """Yield the rows of the JSON text that `encode` made of a list of lists, without having all of it at once.

    What is no list of rows raises ValueError or TypeError.
    """
    text = b""
    for block in iter(partial(stream.read, _BLOCK), b""):
        text += block
        cut = len(text)
        for _ in range(_TRIES):
            cut = text.rfind(_BETWEEN, 0, cut)
            with suppress(ValueError):  # it is in a name
                rows = json.loads(text[: cut + 1] + b"]")
                yield from rows
                text = b"[" + text[cut + 2 :]
                break
        else:
            text += stream.read()
    yield from json.loads(text)


def digest(tag: str, value: Any) -> str:
    """Return the SHA-256, as hex, of `value`'s canonical encoding under `tag`; different tags never collide."""
    return digest_of_parts(tag, (encode(value),))


def digest_of_parts(tag: str, parts: Iterable[bytes]) -> str:
    """Return the digest of the value whose canonical encoding comes in parts."""
    hasher = hashlib.sha256(f"stepwell:{tag}\0".encode())
    for part in parts:
        hasher.update(part)
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
