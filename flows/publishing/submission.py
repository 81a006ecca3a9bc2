"""Requests for runs of published pipelines: checked, then created in Prefect once, where a worker finds the run.

The worker (`deployments/serve/worker.py`) starts `flows/worker_run.py` for it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.retry import send_once, with_retries
from stepwell.blocks.store.run_folder import RunFolder, run_label
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PublishedPipelineBlock, published_facts
from stepwell.blocks.workspace.workspace_store import WORKSPACE_TAG
from stepwell.errors import ServerException, UserErrorException
from stepwell.flows.parameters.dataset_values import with_versions
from stepwell.flows.parameters.pipeline_parameter import Value, as_text, assign
from stepwell.flows.parameters.schema import flow_values
from stepwell.flows.publishing.frozen_pipeline import EXPERIMENT
from stepwell.flows.runs import run_labels
from stepwell.flows.runs.flow_run import run_tags, shown_values
from stepwell.flows.runs.names import check_experiment
from stepwell.model.definitions import DatasetSource, DataSource, ParameterDefinition
from stepwell.model.redaction import Redactor, redacted
from stepwell.rules import switches_of

_SECONDS_WITHOUT_SERVER = 20.0
_one_at_a_time = threading.Lock()
"""SQLite takes one writer, and Prefect sends whoever comes second away for seconds."""
_MOST_BYTES = 128_000  # what Linux takes as one argument of a command


class KeyReused(UserErrorException):
    """An idempotency key came a second time, but with another request."""


@dataclass(frozen=True)
class RunRequest:
    """A run that is asked for: values by parameter, and what is said of the run.

    The same `key` stands for the same run, however often it comes, also of another version. One principal's keys must not
    collide with another's. `notes` are kept with the flow run. `confined`: whoever asks may read datastores only, so that no
    data path may lead out of its own through links, as it may for who could read there anyway. `ignored` are the names of what
    was asked for beside, and passed over.
    """

    experiment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    regenerate: bool = False
    continue_on_failure: bool = False
    key: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    confined: bool = False
    ignored: tuple[str, ...] = ()
    parent: str = ""
    """The run that it belongs to."""


class SubmittedRun(NamedTuple):
    """A run that Prefect has; `values` are the parameters' as texts, secrets hidden. `is_new`: no request before was for it."""

    run_id: str
    name: str
    created: float
    is_new: bool
    values: dict[str, str]


def definitions_of(published: PublishedPipelineBlock) -> tuple[ParameterDefinition, ...]:
    """Return the parameters of a published pipeline; secret ones have no default here."""
    return tuple(ParameterDefinition.from_json(plain) for plain in published.parameters)


def check_request(published: PublishedPipelineBlock, request: RunRequest, workspace: BaseWorkspace) -> dict[str, Value]:
    """Return the value of every parameter; raise UserErrorException for what no run could be given."""
    check_experiment(request.experiment)
    values = assign(definitions_of(published), request.parameters)
    given = {name: value for name, value in values.items() if name in request.parameters}
    for name, value in given.items():
        if isinstance(value, DataSource):
            _check_data(name, value, workspace, published, confined=request.confined)
        if isinstance(value, DatasetSource):
            with_versions({name: value}, workspace)
        if len(as_text(value).encode()) > _MOST_BYTES:
            raise UserErrorException(
                f"The parameter {name!r} is longer than {_MOST_BYTES} bytes", hint="Pass data as a file, by a DataPath."
            )
    return values


def submit_run(
    published: PublishedPipelineBlock, request: RunRequest, workspace: BaseWorkspace, *, pending: bool = False
) -> SubmittedRun:
    """Check the request and create its run once, scheduled for a worker, or with `pending` for the process that asks."""
    values = check_request(published, request, workspace)
    pinned = with_versions(values, workspace)
    definitions = definitions_of(published)
    secret = {d.name: as_text(values[d.name]) for d in definitions if d.secret and d.name in request.parameters}
    shown = shown_values(definitions, values)
    digest = _digest(request, secret, shown, workspace)
    redact = Redactor.of_environment(os.environ, declared=secret.values()).redact
    request = replace(request, tags=redacted(dict(request.tags), redact), notes=redacted(dict(request.notes), redact))
    flow_run, made, number = (_earlier(request.key) if request.key else None), False, 0
    if flow_run is None:
        secrets_document = with_retries(lambda: run_labels.keep_secrets(secret), _SECONDS_WITHOUT_SERVER)
        try:
            body = _body(published, request, pinned, digest, secrets_document, pending)
            number = _next_number(workspace)
            named = {"name": run_label(published.name, number)} if number else {}
            made, flow_run = _create(published, {**body, **named})
        finally:
            if not made:
                run_labels.drop_secrets(secrets_document)
    if flow_run["labels"].get(run_labels.REQUEST) != digest:
        raise KeyReused(
            "The idempotency key was used for another request",
            {"run": flow_run["id"]},
            "Use a new key for a new request.",
        )
    run = SubmittedRun(flow_run["id"], flow_run["name"], time.time(), made, shown_values(definitions, pinned))
    if made and number:
        with suppress(OSError):  # the run itself will write what is missing
            _note(run, number, published, request, workspace)
    return run


def _body(
    published: PublishedPipelineBlock,
    request: RunRequest,
    values: Mapping[str, Value],
    digest: str,
    secrets_document: str,
    pending: bool,
) -> dict[str, Any]:
    tags = [f"{name}:{text}" if text else name for name, text in request.tags.items()]
    body: dict[str, Any] = {
        "parameters": prefect_parameters(published, request, values),
        "enforce_parameter_schema": False,  # this was stricter
        "idempotency_key": request.key or uuid4().hex,
        "tags": [
            *run_tags(request.experiment, {"azureml.git.commit": published.commit}),
            f"{WORKSPACE_TAG}{published.workspace}",
            *tags,
        ],
        "labels": run_labels.labels(request.experiment, request.tags, request.notes, digest, secrets_document),
    }
    return {**body, "state": {"type": StateType.PENDING.value}} if pending else body


def prefect_parameters(
    published: PublishedPipelineBlock, request: RunRequest, values: Mapping[str, Value]
) -> dict[str, Any]:
    """Return the parameters of the flow run: everything but secrets."""
    definitions = definitions_of(published)
    own = flow_values(definitions, values)
    reserved = {"regenerate_outputs": request.regenerate, "continue_on_step_failure": request.continue_on_failure}
    taken = {definition.variable for definition in definitions}
    return {**own, **reserved, **({} if EXPERIMENT in taken else {EXPERIMENT: request.experiment})}


def _create(published: PublishedPipelineBlock, body: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Create the flow run; return whether it is new, and what Prefect says of it."""

    def create() -> httpx.Response:
        with _one_at_a_time, client() as api:
            return send_once(api, "POST", f"/deployments/{published.deployment_id}/create_flow_run", dict(body))

    try:
        response = with_retries(create, _SECONDS_WITHOUT_SERVER)
    except PrefectHTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            raise UserErrorException(
                "The published pipeline's deployment is gone from Prefect", hint="Publish the pipeline again."
            ) from None
        raise ServerException(
            "Prefect's server did not take the run",
            {"status": error.response.status_code, "reason": error.response.text[:300]},
            "Look at the server's log.",
        ) from None
    return response.status_code == httpx.codes.CREATED, response.json()


def _earlier(key: str) -> dict[str, Any] | None:
    """Return what Prefect says of the flow run requested under the key, of whatever pipeline; None if there is none."""

    def ask() -> Any:
        with client() as api:
            return api.request(
                "POST", "/flow_runs/filter", json={"flow_runs": {"idempotency_key": {"any_": [key]}}, "limit": 1}
            ).json()

    found = with_retries(ask, _SECONDS_WITHOUT_SERVER)
    return dict(found[0]) if found else None


def _digest(request: RunRequest, secret: Mapping[str, str], shown: Mapping[str, str], workspace: BaseWorkspace) -> str:
    """Return a digest of all that is requested, by which another request under the same key is told apart."""
    parts = [
        request.experiment,
        dict(request.tags),
        request.regenerate,
        request.continue_on_failure,
        dict(request.notes),
    ]
    parts += [list(request.ignored)] if request.ignored else []
    given = {name: text for name, text in shown.items() if name in request.parameters}
    return workspace.sign(json.dumps([parts, dict(secret), given], sort_keys=True))


def _check_data(
    name: str, value: DataSource, workspace: BaseWorkspace, published: PublishedPipelineBlock, *, confined: bool
) -> None:
    """Raise UserErrorException if the datastore is unknown, the path leaves it, or there are no data, which may come by v1's rules.

    A link on the way may leave it, too, unless the request is `confined`.
    """
    datastores = workspace.datastores
    if value.datastore not in datastores:
        raise UserErrorException(
            f"The parameter {name!r} names a datastore that is not registered",
            {"datastore": value.datastore, "datastores": ", ".join(sorted(datastores))},
            "Correct the name, or register the datastore.",
        )
    datastore = datastores[value.datastore]
    path = datastore.inside(value.path) if confined else datastore.readable(value.path)
    if switches_of(published.rules).data_may_come_later or datastore.local_root is None or not datastore.is_here:
        return
    if not (datastore.local_root / path).exists():
        place = f"{path or '/'!r} on datastore {value.datastore!r}"
        raise UserErrorException(
            f"The parameter {name!r} names data that are not there: {place}",
            *datastore.told_missing(
                {"datastore": value.datastore, "path": path or "/"}, "Upload the data first, or correct the path."
            ),
        )


def _next_number(workspace: BaseWorkspace) -> int:
    """Return the next run's number, or 0 if the run has to count by itself: elsewhere, or on a disk that it can write."""
    with suppress(OSError):
        return workspace.store.next_run_number() if workspace.folder.exists() and workspace.is_here else 0
    return 0


def _note(
    run: SubmittedRun,
    number: int,
    published: PublishedPipelineBlock,
    request: RunRequest,
    workspace: BaseWorkspace,
) -> None:
    """List the run in the workspace on this machine from now on."""
    folder = RunFolder(workspace.store.run_folder(run.run_id))
    if (folder.path / "run.json").exists():
        return
    folder.describe(
        {
            "id": run.run_id,
            "number": number,
            "created": run.created,
            "name": run.name,
            "workspace": workspace.name,
            "experiment": request.experiment,
            "tags": dict(request.tags),
            "published": published_facts(published),
            "parameters": run.values,
            **({"parent_run_id": request.parent} if request.parent else {}),
        }
    )
