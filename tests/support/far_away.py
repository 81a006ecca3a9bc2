"""Datastores that stand elsewhere: an FTP server, and memory whose files have tags as those of object stores."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


@contextlib.contextmanager
def ftp_server(folder: Path) -> Iterator[str]:
    """Serve the folder by FTP on this machine, in a thread, and yield the URL; the user is `u`, the password `hidden`."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    folder.mkdir(exist_ok=True)
    users = DummyAuthorizer()
    users.add_user("u", "hidden", str(folder), perm="elradfmwMT")

    class Handler(FTPHandler):  # the base class is shared by all servers of the process
        authorizer = users

    server = FTPServer(("127.0.0.1", 0), Handler)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.02, blocking=False, handle_exit=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"ftp://127.0.0.1:{server.address[1]}/"
    finally:
        ended.set()
        thread.join()
        server.close_all()


class TaggedMemory(MemoryFileSystem):
    """Files in memory with an ETag each, the MD5 of what they hold or, with `opaque`, another one for each write.

    `calls` are what was asked of it, with the place; a listing is of one folder, or of all below it.
    """

    protocol = "tagged"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    calls: list[tuple[str, str]] = []
    opaque = False

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("tagged://"))

    def _told(self, facts: dict[str, Any]) -> dict[str, Any]:
        if facts["type"] == "file":
            held = self.store[facts["name"]]
            content = hashlib.md5(held.getvalue()).hexdigest()
            facts["ETag"] = f'"{held.created.timestamp()}-1"' if self.opaque else f'"{content}"'
        return facts

    def info(self, path, **kwargs):
        self.calls.append(("info", path))
        return self._told(super().info(path, **kwargs))

    def ls(self, path, detail=True, **kwargs):
        self.calls.append(("ls", path))
        found = super().ls(path, detail=detail, **kwargs)
        return [self._told(facts) for facts in found] if detail else found

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **kwargs):
        self.calls.append(("find", path))
        found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **kwargs)
        return {name: self._told(facts) for name, facts in found.items()} if detail else found

    def _open(self, path, mode="rb", **kwargs):
        self.calls.append(("read" if "r" in mode else "write", path))
        return super()._open(path, mode, **kwargs)

    def put_file(self, lpath, rpath, **kwargs):
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def asked(self, *names: str) -> list[str]:
        """Return the places of these calls since the last question."""
        found = [place for name, place in self.calls if name in names]
        self.calls.clear()
        return found


fsspec.register_implementation("tagged", TaggedMemory, clobber=True)
