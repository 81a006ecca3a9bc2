"""What a draft takes over of a pipeline, a published one, a run or another draft."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from stepwell.blocks.system.locks import shared
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PipelineDraftBlock
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.published_pipeline import PublishedPipeline
from stepwell.flows.publishing.frozen_pipeline import FrozenPipeline
from stepwell.flows.publishing.publish import frozen, run_facts
from stepwell.flows.runs.flow_run import provenance_of
from stepwell.model.definitions import PipelineDefinition


class Content(NamedTuple):
    """What a draft runs, and what it was made of."""

    definition: PipelineDefinition
    snapshots: Mapping[str, str]
    source_properties: Mapping[str, str]
    continue_on_failure: bool
    parent: Mapping[str, str]


@contextmanager
def content_of(
    given: Pipeline | PublishedPipeline | PipelineRun | PipelineDraftBlock, workspace: BaseWorkspace
) -> Iterator[Content]:
    """Provide what a draft of `given` runs, whose snapshots no collector removes while the block runs."""
    if isinstance(given, Pipeline):
        with frozen(given) as snapshots:
            yield Content(given.definition, snapshots, provenance_of(given.definition), False, {})
        return
    with shared(workspace.store.lock_file):
        if isinstance(given, PublishedPipeline):
            pipeline = FrozenPipeline.get(given.id)
            go_on, facts = given.continue_on_step_failure, pipeline.frozen
            yield Content(pipeline.definition, facts.snapshots, facts.properties, go_on, {"pipeline": given.id})
        elif isinstance(given, PipelineDraftBlock):
            definition = PipelineDefinition.from_json(json.loads(given.definition.get_secret_value()))
            parent = {"draft": given.draft_id}
            yield Content(definition, given.snapshots, given.source_properties, given.continue_on_failure, parent)
        else:
            known = run_facts(given.folder)
            yield Content(
                PipelineDefinition.from_json(known["pipeline"]),
                known.get("snapshots", {}),
                known.get("properties", {}),
                bool(known.get("continue_on_failure")),
                {"run": given.id},
            )
