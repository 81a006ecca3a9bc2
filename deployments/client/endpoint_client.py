"""A client of the HTTP endpoint, for the command line."""

from __future__ import annotations

import getpass
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, TextIO
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import httpx

from stepwell.blocks.access.home_token import home_token
from stepwell.deployments.access.authentication import is_loopback
from stepwell.errors import ExperimentExecutionException, ServerException, UserErrorException
from stepwell.flows.parameters.assignments import read_assignments
from stepwell.flows.public.published_pipeline import endpoint_address
from stepwell.flows.runs.summary import FINAL

_TIMEOUT_SECONDS, _RETRY_SECONDS, _POLL_SECONDS = 60.0, 30.0, 0.5
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUSY = (429, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that answers at `url`; calls that find it away or busy are retried for a while."""

    url: str
    token: str

    @classmethod
    def at(cls, url: str = "") -> Self:
        """Return the endpoint at the address, by default the one of this server, with the token of this home."""
        address = (url or endpoint_address()).rstrip("/")
        if urlsplit(address).scheme not in ("http", "https"):
            raise UserErrorException(f"{address!r} is no address", hint="Write http://HOST:PORT.")
        return cls(address, home_token())

    def find(self, name: str, version: str = "", workspace: str = "") -> str:
        """Return the address of what is called so, by name, `WORKSPACE/NAME` or id, below the endpoint's own.

        Raise UserErrorException if several workspaces have it.
        """
        owner, _, pipeline = name.rpartition("/")
        workspace = workspace or owner
        known = self._request("GET", "/pipelines")
        for kind, address in (("Pipelines", "/PipelineRuns/PipelineSubmit"), ("Endpoints", "/PipelineEndpoints/Id")):
            if any(one["Id"] == pipeline for one in known[kind]):
                return f"{address}/{pipeline}" + (
                    f"/{quote(version, safe='')}" if version and kind == "Endpoints" else ""
                )
        if _UUID.fullmatch(pipeline):  # perhaps one that is disabled
            return f"/PipelineRuns/PipelineSubmit/{pipeline}"
        owners = {
            one["Workspace"] for kind in ("Pipelines", "Endpoints") for one in known[kind] if one["Name"] == pipeline
        }
        if len(owners) > 1 and not workspace:
            raise UserErrorException(
                f"Several workspaces have a pipeline {pipeline!r}",
                {"choices": ", ".join(f"{one}/{pipeline}" for one in sorted(owners))},
                "Name one of them, or its workspace with -w.",
            )
        query = urlencode({key: text for key, text in (("version", version), ("workspace", workspace)) if text})
        return f"/pipelines/{quote(pipeline, safe='')}" + (f"?{query}" if query else "")

    def describe(self, path: str) -> dict[str, Any]:
        """Return what a pipeline is, and what it takes; `path` as `find` returns it."""
        return self._request("GET", path)

    def submit(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Submit a run, once however often the call has to be retried, and return it."""
        return self._request("POST", path, json=body, headers={"Idempotency-Key": uuid4().hex})

    def wait(self, run_id: str, progress: TextIO | None) -> dict[str, Any]:
        """Wait for the end of the run and return it; write what its steps do meanwhile to `progress`."""
        shown: dict[str, str] = {}
        while True:
            run = self._request("GET", f"/runs/{run_id}")
            for step in run["steps"]:
                if progress and shown.get(step["name"]) != step["status"] != "waiting":
                    shown[step["name"]] = step["status"]
                    print(f"{step['name']}  {step['status']}", file=progress, flush=True)
            if run["status"] in FINAL:
                return run
            time.sleep(_POLL_SECONDS)

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        deadline, warned = time.monotonic() + _RETRY_SECONDS, False
        loopback = is_loopback(urlsplit(self.url).hostname or "")
        sent = {**(headers or {}), "Authorization": f"Bearer {self.token}"}
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=not loopback) as client:
            while True:
                try:
                    response = client.request(method, self.url + path, headers=sent, **more)
                except httpx.TransportError as error:
                    if time.monotonic() > deadline:
                        raise ServerException(
                            "The endpoint does not answer",
                            {"address": self.url, "reason": str(error) or type(error).__name__},
                            "Start it with `stepwell serve`, or name another with `--url`.",
                        ) from None
                    if not warned:
                        print(f"{self.url} does not answer; trying for {_RETRY_SECONDS:g} s", file=sys.stderr)
                        warned = True
                    time.sleep(_POLL_SECONDS)
                    continue
                if response.status_code in _BUSY and time.monotonic() < deadline:
                    time.sleep(min(float(response.headers.get("retry-after", 1)), 10.0))
                    continue
                return _decode(response)


def _decode(response: httpx.Response) -> dict[str, Any]:
    try:
        plain = response.json()
    except ValueError:
        plain = {}
    if response.is_success:
        return dict(plain)
    error = plain.get("error", {}) if isinstance(plain, dict) else {}
    facts = {"field": error["field"]} if error.get("field") else {}
    raise ExperimentExecutionException(
        error.get("message", f"The endpoint answered with {response.status_code}"), facts, error.get("hint", "")
    )


def parse_assignments(description: dict[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """Return the values of `name=value` words, and of those in the files of `@FILE` words.

    Those of `name=-`, the only form for secrets, are read from the terminal without echo, or from standard input.
    """
    kinds = {parameter["name"]: parameter for parameter in description["Parameters"]}
    found: dict[str, Any] = {}
    for name, value, in_file in read_assignments(given):
        if in_file:
            found[name] = value
            continue
        text = value
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
    """Return a list for texts with commas, None for `null`; all other texts are read by the endpoint itself."""
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
