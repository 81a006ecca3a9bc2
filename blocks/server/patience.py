"""How long Prefect's server is waited for: half a minute without an answer, then it counts as silent until it answers again.

Prefect's own clients try six times for a minute each, and its background threads hold up the end of a process for longer still.
"""

from __future__ import annotations

import atexit
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.context import ContextModel, SyncClientContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from stepwell.blocks.server.health import trouble
from stepwell.blocks.server.retry import ONCE, cannot_answer, pauses
from stepwell.blocks.server.settings import is_own_url
from stepwell.errors import ServerException

SECONDS_WITHOUT_ANSWER = 30.0
"""How long a call waits for its answer, and a run for a server that is away; slow servers answer sooner."""

_SECONDS_ONCE_SILENT = 3.0
_SECONDS_AT_EXIT, _MOST_SECONDS_AT_EXIT = 10.0, 120.0
_SERVERS_FAULT = 500
_FOR_GOOD = 1 << 40
"""How often a client may be left before it is closed, if it is to live as long as the process."""

_PASSING_FAULTS = frozenset({502, 503, 504})

_silent: dict[str, float] = {}
"""Since when a server, by its address, counts as silent."""

_faltered: set[str] = set()
"""Whoever has ever let somebody wait in vain: what was sent to it in the background may be lost."""

_known: dict[str, dict[str, Any]] = {}
"""What the server has just been told of a flow run, by its id."""

_ending: dict[str, Callable[[], None]] = {}
_sent: list[Callable[[], None]] = []


class ServerSilent(httpx.TransportError):
    """Prefect's server did not answer in time. Prefect's client, which knows its base classes, doesn't try again after it."""


def is_silent(url: str) -> bool:
    """Return whether the server was given up and has not answered since."""
    return _origin(httpx.URL(url)) in _silent


def give_up(url: str) -> None:
    """Count the server as silent: for half a minute from now, calls of it get seconds, unless one is answered."""
    _count_as_silent(_origin(httpx.URL(url)))


def when_untold(run_id: str, tell: Callable[[], None]) -> None:
    """Let the flow run end here though the server can't be told so, and call `tell` if that happens."""
    _ending[run_id] = tell


def when_sent(done: Callable[[], None]) -> None:
    """Call `done` at the end of this process if the server never faltered, so all that Prefect sends was sent."""
    _sent.append(done)


def note_known(run_id: str, **said: Any) -> None:
    """Remember what the server knows of a flow run: Prefect's engine tells it once more at the start, which is not sent."""
    _known.clear()  # those that run elsewhere
    _known[run_id] = said


def note_missed() -> None:
    """Remember that a server did not take something, so that `done` of `when_sent` is not called."""
    _faltered.add("")


# Calls ------------------------------------------------------------------------------------------------------------------


def patient(client: SyncPrefectClient) -> SyncPrefectClient:
    """Return the client, its calls bounded as this module says."""
    inner = client._client  # noqa: SLF001  (Prefect's client takes a transport only without its certificates and proxies)
    for name, transport in [("", inner._transport), *inner._mounts.items()]:  # noqa: SLF001
        if transport is None or isinstance(transport, PatientTransport):
            continue
        if name == "":
            inner._transport = PatientTransport(transport)  # noqa: SLF001
        else:
            inner._mounts[name] = PatientTransport(transport)  # type: ignore[index]  # noqa: SLF001
    return client


def client_of(url: str, auth_string: str | None) -> SyncPrefectClient:
    """Return this process's client of the server in force, which has this address and asks for this; nobody closes it."""
    return _client_of(url, auth_string, os.getpid())


@cache
def _client_of(url: str, _auth_string: str | None, _pid: int) -> SyncPrefectClient:
    # With settings, lest it be the one of a context. What has no certificate needs no authorities, slow to read, to believe it.
    own = is_own_url(url)
    client = patient(get_client({"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)} if own else {}, sync_client=True))
    client.__enter__()
    client._context_stack = _FOR_GOOD  # noqa: SLF001  (whoever enters and leaves it would close it)
    if own:
        client._client.enable_csrf_support = False  # type: ignore[attr-defined]  # noqa: SLF001  (our server has no such tokens: pages of others don't reach it)
    return client


class _OwnClientContext(SyncClientContext):
    """The context in which Prefect finds a client that outlives it."""

    def __init__(self, client: SyncPrefectClient) -> None:
        ContextModel.__init__(self, client=client)
        self._httpx_settings, self._context_stack = None, 0


@contextmanager
def patient_calls() -> Iterator[None]:
    """Let Prefect's own functions and flows call the server through a patient client while the block runs."""
    url, secret = str(get_current_settings().api.url), get_current_settings().api.auth_string
    if is_own_url(url):
        context: SyncClientContext = _OwnClientContext(client_of(url, secret.get_secret_value() if secret else None))
    else:
        context = SyncClientContext()
        patient(context.client)
    try:
        with context:
            yield
    except ServerSilent as error:
        raise does_not_answer(context.client, error) from None
    except RuntimeError as error:  # Prefect's word for a version that it can't ask for
        if isinstance(error.__cause__, ServerSilent):
            raise does_not_answer(context.client, error.__cause__) from None
        raise
    except PrefectHTTPStatusError as error:
        if error.response.is_server_error:
            raise cannot_answer(error) from None
        raise


def does_not_answer(client: SyncPrefectClient, error: httpx.TransportError) -> ServerException:
    """Return what a user is told of a server that gives no answer."""
    facts = {"url": client.api_url, "reason": str(error) or type(error).__name__}
    return ServerException(
        "Prefect's server does not answer", facts, "Check that it runs with `stepwell server status`."
    )


class PatientTransport(httpx.BaseTransport):
    """Sends a request again while the server is away, or at fault in passing; raises ServerSilent after half a minute."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the server's response, its body read."""
        if request.method == "PATCH" and _says_nothing_new(request):
            return httpx.Response(204, request=request)
        try:
            response = self._send(request)
        except ServerSilent:
            run_id = _ended_run(request)
            if run_id not in _ending:
                raise
            _ending.pop(run_id)()
            return _acceptance(request)
        if response.is_success:
            _ending.pop(_ended_run(request), None)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _send(self, request: httpx.Request) -> httpx.Response:
        server = _origin(request.url)
        hurry = time.monotonic() - _silent.get(server, float("-inf")) < SECONDS_WITHOUT_ANSWER
        seconds = _SECONDS_ONCE_SILENT if hurry else SECONDS_WITHOUT_ANSWER
        deadline = time.monotonic() + seconds
        for pause in pauses():
            left = max(deadline - time.monotonic(), 0.1)
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), left)
            reason, response = "", None
            try:
                response = self._inner.handle_request(request)
                response.read()
            except httpx.TransportError as error:
                if request.extensions.get(ONCE) and not isinstance(error, httpx.TimeoutException):
                    raise
                reason = str(error) or type(error).__name__
            else:
                if not _is_passing_fault(request, response):
                    if response.status_code < _SERVERS_FAULT:
                        _silent.pop(server, None)
                    return response
                reason = f"{response.status_code} {response.reason_phrase}"
            _faltered.add(server)
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
        _count_as_silent(server)
        raise ServerSilent(f"no answer within {seconds:g} s; at last: {reason}", request=request)


def _count_as_silent(server: str) -> None:
    _faltered.add(server)
    if time.monotonic() - _silent.get(server, float("-inf")) >= SECONDS_WITHOUT_ANSWER:
        _silent[server] = time.monotonic()


def _origin(url: httpx.URL) -> str:
    return f"{url.host}:{url.port or url.scheme}"


def _is_passing_fault(request: httpx.Request, response: httpx.Response) -> bool:
    """Return whether the request may be sent again, which changes nothing twice, since another answer may come."""
    if request.extensions.get(ONCE):
        return False
    harmless = request.method == "GET" or request.url.path.endswith("/set_state")
    return response.status_code in _PASSING_FAULTS or (response.status_code >= _SERVERS_FAULT and harmless)


def _ended_run(request: httpx.Request) -> str:
    """Return the id of the flow run whose end the request tells, '' if it tells none."""
    parts = request.url.path.rsplit("/", 3)
    if request.method != "POST" or len(parts) < 4 or parts[1] != "flow_runs" or parts[3] != "set_state":
        return ""
    return parts[2] if _state_in(request).get("type") in {state.value for state in TERMINAL_STATES} else ""


def _state_in(request: httpx.Request) -> dict[str, Any]:
    with suppress(ValueError, KeyError):
        return dict(json.loads(request.read())["state"])
    return {}


def _says_nothing_new(request: httpx.Request) -> bool:
    known = _known.pop(request.url.path.rpartition("/")[2], None)  # once: anybody may change it from now on
    return known is not None and json.loads(request.read()) == known


def _acceptance(request: httpx.Request) -> httpx.Response:
    """Return what the server would say to the end of a run, so that Prefect's engine comes to an end, too."""
    told = _state_in(request)
    state = {name: told.get(name) for name in ("type", "name", "message")}
    state |= {"id": str(uuid4()), "timestamp": datetime.now(UTC).isoformat()}
    state["state_details"] = {"flow_run_id": _ended_run(request)}
    said = {"state": state, "status": "ACCEPT", "details": {"type": "accept_details"}}
    return httpx.Response(201, json=said, request=request)


# The end of the process -------------------------------------------------------------------------------------------------


def end_in_time(url: str) -> None:
    """Let this process end though the server is silent: Prefect waits at the end, without a deadline, to send the rest."""
    with suppress(ImportError):
        from prefect._internal.concurrency import services

        base: Any = services._QueueServiceBase  # noqa: SLF001  (no setting bounds it)
        base._at_exit = lambda service: _drain(service, url)  # noqa: SLF001
    atexit.unregister(_all_sent)
    atexit.register(_all_sent)  # which comes after all threads that Prefect waits for


def _drain(service: Any, url: str) -> None:
    """Wait until the service has sent what it holds, or the server has been silent for too long."""
    if is_silent(url):
        service._stop(at_exit=True)  # noqa: SLF001
        return
    sent = service._drain(at_exit=True)  # noqa: SLF001
    began = time.monotonic()
    while not _is_done(sent):
        if time.monotonic() - began > _MOST_SECONDS_AT_EXIT or trouble(url, _SECONDS_AT_EXIT) is not None:
            give_up(url)
            return


def _is_done(sent: Future[Any]) -> bool:
    try:
        sent.result(timeout=1)
    except NotYet:
        return False
    return True


def _all_sent() -> None:
    """Call what waits for all to be sent, if a server never faltered."""
    if not _faltered:
        for done in _sent:
            with suppress(Exception):
                done()
