"""Workers of `stepwell worker` as processes of the tests, which end with the block that uses them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from waiting import PATIENCE


@contextmanager
def worker(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker with these options of its command line while the block runs; it takes runs when the block begins."""
    command = [sys.executable, "-m", "stepwell.deployments.cli", "worker", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
    reader.start()
    try:
        assert "takes the runs" in process.stdout.readline(), said
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        reader.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()
        process.said = "".join(said)
