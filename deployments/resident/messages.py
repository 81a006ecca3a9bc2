"""What a command and a resident runner say to each other over a socket: JSON after its length, and open files."""

from __future__ import annotations

import array
import json
import os
import socket
import struct

TYPE_CHECKING = False  # what type checkers take for true: every command waits for what is imported here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LENGTH = struct.Struct("!I")
_LARGEST = 64 << 20
_PIECE, _SPACE = 1 << 18, socket.CMSG_SPACE(253 * array.array("i").itemsize)
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


def receive(connection: socket.socket) -> Any:
    """Return the next message; raise EOFError if there is none, ValueError if it is none."""
    head = _exactly(connection, _LENGTH.size)
    return json.loads(_exactly(connection, min(_LARGEST, *_LENGTH.unpack(head))))


class Incoming:
    """A message that comes in pieces over a connection that does not block, with the `files` that come with it."""

    def __init__(self, connection: socket.socket) -> None:
        self.files: list[int] = []
        self._connection = connection
        self._content = bytearray()

    def read(self) -> Any:
        """Take what has come, and return the message, None as long as it is not whole.

        Raises:
            EOFError: The other end has left.
            ValueError: It is no message.
        """
        while True:
            try:
                piece, rights, flags, _ = self._connection.recvmsg(_PIECE, _SPACE)
            except BlockingIOError:
                return None
            files = array.array("i")
            for level, kind, content in rights:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    files.frombytes(content[: len(content) - len(content) % files.itemsize])
            self.files += files
            if not piece:
                raise EOFError
            self._content += piece
            if flags & socket.MSG_CTRUNC or len(self._content) > _LARGEST:
                raise ValueError("too much for a message")
            end = _LENGTH.size + (_LENGTH.unpack_from(self._content)[0] if len(self._content) >= _LENGTH.size else 0)
            if _LENGTH.size < end <= len(self._content):
                return json.loads(self._content[_LENGTH.size : end])

    def close(self) -> None:
        """Close the connection, and the files."""
        self._connection.close()
        for file in self.files:
            os.close(file)
        self.files = []


def _exactly(connection: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        piece = connection.recv(length - len(content))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)
