from __future__ import annotations

import httpx
import pytest
from listening import listening

from stepwell.deployments.access import authentication
from stepwell.deployments.access.addresses import networks
from stepwell.deployments.access.registry import Registry
from stepwell.deployments.endpoint.connections import ConnectionLimits, Connections


class Client:
    def __init__(self, waits_since=None):
        self.waits_since, self.ended = waits_since, False

    def cut(self):
        self.ended = True


def opened(connections, address, count, *, waits_since=None):
    clients = [Client(waits_since) for _ in range(count)]
    assert all(connections.admit(client, address) for client in clients)
    return clients


def test_who_is_being_answered_is_never_cut():
    connections = Connections(ConnectionLimits(most=4, most_per_address=2))
    mine, yours = opened(connections, "10.0.0.1", 2), opened(connections, "10.0.0.2", 2)
    assert not connections.admit(Client(), "10.0.0.1")
    assert not connections.admit(Client(), "10.0.0.3")
    assert not any(one.ended for one in mine + yours)
    connections.forget(mine[0])
    assert connections.admit(Client(), "10.0.0.3")


def test_one_address_makes_room_for_itself():
    connections = Connections(ConnectionLimits(most=10, most_per_address=2))
    yours = opened(connections, "10.0.0.2", 1, waits_since=0.0)
    older, newer = Client(1.0), Client(2.0)
    assert connections.admit(newer, "10.0.0.1")
    assert connections.admit(older, "10.0.0.1")
    assert connections.admit(Client(), "10.0.0.1")
    assert [one.ended for one in (older, newer, *yours)] == [True, False, False]


def test_the_address_that_has_most_makes_room_for_others():
    connections = Connections(ConnectionLimits(most=6, most_per_address=5))
    many, one = (
        opened(connections, "10.0.0.1", 5, waits_since=2.0),
        opened(connections, "10.0.0.2", 1, waits_since=1.0),
    )
    assert connections.admit(Client(), "10.0.0.3")
    assert (sum(client.ended for client in many), one[0].ended, len(connections)) == (1, False, 6)


def test_addresses_that_one_client_has_count_as_one():
    connections = Connections(ConnectionLimits(most=10, most_per_address=1))
    opened(connections, "2001:db8::1", 1)
    opened(connections, "127.0.0.1", 1)
    assert not connections.admit(Client(), "2001:db8::2")
    assert not connections.admit(Client(), "127.0.0.2")
    assert connections.admit(Client(), "2001:db8:1::2")


def test_a_proxy_has_as_many_as_there_are():
    connections = Connections(ConnectionLimits(most=10, most_per_address=1, proxies=networks(["10.0.0.0/8"])))
    opened(connections, "10.0.0.1", 10)
    assert not connections.admit(Client(), "10.0.0.1")


def test_who_finds_no_room_is_told_so():
    with listening(most=0) as server:
        response = httpx.get(f"http://127.0.0.1:{server.port}/health")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["code"] == "TooManyConnections"


@pytest.mark.parametrize("more", [{"Connection": "close"}, {}])
def test_calls_follow_each_other(more):
    with listening() as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=more) as client:
        assert [client.get("/health").status_code for _ in range(3)] == [200] * 3
        assert client.get("/docs/swagger-ui-bundle.js").headers["content-type"].startswith("text/javascript")


def test_a_body_that_stops_is_no_error_of_ours(monkeypatch, capsys):
    monkeypatch.setattr(authentication.SHARED, "get", Registry)
    with listening(with_token=False, body_seconds=0.2) as server:
        head = b"POST /pipelines/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
        assert server.said(head) == b""
        assert httpx.get(f"http://127.0.0.1:{server.port}/health").status_code == 200
    assert "Traceback" not in capsys.readouterr().err
