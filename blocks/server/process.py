"""The server of this home: launched once for all who ask, told from other processes with the same pid, and ended."""

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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from stepwell.blocks.server.auth_string import auth_string
from stepwell.blocks.server.guarded_app import HOST, origins
from stepwell.blocks.server.health import trouble
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import ServerException, StepwellError
from stepwell.model.digests import digest

_SECONDS_TO_START = 90.0
_SECONDS_TO_STOP = 10.0
_START_ATTEMPTS = 3

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
    # By default after 15 s: calls that wait for a worker would each be written again, in the way of new ones.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "3600",
}


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server's address and process; a pid means the same process only with the time it started.

    `auth` is a digest of the auth string that it asks for, '' if it is of an older Stepwell and lets in everybody.
    """

    url: str
    pid: int
    started: str
    auth: str = ""

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        child = _children.get(self.pid)
        if child is not None:
            child.poll()
        return bool(self.started) and _started(self.pid) == self.started

    @property
    def guarded(self) -> bool:
        """Whether it asks for this home's auth string."""
        return self.auth == _auth_digest()


_children: dict[int, subprocess.Popen[bytes]] = {}
_known: dict[Path, ServerProcess] = {}


def running(log: Callable[[str], None]) -> ServerProcess:
    """Return the server of this home, healthy when first returned; who else asks meanwhile waits for the same one."""
    process = _known.get(home())
    if process is None or not process.alive or not process.guarded:
        with told_in_words("Prefect's server can't be started, since Stepwell's home can't be written", _folder()):
            process = _known[home()] = _start_once(log)
    return process


def stop() -> bool:
    """Stop this home's server and return whether it ran."""
    process = recorded()
    ran = process is not None and process.alive
    if process is not None:
        _terminate(process)
        # Not before the server is dead: who starts one holds the lock, and gives up once its server is.
        with exclusive(_folder() / "lock"):
            if recorded() == process:
                _record_file().unlink(missing_ok=True)
    _known.pop(home(), None)
    return ran


def recorded() -> ServerProcess | None:
    """Return the process that was started last, which may have ended since."""
    try:
        data = json.loads(_read(_record_file()))
        return ServerProcess(str(data["url"]), int(data["pid"]), str(data["started"]), str(data.get("auth", "")))
    except (ValueError, KeyError, TypeError):
        return None


def own_auth_string() -> str:
    """Return what this home's server asks for."""
    return auth_string(_folder())


def database() -> Path:
    """Return the path of the server's database."""
    return _folder() / "prefect.db"


# Starting and ending -----------------------------------------------------------------------------------------------------


def _start_once(log: Callable[[str], None]) -> ServerProcess:
    process = recorded()
    if process is not None and process.alive and process.guarded and trouble(process.url) is None:
        return process
    with exclusive(_folder() / "lock"):
        process = recorded()
        if process is not None and process.alive and process.guarded:
            log("Waiting for Prefect's server")
            return _wait(process)
        if process is not None and process.alive:
            # Told to whoever caused it, log or none: older processes that still use it are refused from now on.
            print("Replacing Prefect's running server, which does not ask for this home's password", file=sys.stderr)
            _terminate(process)
        log(f"Starting Prefect's server{'' if database().exists() else ', which takes a while the first time'}")
        for attempt in range(1, _START_ATTEMPTS + 1):
            process = _launch(_free_port(last=attempt == 1))
            try:
                return _wait(process)
            except ServerException:
                # Between the look for a free port and its use, another process may have taken it.
                if attempt == _START_ATTEMPTS or process.alive or "already in use" not in _log_tail().lower():
                    raise
    raise AssertionError("unreachable")


def _launch(port: int) -> ServerProcess:
    folder = _folder()
    log = _log()
    if log.exists():
        log.replace(log.with_suffix(".log.old"))
    command = [sys.executable, "-m", "stepwell.blocks.server.guarded_app", str(port)]
    try:
        with log.open("wb") as output:
            # The folder is one where Prefect finds no settings of the user's project.
            child = subprocess.Popen(
                command, cwd=folder, env=_environment(folder, port), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
    except OSError as error:
        raise ServerException("Prefect's server can't be started.", {"reason": error}) from None
    _children[child.pid] = child
    process = ServerProcess(f"http://{HOST}:{port}/api", child.pid, _started(child.pid) or "", _auth_digest())
    write_atomically(_record_file(), json.dumps(asdict(process)).encode())
    write_atomically(folder / "port", str(port).encode())
    return process


def _environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STEPWELL_OWN_"))}
    # The UI calls the port that is named here, not the one on the command line.
    own = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": own_auth_string(),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins(port)),
    }
    if "PYTHONPATH" in kept:  # the server runs in another folder
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, kept["PYTHONPATH"].split(os.pathsep)))
    spec = importlib.util.find_spec("prefect")
    if spec is not None and not all(os.access(place, os.W_OK) for place in spec.submodule_search_locations or ()):
        # Prefect unpacks its UI beside its own code, or else goes without.
        own["PREFECT_UI_STATIC_DIRECTORY"] = str(folder / "ui")
    return kept | _SERVER_SETTINGS | own


def _wait(process: ServerProcess) -> ServerProcess:
    """Wait until the process is healthy and return it; raise ServerException if it ends or takes too long."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if trouble(process.url) is None:
            return process
        if not process.alive:
            hint = "Read the log; `stepwell server start` tries again."
            raise ServerException("Prefect's server stopped while it started.", _log_facts(), hint)
        time.sleep(0.05)
    hint = "Run `stepwell server stop`, and try again."
    raise ServerException(f"Prefect's server did not answer within {_SECONDS_TO_START:g} s.", _log_facts(), hint)


def _terminate(process: ServerProcess) -> None:
    """Terminate the server and what it started: asked first, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not process.alive:
            break
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        except PermissionError as error:
            facts = {"pid": process.pid, "reason": error}
            raise ServerException("Prefect's server can't be stopped.", facts, "Stop it as its owner.") from None
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while process.alive and time.monotonic() < deadline:
            time.sleep(0.02)
    if child := _children.pop(process.pid, None):
        child.poll()


def _free_port(*, last: bool) -> int:
    """Return a port that nobody listens on: the last one if wanted and free, so that addresses stay as they are."""
    candidates = [random.randrange(20000, 30000) for _ in range(100)]  # noqa: S311  (ports are no secret)
    text = _read(_folder() / "port") if last else ""
    for port in [int(text), *candidates] if text.isdecimal() else candidates:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except (OSError, OverflowError):
                continue
        return port
    raise ServerException("Prefect's server can't be started.", {"reason": "100 ports tried, and none is free"})


# What is known of it -------------------------------------------------------------------------------------------------


def _folder() -> Path:
    folder = home() / "server"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        hint = "Set STEPWELL_HOME to a folder that you can write to."
        raise StepwellError("Stepwell's home can't be written.", {"folder": folder, "reason": error}, hint) from None
    return folder


def _auth_digest() -> str:
    return digest("auth-string", own_auth_string())


def _record_file() -> Path:
    return _folder() / "server.json"


def _log() -> Path:
    return _folder() / "server.log"


def _log_tail() -> str:
    return "\n".join(_read(_log()).splitlines()[-15:])


def _log_facts() -> dict[str, object]:
    return {"log": _log(), "last lines": _log_tail() or "empty"}


def _started(pid: int) -> str | None:
    """Return when the process started, in words that no other process of this machine shares; None if it has ended."""
    if not sys.platform.startswith("linux"):
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    # A zombie without further threads has ended; only its parent has not looked yet.
    if not fields or (fields[0] in "ZX" and int(fields[17]) <= 1):
        return None
    return f"{_boot()}:{fields[19]}"


@cache
def _boot() -> str:
    return _read(Path("/proc/sys/kernel/random/boot_id"))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
