"""Prefect's server: the user's own where one is named, else one per home that outlives the process that started it.

An ephemeral server, Prefect's default, loses task runs; so one is never left possible once `ensure_server` was called.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from stepwell.blocks.home import home
from stepwell.errors import ServerException, StepwellError

os.environ.setdefault("DO_NOT_TRACK", "1")

Say = Callable[[str], None]

_API_URL = "PREFECT_API_URL"
_OWN_URL = "STEPWELL_OWN_API_URL"
"""Beside PREFECT_API_URL and equal to it: tells a child process that Stepwell set it, not the user."""

_SECONDS_TO_ANSWER = 2.5
_SECONDS_TO_START = 90.0
_SECONDS_TO_STOP = 10.0
_SECONDS_TRUSTED = 10.0
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
class ServerStatus:
    """Whether a server answers, and where; `managed`: it is this home's own, so its process and database are known."""

    running: bool
    url: str | None
    pid: int | None
    ui_url: str | None
    database: Path | None
    managed: bool


@dataclass(frozen=True, slots=True)
class _Process:
    """A server's address and process; a pid means the same process only with the time it started."""

    url: str
    pid: int
    started: str


_children: dict[int, subprocess.Popen[bytes]] = {}
_known: dict[Path, _Process] = {}
_answered: dict[str, float] = {}
_own_urls: set[str] = set()
_refreshed_for: list[str | None] = []


# The doors ----------------------------------------------------------------------------------------------------------


def ensure_server(say: Say | None = None) -> str:
    """The API URL of a server that runs, started if need be, and now in force for this process and its children."""
    os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    users = _users_url()
    if users is not None:
        _require_answer(users)
        _put_in_force(users)
        return users
    process = _known.get(home())
    if process is None or not _alive(process):
        process = _known[home()] = _start_once(say or _say_nothing)
    _own_urls.add(process.url)
    _put_in_force(process.url)
    return process.url


def start(say: Say | None = None) -> ServerStatus:
    """How the server stands once it runs."""
    ensure_server(say)
    return status()


def stop() -> bool:
    """Whether this home's own server ran; now it does not. A server that the user named is left alone."""
    process = _recorded()
    ran = process is not None and _alive(process)
    if process is not None:
        _end(process)
        # Not before the server is dead: who starts one holds the lock, and gives up once its server is.
        with _locked():
            if _recorded() == process:
                _record_file().unlink(missing_ok=True)
    _known.pop(home(), None)
    return ran


def status() -> ServerStatus:
    """How the server stands that `ensure_server` would return; nothing is started."""
    users = _users_url()
    if users is not None:
        return ServerStatus(_trouble(users) is None, users, None, _ui_url(users), None, managed=False)
    process = _recorded()
    database = _folder() / "prefect.db"
    if process is None or not _alive(process):
        return ServerStatus(False, None, None, None, database, managed=True)
    running = _trouble(process.url) is None
    return ServerStatus(running, process.url, process.pid, _ui_url(process.url), database, managed=True)


@contextmanager
def client_settings() -> Iterator[None]:
    """A context with the Prefect settings that Stepwell's own flows want, its server among them."""
    ensure_server()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # The heartbeat thread is joined at the end of each flow, which costs a second; no environment variable stops it.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


# Whose server -------------------------------------------------------------------------------------------------------


def _users_url() -> str | None:
    """The API URL that the user's environment, code or Prefect profile names."""
    # What is in force comes first: within Prefect's test harness, for one, the environment must not count.
    current = _prefects_url() if "prefect" in sys.modules or _configured() else None
    return next((url for url in (current, os.environ.get(_API_URL)) if url and not _is_own(url)), None)


def _is_own(url: str) -> bool:
    return url in _own_urls or url == os.environ.get(_OWN_URL)


def _configured() -> bool:
    """Whether a file that Prefect reads may name a server, so that Prefect, slow to import, must be asked."""
    folder = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or folder / "profiles.toml")
    project = {Path(".env"): "prefect_", Path("prefect.toml"): "", Path("pyproject.toml"): "tool.prefect"}
    signs = {profiles: "prefect_api_url", **project}
    return any(path.is_file() and sign in path.read_text(errors="replace").lower() for path, sign in signs.items())


def _prefects_url() -> str | None:
    """The API URL that Prefect would use now."""
    _refresh()
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def _refresh() -> None:
    """Makes Prefect read the environment again if its API URL has changed since."""
    named = os.environ.get(_API_URL)
    if _refreshed_for == [named]:
        return
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    _refreshed_for[:] = [named]


def _put_in_force(url: str) -> None:
    own = url in _own_urls
    if own:
        os.environ.update({_API_URL: url, _OWN_URL: url})
        _pass_by_proxies()
    if "prefect" not in sys.modules:
        return
    from prefect import context
    from prefect.settings import PREFECT_API_URL

    if _prefects_url() == url:
        # What only a `with temporary_settings(...)` names must not outlive it.
        if context.GLOBAL_SETTINGS_CONTEXT.settings.api.url == url:
            os.environ[_API_URL] = url
            _refreshed_for[:] = [url]
        return
    # Settings entered before the server was known hide the global ones. A context within theirs ends when theirs does.
    outer = context.get_settings_context()
    settings = outer.settings.copy_with_update({PREFECT_API_URL: url})
    context.SettingsContext(profile=outer.profile, settings=settings).__enter__()


def _pass_by_proxies() -> None:
    """Keeps requests to this machine away from the proxies that the environment names."""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1"):
        exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{exempt},127.0.0.1" if exempt else "127.0.0.1"


# Whether it answers -------------------------------------------------------------------------------------------------


def _require_answer(url: str) -> None:
    if time.monotonic() - _answered.get(url, float("-inf")) < _SECONDS_TRUSTED:
        return
    trouble = _trouble(url)
    if trouble is None:
        _answered[url] = time.monotonic()
        return
    variable = os.environ.get(_API_URL) == url
    raise ServerException(
        "Prefect's server does not answer.",
        {"address": _shown(url), "named by": _API_URL if variable else "Prefect's settings", "reason": trouble},
        f"Start that server, or {'unset' if variable else 'remove'} PREFECT_API_URL"
        f"{'' if variable else ' from your Prefect profile'} to use Stepwell's own.",
    )


def _trouble(url: str, seconds: float = _SECONDS_TO_ANSWER) -> str | None:
    """Why the server can't be used, or None if it answers in time."""
    found: list[str | None] = []
    # A timeout of urllib holds for each read of each address alone, and for no name look-up.
    asking = threading.Thread(target=lambda: found.append(_ask(url, seconds)), daemon=True)
    asking.start()
    asking.join(seconds)
    return found[0] if found else f"no answer within {seconds:g} s"


def _ask(url: str, seconds: float) -> str | None:
    try:
        opener = _opener(urlsplit(url).hostname or "")
        with opener.open(f"{url.rstrip('/')}/health", timeout=seconds) as response:
            answer = response.read(1000)
    except urllib.error.HTTPError as error:
        # Prefect Cloud wants a key, which only Prefect itself should hand out.
        known = error.code in (401, 403) or (error.code == 404 and "/workspaces/" in url)
        return None if known else f"{error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except Exception as error:
        return str(error) or type(error).__name__
    return None if answer.strip() == b"true" else "what answers is no Prefect API; its address mostly ends in /api"


@cache
def _opener(host: str) -> urllib.request.OpenerDirector:
    # Whether a certificate is to be trusted is for Prefect's settings to say; nothing secret is sent here.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    local = host in ("127.0.0.1", "localhost", "::1")
    proxies = urllib.request.ProxyHandler({} if local else None)
    return urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=unverified))


def _shown(url: str) -> str:
    return re.sub("//[^/@]*@", "//***@", url)


def _ui_url(url: str) -> str:
    return _shown(url).rstrip("/").removesuffix("/api")


# Starting and stopping this home's own -------------------------------------------------------------------------------


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


# What is known of it -------------------------------------------------------------------------------------------------


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
