"""The server of this home: launched once for all who ask, wherever they are, told from other processes, and ended.

It holds a lock for as long as it lives, so that no second one is started on its database, in another PID namespace (a
second container on the same volume) or on another machine neither; who can reach its address uses it from there.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stepwell.blocks.processes.table import namespace, started
from stepwell.blocks.server.guarded_app import HOST, environment, free_port
from stepwell.blocks.server.health import SECONDS_TO_ANSWER, ask_to_end, is_own, trouble
from stepwell.blocks.server.start import block_types, database
from stepwell.blocks.system.auth_string import auth_string
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import ServerException, StepwellError, UserErrorException
from stepwell.model.digests import digest

_SECONDS_TO_START = 90.0
_SECONDS_TO_ANSWER_ELSEWHERE = 15.0
_SECONDS_TO_STOP = 10.0
_SECONDS_TO_TELL = 0.2
_SECONDS_SILENT = 30.0
"""After how long without an answer a living server is replaced; one that answers in less is slow."""

_SECONDS_SUSPICIOUS = 1.0
_START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server's address and process; a pid means the same process only with its namespace and the time it started.

    `auth` is a digest of the auth string that it asks for, '' if it is of an older Stepwell and lets in everybody.
    `locked`: it holds the lock of the database while it lives; one of an older Stepwell doesn't.
    """

    url: str
    pid: int
    started: str
    auth: str = ""
    host: str = ""
    namespace: str = ""
    locked: bool = False

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, wherever it is."""
        child = _children.get(self.pid)
        if child is not None:
            child.poll()
        return (recorded() == self and database.is_locked(_folder())) if self.locked else self.here

    @property
    def here(self) -> bool:
        """Whether the process is one that can be seen, and ended, from here."""
        same = self.namespace in ("", namespace())
        return same and bool(self.started) and started(self.pid) == self.started

    @property
    def guarded(self) -> bool:
        """Whether it asks for this home's auth string."""
        return self.auth == _auth_digest()

    def trouble(self, seconds: float = SECONDS_TO_ANSWER) -> str | None:
        """Return why the server can't be used from here, or None if it answers in time."""
        reason = trouble(self.url, seconds)
        if reason is None and self.locked and self.guarded and not is_own(self.url, own_auth_string()):
            return "what answers there is another server"
        return reason


_children: dict[int, subprocess.Popen[bytes]] = {}
_known: dict[Path, ServerProcess] = {}


def running(log: Callable[[str], None]) -> ServerProcess:
    """Return the server of this home, healthy when first returned; who else asks meanwhile waits for the same one."""
    process = _known.get(home())
    if process is None or not process.alive or not process.guarded:
        with told_in_words("Prefect's server can't be started, since Stepwell's home can't be written", _folder()):
            process = _known[home()] = _start_once(log)
    return process


def distrust() -> None:
    """Have the server answer before it is used again: it did not answer somebody."""
    _known.pop(home(), None)


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
        more = {name: str(data.get(name, "")) for name in ("auth", "host", "namespace")}
        locked = data.get("locked") is True
        return ServerProcess(str(data["url"]), int(data["pid"]), str(data["started"]), **more, locked=locked)
    except (ValueError, KeyError, TypeError):
        return None


def own_auth_string() -> str:
    """Return what this home's server asks for."""
    return auth_string(_folder())


def database_file() -> Path:
    """Return the path of the server's database."""
    return database.database(_folder())


def restore(*, empty: bool = False) -> str:
    """Go back to the newest copy of the database that this Prefect can use, or to none, and return what was done."""
    with exclusive(_folder() / "lock"):
        process = recorded()
        if process is not None and process.alive:
            raise UserErrorException("Prefect's server is at work on the database.", {"address": process.url},
                                     "Run `stepwell server stop` first.")  # fmt: skip
        lock = _lock_database()
        try:
            return database.restore(_folder(), empty=empty)
        finally:
            if lock is not None:
                os.close(lock)


# Starting and ending -----------------------------------------------------------------------------------------------------


def _start_once(log: Callable[[str], None]) -> ServerProcess:
    process = recorded()
    if process is not None and process.alive and process.guarded and process.trouble() is None:
        _note_answer(process)
        if database.is_migrating(_folder()):
            database.finish(_folder())
        return process
    with exclusive(_folder() / "lock"):
        process = recorded()
        if process is not None and process.alive and _serves(process, log):
            return process
        log(f"Starting Prefect's server{'' if database_file().exists() else ', which takes a while the first time'}")
        for attempt in range(1, _START_ATTEMPTS + 1):
            process = _launch(free_port(_read(_folder() / "port") if attempt == 1 else ""), log)
            try:
                _wait(process)
            except ServerException:
                # Between the look for a free port and its use, another process may have taken it.
                if attempt == _START_ATTEMPTS or process.alive or "already in use" not in _log_tail().lower():
                    if not process.alive:
                        database.check(_folder())  # which may be the reason
                    raise
            database.finish(_folder())
            return process
    raise AssertionError("unreachable")


def _serves(process: ServerProcess, log: Callable[[str], None]) -> bool:
    """Return whether the living server can be used; one that can't is ended, to be replaced."""
    if process.guarded:
        if not process.here:
            return bool(_wait(process))
        if _answers(process, log):
            return True
        if not process.alive:
            return False
        print("Replacing Prefect's server", file=sys.stderr)
        _let_tell_its_work(process)
    else:
        # Told to whoever caused it, log or none: older processes that still use it are refused from now on.
        print("Replacing Prefect's running server, which does not ask for this home's password", file=sys.stderr)
    _terminate(process)
    return False


def _launch(port: int, say: Callable[[str], None]) -> ServerProcess:
    folder = _folder()
    lock = _lock_database()
    log = _log()
    descriptors = () if lock is None else (lock,)
    command = [sys.executable, "-m", "stepwell.blocks.server.guarded_app", str(port), *map(str, descriptors)]
    process = ServerProcess(
        f"http://{HOST}:{port}/api", 0, "", _auth_digest(), socket.gethostname(), namespace(), lock is not None
    )
    try:
        _record_file().unlink(missing_ok=True)  # nobody else has the lock, so what it says is over
        database.prepare(folder, say)
        if not database_file().exists():
            block_types.forget(folder)
        variables = environment(folder, port, own_auth_string())
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        _record(process)  # before it lives, so that it is found though we were killed now
        with log.open("wb") as output:
            # The folder is one where Prefect finds no settings of the user's project.
            child = subprocess.Popen(
                command, cwd=folder, env=variables, start_new_session=True, pass_fds=descriptors,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
    except OSError as error:
        raise ServerException("Prefect's server can't be started.", {"reason": error}) from None
    finally:
        if lock is not None:
            os.close(lock)  # the server has it now
    _children[child.pid] = child
    process = replace(process, pid=child.pid, started=started(child.pid) or "")
    _record(process)
    write_atomically(folder / "port", str(port).encode())
    return process


def _record(process: ServerProcess) -> None:
    write_atomically(_record_file(), json.dumps(asdict(process)).encode())


def _lock_database() -> int | None:
    try:
        return database.lock(_folder(), _SECONDS_TO_STOP)
    except TimeoutError:
        raise _elsewhere(None) from None


def _wait(process: ServerProcess) -> ServerProcess:
    """Wait until the process is healthy and return it; raise ServerException if it ends or takes too long."""
    seconds = _SECONDS_TO_START if process.here else _seconds_left_elsewhere()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.trouble() is None:
            _note_answer(process)
            return process
        if not process.alive:
            hint = "Read the log; `stepwell server start` tries again."
            raise ServerException("Prefect's server stopped while it started.", _log_facts(), hint)
        time.sleep(0.05)
    if not process.here:
        raise _elsewhere(process)
    hint = "Run `stepwell server stop`, and try again."
    raise ServerException(f"Prefect's server did not answer within {_SECONDS_TO_START:g} s.", _log_facts(), hint)


def _seconds_left_elsewhere() -> float:
    """Return how long to wait for a server that was started elsewhere, perhaps just now."""
    age = 0.0
    with suppress(OSError):
        age = max(0.0, time.time() - _record_file().stat().st_mtime)
    return max(_SECONDS_TO_ANSWER_ELSEWHERE, _SECONDS_TO_START - age)


def _elsewhere(process: ServerProcess | None) -> ServerException:
    """Return the error for a server that lives where its process can't be seen nor its address be reached."""
    facts = {"home": home(), "host": process and process.host, "address": process and process.url}
    return ServerException(
        "Prefect's server of this home runs in another container or on another machine, and can't be reached from here.",
        {name: fact for name, fact in facts.items() if fact},
        "Run `stepwell server stop` there, or set PREFECT_API_URL to a server that both reach, or STEPWELL_HOME to another"
        " folder here.",
    )


def _answers(process: ServerProcess, log: Callable[[str], None]) -> bool:
    """Return whether the living server answers, in time; one that never did is starting, which takes longer."""
    silent = _has_answered(process)
    deadline = time.monotonic() + (_SECONDS_SILENT if silent else _SECONDS_TO_START)
    told = not silent
    if told:
        log("Waiting for Prefect's server")
    patience = _SECONDS_SUSPICIOUS
    while process.alive and (left := deadline - time.monotonic()) > 0:
        if process.trouble(min(left, patience)) is None:
            _note_answer(process)
            return True
        patience *= 2  # a request can be lost, and a new one be answered; a slow server needs a patient one
        if not told:
            told = True
            words = f"Prefect's server does not answer; it is replaced in {_SECONDS_SILENT:g} s unless it does"
            print(words, file=sys.stderr)
        time.sleep(0.05)
    return False


def _has_answered(process: ServerProcess) -> bool:
    return _read(_folder() / "answered") == process.started


def _note_answer(process: ServerProcess) -> None:
    if not _has_answered(process):
        write_atomically(_folder() / "answered", process.started.encode())


def _let_tell_its_work(process: ServerProcess) -> None:
    """Have the hung server write what its threads are at into its log, which is kept beside that of the next one."""
    with suppress(OSError):
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(_SECONDS_TO_TELL)


def _terminate(process: ServerProcess) -> None:
    """Terminate the server and what it started: asked first, then killed."""
    if process.alive and not process.here:
        _terminate_elsewhere(process)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not process.alive:
            break
        try:
            os.killpg(process.pid, number)
            os.killpg(process.pid, signal.SIGCONT)  # one that was stopped could not obey
        except ProcessLookupError:
            break
        except PermissionError as error:
            facts = {"pid": process.pid, "reason": error}
            raise ServerException("Prefect's server can't be stopped.", facts, "Stop it as its owner.") from None
        _await_end(process)
    if process.alive:
        hint = "It waits for its disk, or its debugger: end what keeps it."
        raise ServerException("Prefect's server does not answer, and can't be ended.", {"pid": process.pid}, hint)
    if child := _children.pop(process.pid, None):
        child.poll()


def _terminate_elsewhere(process: ServerProcess) -> None:
    """Ask a server whose process can't be seen from here to end, and wait for that."""
    if process.trouble() is None and process.guarded:
        ask_to_end(process.url, own_auth_string())
        _await_end(process)
    if process.alive:
        raise _elsewhere(process)


def _await_end(process: ServerProcess) -> None:
    deadline = time.monotonic() + _SECONDS_TO_STOP
    while process.alive and time.monotonic() < deadline:
        time.sleep(0.02)


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
    return {"log": _log(), **database.facts_of_migration(_folder()), "last lines": _log_tail() or "empty"}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
