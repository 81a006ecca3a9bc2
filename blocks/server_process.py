"""This home's own server, which outlives the process that started it: launched, recognized and ended."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from stepwell.blocks.files import write_atomically
from stepwell.blocks.home import home
from stepwell.blocks.locks import exclusive
from stepwell.blocks.server_health import trouble
from stepwell.errors import ServerException, StepwellError

_SECONDS_TO_START = 90.0
_SECONDS_TO_STOP = 10.0
_STARTS = 3

_SERVER_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    # In batches of one, Prefect's default, recording a task run costs four times as much.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


@dataclass(frozen=True, slots=True)
class _Process:
    """A server's address and process; a pid means the same process only with the time it started."""

    url: str
    pid: int
    started: str


_children: dict[int, subprocess.Popen[bytes]] = {}
def _start_once(say: Say) -> _Process:
    """This home's server, healthy; whoever else asks meanwhile waits for the same one."""
    process = _recorded()
    if process is not None and _alive(process) and _trouble(process.url) is None:
        return process
    with _locked():
        process = _recorded()
        if process is not None and _alive(process):
            say("Waiting for Prefect's server")
            return _wait(process)
        for attempt in range(_STARTS):
            first = not (_folder() / "prefect.db").exists()
            say(f"Starting Prefect's server{', which takes a while the first time' if first else ''}")
            process = _launch(_free_port(last=attempt == 0))
            try:
                return _wait(process)
            except ServerException:
                # Between the look for a free port and its use, another process may have taken it.
                if attempt + 1 == _STARTS or _alive(process) or "already in use" not in _log_tail().lower():
                    raise
    raise AssertionError("unreachable")


def _launch(port: int) -> _Process:
    folder = _folder()
    log = folder / "server.log"
    if log.exists():
        log.replace(folder / "server.log.old")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    try:
        with open(log, "wb") as output:
            # The folder is one where Prefect finds no settings of the user's project.
            child = subprocess.Popen(
                command, cwd=folder, env=_environment(folder, port), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
    except OSError as error:
        raise ServerException("Prefect's server can't be started.", {"reason": error}) from None
    _children[child.pid] = child
    process = _Process(f"http://127.0.0.1:{port}/api", child.pid, _started(child.pid) or "")
    _write(_record_file(), json.dumps(asdict(process)))
    _write(folder / "port", str(port))
    return process


def _environment(folder: Path, port: int) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STEPWELL_OWN_"))}
    # The UI calls the port that is named here, not the one on the command line.
    mine = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(port)}
    spec = importlib.util.find_spec("prefect")
    if spec is not None and not all(os.access(place, os.W_OK) for place in spec.submodule_search_locations or ()):
        # Prefect unpacks its UI beside its own code, or else goes without.
        mine["PREFECT_UI_STATIC_DIRECTORY"] = str(folder / "ui")
    return kept | _SERVER_SETTINGS | mine


def _wait(process: _Process) -> _Process:
    """The process, once it is healthy."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if _trouble(process.url) is None:
            return process
        if not _alive(process):
            hint = "Read the log; `stepwell server start` tries again."
            raise ServerException("Prefect's server stopped while it started.", _log_facts(), hint)
        time.sleep(0.05)
    hint = "Run `stepwell server stop`, and try again."
    raise ServerException(f"Prefect's server did not answer within {_SECONDS_TO_START:g} s.", _log_facts(), hint)


def _end(process: _Process) -> None:
    """Ends the server and what it started: asked first, then killed."""
    for number, seconds in ((signal.SIGTERM, _SECONDS_TO_STOP), (signal.SIGKILL, _SECONDS_TO_STOP)):
        if not _alive(process):
            break
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        except PermissionError as error:
            facts = {"pid": process.pid, "reason": error}
            raise ServerException("Prefect's server can't be stopped.", facts, "Stop it as its owner.") from None
        deadline = time.monotonic() + seconds
        while _alive(process) and time.monotonic() < deadline:
            time.sleep(0.02)
    if child := _children.pop(process.pid, None):
        child.poll()


def _free_port(last: bool) -> int:
    """A port that nobody listens on: the last one if it is wanted and free, so that addresses stay as they are."""
    candidates = [random.randrange(20000, 30000) for _ in range(100)]
    text = _read(_folder() / "port") if last else ""
    for port in [int(text), *candidates] if text.isdecimal() else candidates:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
        return port
    raise ServerException("Prefect's server can't be started.", {"reason": "100 ports tried, and none is free"})


def _folder() -> Path:
    folder = home() / "server"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        hint = "Set STEPWELL_HOME to a folder that you can write to."
        raise StepwellError("Stepwell's home can't be written.", {"folder": folder, "reason": error}, hint) from None
    return folder


def _record_file() -> Path:
    return _folder() / "server.json"


def _recorded() -> _Process | None:
    """The process that was started last, which may have ended since."""
    try:
        data = json.loads(_read(_record_file()))
        return _Process(str(data["url"]), int(data["pid"]), str(data["started"]))
    except (ValueError, KeyError, TypeError):
        return None


def _alive(process: _Process) -> bool:
    child = _children.get(process.pid)
    if child is not None:
        child.poll()
    return bool(process.started) and _started(process.pid) == process.started


def _started(pid: int) -> str | None:
    """When the process started, in words that no other process of this machine shares; None if it has ended."""
    if not sys.platform.startswith("linux"):
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie without further threads has ended; only its parent has not looked yet.
    return None if fields[0] in "ZX" and int(fields[17]) <= 1 else f"{_boot()}:{fields[19]}"


@cache
def _boot() -> str:
    return _read(Path("/proc/sys/kernel/random/boot_id"))


def _log_facts() -> dict[str, object]:
    return {"log": _folder() / "server.log", "last lines": _log_tail() or "empty"}


def _log_tail(lines: int = 15) -> str:
    return "\n".join(_read(_folder() / "server.log").splitlines()[-lines:])


@contextmanager
def _locked() -> Iterator[None]:
    """A context that one thread of one process is in at a time; the system opens it again if that one dies."""
    with open(_folder() / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def _say_nothing(_: str) -> None:
    pass
