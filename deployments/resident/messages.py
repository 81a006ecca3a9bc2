"""What a command and a resident runner say to each other over a socket: JSON after its length, and open files."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("!I")
_LARGEST = 64 << 20
_CREDENTIALS = struct.Struct("3i")


def refuse_others(connection: socket.socket) -> None:
    """Raise PermissionError if the process at the other end is another user's."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(found)[1] != os.geteuid():
        raise PermissionError("another user is at the other end")


def send(connection: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message, and open files with it."""
    content = json.dumps(message).encode()
    head = _LENGTH.pack(len(content))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    connection.sendmsg([head], rights)
    connection.sendall(content)


def receive(connection: socket.socket, most_files: int = 0) -> tuple[Any, list[int]]:
    """Return the next message and the files that came with it; raise EOFError if there is none, ValueError if it is none."""
    space = socket.CMSG_SPACE(most_files * array.array("i").itemsize) if most_files else 0
    head, rights, *_ = connection.recvmsg(_LENGTH.size, space)
    files = array.array("i")
    for level, kind, content in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(content[: len(content) - len(content) % files.itemsize])
    try:
        head += _exactly(connection, _LENGTH.size - len(head))
        return json.loads(_exactly(connection, min(_LARGEST, *_LENGTH.unpack(head)))), list(files)
    except BaseException:
        for file in files:
            os.close(file)
        raise


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        piece = connection.recv(length - len(content))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)
