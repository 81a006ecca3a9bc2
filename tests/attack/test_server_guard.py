"""What web pages and other users of this machine try with the home's own Prefect server."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromium
import httpx
import prefect_api
import pytest
from waiting import PATIENCE
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from stepwell.blocks.server import connection, documents
from stepwell.blocks.server.work_pool import POOL, ensure_pool
from stepwell.blocks.datastores.datastore_files import DatastoreBlock

SECRETS = {"block_types": {}, "include_secrets": True}


def asked(server: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    """Return status and text that somebody without the password gets; `Host` may be any, and is named `host`."""
    url = urlsplit(server)
    assert url.hostname and url.port
    one = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
    try:
        one.putrequest(method, url.path + path, skip_host=True)
        data = json.dumps(body).encode() if body is not None else b""
        for name, value in {"host": url.netloc, "content-type": "application/json", **headers}.items():
            one.putheader(name, value)
        one.putheader("content-length", str(len(data)))
        one.endheaders(data)
        response = one.getresponse()
        return response.status, response.read().decode()
    finally:
        one.close()


def signed_in() -> dict[str, str]:
    """Return the header of somebody who has the password."""
    return {"authorization": "Basic " + base64.b64encode(connection.password().encode()).decode()}


@pytest.fixture
def deployment(project: Any) -> str:
    """The id of a published pipeline's deployment."""
    return str(project.pipeline(project.step("a.py", "print(1)"), name="attacked").publish().block.deployment_id)


def runs_of(server: str, deployment: str) -> list[dict[str, Any]]:
    asked = {"deployments": {"id": {"any_": [deployment]}}}
    found: list[dict[str, Any]] = prefect_api.post(f"{server}/flow_runs/filter", json=asked).json()
    return found


# Without the password ------------------------------------------------------------------------------------------------


def test_without_the_password_nothing_is_read_and_nothing_is_run(server: str, workspace: Any, deployment: str) -> None:
    block = DatastoreBlock(workspace=workspace.name, name="secret")
    documents.save_named(block)
    wrong = {"authorization": "Basic " + base64.b64encode(b"stepwell:" + b"0" * 64).decode()}
    for headers in ({}, wrong, {"authorization": "Bearer x"}, {"authorization": "Basic ="}):
        assert asked(server, "POST", "/block_documents/filter", SECRETS, **headers)[0] == 401
        assert asked(server, "POST", f"/deployments/{deployment}/create_flow_run", {}, **headers)[0] == 401
        assert asked(server, "POST", "/work_pools/filter", {}, **headers)[0] == 401
        assert asked(server, "GET", "/docs", **headers)[0] == 401
    assert asked(server, "POST", "/block_documents/filter", SECRETS, **signed_in())[0] == 200
    assert runs_of(server, deployment) == []


def test_health_is_told_to_programs_of_this_machine(server: str) -> None:
    assert asked(server, "GET", "/health") == (200, "true")
    assert connection.status().running and connection.status().guarded


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out", "/task_runs/subscriptions/scheduled"])
def test_web_sockets_ask_for_the_password_too(server: str, path: str) -> None:
    address = f"ws{server.removeprefix('http')}{path}"
    for protocols in (None, ["prefect"]):
        for token in (None, "", "stepwell:" + "0" * 64):
            with pytest.raises((InvalidStatus, ConnectionClosed)):
                with connect(address, subprotocols=protocols, proxy=None) as socket:
                    socket.send(json.dumps({"type": "auth", "token": token}))
                    assert "auth_success" not in str(socket.recv(timeout=PATIENCE))
                    socket.recv(timeout=PATIENCE)


# Of another site ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/admin/version", "/../", "/../ui-settings", "/../stepwell/sign-in"])
def test_another_host_or_origin_is_refused_even_with_the_password(server: str, path: str) -> None:
    port = urlsplit(server).port
    path = path if not path.startswith("/../") else path[3:]
    root = server if path.startswith(("/health", "/admin")) else server.removesuffix("/api")
    assert asked(root, "GET", path, **signed_in())[0] == 200
    assert asked(root, "GET", path, host=f"localhost:{port}", **signed_in())[0] == 200
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port}.evil.example",
        f"[::1]:{port}",
        "",
    ):
        assert asked(root, "GET", path, host=host, **signed_in())[0] == 421
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"https://127.0.0.1:{port}", "file://", ""):
        status, text = asked(root, "GET", path, origin=origin, **signed_in())
        assert (status, "version" in text) == (403, False)


def test_no_host_and_two_hosts_are_refused(server: str) -> None:
    netloc = urlsplit(server).netloc
    for head in ("HTTP/1.0\r\n", f"HTTP/1.1\r\nHost: {netloc}\r\nHost: evil.example\r\n"):
        with socket.create_connection(tuple(netloc.split(":"))) as raw:
            raw.sendall(f"GET /api/health {head}\r\n".encode())
            assert raw.recv(1000).split()[1] in (b"400", b"421")


def test_no_other_origin_is_allowed_by_cors(server: str) -> None:
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for origin, code in ((f"http://{urlsplit(server).netloc}", 200), ("http://evil.example", 403)):
        response = httpx.options(f"{server}/block_documents/filter", headers={"origin": origin, **preflight})
        assert (response.status_code, response.headers.get("access-control-allow-origin")) == (
            code,
            origin if code == 200 else None,
        )


def test_a_web_socket_of_another_site_is_refused_before_it_opens(server: str) -> None:
    address = f"ws{server.removeprefix('http')}/events/out"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, subprotocols=["prefect"], origin="http://evil.example", proxy=None)
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    upgrade |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-protocol": "prefect"}
    assert asked(server, "GET", "/events/out", host="evil.example", **upgrade)[0] == 403
    with connect(address, subprotocols=["prefect"], origin=server.removesuffix("/api"), proxy=None) as own:
        own.send(json.dumps({"type": "auth", "token": connection.password()}))
        assert "auth_success" in str(own.recv(timeout=PATIENCE))


def test_no_site_shows_the_ui_as_a_part_of_its_own(server: str) -> None:
    headers = httpx.get(server.removesuffix("/api") + "/").headers
    assert headers["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in headers["content-security-policy"]


PAGE = """<!doctype html><script>
const api = %(api)s, told = {};
const json = {"Content-Type": "application/json"}, secrets = %(secrets)s;
const run = `${api}/deployments/%(deployment)s/create_flow_run`;
const tried = async (name, attempt) => { try { told[name] = await attempt(); } catch (error) { told[name] = "refused"; } };
const read = async (address, options) => { const answer = await fetch(address, options); return answer.status + await answer.text(); };
(async () => {
  await tried("itself", () => read("/ok"));
  await tried("health", () => read(`${api}/health`));
  await tried("blocks", () => read(`${api}/block_documents/filter`, {method: "POST", headers: json, body: secrets}));
  await tried("blocks, simple", () => read(`${api}/block_documents/filter`, {method: "POST", body: secrets}));
  await tried("run", () => read(run, {method: "POST", headers: json, body: "{}"}));
  await tried("run, blind", async () => { await fetch(run, {method: "POST", mode: "no-cors", body: "{}"}); return "sent"; });
  await tried("socket", () => new Promise((done, failed) => {
    const socket = new WebSocket(api.replace("http", "ws") + "/events/out", ["prefect"]);
    socket.onopen = () => done("open"); socket.onerror = failed;
  }));
  await tried("form", () => new Promise((done) => {
    document.body.innerHTML = `<iframe name=f></iframe><form target=f method=post enctype=text/plain action="${run}"><input name='{"a' value='"}'></form>`;
    document.querySelector("iframe").onload = () => done("sent");
    document.querySelector("form").submit();
    setTimeout(() => done("sent"), 3000);
  }));
  await fetch("/report", {method: "POST", body: JSON.stringify(told)});
})();
</script><body></body>"""


@contextmanager
def evil_site(page: str) -> Iterator[tuple[str, queue.Queue[dict[str, str]]]]:
    """Provide the address of a site with that page, and what the page reported."""
    reports: queue.Queue[dict[str, str]] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            self._answer("ok" if self.path == "/ok" else page)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self._answer("")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}", reports
        site.shutdown()


def test_a_page_of_another_site_gets_nothing_in_a_real_browser(server: str, deployment: str, tmp_path: Path) -> None:
    page = PAGE % {"api": json.dumps(server), "secrets": json.dumps(json.dumps(SECRETS)), "deployment": deployment}
    with evil_site(page) as (address, reports), chromium.browsing(tmp_path, address, "--remote-debugging-port=0"):
        told = reports.get(timeout=PATIENCE)
    assert told.pop("itself") == "200ok"
    assert {told.pop(blind) for blind in ("run, blind", "form")} <= {"sent", "refused"}
    assert set(told.values()) == {"refused"}, told
    assert len(told) == 5 and runs_of(server, deployment) == []


def test_a_page_whose_name_now_means_this_machine_gets_nothing(server: str, tmp_path: Path) -> None:
    rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    for path in ("/api/health", "/"):
        text = chromium.dom(tmp_path, f"http://evil.example:{urlsplit(server).port}{path}", rebound)
        assert "names another machine" in text and "true" not in text


# Signing in -----------------------------------------------------------------------------------------------------------


def test_the_link_signs_a_browser_in_once(server: str, tmp_path: Path) -> None:
    ui = server.removesuffix("/api")
    assert ">Dashboard<" not in chromium.dom(tmp_path / "stranger", ui)
    link = connection.ui_link()
    chromium.dom_showing(">Dashboard<", tmp_path / "owner", chain([link], repeat(ui)).__next__)
    assert "used already" in chromium.dom(tmp_path / "stranger", link)
    chromium.dom_showing(">Dashboard<", tmp_path / "owner", lambda: ui)


def test_the_link_leads_to_the_page_that_it_names_and_nowhere_else(server: str, tmp_path: Path) -> None:
    assert connection.ui_link(path="/settings").endswith("/settings")
    chromium.dom_showing(">Server Settings<", tmp_path / "one", lambda: connection.ui_link(path="/settings"))
    elsewhere = chromium.dom(tmp_path / "two", connection.ui_link(path="//127.0.0.1:1/x"))
    assert "Prefect Server" in elsewhere  # as a path of its own


def test_a_code_is_only_for_who_has_the_password_and_only_good_once(server: str) -> None:
    root, secret = server.removesuffix("/api"), connection.password()
    assert asked(root, "POST", "/stepwell/sign-in/code")[0] == 401
    assert asked(root, "POST", "/stepwell/sign-in/code", authorization="Basic eDp5")[0] == 401
    page, _, code = connection.ui_link().partition("#")
    assert secret.partition(":")[2] not in page + code
    for wrong in ("", "x", code[:-1], code + "x", "x" * 10_000):
        assert httpx.post(page, content=wrong).status_code == 403
    response = httpx.post(page, content=code)
    assert base64.b64decode(response.text).decode() == secret and response.headers["cache-control"] == "no-store"
    assert httpx.post(page, content=code).status_code == 403


# The secret -----------------------------------------------------------------------------------------------------------


def test_the_password_is_its_owners_alone_and_on_no_command_line(server: str, stepwell_home: Path) -> None:
    password = connection.password().partition(":")[2]
    place = stepwell_home / "server" / "password"
    assert place.read_text().strip() == password and place.stat().st_mode & 0o777 == 0o600
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert password.encode() not in (process / "cmdline").read_bytes()
        except OSError:
            continue
    told = [path for path in stepwell_home.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert told == [place]


def test_a_step_does_not_have_the_password(project: Any) -> None:
    assert "PREFECT_API_AUTH_STRING" in os.environ
    body = "import os\nassert not [name for name in os.environ if 'AUTH' in name or name.startswith('PREFECT')]"
    summary = project.run(project.pipeline(project.step("look.py", body)))
    assert summary.status == "Finished", summary


# Job variables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted", [{"command": "id"}, {"env": {"PATH": "/x"}}, {"env.PATH": "/x"}, {"working_dir": "/"}]
)
def test_a_run_can_not_choose_how_its_process_is_started(server: str, deployment: str, wanted: dict[str, Any]) -> None:
    place = f"/deployments/{deployment}/create_flow_run"
    status, text = asked(server, "POST", place, {"job_variables": wanted}, **signed_in())
    assert status == 422 and next(iter(wanted)) in text
    # Prefect takes this change, but no run then.
    prefect_api.patch(f"{server}/deployments/{deployment}", json={"job_variables": wanted})
    assert asked(server, "POST", place, {}, **signed_in())[0] == 422
    assert runs_of(server, deployment) == []


def test_a_pool_of_an_older_version_is_mended(server: str) -> None:
    from prefect.workers.process import ProcessWorker

    good = ensure_pool().base_job_template
    for old in (ProcessWorker.get_default_base_job_template(), {**good, "job_configuration": {"command": "id"}}):
        prefect_api.patch(f"{server}/work_pools/{POOL}", json={"base_job_template": old})
        assert ensure_pool().base_job_template["job_configuration"]["command"] == "python -m stepwell.flows.worker_run"
        assert "env" not in ensure_pool().base_job_template["job_configuration"]
    prefect_api.patch(f"{server}/work_pools/{POOL}", json={"base_job_template": {}})
    assert ensure_pool().base_job_template == good
    assert not {"command", "env", "working_dir"} & set(good["variables"]["properties"])


def test_the_worker_starts_nothing_that_a_changed_pool_allows(server: str, project: Any, tmp_path: Path) -> None:
    pool, mark = f"attacked-{uuid.uuid4().hex[:8]}", tmp_path / "mark"
    prefect_api.post(f"{server}/work_pools/", json={"name": pool, "type": "process"})
    published = project.pipeline(project.step("a.py", "print(1)"), name="attacked").publish(work_pool=pool)
    worker = [sys.executable, "-m", "stepwell.deployments.serve.worker", "worker", "start", "--pool", pool]
    # What is in force is whatever the worker finds, so the first start gives the pool Prefect's own template.
    subprocess.run([*worker, "--type", "process", "--run-once"], check=True, timeout=120, capture_output=True)
    body = {"job_variables": {"command": f"touch {mark}"}, "state": {"type": "SCHEDULED"}}
    place = f"{server}/deployments/{published.block.deployment_id}/create_flow_run"
    run = prefect_api.post(place, json=body).json()["id"]
    subprocess.run([*worker, "--type", "process", "--run-once"], check=True, timeout=120, capture_output=True)
    state = prefect_api.get(f"{server}/flow_runs/{run}").json()["state"]
    assert state["type"] == "CRASHED" and "can't be chosen from outside" in state["message"]
    assert not mark.exists()
