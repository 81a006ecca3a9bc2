"""Stepwell's own server lives once per home, and the user's comes first. Each check runs in processes of its own."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from server_processes import HEAD, begin, environment, python, servers, status, with_prefect
from waiting import PATIENCE

from stepwell.blocks.system.home import home, signing_key
from stepwell.errors import StepwellError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Provide a folder in which two processes at once asked for a server, one of which was interrupted after."""
    folder = tmp_path_factory.mktemp("server")
    try:
        # Settings of the user's that would break a server must not reach it.
        broken = {"PREFECT_PROFILE": "missing", "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://nowhere/x"}
        code = "server.start_ahead(lambda _: None); print(server.ensure_server(), flush=True); import time; time.sleep(float('{}'))"
        both = [begin(code.format(3000), folder, **broken), begin(code.format(0), folder)]
        assert both[0].stdout is not None
        first = both[0].stdout.readline().strip()
        second = both[1].communicate(timeout=PATIENCE)[0].strip()
        os.killpg(both[0].pid, signal.SIGINT)
        both[0].communicate(timeout=PATIENCE)
        assert first == second != ""
        yield folder
    finally:
        for pid in servers(folder):
            os.kill(pid, signal.SIGKILL)


def test_two_processes_at_once_start_one_server_that_survives_them(folder: Path) -> None:
    now = status(folder)
    assert now["running"] and now["managed"]
    assert servers(folder) == [now["pid"]]
    assert now["database"] == str(folder / "home" / "server" / "prefect.db") and Path(str(now["database"])).exists()


WHENEVER = (
    (python, "server.ensure_server(); import prefect"),
    (with_prefect, "server.ensure_server()"),
    (
        with_prefect,
        "import prefect.settings as s; s.temporary_settings({s.PREFECT_LOGGING_LEVEL: 'INFO'}).__enter__()"
        "; server.ensure_server()",
    ),
)
"""Prefect imported after, before, and with settings in force: what runs the code in a process, and the code."""


def test_url_is_in_force_whenever_prefect_was_imported(folder: Path) -> None:
    url = status(folder)["url"]
    show = """
import os
from prefect.client.orchestration import get_client
client = get_client(sync_client=True)
print(str(client.api_url).rstrip('/'), os.environ['PREFECT_API_URL'], os.environ['DO_NOT_TRACK'], client.server_type)"""
    for runs, code in WHENEVER:
        assert runs(code + show, folder) == f"{url} {url} 1 ServerType.SERVER"


def test_status_and_second_ensure_are_quick_and_need_no_prefect(folder: Path) -> None:
    code = """
import sys, time
server.ensure_server(); server.status()
began = time.process_time()
for _ in range(100): server.ensure_server()
print(time.process_time() - began, 'prefect' in sys.modules)"""
    seconds, imported = python(code, folder).split()
    assert float(seconds) < 1 and imported == "False"


def test_flow_waits_for_no_heartbeat_within_client_settings(folder: Path) -> None:
    """Count the threads that a flow joins at its end, which takes a second."""
    code = """
import threading, prefect
def beating():
    called = [getattr(thread, '_args', None) or [None] for thread in threading.enumerate()]
    return sum(getattr(first, '__name__', '') == 'heartbeat_loop' for first, *_ in called)
flow = prefect.flow(beating, name='empty')
with server.client_settings():
    within = flow()
print(within, flow())"""
    assert with_prefect(code, folder) == "0 1"


def test_child_of_a_process_with_a_server_may_start_it_again_after_a_kill(folder: Path) -> None:
    old = status(folder)
    code = f"""
import os, signal, subprocess as s, sys, time
server.ensure_server()
os.kill({old["pid"]}, signal.SIGKILL)
time.sleep(0.2)
again = [sys.executable, '-c', 'from stepwell.blocks.server import connection as server; {HEAD.strip()}; print(server.ensure_server())']
print(s.check_output(again, text=True).strip(), server.ensure_server(), server.status().pid)"""
    child, own, pid = python(code, folder).split()
    assert child == own == old["url"]
    assert servers(folder) == [int(pid)] != [old["pid"]]


@contextmanager
def stopped(pid: object) -> Iterator[None]:
    """Let the process do nothing, and not end, while the block runs: it lives, and what it listens on accepts."""
    with suppress(ProcessLookupError):
        os.kill(int(str(pid)), signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(str(pid)), signal.SIGCONT)


def test_server_that_lives_and_does_not_answer_is_replaced_after_the_stated_time(folder: Path) -> None:
    old = status(folder)
    python("server.ensure_server()", folder)  # from now on, it is known to have answered
    code = "server.process._SECONDS_SILENT = 3; print(server.ensure_server(), server.status().pid)"
    with stopped(old["pid"]):
        both = [begin(code, folder), begin(code, folder)]  # only one of them may replace it
        told = [process.communicate(timeout=PATIENCE) for process in both]
    assert {out.strip() for out, _ in told} == {f"{old['url']} {status(folder)['pid']}"}
    said = "".join(err for _, err in told)
    assert "it is replaced in 3 s" in said and said.count("Replacing") == 1
    assert "most recent call first" in (folder / "home" / "server" / "server.log.old").read_text()  # what it was at
    assert servers(folder) == [status(folder)["pid"]] != [old["pid"]]


def test_server_that_answers_late_is_no_hung_one(folder: Path) -> None:
    old = status(folder)
    with stopped(old["pid"]):
        asking = begin(f"server.process._SECONDS_SILENT = {PATIENCE}; print(server.ensure_server())", folder)
        assert asking.stderr is not None
        assert "does not answer" in asking.stderr.readline()
    assert asking.communicate(timeout=PATIENCE)[0].strip() == old["url"]
    assert status(folder)["pid"] == old["pid"]


def test_a_run_waits_for_a_hung_server_and_leaves_it_who_keeps_it_replaces_it(folder: Path) -> None:
    old = status(folder)
    code = f"""
import os, signal
server.ensure_server()
os.kill({old["pid"]}, signal.SIGSTOP)
print(server.wait_until_available(0.5), server.ensure_server(), server.status().pid)
server.process._SECONDS_SILENT = 0.5
print(server.revive(), server.status().pid != {old["pid"]}, server.wait_until_available({PATIENCE}))"""
    said = python(code, folder).splitlines()
    assert said == [f"False {old['url']} {old['pid']}", f"{old['url']} True True"]


def test_hung_server_can_be_stopped(folder: Path) -> None:
    old = status(folder)
    with stopped(old["pid"]):
        assert python("print(server.stop())", folder) == "True"
    assert servers(folder) == []
    assert python("print(server.ensure_server())", folder) == old["url"]


SHOW_AUTH = """
import os
from prefect.settings import get_current_settings
secret = get_current_settings().api.auth_string
print(os.environ.get('PREFECT_API_AUTH_STRING'), secret and secret.get_secret_value())"""


def test_password_is_in_force_whenever_prefect_was_imported(folder: Path) -> None:
    password = f"stepwell:{(folder / 'home' / 'server' / 'password').read_text().strip()}"
    for runs, code in WHENEVER:
        for mine in ({}, {"PREFECT_API_AUTH_STRING": "me:secret"}):
            assert runs(code + SHOW_AUTH, folder, **mine) == f"{password} {password}"


def test_own_server_named_by_the_user_without_a_password_is_still_known(folder: Path) -> None:
    url = str(status(folder)["url"])
    code = "from stepwell.blocks.server.documents import client\nwith client() as api: api.api_version()\n"
    said = with_prefect(
        f"{code}print(server.status().managed, server.variables()['PREFECT_API_URL'])", folder, PREFECT_API_URL=url
    )
    assert said == f"True {url}"


def test_running_server_that_asks_for_no_password_is_replaced_by_the_next_start(folder: Path) -> None:
    record = folder / "home" / "server" / "server.json"
    old = json.loads(record.read_text())
    record.write_text(json.dumps({name: old[name] for name in ("url", "pid", "started")}))  # as older versions wrote it
    assert status(folder)["guarded"] is False
    out, said = begin("print(server.ensure_server())", folder).communicate(timeout=PATIENCE)
    assert out.strip() == old["url"] and said.count("Replacing") == said.count("\n") == 1
    now = status(folder)
    assert now["guarded"] and servers(folder) == [now["pid"]] != [old["pid"]]


def test_password_that_was_deleted_means_another_server(folder: Path) -> None:
    place, now = folder / "home" / "server" / "password", status(folder)
    kept = place.read_text()
    place.unlink()
    assert status(folder) == {**now, "guarded": False} and place.read_text() != kept
    place.write_text(kept)
    assert status(folder) == now


def test_stop_leaves_no_process_and_no_trust_in_a_reused_pid(folder: Path) -> None:
    record = folder / "home" / "server" / "server.json"
    stale = record.read_text()
    assert python("print(server.stop(), server.stop(), server.status().running)", folder) == "True False False"
    assert servers(folder) == [] and not record.exists()
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        record.write_text(json.dumps(json.loads(stale) | {"pid": stranger.pid}))
        assert python("print(server.status().running, server.stop())", folder) == "False False"
        assert stranger.poll() is None and not record.exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_server_that_cannot_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "home" / "server" / "prefect.db").mkdir(parents=True)
    code = """
from stepwell.errors import ServerException
try: server.ensure_server()
except ServerException as error: print(error)"""
    said = python(code, tmp_path)
    assert "server.log" in said and "unable to open database file" in said and servers(tmp_path) == []


# The user's own server ----------------------------------------------------------------------------------------------


def refused(folder: Path, **more: str) -> tuple[str, float]:
    """Return what `ensure_server` said against the server that the user names, and after how many seconds."""
    code = """
import time
from stepwell.errors import ServerException
began = time.perf_counter()
try: print(server.ensure_server())
except ServerException as error: print(error)
print(time.perf_counter() - began)"""
    said, seconds = python(code, folder, **more).rsplit("\n", 1)
    assert servers(folder) == []
    return said, float(seconds)


def test_unreachable_server_of_the_user_is_told_in_time(tmp_path: Path) -> None:
    said, seconds = refused(tmp_path, PREFECT_API_URL="http://127.0.0.1:1")
    assert "http://127.0.0.1:1" in said and "PREFECT_API_URL" in said and "Hint: Start" in said
    assert seconds < PATIENCE


def test_server_of_the_active_profile_counts_as_the_users(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    text = 'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:1/api"\n'
    (tmp_path / "prefect" / "profiles.toml").write_text(text)
    said, _ = refused(tmp_path)
    assert "http://127.0.0.1:1/api" in said and "profile" in said


@pytest.fixture
def responses() -> Iterator[tuple[dict[str, bytes], str]]:
    """Provide a server's responses, path to body (none is a 401), and its address; it is silent on other paths."""
    bodies: dict[str, bytes] = {}
    sent: list[str] = []
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in bodies:
                over.wait(PATIENCE)
                return
            sent.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_response(200 if bodies[self.path] else 401)
            self.end_headers()
            self.wfile.write(bodies[self.path])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield bodies, f"http://127.0.0.1:{one.server_port}"
        over.set()
        one.shutdown()
    assert not [line for line in sent if "None" not in line]


def test_silent_server_of_the_user_is_given_up_in_time(tmp_path: Path, responses: tuple[dict[str, bytes], str]) -> None:
    said, seconds = refused(tmp_path, PREFECT_API_URL=f"{responses[1]}/api")
    assert "no answer" in said and seconds < PATIENCE


def test_server_of_the_user_is_used_past_any_proxy(tmp_path: Path, responses: tuple[dict[str, bytes], str]) -> None:
    bodies, address = responses
    bodies |= {"/api/health": b"true", "/health": b"<!doctype html>"}
    said, _ = refused(tmp_path, PREFECT_API_URL=f"{address}/api", http_proxy="http://127.0.0.1:1")
    assert said == f"{address}/api"
    said, _ = refused(tmp_path, PREFECT_API_URL=address)
    assert "ends in /api" in said


def test_open_server_of_the_user_is_warned_of_once(tmp_path: Path, responses: tuple[dict[str, bytes], str]) -> None:
    bodies, address = responses
    for version, times in ((b'"3.8.8"', 1), (b"", 0)):
        bodies |= {"/api/health": b"true", "/api/admin/version": version}
        process = begin("server.ensure_server(); server.ensure_server()", tmp_path, PREFECT_API_URL=f"{address}/api")
        out, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0 and out == ""
        assert said.count("asks for no password") == said.count("PREFECT_SERVER_API_AUTH_STRING") == times


@pytest.mark.parametrize("runs", [python, with_prefect])
def test_password_of_the_own_server_is_kept_from_another_one(
    folder: Path, responses: tuple[dict[str, bytes], str], runs: Callable[..., str]
) -> None:
    bodies, address = responses
    bodies |= {"/api/health": b"true", "/api/admin/version": b""}
    code = f"server.ensure_server()\nimport os, subprocess, sys\nos.environ['PREFECT_API_URL'] = '{address}/api'\n"
    there = "from stepwell.blocks.server import connection as server\nprint(server.ensure_server())" + SHOW_AUTH
    child = f"print(subprocess.check_output([sys.executable, '-c', {there!r}], text=True))"
    for here in (there, child):
        assert runs(code + here, folder).split() == [f"{address}/api", "None", "None"]
    users = f"os.environ['PREFECT_API_AUTH_STRING'] = 'me:secret'\n"
    for here in (there, child):
        assert runs(code + users + here, folder).split() == [f"{address}/api", "me:secret", "me:secret"]


# Home ---------------------------------------------------------------------------------------------------------------


def test_home_and_key_are_the_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b"
    key = signing_key()
    assert len(bytes.fromhex(key)) == 32 and signing_key() == key
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home(), home() / "signing.key")]
    assert modes == [0o700, 0o600] and [path.name for path in home().iterdir()] == ["signing.key"]


def test_many_who_ask_at_once_get_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for attempt in range(20):
        monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / str(attempt)))
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(lambda _: signing_key(), range(8)))
        assert len(set(keys)) == 1


def test_home_that_cannot_be_made_and_a_damaged_key_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "file"))
    with pytest.raises(StepwellError, match="STEPWELL_HOME"):
        home()
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    (tmp_path / "signing.key").write_text("short")
    with pytest.raises(StepwellError, match="damaged"):
        signing_key()
