"""The HTTP endpoint of published pipelines, an ASGI application. A POST becomes a run by `flows/publishing/submission.py`."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from prefect.exceptions import PrefectHTTPStatusError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response

from stepwell.blocks.server.documents import ui_url
from stepwell.deployments.access.authentication import Authenticator, Principal
from stepwell.deployments.access.http_errors import BadRequest
from stepwell.deployments.access.registry import Target
from stepwell.deployments.access.waiting_runs import check_queue
from stepwell.deployments.endpoint import docs_page
from stepwell.deployments.endpoint.connections import check_framing
from stepwell.deployments.endpoint.openapi import body_schema, document
from stepwell.deployments.endpoint.response_bodies import (
    endpoint_response,
    error_response,
    pipeline_response,
    status_response,
    submission_response,
)
from stepwell.deployments.endpoint.run_body import parse_run_request
from stepwell.deployments.endpoint.run_files import download
from stepwell.deployments.endpoint.run_views import KnownRun, cancel_run, find_run, run_response
from stepwell.deployments.endpoint.strict_json import parse
from stepwell.errors import ServerException, StepwellError
from stepwell.flows.publishing.submission import definitions_of, submit_run

_MOST_BYTES = 400_000  # Prefect takes parameters of half a megabyte
_KEY = re.compile("[!-~]{1,200}")
_log = logging.getLogger("stepwell.endpoint")


@dataclass(frozen=True)
class EndpointOptions:
    """Where the endpoint listens, and its limits: calls a second for each principal, and runs that may wait.

    `proxies` are the addresses and networks that may say in X-Forwarded-For for whom they call.
    """

    host: str = "127.0.0.1"
    port: int = 4280
    public_url: str = ""
    with_token: bool = True
    rate: float = 100.0
    most_waiting: int = 1000
    proxies: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address that clients use."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")


class _Call(NamedTuple):
    """A call that is let in: by whom, and its body."""

    principal: Principal
    raw: bytes


async def _admitted(request: Request) -> _Call:
    """Return the call; read no body of somebody without a token."""
    principal = await run_in_threadpool(request.app.state.authenticator.authenticate, request)
    return _Call(principal, await _body(request))


async def _body(request: Request) -> bytes:
    """Return the body; raise BadRequest once it is larger than is allowed, and read no further."""
    raw = b""
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > _MOST_BYTES:
                raise BadRequest(
                    413, "body", f"The body has more than {_MOST_BYTES} bytes", "Pass data by a data path."
                )
    except ClientDisconnect:
        raise BadRequest(400, "body", "The body does not arrive", "Send all of it.") from None
    return raw


Call = Annotated[_Call, Depends(_admitted)]


def create_app(options: EndpointOptions, clock: Callable[[], float] = time.monotonic) -> FastAPI:
    """Return the ASGI application; its rate limits go by the clock."""
    app = FastAPI(title="Stepwell", openapi_url=None, docs_url=None, redoc_url=None)
    authenticator = Authenticator(
        options.host, options.public_url, with_token=options.with_token, per_second=options.rate, clock=clock
    )
    app.state.authenticator = authenticator
    handlers = _Handlers(options, authenticator)

    @app.middleware("http")
    async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response: Response
        began = time.perf_counter()
        try:
            check_framing(request)
            authenticator.check_origin(request)
        except StepwellError as error:
            response = error_response(error)
            response.headers["Connection"] = "close"  # nobody reads what follows
        else:
            response = await call_next(request)
        took = (time.perf_counter() - began) * 1000
        _log.info("%s %s %d %.0f ms", request.method, quote(request.url.path), response.status_code, took)
        return response

    @app.exception_handler(StepwellError)
    def _on_our_error(_request: Request, error: StepwellError) -> Response:
        response = error_response(error)
        if response.status_code >= 500:
            _log.error("%s", error.message)
        return response

    @app.exception_handler(PrefectHTTPStatusError)
    def _on_prefect_error(_request: Request, error: PrefectHTTPStatusError) -> Response:
        _log.error("Prefect's server answered with %d", error.response.status_code)
        return error_response(ServerException("Prefect's server can't answer"))

    @app.exception_handler(HTTPException)
    def _on_http_exception(_request: Request, error: HTTPException) -> Response:
        return status_response(error.status_code, str(error.detail))

    app.get("/health")(lambda: {"status": "ok"})
    app.get("/", include_in_schema=False)(lambda: RedirectResponse("docs"))
    app.get("/docs")(docs_page.page)
    app.get("/docs/{name}")(docs_page.asset)
    app.get("/openapi.json")(handlers.openapi)
    app.get("/pipelines")(handlers.list_pipelines)
    for path, find in _ROUTES.items():
        app.get(path)(handlers.describing(find))
        app.post(path)(handlers.submitting(find))
    app.get("/runs/{run_id}")(handlers.show)
    app.post("/runs/{run_id}/cancel")(handlers.cancel)
    app.get("/runs/{run_id}/outputs")(handlers.output)
    return app


# Addresses ----------------------------------------------------------------------------------------------------------------

Find = Callable[[Request, Principal], Target]


def _query(request: Request, *known: str) -> dict[str, str | None]:
    """Return the query's values by name; raise BadRequest for one that is unknown or given twice."""
    found: dict[str, str | None] = dict.fromkeys(known)
    for name, value in request.query_params.multi_items():
        if name not in known or found[name] is not None:
            reason = "is given twice" if name in known else "is unknown"
            hint = f"There are: {', '.join(known)}." if known else "Leave it out."
            raise BadRequest(400, f"?{name:.80}", f"The query parameter {reason}", hint)
        found[name] = value
    return found


def _by_name(request: Request, principal: Principal) -> Target:
    query = _query(request, "version", "workspace")
    return principal.registry.by_name(request.path_params["name"], query["version"], query["workspace"])


def _by_id(request: Request, principal: Principal) -> Target:
    _query(request)
    return principal.registry.by_id(request.path_params["id"])


def _by_endpoint_id(request: Request, principal: Principal) -> Target:
    version = _query(request, "version")["version"]
    return principal.registry.by_endpoint_id(request.path_params["id"], request.path_params.get("version", version))


def _by_endpoint_name(request: Request, principal: Principal) -> Target:
    query = _query(request, "name", "pipelineVersion", "version", "workspace")
    if not query["name"]:
        raise BadRequest(400, "?name", "The endpoint's name is missing", "Add ?name=NAME.")
    version = query["version"] if query["pipelineVersion"] is None else query["pipelineVersion"]
    return principal.registry.by_endpoint_name(query["name"], version, query["workspace"])


_ROUTES: dict[str, Find] = {
    "/pipelines/{name}": _by_name,
    "/PipelineRuns/PipelineSubmit/{id}": _by_id,
    "/PipelineEndpoints/Name": _by_endpoint_name,
    "/PipelineEndpoints/Id/{id}": _by_endpoint_id,
    "/PipelineEndpoints/Id/{id}/{version}": _by_endpoint_id,
}


# What can be asked ----------------------------------------------------------------------------------------------------


class _Handlers:
    """The handlers of the calls that need a principal's right."""

    def __init__(self, options: EndpointOptions, authenticator: Authenticator) -> None:
        self._options = options
        self._authenticator = authenticator

    def submitting(self, find: Find) -> Callable[[Request, _Call], Response]:
        """Return the handler that submits a run of what `find` finds."""

        def submit(request: Request, call: Call) -> Response:
            principal = call.principal
            target = find(request, principal)
            published = target.published
            principal.require("run", principal.registry.names_of(published))
            body = parse(call.raw, request.headers.get("content-type"), most_bytes=_MOST_BYTES)
            run_request = parse_run_request(
                body, definitions_of(published), published.continue_on_failure, lenient=published.lenient
            )
            key = _key(request, principal, target)
            check_queue(self._options.most_waiting)
            workspace = principal.registry.workspace(published.workspace)
            run = submit_run(published, replace(run_request, key=key), workspace)
            headers = {"Location": f"{self._options.address}/runs/{run.run_id}"}
            if not run.is_new:
                headers["Idempotency-Replayed"] = "true"
            page = ui_url(f"/runs/flow-run/{run.run_id}")
            return JSONResponse(submission_response(published, run_request, run, page), 202, headers)

        return submit

    def describing(self, find: Find) -> Callable[[Request], Response]:
        """Return the handler that describes what `find` finds, and what it takes."""

        def describe(request: Request) -> Response:
            principal = self._authenticator.authenticate(request)
            published = find(request, principal).published
            principal.require("read", principal.registry.names_of(published))
            response = pipeline_response(published, self._address_of(published.published_id))
            return JSONResponse({**response, "BodySchema": body_schema(published)})

        return describe

    def list_pipelines(self, request: Request) -> Response:
        """List everything that the principal may read."""
        _query(request)
        principal = self._authenticator.authenticate(request)
        known, endpoints = self._readable(principal)
        base = f"{self._options.address}/PipelineEndpoints/Id"
        return JSONResponse(
            {
                "Pipelines": [pipeline_response(block, self._address_of(block.published_id)) for block in known],
                "Endpoints": [endpoint_response(one, f"{base}/{one.endpoint_id}") for one in endpoints],
            }
        )

    def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document of everything that the principal may read."""
        _query(request)
        known, endpoints = self._readable(self._authenticator.authenticate(request))
        made = document(known, endpoints, self._options.address, with_token=self._options.with_token)
        return JSONResponse(made)

    def show(self, request: Request) -> Response:
        """Describe a run."""
        _query(request)
        known = self._run(request, self._authenticator.authenticate(request), "read")
        return JSONResponse(run_response(known, self._options.address, ui_url(f"/runs/flow-run/{known.run.id}")))

    def cancel(self, request: Request, call: Call) -> Response:
        """Cancel a run."""
        _query(request)
        known = self._run(request, call.principal, "run")
        if call.raw.strip() not in (b"", b"{}"):
            raise BadRequest(400, "body", "Cancelling takes no body", "Leave it out.")
        cancel_run(known)
        again = find_run(known.run.id, call.principal.registry)
        return JSONResponse({"id": again.run.id, "status": again.status}, 202)

    def output(self, request: Request) -> Response:
        """Download an output."""
        query = _query(request, "step", "output", "path")
        known = self._run(request, self._authenticator.authenticate(request), "read")
        for name in ("step", "output"):
            if not query[name]:
                raise BadRequest(400, f"?{name}", "The query parameter is missing", f"Add {name}=NAME.")
        return download(known, str(query["step"]), str(query["output"]), query["path"])

    def _run(self, request: Request, principal: Principal, action: Any) -> KnownRun:
        known = find_run(request.path_params["run_id"], principal.registry)
        principal.require(action, principal.registry.names_of(known.published))
        return known

    def _readable(self, principal: Principal) -> Any:
        registry = principal.registry
        known = [block for block in registry.published if principal.may("read", registry.names_of(block))]
        return known, [one for one in registry.endpoints if principal.may("read", registry.names_of_endpoint(one))]

    def _address_of(self, published_id: str) -> str:
        return f"{self._options.address}/PipelineRuns/PipelineSubmit/{published_id}"


def _key(request: Request, principal: Principal, target: Target) -> str:
    """Return the key in Prefect of the principal's own Idempotency-Key; '' if there is none."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return ""
    if not _KEY.fullmatch(given):
        raise BadRequest(400, "Idempotency-Key", "The key is unfit", "Use 1 to 200 printable ASCII characters.")
    parts = f"{principal.name}\n{target.address}\n{given}"
    return f"stepwell-{hashlib.sha256(parts.encode()).hexdigest()}"
