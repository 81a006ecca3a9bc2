"""A headless Chromium with a profile of its own, ended by its process id; a test that asks for it is skipped without one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import PATIENCE, eventually

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()


def _program() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


@contextmanager
def browsing(folder: Path, address: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """Show a page while the block runs; what it prints goes to `chromium.log` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [_program(), *_FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, address]
    with open(folder / "chromium.log", "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def dom(folder: Path, address: str, *flags: str) -> str:
    """Return a page as it is once its scripts have run."""
    with browsing(folder, address, "--dump-dom", "--virtual-time-budget=20000", *flags) as process:
        return process.communicate(timeout=PATIENCE)[0].decode()


def dom_showing(text: str, folder: Path, address: Callable[[], str]) -> str:
    """Return a page that shows the text, looked at anew until it does: a busy machine may leave its scripts no time."""

    def look() -> str:
        shown = dom(folder, address())
        return shown if text in shown else ""

    return eventually(look)
