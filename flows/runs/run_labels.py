"""What was said of a requested run that a worker will run: it travels as labels of Prefect's flow run."""

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
    experiment: str, tags: Mapping[str, str], notes: Mapping[str, str], digest: str, secrets_document: str
) -> dict[str, str]:
    """Return the labels of a flow run; `digest` is that of all that was requested."""
    found = {_EXPERIMENT: experiment, REQUEST: digest, **{_NOTE + name: text for name, text in notes.items()}}
    if secrets_document:
        found[SECRETS] = secrets_document
    return found | {_TAG + name: text for name, text in tags.items()}


def facts(flow_run: FlowRun) -> dict[str, Any]:
    """Return what `run.json` holds of the request: experiment and tags; empty if there was none."""
    found: dict[str, Any] = {}
    if _EXPERIMENT in flow_run.labels:
        found["experiment"] = str(flow_run.labels[_EXPERIMENT])
        names = (name for name in flow_run.labels if name.startswith(_TAG))
        found["tags"] = {name.removeprefix(_TAG): str(flow_run.labels[name]) for name in names}
    return found


def keep_secrets(values: Mapping[str, str]) -> str:
    """Save the values in a document, encrypted by Prefect, and return its name; '' if there are none."""
    if not values:
        return ""
    name = f"run-secrets-{uuid4().hex}"
    documents.save(RunSecretsBlock(values=SecretStr(json.dumps(dict(values)))), name)
    return name


def secrets(flow_run: FlowRun) -> dict[str, str]:
    """Return the values of the run's secret parameters."""
    name = str(flow_run.labels.get(SECRETS, ""))
    block = documents.load(RunSecretsBlock, name) if name else None
    return dict(json.loads(block.values.get_secret_value())) if block else {}


def forget_secrets(flow_run: FlowRun) -> None:
    """Delete the values of the run's secret parameters."""
    drop_secrets(str(flow_run.labels.get(SECRETS, "")))


def drop_secrets(name: str) -> None:
    """Delete the document of that name, if there is one."""
    if name:
        with suppress(Exception):  # a server that went away must not decide a run's fate
            documents.delete(RunSecretsBlock, name)
