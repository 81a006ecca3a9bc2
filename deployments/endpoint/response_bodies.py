"""The endpoint's responses: errors in one shape, runs in v1's, pipelines with all that a caller has to know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse

from stepwell.blocks.workspace.publications import PipelineEndpointBlock, PublishedPipelineBlock
from stepwell.deployments.access.authentication import retry_after
from stepwell.deployments.access.http_errors import BadRequest, HttpError
from stepwell.errors import DatastoreException, ServerException, StepwellError, UserErrorException
from stepwell.flows.parameters.pipeline_parameter import as_text
from stepwell.flows.parameters.schema import describe
from stepwell.flows.publishing.submission import KeyReused, RunRequest, SubmittedRun, definitions_of
from stepwell.model.definitions import ParameterDefinition

_CODES = {404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge"}


def error_response(error: StepwellError) -> JSONResponse:
    """Return the response to a call that failed: `{"error": {code, message, field, hint}}` and the status that fits."""
    if isinstance(error, HttpError):
        headers = {"Retry-After": retry_after(error.wait)} if error.wait else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        field = error.field if isinstance(error, BadRequest) else ""
        return _error(error.status, error.code, error.title, field, error.hint, headers)
    if isinstance(error, KeyReused):
        return _error(422, "KeyUsedTwice", error.title, "Idempotency-Key", error.hint)
    if isinstance(error, ServerException):
        return _error(503, "Unavailable", "Prefect's server does not answer", "", "Try again.", {"Retry-After": "2"})
    if isinstance(error, (UserErrorException, DatastoreException)):
        return _error(400, "BadRequest", error.title, "ParameterAssignments", error.hint)
    return _error(500, "Internal", error.title, "", error.hint)


def status_response(status: int, detail: str) -> JSONResponse:
    """Return the response where the path itself is wrong: no such page, or no such method."""
    return _error(status, _CODES.get(status, "BadRequest"), detail, "", "Look at /docs.")


def _error(
    status: int, code: str, message: str, field: str, hint: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    error = {"code": code, "message": message, "field": field, "hint": hint}
    return JSONResponse({"error": {name: text for name, text in error.items() if text}}, status, headers)


def submission_response(
    published: PublishedPipelineBlock, run_request: RunRequest, run: SubmittedRun, run_url: str
) -> dict[str, Any]:
    """Return the run as v1's endpoint did, above all its `Id`."""
    created = _time(run.created)
    return {
        "Id": run.run_id,
        "Description": run_request.notes.get("Description", published.description),
        "Status": {"StatusCode": 0, "StatusDetail": None, "CreationTime": created, "EndTime": None},
        "GraphId": published.published_id,
        "PipelineId": published.published_id,
        "IsSubmitted": True,
        "HasErrors": False,
        "HasWarnings": False,
        "UploadState": 0,
        "ParameterAssignments": run.values,
        "Ignored": list(run_request.ignored),
        "DataPathAssignments": {},
        "DataSetDefinitionValueAssignments": {},
        "RunHistoryExperimentName": run_request.experiment,
        "RunSource": run_request.notes.get("RunSource"),
        "RunType": "HTTP",
        "RunUrl": run_url,
        "TotalRunSteps": len(published.steps),
        "ScheduleId": None,
        "ContinueRunOnFailedOptionalInput": True,
        "ContinueRunOnStepFailure": run_request.continue_on_failure,
        "RegenerateOutputs": run_request.regenerate,
        "Tags": dict(run_request.tags),
        "tags": dict(run_request.tags),
        "StepTags": {},
        "Properties": {},
        "EntityStatus": 0,
        "Etag": f'"{run.run_id}"',
        "CreatedDate": created,
        "LastModifiedDate": created,
    }


def pipeline_response(published: PublishedPipelineBlock, address: str) -> dict[str, Any]:
    """Return what a published pipeline is and which parameters it takes."""
    return {
        "Id": published.published_id,
        "Name": published.name,
        "Version": published.version,
        "Description": published.description,
        "Status": published.status,
        "Workspace": published.workspace,
        "Steps": published.steps,
        "Endpoint": address,
        "ContinueRunOnStepFailure": published.continue_on_failure,
        "Lenient": published.lenient,
        "CreatedDate": _time(published.created),
        "Commit": published.commit or None,
        "Parameters": [_parameter(definition) for definition in definitions_of(published)],
    }


def endpoint_response(endpoint: PipelineEndpointBlock, address: str) -> dict[str, Any]:
    """Return what a pipeline endpoint is, and its versions."""
    return {
        "Id": endpoint.endpoint_id,
        "Name": endpoint.name,
        "Description": endpoint.description,
        "Status": endpoint.status,
        "Workspace": endpoint.workspace,
        "DefaultVersion": endpoint.default_version,
        "Versions": endpoint.versions,
        "Endpoint": address,
    }


def _parameter(definition: ParameterDefinition) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": definition.name,
        "type": f"list[{definition.item_type}]" if definition.type == "list" else definition.type,
        "description": describe(definition),
        "nullable": definition.nullable,
        "secret": definition.secret,
        "default": None if definition.secret else default_of(definition),
    }
    shown |= {"choices": list(definition.choices)} if definition.choices else {}
    limits = {"minimum": definition.minimum, "maximum": definition.maximum}
    return shown | {name: limit for name, limit in limits.items() if limit is not None}


def default_of(definition: ParameterDefinition) -> Any:
    """Return the parameter's default as JSON: data as `<datastore>/<path>` or `<name>:<version>`, a list as one."""
    if definition.type in ("data", "dataset"):
        return as_text(definition.default)
    return list(definition.default) if isinstance(definition.default, tuple) else definition.default


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
