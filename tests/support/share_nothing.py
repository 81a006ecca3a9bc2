"""A Dask worker that shares nothing with this process: its own network, its own processes, and no view of its files."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ports import port_for_later
from waiting import eventually

_NET = f"10.{200 + os.getpid() // 250 % 50}.{os.getpid() % 250}"  # what a killed test left must not be in the way
HOST, GUEST = f"{_NET}.1", f"{_NET}.2"


def why_not() -> str:
    """Return why no such worker is possible here, '' if one is."""
    if os.geteuid() != 0:
        return "network and mount namespaces need root"
    missing = [name for name in ("ip", "unshare", "mount") if not shutil.which(name)]
    if missing:
        return f"{missing[0]} is not installed"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return "" if probe.returncode == 0 else "this machine allows no namespaces"


@contextlib.contextmanager
def network() -> Iterator[str]:
    """Make a network namespace that reaches this machine at HOST and is reached at GUEST, and yield its name."""
    name, ours, theirs = f"sw{os.getpid()}", f"swh{os.getpid() % 10**6}", f"swg{os.getpid() % 10**6}"
    for line in (
        f"ip netns add {name}",
        f"ip link add {ours} type veth peer name {theirs}",
        f"ip link set {theirs} netns {name}",
        f"ip addr add {HOST}/30 dev {ours}",
        f"ip link set {ours} up",
        f"ip -n {name} addr add {GUEST}/30 dev {theirs}",
        f"ip -n {name} link set {theirs} up",
        f"ip -n {name} link set lo up",
    ):
        subprocess.run(line.split(), check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["ip", "link", "del", ours], check=False, capture_output=True)


@contextlib.contextmanager
def worker(namespace: str, scheduler: str, scratch: Path, hidden: Sequence[Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of the scheduler that sees empty folders instead of the `hidden` ones; `scratch` is its own."""
    scratch.mkdir()
    hide = "".join(f"mount -t tmpfs none '{path}' && " for path in hidden)
    own = f"{sys.executable} -m distributed.cli.dask_worker {scheduler} --no-nanny --nthreads 2 --host {GUEST}"
    line = f"{hide}mkdir -p /tmp/alone && cd / && mount -t proc proc /proc && exec {own} --local-directory /tmp/alone --no-dashboard"
    variables = {"PATH": os.environ["PATH"], "HOME": "/tmp/alone", "STEPWELL_HOME": "/tmp/alone/home"}
    with open(scratch / "worker.log", "wb") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", line],
            env=variables, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def ftp_server(folder: Path) -> Iterator[str]:
    """Run an FTP server on HOST for that folder, user `u`, password `hidden-passw0rd`, and yield its URL."""
    folder.mkdir(exist_ok=True)
    port = port_for_later()
    options = f"-i {HOST} -p {port} -u u -P hidden-passw0rd -w -d".split()
    process = subprocess.Popen([sys.executable, "-m", "pyftpdlib", *options, str(folder)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"ftp://{HOST}:{port}/"
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
            return True
        return False

    eventually(answers)
