"""The OpenAPI document of the endpoint: a typed path for every published pipeline that the reader may see."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

from stepwell import __version__
from stepwell.blocks.workspace.publications import PipelineEndpointBlock, PublishedPipelineBlock
from stepwell.deployments.endpoint.response_bodies import default_of
from stepwell.flows.parameters.schema import describe
from stepwell.flows.publishing.submission import definitions_of
from stepwell.flows.runs.names import EXPERIMENT_PATTERN, usual_experiment
from stepwell.model.definitions import ParameterDefinition

Schema = dict[str, Any]
_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}
_ERROR = {"$ref": "#/components/schemas/Error"}
_TEXT_PATTERN = r"^[^\u0000]*$"


def document(
    published: Iterable[PublishedPipelineBlock],
    endpoints: Iterable[PipelineEndpointBlock],
    address: str,
    *,
    with_token: bool,
) -> Schema:
    """Return the document, in OpenAPI 3.0, which every tool reads. `with_token`: whether calls need one."""
    blocks = list(published)
    known = {block.published_id: block for block in blocks}
    paths: Schema = {}
    for endpoint in endpoints:
        default = known.get(endpoint.versions.get(endpoint.default_version, ""))
        if endpoint.status == "Active" and default is not None and default.status == "Active":
            paths[f"/PipelineEndpoints/Id/{endpoint.endpoint_id}"] = _path_item(default, endpoint.name, endpoint)
    for block in blocks:
        if block.status == "Active":
            paths[f"/PipelineRuns/PipelineSubmit/{block.published_id}"] = _path_item(block, block.name, None)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Stepwell",
            "version": __version__,
            "description": "Published pipelines. A call is answered at once with the run's `Id`; a worker does the rest.",
        },
        "servers": [{"url": address}],
        "paths": paths | _FIXED_PATHS,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR_SCHEMA, "Submitted": _SUBMITTED},
        },
        **({"security": [{"token": []}]} if with_token else {}),
    }


def _path_item(block: PublishedPipelineBlock, title: str, endpoint: PipelineEndpointBlock | None) -> Schema:
    version = f"default version {endpoint.default_version}" if endpoint else f"version {block.version}"
    words = f"{(endpoint.description if endpoint else '') or block.description}\n\n{_table(block)}".strip()
    unique = re.sub(r"\W", "_", f"{title}_{endpoint.endpoint_id if endpoint else block.published_id}")
    common = {"tags": [title], "summary": f"{title}, {version}", "description": words}
    return {
        "post": {
            **common,
            "operationId": f"run_{unique}",
            "parameters": [_KEY],
            "requestBody": {"required": True, "content": {"application/json": {"schema": body_schema(block)}}},
            "responses": _responses("202", "The run is submitted.", {"$ref": "#/components/schemas/Submitted"}),
        },
        "get": {
            **common,
            "operationId": f"describe_{unique}",
            "responses": _responses("200", "What it takes.", {"type": "object"}),
        },
    }


def _table(block: PublishedPipelineBlock) -> str:
    """Return the parameters as a table in Markdown."""
    rows = [
        f"| {d.name} | {_cell(describe(d))} | {'' if d.secret else _cell(json.dumps(default_of(d)))} |"
        for d in definitions_of(block)
    ]
    return "\n".join(["| parameter | | default |", "|---|---|---|", *rows]) if rows else ""


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split())).replace("|", "\\|")


def body_schema(block: PublishedPipelineBlock) -> Schema:
    """Return the JSON schema of a call's body."""
    definitions = definitions_of(block)
    plain = {definition.name: _parameter_schema(definition) for definition in definitions}
    data = {d.name: _DATA_PATH for d in definitions if d.type == "data"}
    datasets = {d.name: _DATASET for d in definitions if d.type == "dataset"}
    more: Schema = {"additionalProperties": block.lenient}
    passed_over: Schema = {"description": _PASSED_OVER} if block.lenient else {}
    texts = {"type": "object", "additionalProperties": {"type": "string", "pattern": _TEXT_PATTERN, "maxLength": 5000}}
    example: Schema = {
        "ExperimentName": usual_experiment(block.name),
        "ParameterAssignments": {d.name: default_of(d) for d in definitions if not d.secret},
    }
    return {
        "type": "object",
        "required": ["ExperimentName"],
        **more,
        **passed_over,
        "properties": {
            "ExperimentName": {"type": "string", "pattern": EXPERIMENT_PATTERN, "maxLength": 255},
            "ParameterAssignments": {"type": "object", **more, "properties": plain},
            **(
                {"DataPathAssignments": {"type": "object", **more, "properties": data}} if data or block.lenient else {}
            ),
            **(
                {"DataSetDefinitionValueAssignments": {"type": "object", **more, "properties": datasets}}
                if datasets or block.lenient
                else {}
            ),
            "Tags": {**texts, "maxProperties": 50},
            "RegenerateOutputs": {"type": "boolean", "default": False, "description": "Run every step anew."},
            "ContinueRunOnStepFailure": {
                "type": "boolean",
                "default": block.continue_on_failure,
                "description": "Go on past failed steps.",
            },
            "Description": {"type": "string", "pattern": _TEXT_PATTERN, "maxLength": 5000},
            "RunSource": {"type": "string", "pattern": _TEXT_PATTERN, "maxLength": 5000},
        },
        "example": example,
    }


def _parameter_schema(definition: ParameterDefinition) -> Schema:
    shown: Schema = {"description": describe(definition)}
    if definition.secret:
        return {**shown, "type": _TYPES[definition.type], "format": "password", "writeOnly": True}
    shown["default"] = default_of(definition)
    shown |= {"nullable": True} if definition.nullable else {}
    if definition.type in ("data", "dataset"):
        return {**shown, "type": "string", "example": default_of(definition)}
    if definition.type == "list":
        return {**shown, "type": "array", "maxItems": 1000, "items": _item_schema(definition, definition.item_type)}
    found = {**shown, **_item_schema(definition, definition.type)}
    if definition.nullable and definition.choices:
        found["enum"] = [*definition.choices, None]
    return found


def _item_schema(definition: ParameterDefinition, kind: str) -> Schema:
    found: Schema = {"type": _TYPES[kind]}
    limits = {"minimum": definition.minimum, "maximum": definition.maximum}
    found |= {name: limit for name, limit in limits.items() if limit is not None}
    if definition.choices:
        found["enum"] = list(definition.choices)
    elif kind == "str":
        found |= {"pattern": _TEXT_PATTERN, "maxLength": 32_000}
    return found


def _responses(status: str, words: str, schema: Schema) -> Schema:
    good = {"description": words, "content": {"application/json": {"schema": schema}}}
    error = {"description": "Refused.", "content": {"application/json": {"schema": _ERROR}}}
    return {status: good, "4XX": error, "503": error}


_PASSED_OVER = "Parameters and fields that there are not are passed over, and named in `Ignored` of the answer."
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key stands for the same run, however often it is sent.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
_DATA_PATH = {
    "type": "object",
    "required": ["DataStoreName", "RelativePath"],
    "additionalProperties": False,
    "properties": {"DataStoreName": {"type": "string"}, "RelativePath": {"type": "string"}},
}
_DATASET = {
    "type": "object",
    "required": ["SavedDataSetReference"],
    "additionalProperties": False,
    "properties": {
        "SavedDataSetReference": {
            "type": "object",
            "required": ["Id"],
            "additionalProperties": False,
            "properties": {"Id": {"type": "string"}},
        }
    },
}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "field", "hint")},
        }
    },
}
_SUBMITTED = {
    "type": "object",
    "required": ["Id", "PipelineId", "RunHistoryExperimentName"],
    "properties": {
        "Id": {"type": "string", "format": "uuid", "description": "The run."},
        "PipelineId": {"type": "string", "format": "uuid"},
        "RunHistoryExperimentName": {"type": "string"},
        "ParameterAssignments": {"type": "object"},
        "Ignored": {"type": "array", "items": {"type": "string"}, "description": "What was passed over."},
    },
}


def _parameter(name: str, where: str, *, required: bool = True) -> Schema:
    return {"name": name, "in": where, "required": required, "schema": {"type": "string"}}


_FIXED_PATHS: Schema = {
    "/pipelines": {
        "get": {
            "tags": ["pipelines"],
            "summary": "List what can be called",
            "operationId": "list_pipelines",
            "responses": _responses("200", "Pipelines and endpoints.", {"type": "object"}),
        }
    },
    "/runs/{id}": {
        "get": {
            "tags": ["runs"],
            "summary": "Status, steps, metrics and outputs of a run",
            "operationId": "show_run",
            "parameters": [_parameter("id", "path")],
            "responses": _responses("200", "The run.", {"type": "object"}),
        }
    },
    "/runs/{id}/outputs": {
        "get": {
            "tags": ["runs"],
            "summary": "Download an output: a file, or a folder as a zip",
            "operationId": "download_output",
            "parameters": [
                _parameter("id", "path"),
                _parameter("step", "query"),
                _parameter("output", "query"),
                {**_parameter("path", "query", required=False), "description": "One file of a folder."},
            ],
            "responses": {
                "200": {
                    "description": "The bytes.",
                    "content": {"application/octet-stream": {}, "application/zip": {}},
                },
                **{status: response for status, response in _responses("200", "", {}).items() if status != "200"},
            },
        }
    },
    "/runs/{id}/cancel": {
        "post": {
            "tags": ["runs"],
            "summary": "Cancel a run",
            "operationId": "cancel_run",
            "parameters": [_parameter("id", "path")],
            "responses": _responses("202", "The run ends.", {"type": "object"}),
        }
    },
}
