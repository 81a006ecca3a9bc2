"""A workspace: the Prefect block that ties datastores, compute targets and the store of results together."""

from __future__ import annotations

import hmac
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr

from stepwell.blocks.server import documents
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.home import home, signing_key
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.datastore_files import PRIVATE, DatastoreBlock
from stepwell.errors import DatastoreException, UserErrorException, WorkspaceException
from stepwell.model.names import joined_name
from stepwell.model.records import Artifact
from stepwell.model.regular_files import read_text

BLOB_STORE, FILE_STORE = "workspaceblobstore", "workspacefilestore"
_CONFIG_FOLDERS = (".azureml", "aml_config", ".")
_CONFIG_NAMES = ("config.json", "project.json")


class WorkspaceBlock(documents.NamedBlock):
    """The saved facts of a workspace; its data stand in its datastores."""

    _block_type_name: ClassVar[str] = "Stepwell Workspace"
    _block_type_slug: ClassVar[str] = "stepwell-workspace"
    _description: ClassVar[str] = (
        "A home for pipelines: datastores, compute targets and results that can be used again."
    )
    named_by: ClassVar[tuple[str, ...]] = ("name",)

    name: str = Field(description="The workspace's name.")
    subscription_id: str | None = Field(default=None, description="Kept for users of Azure ML; not needed.")
    resource_group: str | None = Field(default=None, description="Kept for users of Azure ML; not needed.")
    location: str | None = Field(default=None, description="Kept for users of Azure ML; not needed.")
    friendly_name: str | None = Field(default=None, description="A name for people.")
    tags: dict[str, str] = Field(default_factory=dict, description="Free labels.")
    default_datastore: str = Field(default=BLOB_STORE, description="Where results and outputs are kept.")
    signing_key: SecretStr = Field(
        default=SecretStr(""), description="Signs records of results, so that none can be forged."
    )


class BaseWorkspace:
    """A workspace without its experiments (which stand in an upper room)."""

    def __init__(self, *, _block: WorkspaceBlock) -> None:
        self._block = _block

    def __getstate__(self) -> dict[str, Any]:
        return {"_block": self._block}  # the rest was looked up, and can be again in whatever process this comes to

    @classmethod
    @documents.registering("workspaces")
    def create(
        cls,
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        friendly_name: str | None = None,
        exist_ok: bool = False,
        show_output: bool = True,
        **azure: object,
    ) -> Self:
        """Create a workspace, or with `exist_ok` return the one that has the name already.

        Azure's own arguments are accepted; subscription, resource group and location are kept and shown, never needed.

        Args:
            name: 2 to 33 letters, digits, `_` and `-`, the first a letter or digit, as in Azure ML SDK v1.
            auth: Accepted for v1's sake; not used.
            subscription_id: Azure's subscription; kept and shown only.
            resource_group: Azure's resource group; kept and shown only.
            location: Azure's region; kept and shown only.
            create_resource_group: Accepted for v1's sake; not used.
            sku: Accepted for v1's sake; not used.
            tags: Free labels; none by default.
            friendly_name: A name for people.
            exist_ok: Whether to return a workspace that exists already instead of raising.
            show_output: Accepted for v1's sake; not used.
            **azure: Other arguments of v1, such as `storage_account`; not used.

        Returns:
            The workspace, with the datastores `workspaceblobstore` (the default one) and `workspacefilestore`.

        Raises:
            UserErrorException: The name can't name a workspace.
            WorkspaceException: The name is taken, and `exist_ok` is False.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", name):
            raise UserErrorException(
                f"{name!r} can't name a workspace",
                hint="Use 2 to 33 letters, digits, '_' and '-', the first a letter or digit.",
            )
        known = documents.load_named(WorkspaceBlock, name)
        if known is not None:
            if not exist_ok:
                raise WorkspaceException(
                    f"The workspace {name!r} exists already",
                    hint="Pass `exist_ok=True`, or open it with `Workspace.get`.",
                )
            return cls(_block=known)
        block = WorkspaceBlock(
            name=name,
            subscription_id=subscription_id,
            resource_group=resource_group,
            location=location,
            friendly_name=friendly_name,
            tags=tags or {},
            signing_key=SecretStr(signing_key()),
        )
        workspace = cls(_block=block)
        Datastore.register(workspace, BLOB_STORE, overwrite=True)
        Datastore.register(workspace, FILE_STORE, overwrite=True)
        documents.save_named(block)
        return workspace

    @classmethod
    def get(
        cls,
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        **azure: object,
    ) -> Self:
        """Return the workspace of that name.

        Args:
            name: The workspace's name.
            auth: Accepted for v1's sake; not used.
            subscription_id: Accepted for v1's sake; not used.
            resource_group: Accepted for v1's sake; not used.
            location: Accepted for v1's sake; not used.
            **azure: Other arguments of v1; not used.

        Returns:
            The workspace.

        Raises:
            WorkspaceException: There is no workspace of that name.
        """
        block = documents.load_named(WorkspaceBlock, name)
        if block is None:
            raise WorkspaceException(
                f"There is no workspace {name!r}",
                {"workspaces": ", ".join(cls.list()) or "none"},
                "Create it with `Workspace.create(name)`.",
            )
        return cls(_block=block)

    @classmethod
    def list(cls, subscription_id: str | None = None, **azure: object) -> dict[str, Self]:
        """Return every workspace of the server.

        Args:
            subscription_id: Accepted for v1's sake; not used.
            **azure: Other arguments of v1; not used.

        Returns:
            The workspaces by name.
        """
        return {block.name: cls(_block=block) for block in documents.load_all(WorkspaceBlock)}

    @classmethod
    def from_config(cls, path: str | Path | None = None, auth: object = None, **azure: object) -> Self:
        """Return the workspace that the nearest config file names.

        As in Azure ML SDK v1, `config.json` or `project.json` is looked for in `.azureml`, in `aml_config` and beside
        them, folder by folder upwards.

        Args:
            path: The config file, or the folder where the search begins; by default the current one.
            auth: Accepted for v1's sake; not used.
            **azure: Other arguments of v1; not used.

        Returns:
            The workspace.

        Raises:
            UserErrorException: No config file was found, or it can't be read.
            WorkspaceException: There is no workspace of the name that the file has.
        """
        config = _find_config(Path(path or "."))
        try:
            data = json.loads(read_text(config))
            name = data["workspace_name"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserErrorException(
                "A workspace's config file can't be read",
                {"file": config, "reason": error},
                "Write it with `ws.write_config()`.",
            ) from error
        return cls.get(name)

    def write_config(self, path: str | Path | None = None, file_name: str | None = None) -> None:
        """Write the config file that lets `from_config` find this workspace.

        Args:
            path: The folder that gets `.azureml`; by default the current one.
            file_name: The file's name in `.azureml`, by default `config.json`.
        """
        folder = Path(path or ".") / ".azureml"
        folder.mkdir(parents=True, exist_ok=True)
        data = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
        }
        (folder / (file_name or "config.json")).write_text(json.dumps(data, indent=4) + "\n")

    # What it holds --------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self._block.name

    @property
    def subscription_id(self) -> str | None:
        """The subscription that `create` was given."""
        return self._block.subscription_id

    @property
    def resource_group(self) -> str | None:
        """The resource group that `create` was given."""
        return self._block.resource_group

    @property
    def location(self) -> str | None:
        """The location that `create` was given."""
        return self._block.location

    @property
    def tags(self) -> dict[str, str]:
        """The workspace's labels."""
        return dict(self._block.tags)

    @property
    def default_datastore_name(self) -> str:
        """The name of the datastore where results and outputs are kept."""
        return self._block.default_datastore

    @property
    def datastores(self) -> dict[str, Datastore]:
        """The workspace's datastores, by name."""
        blocks = documents.load_all(DatastoreBlock, workspace=self.name)
        return {block.name: Datastore(self, block.name, _block=block) for block in blocks}

    def sign(self, text: str) -> str:
        """Return a digest of `text` that nobody can compute without the workspace's secret.

        Args:
            text: Any text.

        Returns:
            The HMAC-SHA256 of the text, as 64 hexadecimal digits.
        """
        return hmac.new(self._signing_key.encode(), text.encode(), "sha256").hexdigest()

    @property
    def _signing_key(self) -> str:
        return self._block.signing_key.get_secret_value() or signing_key()

    def get_default_datastore(self) -> Datastore:
        """Return the datastore where results and outputs are kept.

        Returns:
            The default datastore.
        """
        return Datastore(self)

    def set_default_datastore(self, name: str) -> None:
        """Make the datastore `name` the one where new results and outputs are kept.

        Args:
            name: The name of a datastore of this workspace.

        Raises:
            DatastoreException: There is no datastore of that name.
        """
        Datastore(self, name)
        self._block.default_datastore = name
        documents.save_named(self._block)

    def get_details(self) -> dict[str, Any]:
        """Return everything known of the workspace but its secrets.

        Returns:
            The workspace's id and facts, ready for JSON.
        """
        details = self._block.model_dump(mode="json", exclude={"signing_key", "block_type_slug"})
        return {"id": joined_name(self.name), **details}

    def path_of(self, artifact: Artifact) -> Path:
        """Return where the bytes of a step's output are on this machine. They must not be changed there.

        Args:
            artifact: An output, as the record of a step's result lists it.

        Returns:
            The path of the file or folder.

        Raises:
            DatastoreException: The output is gone.
        """
        path = self.store.tree_path(artifact.digest)
        if not path.exists():
            raise DatastoreException(
                "An output is gone", {"output": artifact.path}, "Run its step again: it will be made anew."
            )
        return path

    @cached_property
    def folder(self) -> Path:
        """The local folder of results, snapshots and runs: in the default datastore if that is local, else in the home."""
        root = self.get_default_datastore().local_root
        return (root or home() / "workspaces" / self.name) / PRIVATE

    @cached_property
    def digests(self) -> StatCache:
        """The digests of files, remembered on this machine."""
        return StatCache(home() / "cache" / "digests.sqlite3")

    @cached_property
    def store(self) -> Store:
        """The store of results."""
        return Store(self.folder, self._signing_key, self.digests)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def _find_config(start: Path) -> Path:
    if start.is_file():
        return start
    folder = start.resolve()
    for place in (folder, *folder.parents):
        for inner in _CONFIG_FOLDERS:
            for name in _CONFIG_NAMES:
                if (place / inner / name).is_file():
                    return place / inner / name
    raise UserErrorException(
        "No workspace config was found",
        {"looked in": f"{folder} and its parents", "for": ".azureml/config.json, config.json"},
        "Write one with `Workspace.create(name, exist_ok=True).write_config()`.",
    )
