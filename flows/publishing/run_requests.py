"""How a run of a published pipeline is ordered: checked, then created in Prefect once, where a worker finds it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.retry import send_once, with_retries
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PublishedPipelineBlock, published_facts
from stepwell.errors import ServerException, UserErrorException
from stepwell.flows.parameters.pipeline_parameter import Value, as_text, assign
from stepwell.flows.parameters.schema import for_prefect
from stepwell.flows.publishing.frozen_pipeline import EXPERIMENT
from stepwell.flows.runs import run_labels
from stepwell.flows.runs.flow_run import run_tags, shown_values
from stepwell.flows.runs.names import check_experiment, run_name
from stepwell.model.definitions import DataSource, ParameterDefinition

_SECONDS_WITHOUT_SERVER = 20.0
_one_at_a_time = threading.Lock()
"""SQLite takes one writer, and Prefect sends whoever comes second away for seconds."""
_MOST_BYTES = 128_000  # what Linux takes as one argument of a command


class KeyReused(UserErrorException):
    """An idempotency key came a second time, but with another order."""


@dataclass(frozen=True)
class RunRequest:
    """What a caller wants: values by parameter, and what is said of the run.

    The same `key` orders the same run, however often it comes, also of another version. One caller's keys must not meet
    those of others. `notes` are kept with the flow run.
    """

    experiment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    regenerate: bool = False
    continue_on_failure: bool = False
    key: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


class SubmittedRun(NamedTuple):
    """A run that Prefect has; `values` are the parameters' as texts, secrets hidden. `is_new`: no order before was for it."""

    run_id: str
    name: str
    created: float
    is_new: bool
    values: dict[str, str]


def definitions_of(published: PublishedPipelineBlock) -> tuple[ParameterDefinition, ...]:
    """The parameters of a published pipeline; secret ones have no default here."""
    return tuple(ParameterDefinition.from_json(plain) for plain in published.parameters)


def check_request(
    published: PublishedPipelineBlock, run_request: RunRequest, workspace: BaseWorkspace
) -> dict[str, Value]:
    """The value of every parameter; UserErrorException for what no run could be given."""
    check_experiment(run_request.experiment)
    values = assign(definitions_of(published), run_request.parameters)
    given = {name: value for name, value in values.items() if name in run_request.parameters}
    for name, value in given.items():
        if isinstance(value, DataSource):
            _check_data(name, value, workspace)
        if len(as_text(value).encode()) > _MOST_BYTES:
            raise UserErrorException(
                f"The parameter {name!r} is longer than {_MOST_BYTES} bytes", hint="Pass data as a file, by a DataPath."
            )
    return values


def submit_run(
    published: PublishedPipelineBlock, run_request: RunRequest, workspace: BaseWorkspace, *, pending: bool = False
) -> SubmittedRun:
    """The run of a checked order, scheduled for a worker; `pending`: for the process that asked."""
    values = check_request(published, run_request, workspace)
    definitions = definitions_of(published)
    secret = {d.name: as_text(values[d.name]) for d in definitions if d.secret and d.name in run_request.parameters}
    shown = shown_values(definitions, values)
    request = _digest(run_request, secret, shown, workspace)
    flow_run, made, number = (_earlier(run_request.key) if run_request.key else None), False, 0
    if flow_run is None:
        secrets_document = with_retries(lambda: run_labels.keep_secrets(secret), _SECONDS_WITHOUT_SERVER)
        try:
            body = _body(published, run_request, values, request, secrets_document, pending)
            number = workspace.store.next_run_number() if workspace.folder.exists() else 0  # elsewhere the run counts
            named = {"name": run_name(published.name, number)} if number else {}
            made, flow_run = _create(published, {**body, **named})
        finally:
            if not made:
                run_labels.drop_secrets(secrets_document)
    if flow_run["labels"].get(run_labels.REQUEST) != request:
        raise KeyReused(
            "The idempotency key was used for another order", {"run": flow_run["id"]}, "Use a new key for a new order."
        )
    submitted_run = SubmittedRun(flow_run["id"], flow_run["name"], time.time(), made, shown)
    if made and number:
        with suppress(OSError):  # the run itself will write what is missing
            _note(submitted_run, number, published, run_request, workspace)
    return submitted_run


def _body(
    published: PublishedPipelineBlock,
    run_request: RunRequest,
    values: Mapping[str, Value],
    request: str,
    secrets_document: str,
    pending: bool,
) -> dict[str, Any]:
    tags = [f"{name}:{text}" if text else name for name, text in run_request.tags.items()]
    body: dict[str, Any] = {
        "parameters": prefect_parameters(published, run_request, values),
        "enforce_parameter_schema": False,  # this was stricter
        "idempotency_key": run_request.key or uuid4().hex,
        "tags": [*run_tags(run_request.experiment, {"azureml.git.commit": published.commit}), *tags],
        "labels": run_labels.labels(
            run_request.experiment, run_request.tags, run_request.notes, request, secrets_document
        ),
    }
    return {**body, "state": {"type": StateType.PENDING.value}} if pending else body


def prefect_parameters(
    published: PublishedPipelineBlock, run_request: RunRequest, values: Mapping[str, Value]
) -> dict[str, Any]:
    """The parameters of the flow run: everything but secrets."""
    definitions = definitions_of(published)
    own = {d.name: for_prefect(d, values[d.name]) for d in definitions if not d.secret}
    said = {"regenerate_outputs": run_request.regenerate, "continue_on_step_failure": run_request.continue_on_failure}
    taken = {definition.name for definition in definitions}
    return {**own, **said, **({} if EXPERIMENT in taken else {EXPERIMENT: run_request.experiment})}


def _create(published: PublishedPipelineBlock, body: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether the flow run is new, and what Prefect says of it."""

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
    """What Prefect says of the flow run ordered under the key, of whatever pipeline; None if there is none."""

    def ask() -> Any:
        with client() as api:
            return api.request(
                "POST", "/flow_runs/filter", json={"flow_runs": {"idempotency_key": {"any_": [key]}}, "limit": 1}
            ).json()

    found = with_retries(ask, _SECONDS_WITHOUT_SERVER)
    return dict(found[0]) if found else None


def _digest(
    run_request: RunRequest, secret: Mapping[str, str], shown: Mapping[str, str], workspace: BaseWorkspace
) -> str:
    """A digest of all that is ordered, by which another order under the same key is told."""
    said = [
        run_request.experiment,
        dict(run_request.tags),
        run_request.regenerate,
        run_request.continue_on_failure,
        dict(run_request.notes),
    ]
    given = {name: text for name, text in shown.items() if name in run_request.parameters}
    return workspace.sign(json.dumps([said, dict(secret), given], sort_keys=True))


def _check_data(name: str, value: DataSource, workspace: BaseWorkspace) -> None:
    """Nothing; UserErrorException if the datastore is unknown, the path leaves it, or there are no data."""
    datastores = workspace.datastores
    if value.datastore not in datastores:
        raise UserErrorException(
            f"The parameter {name!r} names a datastore that is not registered",
            {"datastore": value.datastore, "datastores": ", ".join(sorted(datastores))},
            "Correct the name, or register the datastore.",
        )
    datastore = datastores[value.datastore]
    path = datastore.inside(value.path)
    if datastore.local_root is not None and not (datastore.local_root / path).exists():
        raise UserErrorException(
            f"The parameter {name!r} names data that are not there",
            {"datastore": value.datastore, "path": path or "/"},
            "Upload the data first, or correct the path.",
        )


def _note(
    submitted_run: SubmittedRun,
    number: int,
    published: PublishedPipelineBlock,
    run_request: RunRequest,
    workspace: BaseWorkspace,
) -> None:
    """Nothing; the workspace on this machine, if it is, lists the run from now on."""
    folder = RunFolder(workspace.store.run_folder(submitted_run.run_id))
    if (folder.path / "run.json").exists():
        return
    folder.describe(
        {
            "id": submitted_run.run_id,
            "number": number,
            "created": submitted_run.created,
            "name": submitted_run.name,
            "workspace": workspace.name,
            "experiment": run_request.experiment,
            "tags": dict(run_request.tags),
            "published": published_facts(published),
            "parameters": submitted_run.values,
        }
    )
