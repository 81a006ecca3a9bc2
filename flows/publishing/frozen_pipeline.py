"""`FrozenPipeline`: a published pipeline as whatever worker runs it: snapshots, not folders, are its source."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from pydantic import Field, SecretStr

from stepwell.blocks.server import documents
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import (
    FrozenPipelineBlock,
    PublishedPipelineBlock,
    published_document,
    published_facts,
)
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.parameters.schema import schema
from stepwell.flows.runs import run_labels
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.names import EXPERIMENT_PATTERN, usual_experiment
from stepwell.flows.runs.pipeline_flow import RESERVED, PipelineFlow
from stepwell.model.definitions import PipelineDefinition

EXPERIMENT = "experiment_name"
_DESCRIPTIONS = {
    RESERVED[0]: "Run every step anew.",
    RESERVED[1]: "Go on past failed steps.",
    EXPERIMENT: "The experiment that the run belongs to.",
}


class FrozenPipeline(PipelineFlow):
    """A published pipeline. Its flow also takes the name of an experiment, unless one of its parameters is called so."""

    published: PublishedPipelineBlock
    frozen: FrozenPipelineBlock

    @classmethod
    def get(cls, published_id: str) -> Self:
        """Return the pipeline published under the id; raise ExperimentExecutionException if there is none."""
        name = published_document(published_id)
        published, frozen = documents.load(PublishedPipelineBlock, name), documents.load(FrozenPipelineBlock, name)
        if published is None or frozen is None:
            raise ExperimentExecutionException(
                f"There is no published pipeline {published_id!r}", hint="List them with `stepwell pipelines`."
            )
        return cls.from_blocks(published, frozen, BaseWorkspace.get(published.workspace))

    @classmethod
    def from_blocks(cls, published: PublishedPipelineBlock, frozen: FrozenPipelineBlock, workspace: Any) -> Self:
        """Return the pipeline of its two documents."""
        definition = PipelineDefinition.from_json(json.loads(frozen.definition.get_secret_value()))
        pipeline = cls.of(definition, workspace)
        pipeline.published, pipeline.frozen = published, frozen
        return pipeline

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of every run of it."""
        return {
            "published": published_facts(self.published),
            "snapshots": self.frozen.snapshots,
            "properties": self.frozen.properties,
        }

    def schema(self, datastores: Iterable[str]) -> dict[str, Any]:
        """Return the JSON schema of what a run can be given, as Prefect's form and Prefect's own check take it."""
        found = schema(self.definition.parameters, datastores)
        properties = found["properties"]
        for name in self._reserved:
            kind: dict[str, Any] = {"type": "boolean", "default": False}
            if name == EXPERIMENT:
                kind = {
                    "type": "string",
                    "default": usual_experiment(self.published.name),
                    "pattern": EXPERIMENT_PATTERN,
                }
            title = name.replace("_", " ")
            properties[name] = {**kind, "title": title, "description": _DESCRIPTIONS[name], "position": len(properties)}
        return found

    @property
    def _reserved(self) -> tuple[str, ...]:
        taken = {definition.variable for definition in self.definition.parameters}
        return (*RESERVED, *({EXPERIMENT} - taken))

    def _signature(self) -> inspect.Signature:
        own = super()._signature()
        if EXPERIMENT not in self._reserved:
            return own
        annotation = Annotated[str, Field(description=_DESCRIPTIONS[EXPERIMENT])]
        extra = inspect.Parameter(EXPERIMENT, inspect.Parameter.KEYWORD_ONLY, default="", annotation=annotation)
        return own.replace(parameters=[*own.parameters.values(), extra])

    def _options(self, given: dict[str, Any], options: RunOptions) -> RunOptions:
        self._refuse_if_disabled()
        flow_run = _flow_run()
        named = str(given.pop(EXPERIMENT, "")) if EXPERIMENT in self._reserved else ""
        requested = {"experiment": named or usual_experiment(self.published.name), **run_labels.facts(flow_run)}
        for name, text in run_labels.secrets(flow_run).items():
            given[name] = SecretStr(text)
        chosen = super()._options(given, options)
        return replace(
            chosen,
            known={**self.facts, **requested},
            continue_on_failure=chosen.continue_on_failure or self.published.continue_on_failure,
        )

    def _refuse_if_disabled(self) -> None:
        """Raise UserErrorException unless the pipeline is enabled now: Prefect lets its callers skip the check of schemas."""
        block = documents.load(PublishedPipelineBlock, self.published.document)
        if block is not None and block.status == "Active":
            return
        error = UserErrorException(
            f"The published pipeline {self.published.name!r} is disabled",
            {"version": self.published.version, "id": self.published.published_id},
            "Enable it with `stepwell enable`, then ask for a new run.",
        )
        self._ended()
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        run = RunFolder(self.workspace.store.run_folder(str(_flow_run().id)))
        run.append({"at": at, "status": "Failed", "problem": error.message})
        raise error

    def _ended(self) -> None:
        run_labels.forget_secrets(_flow_run())


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run
