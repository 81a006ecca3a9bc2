"""What a caller said of a run that a worker will run: it travels as labels of Prefect's flow run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.publications import RunSecretsBlock

_EXPERIMENT, _TAG, _NOTE = "stepwell.experiment", "stepwell.tag.", "stepwell.note."
SECRETS = "stepwell.secrets"
REQUEST = "stepwell.request"


def labels(
    experiment: str, tags: Mapping[str, str], notes: Mapping[str, str], request: str, secrets_document: str
) -> dict[str, str]:
    """The labels of a flow run; `request` is a digest of all that was asked for."""
    found = {_EXPERIMENT: experiment, REQUEST: request, **{_NOTE + name: text for name, text in notes.items()}}
    if secrets_document:
        found[SECRETS] = secrets_document
    return found | {_TAG + name: text for name, text in tags.items()}


def facts(flow_run: FlowRun) -> dict[str, Any]:
    """What `run.json` holds of the caller's words: experiment and tags; empty if nobody said anything."""
    found: dict[str, Any] = {}
    if _EXPERIMENT in flow_run.labels:
        found["experiment"] = str(flow_run.labels[_EXPERIMENT])
        names = (name for name in flow_run.labels if name.startswith(_TAG))
        found["tags"] = {name.removeprefix(_TAG): str(flow_run.labels[name]) for name in names}
    return found


def keep_secrets(values: Mapping[str, str]) -> str:
    """The name of a document that holds the values, encrypted by Prefect; '' if there are none."""
    if not values:
        return ""
    name = f"run-secrets-{uuid4().hex}"
    documents.save(RunSecretsBlock(values=SecretStr(json.dumps(dict(values)))), name)
    return name


def secrets(flow_run: FlowRun) -> dict[str, str]:
    """The values of the run's secret parameters."""
    name = str(flow_run.labels.get(SECRETS, ""))
    block = documents.load(RunSecretsBlock, name) if name else None
    return dict(json.loads(block.values.get_secret_value())) if block else {}


def forget_secrets(flow_run: FlowRun) -> None:
    """Nothing; the values of the run's secret parameters are kept no longer."""
    drop_secrets(str(flow_run.labels.get(SECRETS, "")))


def drop_secrets(name: str) -> None:
    """Nothing; the document of that name is gone, if there was one."""
    if name:
        with suppress(Exception):  # a server that went away must not decide a run's fate
            documents.delete(RunSecretsBlock, name)
