"""Stores of objects that really run: S3 by moto, Azure by azurite, SFTP by asyncssh, on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pytest
from cache import cache_folder
from waiting import eventually

KINDS = ("folder", "s3", "azure", "sftp")


class Place(NamedTuple):
    """Where objects can be put: an empty place of its own."""

    kind: str
    url: str
    options: dict[str, Any]


@contextlib.contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """Yield an empty place on a server that runs while the block does; skip the test where the server can't be had."""
    with _SERVERS[kind](folder) as server, _leases_end():
        yield server


@contextlib.contextmanager
def _leases_end() -> Iterator[None]:
    """Let what machines of tests held no longer be renewed after the block, though they never gave it back."""
    from stepwell.blocks.remote.leases import Leases

    made: list[Leases] = []
    real = Leases.__init__

    def noted(self: Leases, *args: Any, **more: Any) -> None:
        real(self, *args, **more)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Leases, "__init__", noted)
        yield
    for leases in made:
        leases._held.clear()
        leases._ended.set()


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[Place]:
    shared = folder / "shared"
    shared.mkdir()
    yield Place("folder", f"file://{shared}", {})


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[Place]:
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {"key": "someone", "secret": "hidden", "endpoint_url": f"http://{host}:{port}"}
        bucket = f"bucket-{uuid.uuid4().hex[:8]}"
        fsspec.filesystem("s3", **options, skip_instance_cache=True).mkdir(bucket)
        yield Place("s3", f"s3://{bucket}/data", options)
    finally:
        server.stop()


@contextlib.contextmanager
def _azure(folder: Path) -> Iterator[Place]:
    pytest.importorskip("adlfs")
    program = azurite()
    log = open(folder / "azurite.log", "wb")
    more = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck"]
    server = subprocess.Popen([program, *more, "--disableTelemetry"], stdout=log, stderr=log, cwd=folder)
    try:
        port = eventually(lambda: _told_port(folder / "azurite.log") or server.poll() is not None)
        assert server.poll() is None, (folder / "azurite.log").read_text()
        key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        address = f"http://127.0.0.1:{port}/devstoreaccount1"
        text = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint={address};"
        options = {"connection_string": text, "account_name": "devstoreaccount1"}
        fsspec.filesystem("abfs", **options, skip_instance_cache=True).mkdir("container")
        yield Place("azure", "abfs://container/data", options)
    finally:
        server.terminate()
        server.wait()
        log.close()


@contextlib.contextmanager
def _sftp(folder: Path) -> Iterator[Place]:
    pytest.importorskip("paramiko")
    asyncssh = pytest.importorskip("asyncssh")
    shared = folder / "behind_sftp"
    shared.mkdir()

    class Login(asyncssh.SSHServer):
        def begin_auth(self, username):
            return True

        def password_auth_supported(self):
            return True

        def validate_password(self, username, password):
            return (username, password) == ("someone", "hidden")

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start():
        key = asyncssh.generate_private_key("ssh-ed25519")
        return await asyncssh.create_server(Login, "127.0.0.1", 0, server_host_keys=[key], sftp_factory=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        options = {"username": "someone", "password": "hidden", "port": server.get_port(), "look_for_keys": False}
        yield Place("sftp", f"sftp://127.0.0.1{shared}", {**options, "allow_agent": False})
    finally:

        async def stop():
            server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


_SERVERS = {"folder": _folder, "s3": _s3, "azure": _azure, "sftp": _sftp}


def azurite() -> Path:
    """Return the program of Azure's emulator, which npm installs once for this user; skip the test where it can't."""
    cache = cache_folder()
    target = cache / "azurite"
    program = target / "node_modules" / ".bin" / "azurite-blob"
    if program.exists():
        return program
    if not shutil.which("npm"):
        pytest.skip("Azure's emulator needs npm")
    draft = cache / f"azurite-{uuid.uuid4().hex[:8]}"
    draft.mkdir(parents=True)
    installed = subprocess.run(
        ["npm", "install", "azurite@3", "--no-fund", "--no-audit", "--silent"],
        cwd=draft,
        capture_output=True,
        text=True,
    )
    if installed.returncode:
        shutil.rmtree(draft)
        pytest.skip(f"npm can't install Azure's emulator: {installed.stderr.strip()[-200:]}")
    try:
        draft.rename(target)
    except OSError:  # another test was first
        shutil.rmtree(draft)
    return program


def _told_port(log: Path) -> str:
    """Return the port that the emulator says it listens on, '' before it does."""
    found = re.search(r"successfully listens on http://[^:]+:(\d+)\n", log.read_text())
    return found.group(1) if found else ""
