"""Prefect blocks of what is published: they are the only truth about it, for every machine that reaches the server."""

from __future__ import annotations

from typing import Any, ClassVar

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from stepwell.blocks.server.documents import DatedBlock
from stepwell.errors import UserErrorException
from stepwell.rules import STEPWELL


class PublishedPipelineBlock(DatedBlock):
    """A published pipeline as its users see it; what it runs is in the FrozenPipelineBlock of the same id."""

    _block_type_name: ClassVar[str] = "Stepwell Published Pipeline"
    _block_type_slug: ClassVar[str] = "stepwell-published-pipeline"
    _description: ClassVar[str] = "A pipeline with frozen source that can be run again with other parameters."

    published_id: str = Field(description="Its id, a UUID.")
    workspace: str = Field(description="The name of its workspace.")
    name: str = Field(description="The name that it was published under.")
    version: str = Field(default="", description="Its version among those of the same name.")
    description: str = Field(default="", description="What it is for.")
    status: str = Field(default="Active", description="`Active` or `Disabled`.")
    deployment_id: str = Field(default="", description="The Prefect deployment that runs it.")
    deployment: str = Field(default="", description="That deployment's name, `<flow>/<deployment>`.")
    steps: list[str] = Field(default_factory=list, description="The names of its steps.")
    parameters: list[dict[str, Any]] = Field(default_factory=list, description="Its parameters, secrets hidden.")
    continue_on_failure: bool = Field(default=False, description="Whether runs go on past failed steps.")
    commit: str = Field(default="", description="The Git commit of its source.")
    rules: str = Field(default=STEPWELL, description="`stepwell` or `v1`: the rules that its runs follow.")

    lenient: bool = Field(default=False, description="Whether calls may assign parameters that it does not have.")

    @property
    def document(self) -> str:
        """The name of the document that holds it."""
        return published_document(self.published_id)


class FrozenPipelineBlock(Block):
    """The definition and the snapshots that a published pipeline runs."""

    _block_type_name: ClassVar[str] = "Stepwell Frozen Pipeline"
    _block_type_slug: ClassVar[str] = "stepwell-frozen-pipeline"
    _description: ClassVar[str] = "Steps, parameters and snapshots of a published pipeline. Made by Stepwell itself."

    published_id: str = Field(description="The id of the published pipeline.")
    workspace: str = Field(description="The name of its workspace.")
    definition: SecretStr = Field(description="The pipeline's definition as JSON; it may hold secrets.")
    snapshots: dict[str, str] = Field(description="The digest of each snapshot by source directory.")
    properties: dict[str, str] = Field(default_factory=dict, description="What is known of the source in Git.")


class PipelineEndpointBlock(DatedBlock):
    """One name over many published pipelines, one of which is the default."""

    _block_type_name: ClassVar[str] = "Stepwell Pipeline Endpoint"
    _block_type_slug: ClassVar[str] = "stepwell-pipeline-endpoint"
    _description: ClassVar[str] = "A stable name and address over versions of a published pipeline."

    endpoint_id: str = Field(description="Its id, a UUID.")
    workspace: str = Field(description="The name of its workspace.")
    name: str = Field(description="Its name, unique in the workspace.")
    description: str = Field(default="", description="What it is for.")
    status: str = Field(default="Active", description="`Active`, `Disabled` or `Archived`.")
    default_version: str = Field(default="0", description="The version that is run if none is named.")
    versions: dict[str, str] = Field(default_factory=dict, description="Ids of published pipelines by version.")

    @property
    def document(self) -> str:
        """The name of the document that holds it."""
        return f"endpoint-{self.endpoint_id}"


class ScheduleBlock(Block):
    """The times or the data change at which a published pipeline, or a pipeline endpoint's default, runs by itself."""

    _block_type_name: ClassVar[str] = "Stepwell Schedule"
    _block_type_slug: ClassVar[str] = "stepwell-schedule"
    _description: ClassVar[str] = "Runs a published pipeline at times, or when data changed."

    schedule_id: str = Field(description="Its id, a UUID.")
    workspace: str = Field(description="The name of its workspace.")
    name: str = Field(description="Its name.")
    description: str = Field(default="", description="What it is for.")
    status: str = Field(default="Active", description="`Active` or `Disabled`.")
    created: float = Field(default=0, description="When it was made, in seconds since 1970.")
    experiment_name: str = Field(description="The experiment of its runs.")
    pipeline_id: str = Field(default="", description="The published pipeline that it runs.")
    pipeline_endpoint_id: str = Field(default="", description="The pipeline endpoint whose default it runs instead.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Values of the pipeline's parameters.")
    continue_on_failure: bool = Field(default=False, description="Whether its runs go on past failed steps.")
    recurrence: dict[str, Any] | None = Field(default=None, description="When it runs; nothing if data trigger it.")
    deployment_id: str = Field(default="", description="The Prefect deployment that its schedule belongs to.")
    prefect_schedule_ids: list[str] = Field(
        default_factory=list, description="Its schedules in Prefect, the last in force."
    )
    datastore: str = Field(default="", description="The datastore that is watched.")
    path_on_datastore: str = Field(default="", description="The folder that is watched.")
    data_path_parameter: str = Field(default="", description="The parameter that names the changed file.")
    polling_minutes: float = Field(default=5, description="How often the folder is looked at.")
    seen: dict[str, str] | None = Field(default=None, description="The files that were seen, each with its state.")
    polled: float = Field(default=0, description="When the folder was last looked at.")

    @property
    def document(self) -> str:
        """The name of the document that holds it."""
        return f"schedule-{self.schedule_id}"


class ModuleBlock(DatedBlock):
    """A name over versions of a step that pipelines share."""

    _block_type_name: ClassVar[str] = "Stepwell Module"
    _block_type_slug: ClassVar[str] = "stepwell-module"
    _description: ClassVar[str] = "A name over versions of a step that pipelines share."

    module_id: str = Field(description="Its id, a UUID.")
    workspace: str = Field(description="The name of its workspace.")
    name: str = Field(description="Its name, unique in the workspace.")
    description: str = Field(default="", description="What it does.")
    status: str = Field(default="Active", description="`Active`, `Deprecated` or `Disabled`.")
    default_version: str = Field(
        default="", description="The version that is meant if none is named; '' if none is chosen."
    )

    @property
    def document(self) -> str:
        """The name of the document that holds it."""
        return f"module-{self.module_id}"


class ModuleVersionBlock(DatedBlock):
    """A version of a module: a snapshot, what of it runs, and the ports that its steps bind data to."""

    _block_type_name: ClassVar[str] = "Stepwell Module Version"
    _block_type_slug: ClassVar[str] = "stepwell-module-version"
    _description: ClassVar[str] = "A version of a module: its snapshot, its script and its ports."

    version_id: str = Field(description="Its id, a UUID.")
    module_id: str = Field(description="The id of its module.")
    workspace: str = Field(description="The name of its workspace.")
    version: str = Field(description="Its version among those of the module.")
    description: str = Field(default="", description="What it does.")
    status: str = Field(default="Active", description="`Active`, `Deprecated` or `Disabled`.")
    kind: str = Field(description="`python`, `adla` or `azure_batch`: what its script is.")
    script: str = Field(description="The script's path in the snapshot, or the program's.")
    snapshot: str = Field(default="", description="The digest of the snapshot; '' if it has none.")
    arguments: list[Any] = Field(default_factory=list, description="Texts, numbers and ports for its command line.")
    inputs: list[dict[str, Any]] = Field(default_factory=list, description="The ports of what it reads.")
    outputs: list[dict[str, Any]] = Field(default_factory=list, description="The ports of what it writes.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters and their defaults.")
    hash_paths: list[str] = Field(default_factory=list, description="Paths of the snapshot whose content counts too.")
    environment: dict[str, Any] | None = Field(
        default=None, description="The environment; nothing for packages in use."
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="Further arguments of its step type.")
    category: str = Field(default="", description="What sort of module it is, for people.")

    @property
    def document(self) -> str:
        """The name of the document that holds it."""
        return f"module-version-{self.version_id}"

    @property
    def claim(self) -> str:
        """What its claim on the store is called."""
        return self.document


class PipelineDraftBlock(DatedBlock):
    """A pipeline that is still worked on: what it would run now."""

    _block_type_name: ClassVar[str] = "Stepwell Pipeline Draft"
    _block_type_slug: ClassVar[str] = "stepwell-pipeline-draft"
    _description: ClassVar[str] = "A pipeline that can be changed, run and published."

    draft_id: str = Field(description="Its id, a UUID.")
    workspace: str = Field(description="The name of its workspace.")
    name: str = Field(description="Its name.")
    description: str = Field(default="", description="What it is for.")
    experiment_name: str = Field(default="", description="The experiment of its runs.")
    tags: dict[str, str] = Field(default_factory=dict, description="What it is marked with; its runs have them too.")
    properties: dict[str, str] = Field(default_factory=dict, description="Facts about it.")
    definition: SecretStr = Field(description="The pipeline's definition as JSON; it may hold secrets.")
    snapshots: dict[str, str] = Field(description="The digest of each snapshot by source directory.")
    source_properties: dict[str, str] = Field(default_factory=dict, description="What is known of the source in Git.")
    continue_on_failure: bool = Field(default=False, description="Whether its runs go on past failed steps.")
    parent: dict[str, str] = Field(default_factory=dict, description="What it was made of: its kind, and its id.")
    last_run: str = Field(default="", description="The id of the run that was submitted last.")

    @property
    def document(self) -> str:
        """The name of the document that holds it."""
        return f"draft-{self.draft_id}"

    @property
    def claim(self) -> str:
        """What its claim on the store is called."""
        return self.document


class RunSecretsBlock(Block):
    """Values of secret parameters on their way to a run; gone when the run has ended."""

    _block_type_name: ClassVar[str] = "Stepwell Run Secrets"
    _block_type_slug: ClassVar[str] = "stepwell-run-secrets"
    _description: ClassVar[str] = "Secret parameters of one run. Made by Stepwell itself."

    values: SecretStr = Field(description="A JSON object of texts by parameter.")


class EndpointAddressBlock(Block):
    """The address where the HTTP endpoint of this server's pipelines answers."""

    _block_type_name: ClassVar[str] = "Stepwell Endpoint Address"
    _block_type_slug: ClassVar[str] = "stepwell-endpoint-address"
    _description: ClassVar[str] = "Where the HTTP endpoint of published pipelines answers. Made by `stepwell serve`."

    url: str = Field(description="The address, without a slash at its end.")


def published_document(published_id: str) -> str:
    """Return the name of the documents of a published pipeline."""
    return f"published-{published_id}"


def published_facts(published: PublishedPipelineBlock) -> dict[str, str]:
    """Return what a run's record says of the published pipeline that it runs."""
    return {"id": published.published_id, "name": published.name, "version": published.version}


def check_name(name: str, what: str) -> str:
    """Return `name`; raise UserErrorException if it can't stand in Prefect's names and in addresses."""
    if not isinstance(name, str) or not name.strip() or len(name) > 200 or not name.isprintable():
        raise UserErrorException(f"{name!r} can't name a {what}", hint="Use 1 to 200 printable characters.")
    if any(character in name for character in "/%&><"):
        raise UserErrorException(f"{name!r} can't name a {what}", hint="Leave out '/', '%', '&', '<' and '>'.")
    return name
