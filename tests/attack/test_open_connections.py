"""Clients without a token that hold on to connections: they end, and meanwhile they are in nobody's way."""

from __future__ import annotations

import time

import httpx
import pytest
from listening import HANGS, everything, listening, wait_for

POST = b"POST /pipelines/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HALF = {
    "nothing": b"",
    "headers": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "body": POST + b"Content-Length: 300000\r\n\r\n{",
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
}
PATIENT = {"header_seconds": HANGS, "body_seconds": HANGS, "take_seconds": HANGS}


def health(server) -> int:
    return httpx.get(f"http://127.0.0.1:{server.port}/health", timeout=HANGS).status_code


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("limits", [{"most": 20}, {"most_per_address": 20}], ids=["in all", "of one address"])
def test_however_many_hold_on_others_are_answered(half, limits):
    with listening(**{"most": 40, "most_per_address": 40, **limits, **PATIENT}) as server:
        holding = [server.connect(HALF[half]) for _ in range(60)]
        assert [health(server) for _ in range(5)] == [200] * 5
        assert len(server.connections) <= 20
        everything(holding[0])  # who waited longest has ended


@pytest.mark.parametrize("half", HALF)
def test_what_is_half_sent_ends(half):
    with listening(header_seconds=0.2, body_seconds=0.2) as server:
        everything(server.connect(HALF[half]))
        assert health(server) == 200


@pytest.mark.parametrize("half", ["headers", "body"])
def test_what_comes_drop_by_drop_ends(half):
    with listening(header_seconds=0.5, body_seconds=0.5) as server:
        client = server.connect(HALF[half])
        deadline = time.monotonic() + HANGS
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                client.sendall(b"x")
                time.sleep(0.02)


def test_a_response_that_nobody_takes_ends():
    with listening(header_seconds=HANGS, take_seconds=0.2) as server:
        ask = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        server.connect(ask * 20, receive_buffer=4096)
        wait_for(lambda: len(server.connections) == 1)
        wait_for(lambda: len(server.connections) == 0)


def test_an_upgrade_escapes_no_deadline():
    upgrade = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with listening(header_seconds=0.2) as server:
        assert server.said(upgrade + key).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "framing",
    [
        b"HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        b"HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: identity\r\nContent-Length: 5",
        b"HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6",
        b"HTTP/1.0\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked",
    ],
)
def test_no_second_call_hides_in_the_body_of_the_first(framing):
    hidden = b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with listening() as server:
        said = server.said(b"POST /pipelines/x " + framing + b"\r\n\r\n" + hidden)
        assert (said[9:12], said.count(b"HTTP/1.1 ")) == (b"400", 1) or said[9:12] == b"501"


def test_no_body_of_somebody_without_a_token_is_read():
    with listening(body_seconds=HANGS) as server:
        client = server.connect(HALF["body"])
        assert client.recv(1000).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(("proxies", "expected"), [((), {401, 429}), (("127.0.0.0/8",), {401})])
def test_only_a_proxy_that_was_named_tells_who_calls(proxies, expected):
    with listening(proxies) as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        codes = [client.get("/pipelines", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(40)]
    assert set(codes) == expected
