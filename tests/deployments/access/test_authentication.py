from __future__ import annotations

import time

import pytest
from starlette.requests import Request

from stepwell.blocks.access import tokens
from stepwell.blocks.access.tokens import TokenBlock
from stepwell.deployments.access import authentication
from stepwell.deployments.access.authentication import Authenticator
from stepwell.deployments.access.http_errors import HttpError
from stepwell.deployments.access.registry import Registry
from stepwell.deployments.access.shared_lookup import SharedLookup

ID, SECRET = "0" * 12, "A" * 43
GOOD, WRONG = f"Bearer stw_{ID}_{SECRET}", f"Bearer stw_{ID}_{'B' * 43}"


@pytest.fixture
def lookups(monkeypatch):
    """When the registry was read."""
    block = TokenBlock(token_id=ID, label="test", digest=tokens._digest(SECRET), created=0)
    found = []

    def look():
        found.append(time.monotonic())
        return Registry(tokens=(block,))

    monkeypatch.setattr(authentication, "SHARED", SharedLookup(look))
    return found


def request(address="10.0.0.1", **headers):
    raw = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    return Request({"type": "http", "client": (address, 1), "headers": raw})


def status(call, *given):
    try:
        call(*given)
    except HttpError as error:
        return error.status
    return 200


def authenticator(host="127.0.0.1", public_url="", with_token=True):
    return Authenticator(host, public_url, with_token=with_token, per_second=1e6)


def test_guesses_are_limited_before_the_registry_is_read(lookups):
    asked = authenticator()
    codes = [status(asked.authenticate, request(authorization=WRONG)) for _ in range(200)]
    assert codes[:30] == [401] * 30
    assert codes.count(429) > 100
    assert len(lookups) < 100
    assert status(asked.authenticate, request("10.0.0.2", authorization=WRONG)) == 401


@pytest.mark.parametrize("text", ["", "Bearer", "Bearer x", GOOD.replace("Bearer", "Basic"), GOOD + "x", "\xb2"])
def test_what_is_no_token_never_reads_it(lookups, text):
    asked = authenticator()
    codes = [status(asked.authenticate, request(authorization=text)) for _ in range(100)]
    assert (set(codes), lookups) == ({401, 429}, [])


def test_who_guesses_locks_nobody_out_at_the_same_address(lookups):
    asked = authenticator()
    assert status(asked.authenticate, request(authorization=GOOD)) == 200
    for _ in range(100):
        status(asked.authenticate, request(authorization=WRONG))
        assert status(asked.authenticate, request(authorization=GOOD)) == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:4280", 200),
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]", 200),
        ("[::1]:4280", 200),
        ("pipelines.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("[::2]", 421),
        ("", 421),
        ("[::1]evil", 400),
        ("[::1]evil.example:4280", 400),
        ("[::1", 400),
        ("::1", 400),
        ("127.0.0.1:", 400),
        ("127.0.0.1:evil", 400),
        ("127.0.0.1:1:2", 400),
        ("127.0.0.1 evil", 400),
        ("127.0.0.1:\xb2", 400),
        ("evil@127.0.0.1", 400),
        ("localhost/evil", 400),
        ("localhost,evil", 400),
    ],
)
def test_a_host_is_a_name_with_a_port_and_nothing_else(host, expected):
    asked = authenticator(public_url="https://pipelines.example")
    assert status(asked.check_origin, request(host=host)) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:4280", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("http://[::1]evil", 403),
        ("http://127.0.0.1:4280@evil.example", 403),
    ],
)
def test_an_origin_is_this_place_or_refused(origin, expected):
    assert status(authenticator().check_origin, request(host="127.0.0.1:4280", origin=origin)) == expected
