from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stepwell.deployments.client import endpoint_client
from stepwell.deployments.client.endpoint_client import Endpoint, parse_assignments
from stepwell.errors import ExperimentExecutionException, ServerException, UserErrorException


@pytest.fixture
def answering(monkeypatch):
    """An endpoint that gives these responses, one after the other; the requests that it got."""
    monkeypatch.setattr(endpoint_client, "_POLL_SECONDS", 0.01)
    asked, left = [], []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append((self.command, self.path, dict(self.headers), body))
            status, body = left.pop(0)
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST = _answer  # noqa: N815  (the names of the base class)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def answer(*responses):
        left[:] = responses
        return Endpoint(f"http://127.0.0.1:{server.server_port}", "stw_x"), asked

    yield answer
    server.shutdown()
    server.server_close()


def test_a_busy_endpoint_is_asked_again_under_the_same_key(answering):
    endpoint, asked = answering((429, {}), (503, {}), (202, {"Id": "r"}))
    assert endpoint.submit("/pipelines/a%20b?version=1", {"ExperimentName": "e"}) == {"Id": "r"}
    assert {path for _, path, _, _ in asked} == {"/pipelines/a%20b?version=1"}
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in asked}) == 1
    assert asked[0][2]["Authorization"] == "Bearer stw_x"


def test_an_error_is_told_in_its_own_words(answering):
    endpoint, _ = answering((400, {"error": {"message": "No", "field": "Tags", "hint": "Leave it."}}))
    with pytest.raises(ExperimentExecutionException) as caught:
        endpoint.describe("/pipelines/p")
    assert caught.value.message == "No\n  field  Tags\nHint: Leave it."
    endpoint, _ = answering((500, "what"))
    with pytest.raises(ExperimentExecutionException, match="500"):
        endpoint.describe("/pipelines/p")


def test_it_waits_for_the_end(answering):
    def run(status, *steps):
        return 200, {"status": status, "steps": [{"name": n, "status": s} for n, s in steps]}

    endpoint, _ = answering(
        run("NotStarted", ("a", "waiting")),
        run("Running", ("a", "ran"), ("b", "running")),
        run("Finished", ("a", "ran"), ("b", "ran")),
    )
    said = io.StringIO()
    assert endpoint.wait("r", said)["status"] == "Finished"
    assert said.getvalue().splitlines() == ["a  ran", "b  running", "b  ran"]


def test_nobody_there_is_told(monkeypatch):
    monkeypatch.setattr(endpoint_client, "_RETRY_SECONDS", 0.0)
    with pytest.raises(ServerException, match="does not answer"):
        Endpoint("http://127.0.0.1:1", "t").describe("/pipelines/p")
    with pytest.raises(UserErrorException):
        Endpoint.at("ftp://x")


def test_values_are_spelled_as_the_endpoint_reads_them(monkeypatch):
    known = {
        "Parameters": [
            {"name": "n", "type": "int"},
            {"name": "maybe", "type": "int", "nullable": True},
            {"name": "sizes", "type": "list[int]"},
            {"name": "flags", "type": "list[bool]"},
            {"name": "token", "type": "str", "secret": True},
        ]
    }
    given = ["n=5", "maybe=null", "sizes=[1, x]", "flags=true,False", "other=a=b"]
    assert parse_assignments(known, given) == {
        "n": "5",
        "maybe": None,
        "sizes": [1, "x"],
        "flags": [True, False],
        "other": "a=b",
    }
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    assert parse_assignments(known, ["token=-"]) == {"token": "s3cret"}
    for wrong in ("token=s3cret", "n"):
        with pytest.raises(UserErrorException):
            parse_assignments(known, [wrong])


LISTED = {
    "Pipelines": [
        {"Id": "11111111-1111-4111-8111-111111111111", "Name": "twice", "Workspace": "a"},
        {"Id": "22222222-2222-4222-8222-222222222222", "Name": "twice", "Workspace": "b"},
        {"Id": "33333333-3333-4333-8333-333333333333", "Name": "a b", "Workspace": "a"},
    ],
    "Endpoints": [{"Id": "44444444-4444-4444-8444-444444444444", "Name": "stable", "Workspace": "a"}],
}


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("a b", "1"), "/pipelines/a%20b?version=1"),
        (("b/twice",), "/pipelines/twice?workspace=b"),
        (("twice", "2", "a"), "/pipelines/twice?version=2&workspace=a"),
        (
            ("22222222-2222-4222-8222-222222222222",),
            "/PipelineRuns/PipelineSubmit/22222222-2222-4222-8222-222222222222",
        ),
        (("44444444-4444-4444-8444-444444444444", "0"), "/PipelineEndpoints/Id/44444444-4444-4444-8444-444444444444/0"),
        (
            ("55555555-5555-4555-8555-555555555555",),
            "/PipelineRuns/PipelineSubmit/55555555-5555-4555-8555-555555555555",
        ),
        (("ws/a b", "1 2"), "/pipelines/a%20b?version=1+2&workspace=ws"),
        (("unknown",), "/pipelines/unknown"),
    ],
)
def test_what_is_called_is_found_by_name_workspace_or_id(words, path, monkeypatch):
    monkeypatch.setattr(Endpoint, "_request", lambda *_: LISTED)
    assert Endpoint("http://127.0.0.1:1", "t").find(*words) == path


def test_a_name_of_several_workspaces_is_an_error_that_lists_them(monkeypatch):
    monkeypatch.setattr(Endpoint, "_request", lambda *_: LISTED)
    with pytest.raises(UserErrorException, match="Several workspaces") as error:
        Endpoint("http://127.0.0.1:1", "t").find("twice")
    assert error.value.facts == {"choices": "a/twice, b/twice"}


def test_values_of_a_file_are_sent_as_they_are(tmp_path):
    (tmp_path / "params.yaml").write_text("rate: 20\ntoken: s3cret\nsizes: [1, 2]\n")
    known = {"Parameters": [{"name": "rate", "type": "int"}, {"name": "token", "type": "str", "secret": True}]}
    given = parse_assignments(known, [f"@{tmp_path / 'params.yaml'}", "rate=30"])
    assert given == {"rate": "30", "token": "s3cret", "sizes": [1, 2]}
