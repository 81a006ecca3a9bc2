"""The endpoint as its callers on the command line see it."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, TextIO
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from stepwell.blocks.access.home_token import home_token
from stepwell.deployments.access.authentication import is_loopback
from stepwell.errors import ExperimentExecutionException, ServerException, UserErrorException
from stepwell.flows.public.published_pipeline import endpoint_address
from stepwell.flows.runs.summary import FINAL

_SECONDS_TO_ANSWER, _SECONDS_AWAY, _LOOK_SECONDS = 60.0, 30.0, 0.5
_BUSY = (429, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that answers at `url`; calls that find it away or busy are repeated for a while."""

    url: str
    token: str

    @classmethod
    def at(cls, url: str = "") -> Self:
        """The endpoint at the address, by default where this server's answers, with the token of this home."""
        address = (url or endpoint_address()).rstrip("/")
        if urlsplit(address).scheme not in ("http", "https"):
            raise UserErrorException(f"{address!r} is no address", hint="Write http://HOST:PORT.")
        return cls(address, home_token())

    def describe(self, name: str, version: str) -> dict[str, Any]:
        """What a pipeline is, and what it takes."""
        return self._ask("GET", _way(name, version))

    def submit(self, name: str, version: str, body: dict[str, Any]) -> dict[str, Any]:
        """The run that was ordered, once, however often the call had to be repeated."""
        return self._ask("POST", _way(name, version), json=body, headers={"Idempotency-Key": uuid4().hex})

    def wait(self, run_id: str, said: TextIO | None) -> dict[str, Any]:
        """The run, once it has ended; what its steps do meanwhile is told."""
        told: dict[str, str] = {}
        while True:
            run = self._ask("GET", f"/runs/{run_id}")
            for step in run["steps"]:
                if said and told.get(step["name"]) != step["status"] != "waiting":
                    told[step["name"]] = step["status"]
                    print(f"{step['name']}  {step['status']}", file=said, flush=True)
            if run["status"] in FINAL:
                return run
            time.sleep(_LOOK_SECONDS)

    def _ask(self, method: str, way: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        deadline, told = time.monotonic() + _SECONDS_AWAY, False
        loopback = is_loopback(urlsplit(self.url).hostname or "")
        sent = {**(headers or {}), "Authorization": f"Bearer {self.token}"}
        with httpx.Client(timeout=_SECONDS_TO_ANSWER, trust_env=not loopback) as client:
            while True:
                try:
                    answer = client.request(method, self.url + way, headers=sent, **more)
                except httpx.TransportError as error:
                    if time.monotonic() > deadline:
                        raise ServerException(
                            "The endpoint does not answer",
                            {"address": self.url, "reason": str(error) or type(error).__name__},
                            "Start it with `stepwell serve`, or name another with `--url`.",
                        ) from None
                    if not told:
                        print(f"{self.url} does not answer; trying for {_SECONDS_AWAY:g} s", file=sys.stderr)
                        told = True
                    time.sleep(_LOOK_SECONDS)
                    continue
                if answer.status_code in _BUSY and time.monotonic() < deadline:
                    time.sleep(min(float(answer.headers.get("retry-after", 1)), 10.0))
                    continue
                return _read(answer)


def _way(name: str, version: str) -> str:
    return f"/pipelines/{quote(name, safe='')}" + (f"?version={quote(version, safe='')}" if version else "")


def _read(answer: httpx.Response) -> dict[str, Any]:
    try:
        plain = answer.json()
    except ValueError:
        plain = {}
    if answer.is_success:
        return dict(plain)
    error = plain.get("error", {}) if isinstance(plain, dict) else {}
    facts = {"field": error["field"]} if error.get("field") else {}
    raise ExperimentExecutionException(
        error.get("message", f"The endpoint answered with {answer.status_code}"), facts, error.get("hint", "")
    )


def spelled(known: dict[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """The values of `name=value` words; those of `name=-`, and of secrets, are read where nobody looks over a shoulder."""
    kinds = {parameter["name"]: parameter for parameter in known["Parameters"]}
    found: dict[str, Any] = {}
    for word in given:
        name, sign, text = word.partition("=")
        if not sign:
            raise UserErrorException(f"{word!r} is no parameter", hint="Write -p name=value.")
        kind = kinds.get(name, {"type": "str"})
        if kind.get("secret") and text != "-":
            raise UserErrorException(
                f"The parameter {name!r} is secret, and command lines are not", hint=f"Write -p {name}=-, and type it."
            )
        if text == "-":
            text = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        found[name] = _value(kind, text)
    return found


def _value(kind: dict[str, Any], text: str) -> Any:
    """Lists are told by commas; everything else the endpoint itself reads from a text."""
    if kind.get("nullable") and text.lower() in ("null", "none"):
        return None
    if not str(kind["type"]).startswith("list"):
        return text
    items = (
        [part.strip() for part in text.strip().removeprefix("[").removesuffix("]").split(",")] if text.strip() else []
    )
    inner = str(kind["type"]).removeprefix("list[").removesuffix("]")
    return [_item(inner, item) for item in items]


def _item(kind: str, text: str) -> Any:
    try:
        return (
            {"int": int, "float": float}.get(kind, str)(text)
            if kind != "bool"
            else {"true": True, "false": False}[text.lower()]
        )
    except (ValueError, KeyError):
        return text  # which the endpoint refuses with its own words
