from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from stepwell.blocks.server import retry
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.retry import send_once, with_retries
from stepwell.errors import ServerException


def status(code):
    response = httpx.Response(code, request=httpx.Request("GET", "http://x"), text="why")
    return PrefectHTTPStatusError("no", request=response.request, response=response)


def asking(*outcomes):
    left = list(outcomes)

    def ask():
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return ask, left


def test_a_server_that_comes_back_is_waited_for():
    ask, _ = asking(ServerException("away"), status(503), "here")
    assert with_retries(ask, 300) == "here"


def test_retries_end(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(
        retry, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    )
    ask, left = asking(*[ServerException("away")] * 50)
    with pytest.raises(ServerException, match="away"):
        with_retries(ask, 0.3)
    assert len(left) < 49
    ask, _ = asking(*[status(500)] * 50)
    with pytest.raises(ServerException, match="can't answer"):
        with_retries(ask, 0.3)


def test_what_is_refused_for_good_is_not_asked_again():
    ask, left = asking(status(404), "never")
    with pytest.raises(PrefectHTTPStatusError):
        with_retries(ask, 5)
    assert left == ["never"]


def test_one_try_is_one_request(server):
    with client() as api:
        assert send_once(api, "POST", "/flow_runs/count", {}).json() >= 0
        for _ in range(2):
            with pytest.raises(PrefectHTTPStatusError):
                send_once(api, "POST", "/deployments/00000000-0000-4000-8000-000000000000/create_flow_run", {})
