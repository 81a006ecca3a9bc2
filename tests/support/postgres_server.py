"""A PostgreSQL server of its own, from Debian's package, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "not-to-be-shown"


def programs() -> Path | None:
    """Return the folder of the newest server's programs, None if there is none that can be started here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found or (os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}):
        return None
    return found[-1].parent


@contextmanager
def postgres(port: int) -> Iterator[None]:
    """Let a server answer on the port, for a user `me`, while the block runs; root starts it as `postgres`."""
    folder, bin_folder = Path(tempfile.mkdtemp(prefix="pg-")), programs()
    assert bin_folder is not None
    user = {"user": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    (folder / "password").write_text(PASSWORD)
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")

    def run(program: str, *words: str) -> None:
        subprocess.run(
            [bin_folder / program, "-D", folder / "data", *words], cwd="/", check=True, capture_output=True, **user
        )  # type: ignore[call-overload]

    try:
        run("initdb", "-U", "me", "-A", "scram-sha-256", f"--pwfile={folder}/password", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
        run("pg_ctl", "-w", "-o", options, "-l", f"{folder}/log", "start")
        try:
            yield
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
