"""Frames and trees on a stream between a step and the host of its run; both sides read them with no trust.

A frame is a length of four bytes and a JSON object. A tree, a file or a folder, is a frame for each entry, its path below
the tree and its size, followed by the bytes, and an empty frame at the end.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from typing import Any

LARGEST_FRAME = 32 << 20
_CHUNK = 1 << 18
_MOST_ENTRIES = 1_000_000
_LONGEST_PATH = 4096


class ClosedError(Exception):
    """The other side hung up before it had said all."""

    def __init__(self) -> None:
        super().__init__("the connection was closed")


def write_frame(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send a JSON object; raise ValueError if it is too large, or can't be JSON."""
    import json

    data = json.dumps(message, allow_nan=False).encode("ascii")
    if len(data) > LARGEST_FRAME:
        raise ValueError(f"it has {len(data)} bytes, more than {LARGEST_FRAME}")
    connection.sendall(len(data).to_bytes(4, "big") + data)


def read_frame(connection: socket.socket, largest: int = LARGEST_FRAME) -> dict[str, Any]:
    """Return the next JSON object; raise ValueError if it is none, or too large, and ClosedError at the end."""
    import json

    size = int.from_bytes(_exactly(connection, 4), "big")
    if size > largest:
        raise ValueError(f"a message of {size} bytes is too large")
    try:
        message = json.loads(_exactly(connection, size))
    except RecursionError:
        raise ValueError("a message is nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("a message is no object")  # noqa: TRY004  (of the one who sent it)
    return message


def write_tree(connection: socket.socket, path: str) -> None:
    """Send the file or folder at `path`; its links are followed to files, not to folders."""
    name = os.path.basename(os.path.abspath(path))
    if os.path.isdir(path):
        write_frame(connection, {"path": name, "folder": True})
        for folder, children, files in os.walk(path):
            below = os.path.normpath(os.path.join(name, os.path.relpath(folder, path)))
            for child in sorted(children):
                if not os.path.islink(os.path.join(folder, child)):
                    write_frame(connection, {"path": os.path.join(below, child), "folder": True})
            for file in sorted(files):
                _write_file(connection, os.path.join(below, file), os.path.join(folder, file))
    else:
        _write_file(connection, name, path)
    write_frame(connection, {})


def _write_file(connection: socket.socket, name: str, path: str) -> None:
    import stat

    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):  # a pipe or device has no bytes of its own
            return
        write_frame(connection, {"path": name, "size": status.st_size, "mode": status.st_mode & 0o111})
        left = status.st_size
        while left:
            chunk = stream.read(min(_CHUNK, left))
            if not chunk:
                raise OSError(f"{path} became shorter while it was sent")
            connection.sendall(chunk)
            left -= len(chunk)


def read_tree(connection: socket.socket, folder: str, most_bytes: int | None = None) -> str:
    """Write a tree that is sent into the empty folder, where nothing links, and return its path there.

    Raises:
        ValueError: It leads out of the folder, holds a thing twice, or is larger than `most_bytes`.
        ClosedError: It was not sent whole.
    """
    root, total = "", 0
    for count in range(_MOST_ENTRIES):
        entry = read_frame(connection, 1 << 16)
        if not entry:
            if not root:
                raise ValueError("a tree has no entries")
            return os.path.join(folder, root)
        parts = list(_parts(entry.get("path")))
        if count and (not parts or parts[0] != root):
            raise ValueError("a tree has more than one root")
        root, place = parts[0], os.path.join(folder, *parts)
        if entry.get("folder") is True:
            os.makedirs(place, exist_ok=True)
            continue
        size = entry.get("size")
        if type(size) is not int or size < 0:
            raise ValueError("a file has no size")
        total += size
        if most_bytes is not None and total > most_bytes:
            raise ValueError(f"it has more than {most_bytes} bytes")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        _read_file(connection, place, size, 0o644 | (0o111 if entry.get("mode") else 0))
    raise ValueError(f"it has more than {_MOST_ENTRIES} entries")


def _read_file(connection: socket.socket, place: str, size: int, mode: int) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        while size:
            chunk = connection.recv(min(_CHUNK, size))
            if not chunk:
                raise ClosedError
            stream.write(chunk)
            size -= len(chunk)


def _parts(path: Any) -> Iterator[str]:
    if not isinstance(path, str) or not path or len(path) > _LONGEST_PATH or "\0" in path:
        raise ValueError("an entry of a tree has no path")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise ValueError(f"{path[:80]!r} leads out of the tree")
        yield part


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(min(_CHUNK, size - len(data)))
        if not chunk:
            raise ClosedError
        data += chunk
    return bytes(data)
