"""Registered datasets: Prefect blocks, one for each version of each name, and the unregistered ones that runs named."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from prefect.types import SecretDict
from pydantic import Field

from stepwell.blocks.datasets.files.web_addresses import addresses_with_secrets, remember_addresses
from stepwell.blocks.server import documents
from stepwell.blocks.store import claims
from stepwell.blocks.system.locks import exclusive
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition

_KIND = "dataset"


class DatasetBlock(documents.NamedBlock, documents.DatedBlock):
    """One version of a dataset. Without a name and with version 0, it is one that is known by its id only."""

    _block_type_name: ClassVar[str] = "Stepwell Dataset"
    _block_type_slug: ClassVar[str] = "stepwell-dataset"
    _description: ClassVar[str] = "Which files a dataset is, how they are read, and what is done with them."
    named_by: ClassVar[tuple[str, ...]] = ("workspace", "name", "version", "dataset_id")

    workspace: str = Field(description="The workspace that the dataset belongs to.")
    name: str = Field(description="The dataset's name.")
    version: int = Field(description="The version, counted from 1.")
    dataset_id: str = Field(description="What it is known by besides, the same for ever.")
    definition: dict[str, Any] = Field(description="Its files, how they are read, and what is done with them.")
    secrets: SecretDict | None = Field(default=None, description="Its addresses on the web as they were given.")
    description: str = Field(default="", description="What it is.")
    tags: dict[str, str] = Field(default_factory=dict, description="What it is marked with; can be changed.")
    content: str = Field(default="", description="Of an output: the digest of its bytes, which the store keeps.")
    content_place: list[str] = Field(
        default_factory=list, description="Of an output: its datastore and its path there."
    )

    @property
    def claim(self) -> str:
        """What its claim on the store is called."""
        return f"dataset-{self.dataset_id}"


def definition_of(block: DatasetBlock) -> DatasetDefinition:
    """Return the definition of a version, and know its addresses on the web again.

    Raises:
        UserErrorException: A later release wrote it, in a way that is not known here.
    """
    if block.secrets:
        remember_addresses(block.secrets.get_secret_value())
    try:
        return DatasetDefinition.from_json(block.definition)
    except (TypeError, ValueError) as error:
        raise UserErrorException(
            f"The dataset {block.name!r} can't be read",
            {"version": block.version, "reason": error},
            "Register it again, or read it with the release of Stepwell that registered it.",
        ) from error


def made_up_id(definition: DatasetDefinition) -> str:
    """Return the id of a dataset that is not registered: the same for the same definition."""
    return str(uuid.UUID(definition.digest[:32]))


def add_version(
    workspace: BaseWorkspace,
    name: str,
    definition: DatasetDefinition,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    create_new_version: bool = False,
) -> DatasetBlock:
    """Save the definition as the next version of the dataset `name`; without `create_new_version`, as the first one.

    A definition that the name has already is returned as it is known: its version, its description and its tags.

    Raises:
        UserErrorException: The name can't be used, or has other definitions and `create_new_version` is False.
    """
    if not name.strip() or not name.isprintable() or len(name) > 255:
        raise UserErrorException(f"{name!r} can't name a dataset", hint="Use 1 to 255 characters that can be printed.")
    shown = definition.to_json()
    with exclusive(workspace.store.written / "datasets.lock"):
        known = versions_of(workspace, name)
        if known and not create_new_version:
            same = next((block for block in known if block.definition == shown), None)
            if same is None:
                raise UserErrorException(
                    f"There is a dataset {name!r} already, and it is another one",
                    {"workspace": workspace.name, "latest version": known[0].version},
                    "Pass `create_new_version=True`, or choose another name.",
                )
            return same
        block = DatasetBlock(
            workspace=workspace.name,
            name=name,
            version=documents.take_version(workspace.name, _KIND, name, [block.version for block in known]),
            dataset_id=str(uuid.uuid4()),
            definition=shown,
            secrets=_secrets_of(definition),
            description=description or "",
            tags=dict(tags or {}),
            created=time.time(),
        )
        documents.save_named(block)
    return block


def keep_unregistered(workspace: BaseWorkspace, definition: DatasetDefinition) -> DatasetBlock:
    """Return the block of a definition without a name, saved if it was not, by which other processes find it by its id."""
    names = (workspace.name, "", "0", made_up_id(definition))
    known = documents.load_named(DatasetBlock, *names)
    if known is None:
        known = DatasetBlock(
            workspace=workspace.name,
            name="",
            version=0,
            dataset_id=made_up_id(definition),
            definition=definition.to_json(),
            secrets=_secrets_of(definition),
            created=time.time(),
        )
        documents.save_named(known)
    return known


def versions_of(workspace: BaseWorkspace, name: str | None = None) -> list[DatasetBlock]:
    """Return the versions of the dataset `name`, or of all datasets that have one, the latest first."""
    wanted = {"workspace": workspace.name} | ({} if name is None else {"name": name})
    found = [block for block in documents.load_all(DatasetBlock, **wanted) if block.name]
    return sorted(found, key=lambda block: (block.name, block.version), reverse=True)


def latest_by_name(workspace: BaseWorkspace) -> dict[str, DatasetBlock]:
    """Return the latest version of each dataset, by name."""
    return {block.name: block for block in sorted(versions_of(workspace), key=lambda block: block.version)}


def find(workspace: BaseWorkspace, name: str, version: int | str | None = "latest") -> DatasetBlock:
    """Return a version of the dataset `name`, by default the latest.

    Raises:
        UserErrorException: There is no such dataset, or it has no such version.
    """
    known = versions_of(workspace, name)
    found = [block for block in known if version in (None, "", "latest", 0) or str(block.version) == str(version)]
    if not found:
        names = ", ".join(sorted({block.name for block in versions_of(workspace)}))
        what = f"version {version!r} of the dataset {name!r}" if known else f"dataset {name!r}"
        facts = {"versions": ", ".join(str(block.version) for block in known)} if known else {"datasets": names}
        raise UserErrorException(
            f"There is no {what} in workspace {workspace.name!r}",
            {key: value or "none" for key, value in facts.items()},
            "Register it with `dataset.register(workspace, name)`, or correct the name or version.",
        )
    return found[0]


def find_by_id(workspace: BaseWorkspace, dataset_id: str) -> DatasetBlock:
    """Return the version that has this id; raise UserErrorException if there is none."""
    found = documents.load_all(DatasetBlock, workspace=workspace.name, dataset_id=dataset_id.lower())
    if not found:
        raise UserErrorException(
            f"There is no dataset of the id {dataset_id!r} in workspace {workspace.name!r}",
            hint="Take the id of a registered one, `Dataset.get_by_name(workspace, name).id`.",
        )
    return found[0]


def save(block: DatasetBlock) -> None:
    """Save a version whose description or tags have changed; raise UserErrorException if it was unregistered."""
    documents.replace(block, f"version {block.version} of the dataset {block.name!r}")


def forget(workspace: BaseWorkspace, blocks: Iterable[DatasetBlock]) -> None:
    """Forget versions; their files stay where they are, those that only the store keeps until it is collected."""
    for block in blocks:
        claims.disclaim(workspace.store, block.claim)
        documents.delete_named(DatasetBlock, *block.own_names)
        documents.give_version_back(workspace.name, _KIND, block.name, block.version)


def _secrets_of(definition: DatasetDefinition) -> SecretDict | None:
    found = addresses_with_secrets(definition)
    return SecretDict(found) if found else None
