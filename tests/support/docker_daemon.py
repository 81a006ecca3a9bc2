"""A Docker engine for the tests: one that the environment names, else one of our own, gone without a trace afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cache import cache_folder
from waiting import PATIENCE, ended_with_us, eventually

SUITE, PACKAGES = "bookworm", "python3,python3-pip,ca-certificates"


@dataclass(frozen=True)
class Daemon:
    """An engine that runs, and the image that it has: Debian's with Python and pip, and nothing of Stepwell."""

    address: str
    image: str

    def docker(self, *words: str, check: bool = True) -> str:
        """Run the command line client and return its output."""
        done = subprocess.run(["docker", "-H", self.address, *words], capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def left(self) -> list[str]:
        """Return the containers of steps, running or not, and all volumes."""
        containers = self.docker("ps", "-a", "--filter", "name=stepwell-", "--format", "{{.Names}} {{.Status}}")
        return [*containers.splitlines(), *self.docker("volume", "ls", "-q").splitlines()]

    def nothing_left(self) -> bool:
        """Wait until there are no containers of steps and no volumes."""
        return eventually(lambda: not self.left())


def why_not() -> str:
    """Return why no engine is possible here, '' if one is."""
    if os.environ.get("STEPWELL_TEST_DOCKER_HOST"):
        return "" if os.environ.get("STEPWELL_TEST_DOCKER_IMAGE") else "STEPWELL_TEST_DOCKER_IMAGE names no image"
    if os.geteuid() != 0:
        return "an engine of our own needs root, and STEPWELL_TEST_DOCKER_HOST names none"
    missing = [name for name in ("docker", "dockerd", "debootstrap", "tar") if not shutil.which(name)]
    return f"{missing[0]} is not installed, and STEPWELL_TEST_DOCKER_HOST names no engine" if missing else ""


@contextlib.contextmanager
def daemon() -> Iterator[Daemon]:
    """Run an engine while the block runs, unless the environment names one; its base image is kept for the next time."""
    named = os.environ.get("STEPWELL_TEST_DOCKER_HOST")
    if named:
        yield Daemon(named, os.environ["STEPWELL_TEST_DOCKER_IMAGE"])
        return
    folder = Path(tempfile.mkdtemp(prefix="stepwell-docker-"))
    try:
        with _started(folder) as address:
            engine = Daemon(address, "stepwell-base:test")
            _import_base(engine, folder, cache_folder())
            yield engine
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _started(folder: Path) -> Iterator[str]:
    address, log = f"unix://{folder}/docker.sock", folder / "log"
    words = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "-H", address]
    words += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["docker", "-H", address, "version"], capture_output=True).returncode:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        with ended_with_us(process.pid):
            yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _import_base(engine: Daemon, folder: Path, cache: Path) -> None:
    archive = cache / f"{SUITE}-{PACKAGES.count(',')}.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        root, draft = folder / "root", archive.with_suffix(f".{os.getpid()}")
        words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        subprocess.run(["tar", "-C", str(root), "-cf", str(draft), "."], check=True)
        draft.rename(archive)
        shutil.rmtree(root, ignore_errors=True)
    engine.docker("import", str(archive), engine.image)
