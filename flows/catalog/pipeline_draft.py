"""`PipelineDraft`: a pipeline that is still worked on: run, changed, copied, and published in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.store.claims import claim, disclaim
from stepwell.blocks.system.locks import exclusive, shared
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import PipelineDraftBlock, check_name
from stepwell.errors import UserErrorException
from stepwell.flows.catalog.draft_content import Content, content_of
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.published_pipeline import PublishedPipeline
from stepwell.flows.publishing.publish import PublishOptions, publish_frozen, share_snapshots
from stepwell.flows.runs.flow_run import RunOptions
from stepwell.flows.runs.launch import detach, register
from stepwell.flows.runs.names import check_experiment, usual_experiment
from stepwell.flows.runs.pipeline_flow import PipelineFlow
from stepwell.flows.steps.argument_types import Plain
from stepwell.model.definitions import PipelineDefinition


@checked
class PipelineDraft:
    """A pipeline that is still worked on: it is run and changed under one id, and published when it is good.

    It keeps the steps and their source as they were when it was made, or last updated. `PipelineDraft.create` makes one
    of a pipeline, a published one, a run or another draft.

    Args:
        workspace: The workspace that knows it.
        block: The document that Prefect's server keeps of it.

    Attributes:
        workspace: The workspace that knows it.
        block: The document that Prefect's server keeps of it.
    """

    def __init__(self, workspace: BaseWorkspace, block: PipelineDraftBlock) -> None:
        self.workspace = workspace
        self.block = block

    @classmethod
    def create(
        cls,
        workspace: BaseWorkspace,
        pipeline: Pipeline | PublishedPipeline | PipelineRun | PipelineDraft,
        name: str | None = None,
        description: str | None = None,
        experiment_name: str | None = None,
        tags: Mapping[str, Plain] | None = None,
        properties: Mapping[str, Plain] | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PipelineDraft:
        """Make a draft of a pipeline as it is now.

        Args:
            workspace: The workspace that will know it.
            pipeline: The pipeline; or a published one, a run, or another draft, whose steps and source are taken over.
            name: Its name; by default the pipeline's.
            description: What it is for; by default the pipeline's description.
            experiment_name: The experiment of its runs; by default made of the name.
            tags: What it is marked with; its runs have the same tags.
            properties: Facts about it.
            continue_on_step_failure: Whether its runs go on past failed steps; by default as what it is made of.

        Returns:
            The draft.

        Raises:
            UserErrorException: A name can't be used, or the run's record does not tell all that is needed.
            SnapshotException: The source can't be read.
        """
        with _content(pipeline) as content:
            called = check_name(name or content.definition.name, "draft")
            go_on = content.continue_on_failure if continue_on_step_failure is None else continue_on_step_failure
            block = PipelineDraftBlock(
                draft_id=str(uuid4()),
                workspace=workspace.name,
                name=called,
                description=content.definition.description if description is None else description,
                experiment_name=check_experiment(experiment_name or usual_experiment(called)),
                tags=_texts(tags),
                properties=_texts(properties),
                created=time.time(),
                definition=_packed(content.definition),
                snapshots=dict(content.snapshots),
                source_properties=dict(content.source_properties),
                continue_on_failure=go_on,
                parent=dict(content.parent),
            )
            _keep(workspace, block, lambda: documents.save(block, block.document))
        return cls(workspace, block)

    @classmethod
    def get(cls, workspace: BaseWorkspace, id: str) -> PipelineDraft:
        """Return the draft of an id.

        Args:
            workspace: The workspace that knows it.
            id: Its id.

        Returns:
            The draft.

        Raises:
            UserErrorException: There is none.
        """
        block = documents.load(PipelineDraftBlock, f"draft-{id}")
        if block is None or block.workspace != workspace.name:
            raise UserErrorException(
                f"There is no pipeline draft {id!r}",
                {"workspace": workspace.name},
                "List the drafts with `PipelineDraft.list(workspace)`.",
            )
        return cls(workspace, block)

    @classmethod
    def list(cls, workspace: BaseWorkspace, tags: Mapping[str, Plain] | None = None) -> list[PipelineDraft]:
        """List the drafts of a workspace, newest first.

        Args:
            workspace: The workspace.
            tags: Only drafts that have these tags.

        Returns:
            The drafts.
        """
        wanted = _texts(tags).items()
        found = [
            block
            for block in documents.load_any([PipelineDraftBlock], workspace=workspace.name)
            if wanted <= block.tags.items()
        ]
        return [cls(workspace, block) for block in sorted(found, key=lambda block: block.created, reverse=True)]

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.block.draft_id

    @property
    def name(self) -> str:
        """Its name."""
        return self.block.name

    @property
    def description(self) -> str:
        """What it is for."""
        return self.block.description

    @property
    def experiment_name(self) -> str:
        """The experiment of its runs."""
        return self.block.experiment_name

    @property
    def tags(self) -> dict[str, str]:
        """What it is marked with."""
        return dict(self.block.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Facts about it."""
        return dict(self.block.properties)

    @property
    def definition(self) -> PipelineDefinition:
        """Its steps and parameters as plain values."""
        return PipelineDefinition.from_json(json.loads(self.block.definition.get_secret_value()))

    @property
    def parent_pipeline_id(self) -> str | None:
        """The published pipeline that it was made of, None if it was none."""
        return self.block.parent.get("pipeline")

    @property
    def parent_pipeline_run_id(self) -> str | None:
        """The run that it was made of, None if it was none."""
        return self.block.parent.get("run")

    @property
    def parent_pipeline_draft_id(self) -> str | None:
        """The draft that it was made of, None if it was none."""
        return self.block.parent.get("draft")

    @property
    def last_submitted_pipeline_run_id(self) -> str | None:
        """The run that was submitted last, None if none was."""
        return self.block.last_run or None

    # What it does ---------------------------------------------------------------------------------------------------

    def update(
        self,
        name: str | None = None,
        description: str | None = None,
        experiment_name: str | None = None,
        tags: Mapping[str, Plain] | None = None,
        pipeline: Pipeline | PublishedPipeline | PipelineRun | PipelineDraft | None = None,
        properties: Mapping[str, Plain] | None = None,
        continue_on_step_failure: bool | None = None,
    ) -> PipelineDraft:
        """Change what is given; the rest stays.

        Args:
            name: Its name.
            description: What it is for.
            experiment_name: The experiment of its runs.
            tags: All its tags from now on.
            pipeline: The pipeline whose steps and source, as they are now, it runs from now on.
            properties: All its properties from now on.
            continue_on_step_failure: Whether its runs go on past failed steps.

        Returns:
            The draft itself.

        Raises:
            UserErrorException: A name can't be used, or the draft was deleted.
            SnapshotException: The source can't be read.
        """
        changes: dict[str, Any] = {
            "name": None if name is None else check_name(name, "draft"),
            "description": description,
            "experiment_name": None if experiment_name is None else check_experiment(experiment_name),
            "tags": None if tags is None else _texts(tags),
            "properties": None if properties is None else _texts(properties),
            "continue_on_failure": continue_on_step_failure,
        }
        changes = {field: value for field, value in changes.items() if value is not None}
        if pipeline is None:
            self._change(**changes)
            return self
        with _content(pipeline) as content:
            self._change(
                definition=_packed(content.definition),
                snapshots=dict(content.snapshots),
                source_properties=dict(content.source_properties),
                **changes,
            )
        return self

    def submit_run(
        self,
        pipeline_parameters: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
        tags: Mapping[str, Plain] | None = None,
    ) -> PipelineRun:
        """Start a run of the draft as it is, in a process of its own that outlives this one.

        Args:
            pipeline_parameters: Values by parameter; the others keep their defaults.
            regenerate_outputs: Whether every step runs anew, whatever earlier runs left.
            tags: Labels of the run, beside those of the draft.

        Returns:
            The run, at work.

        Raises:
            UserErrorException: A parameter is unknown or has a wrong value, or the draft was deleted.
            ExperimentExecutionException: The run's process ended before it began.
        """
        self._reload()
        Experiment(self.workspace, self.experiment_name)
        pipeline = PipelineFlow.of(self._named(), self.workspace)
        values = pipeline.values(pipeline_parameters or {})
        known = {
            "snapshots": self.block.snapshots,
            "properties": self.block.source_properties,
            "draft": {"id": self.id, "name": self.name},
        }
        options = RunOptions(
            regenerate=regenerate_outputs, continue_on_failure=self.block.continue_on_failure, known=known
        )
        labels = {**self.block.tags, **_texts(tags)}
        folder = register(pipeline, self.experiment_name, values, labels, options, check=True)
        detach(pipeline, folder, values)
        with suppress(documents.DeletedException):  # it is at work, whatever became of the draft
            self._change(last_run=folder.run_id)
        return PipelineRun.of_folder(self.workspace, folder)

    def publish(self, version: str | None = None) -> PublishedPipeline:
        """Publish the draft as it is; it stays a draft, too.

        Args:
            version: The version of the published pipeline; by default the next number for the name.

        Returns:
            The published pipeline.

        Raises:
            UserErrorException: The version won't do, or the draft was deleted.
        """
        self._reload()
        with shared(self.workspace.store.lock_file):
            block = publish_frozen(
                self.workspace,
                self._named(),
                self.block.snapshots,
                self.block.source_properties,
                PublishOptions(version, self.block.continue_on_failure),
            )
        return PublishedPipeline(self.workspace, block)

    def clone(self) -> PipelineDraft:
        """Return a new draft of the same steps, source, names and marks.

        Returns:
            The draft, under an id of its own.

        Raises:
            UserErrorException: The draft was deleted.
        """
        block = self._reload()
        return PipelineDraft.create(
            self.workspace, self, block.name, block.description, block.experiment_name, block.tags, block.properties
        )

    def delete(self) -> None:
        """Forget the draft; its runs, and what it published, stay."""
        documents.delete(PipelineDraftBlock, self.block.document)
        disclaim(self.workspace.store, self.block.claim)

    # ----------------------------------------------------------------------------------------------------------------

    def _named(self) -> PipelineDefinition:
        return replace(self.definition, name=self.name, description=self.description)

    def _change(self, **facts: Any) -> None:
        with exclusive(self.workspace.store.written / "drafts.lock"):
            block = self._reload().model_copy(update=facts)
            _keep(self.workspace, block, lambda: documents.replace(block, f"pipeline draft {self.name!r}"))
            self.block = block

    def _reload(self) -> PipelineDraftBlock:
        self.block = documents.newest(self.block, f"pipeline draft {self.name!r}")
        return self.block

    def __repr__(self) -> str:
        return f"PipelineDraft(name={self.name!r}, id={self.id!r})"


def _content(given: Pipeline | PublishedPipeline | PipelineRun | PipelineDraft) -> AbstractContextManager[Content]:
    return content_of(given._reload() if isinstance(given, PipelineDraft) else given, given.workspace)  # noqa: SLF001


def _keep(workspace: BaseWorkspace, block: PipelineDraftBlock, save: Callable[[], None]) -> None:
    share_snapshots(workspace, block.snapshots.values())
    claim(workspace.store, block.claim, {"name": block.name, "snapshots": block.snapshots})
    try:
        save()
    except documents.DeletedException:
        disclaim(workspace.store, block.claim)
        raise


def _packed(definition: PipelineDefinition) -> SecretStr:
    return SecretStr(json.dumps(definition.to_json()))


def _texts(marks: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(value) for name, value in (marks or {}).items()}
