"""One server serves a home, wherever its process is: in another PID namespace, out of reach, or with a record of its beginning."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from server_processes import HEAD, environment, python, servers, status
from waiting import PATIENCE, eventually

from stepwell.blocks.processes.table import namespace
from stepwell.blocks.server import process as module
from stepwell.blocks.server.process import ServerProcess, own_auth_string, recorded

IMPORT = "from stepwell.blocks.server import connection as server\n"
PROGRAM = f"{IMPORT}{HEAD}"


@contextmanager
def elsewhere(command: list[str], code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the code behind the command until the block ends; its process is the first of its namespace."""
    whole = [*command, sys.executable, "-c", PROGRAM + code]
    with subprocess.Popen(whole, env=environment(folder), cwd=folder, text=True, stdin=-1, stdout=-1) as process:
        try:
            yield process
        finally:
            process.kill()


def said(command: list[str], code: str, folder: Path) -> str:
    """Return what the code printed behind the command."""
    with elsewhere(command, code, folder) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return out.strip()


def record_of(folder: Path) -> Path:
    return folder / "home" / "server" / "server.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, new_pid_namespace: list[str]) -> Iterator[Path]:
    """Provide a folder whose server was started in another PID namespace, as if in a container on the same volume."""
    folder = tmp_path_factory.mktemp("server")
    code = "import sys; print(server.ensure_server(), flush=True); sys.stdin.read()"
    with elsewhere(new_pid_namespace, code, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http")
        yield folder
    for pid in servers(folder):
        os.kill(pid, signal.SIGKILL)


def test_server_of_another_pid_namespace_is_used_and_no_second_one_started(
    folder: Path, new_pid_namespace: list[str]
) -> None:
    record, found = json.loads(record_of(folder).read_text()), servers(folder)
    assert len(found) == 1 and record["namespace"] != namespace()
    now = status(folder)
    assert (now["running"], now["url"], now["pid"], now["elsewhere"]) == (True, record["url"], None, "")
    show = "print(server.ensure_server(), server.status().running)"
    assert python(show, folder) == said(new_pid_namespace, show, folder) == f"{record['url']} True"
    assert servers(folder) == found and json.loads(record_of(folder).read_text()) == record


def test_server_that_can_not_be_reached_is_told_and_no_second_one_started(
    folder: Path, new_pid_namespace: list[str]
) -> None:
    """The network is another one, too, as in most containers."""
    code = """
from stepwell.errors import ServerException
server.process._SECONDS_TO_START = 1
server.process._SECONDS_TO_ANSWER_ELSEWHERE = 0.5
for action in (server.ensure_server, server.stop):
    try: print(action())
    except ServerException as error: print(error)
print(server.status().running, server.status().elsewhere)"""
    found = servers(folder)
    words = said([*new_pid_namespace, "--net"], code, folder)
    assert (
        words.count("another container") == words.count("stepwell server stop") == words.count("PREFECT_API_URL") == 2
    )
    assert words.endswith(f"False {os.uname().nodename}") and servers(folder) == found
    assert status(folder)["running"]


def test_server_whose_starter_was_killed_at_once_is_found(folder: Path) -> None:
    whole = record_of(folder).read_text()
    begun = json.loads(whole) | {"pid": 0, "started": ""}
    record_of(folder).write_text(json.dumps(begun))
    try:
        assert python("print(server.ensure_server(), server.status().running)", folder) == f"{begun['url']} True"
        assert len(servers(folder)) == 1
    finally:
        record_of(folder).write_text(whole)


def test_lost_record_means_no_second_server(folder: Path) -> None:
    whole = record_of(folder).read_text()
    record_of(folder).unlink()
    code = """
from stepwell.errors import ServerException
server.process._SECONDS_TO_STOP = 0.2
try: print(server.ensure_server())
except ServerException as error: print(error)"""
    try:
        assert "another container" in python(code, folder) and len(servers(folder)) == 1
    finally:
        record_of(folder).write_text(whole)


def test_server_of_another_pid_namespace_is_stopped_from_here_and_another_one_started(folder: Path) -> None:
    """Last of these tests, since the server is gone then."""
    url = status(folder)["url"]
    assert python("print(server.stop(), server.stop(), server.status().running)", folder) == "True False False"
    eventually(lambda: servers(folder) == [])
    assert (
        python("print(server.ensure_server(), server.status().pid is not None, server.stop())", folder)
        == f"{url} True True"
    )


@pytest.mark.parametrize("name", ["ho?me #1 %41%2F 'q\" \\ żó $(x);&|*[a]::b :memory:"])
def test_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    """A `?` would begin options in the address of a database, a `#` a fragment; other signs mean something to shells."""
    folder = tmp_path / name
    folder.mkdir()
    show = "print(server.ensure_server()); print(server.status().database); print(server.stop())"
    url, database, stopped = python(show, folder).splitlines()
    assert url.startswith("http") and database == str(folder / "home" / "server" / "prefect.db") and stopped == "True"
    assert Path(database).stat().st_size > 100_000 and [path.name for path in tmp_path.iterdir()] == [name]


# Without a server ---------------------------------------------------------------------------------------------------


def test_another_server_at_the_address_is_not_taken_for_this_homes_nor_told_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}/api"
        process = ServerProcess(url, 1, "", module._auth_digest(), "host", "pid:[1]", locked=True)
        assert process.trouble() == "what answers there is another server"
        assert (
            ServerProcess(url, 1, "", module._auth_digest()).trouble() is None
        )  # of an older Stepwell, which can't prove it
        other.shutdown()
    assert len(heard) == 3 and "Authorization" not in "".join(heard) and own_auth_string() not in "".join(heard)


def test_pid_is_believed_in_its_own_namespace_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    since = module.started(os.getpid())
    assert since is not None
    for space, here in (("", True), (namespace(), True), ("pid:[1]", False)):
        assert ServerProcess("http://x", os.getpid(), since, namespace=space).here is here
    module._record(ServerProcess("http://x", os.getpid(), since, locked=True))
    found = recorded()
    assert found is not None and found.here and not found.alive  # nobody holds the lock
    assert asdict(found) == json.loads((tmp_path / "server" / "server.json").read_text())
