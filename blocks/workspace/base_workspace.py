"""A workspace: the Prefect block that ties datastores, compute targets and the store of results together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Self

from pydantic import SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.system.config_file import (
    CONFIG_NAMES,
    check_workspace_name,
    config_text,
    fact_in,
    find_config,
    name_in,
)
from stepwell.blocks.system.home import signing_key
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.entered import EnteredWorkspace
from stepwell.blocks.workspace.store_identity import folders_of_workspaces
from stepwell.blocks.workspace.workspace_store import BLOB_STORE, WorkspaceBlock
from stepwell.errors import DatastoreException, WorkspaceException
from stepwell.model.names import joined_name
from stepwell.model.records import Artifact

FILE_STORE = "workspacefilestore"

_OWN = ("store_id", "folders_id", "store_place", "datastore_places", "stand_ins")
_HIDDEN = {"signing_key", "block_type_slug", *_OWN}


@checked
class BaseWorkspace(EnteredWorkspace):
    """A workspace without its experiments (which stand in an upper room).

    Args:
        subscription_id: Azure's subscription; kept and shown if the workspace knows none.
        resource_group: Azure's resource group; see `subscription_id`.
        workspace_name: The name of a workspace that is there.
        auth: Accepted for v1's sake; not used.
        sku: See `auth`.
        tags: See `auth`.

    Raises:
        WorkspaceException: There is no workspace of that name, or it belongs to another home.
    """

    def __init__(
        self,
        subscription_id: str | None,
        resource_group: str | None,
        workspace_name: str,
        auth: object = None,
        _location: str | None = None,
        _disable_service_check: bool = False,
        _workspace_id: str | None = None,
        sku: str = "basic",
        tags: Mapping[str, Any] | None = None,
        _cloud: str = "AzureCloud",
    ) -> None:
        super().__init__(_block=self._found(workspace_name))
        self.opened()
        self._learn(subscription_id, resource_group, _location)

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
        tags: Mapping[str, str] | None = None,
        friendly_name: str | None = None,
        storage_account: str | None = None,
        key_vault: str | None = None,
        app_insights: str | None = None,
        container_registry: str | None = None,
        adb_workspace: str | None = None,
        primary_user_assigned_identity: str | None = None,
        cmk_keyvault: str | None = None,
        resource_cmk_uri: str | None = None,
        hbi_workspace: bool = False,
        default_cpu_compute_target: Any = None,
        default_gpu_compute_target: Any = None,
        private_endpoint_config: Any = None,
        private_endpoint_auto_approval: bool = True,
        exist_ok: bool = False,
        show_output: bool = True,
        user_assigned_identity_for_cmk_encryption: str | None = None,
        system_datastores_auth_mode: str = "accessKey",
        v1_legacy_mode: bool | None = None,
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
            sku: Kept and shown only.
            tags: Free labels; none by default.
            friendly_name: A name for people.
            storage_account: As all that follow but two, accepted for v1's sake; not used.
            key_vault: See `storage_account`.
            app_insights: See `storage_account`.
            container_registry: See `storage_account`.
            adb_workspace: See `storage_account`.
            primary_user_assigned_identity: See `storage_account`.
            cmk_keyvault: See `storage_account`.
            resource_cmk_uri: See `storage_account`.
            hbi_workspace: See `storage_account`.
            default_cpu_compute_target: See `storage_account`.
            default_gpu_compute_target: See `storage_account`.
            private_endpoint_config: See `storage_account`.
            private_endpoint_auto_approval: See `storage_account`.
            exist_ok: Whether to return a workspace that exists already instead of raising.
            show_output: Accepted for v1's sake; not used.
            user_assigned_identity_for_cmk_encryption: See `storage_account`.
            system_datastores_auth_mode: See `storage_account`.
            v1_legacy_mode: See `storage_account`.

        Returns:
            The workspace, with the datastores `workspaceblobstore` (the default one) and `workspacefilestore`.

        Raises:
            UserErrorException: The name can't name a workspace.
            WorkspaceException: The name is taken, and `exist_ok` is False; or by another home's workspace.
        """
        check_workspace_name(name)
        known = documents.load_named(WorkspaceBlock, name)
        if known is None:
            block = WorkspaceBlock(
                name=name,
                subscription_id=subscription_id,
                resource_group=resource_group,
                location=location,
                friendly_name=friendly_name,
                sku=sku,
                tags=dict(tags or {}),
                signing_key=SecretStr(signing_key()),
            )
            workspace = cls.of_block(block)
            workspace.is_here = workspace._has_folders = True  # noqa: SLF001  (its own)
            Datastore.register(workspace, BLOB_STORE, overwrite=True)
            Datastore.register(workspace, FILE_STORE, overwrite=True)
            if workspace._create():  # noqa: SLF001  (its own)
                return workspace
            known = documents.load_named(WorkspaceBlock, name) or block  # somebody on another machine made it just now
        if not exist_ok:
            raise WorkspaceException(
                f"The workspace {name!r} exists already",
                hint="Pass `exist_ok=True`, or open it with `Workspace.get`.",
            )
        return cls.of_block(known).opened()._learn(subscription_id, resource_group, location)  # noqa: SLF001  (its own)

    @classmethod
    def get(
        cls,
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        cloud: str = "AzureCloud",
        id: str | None = None,
    ) -> Self:
        """Return the workspace of that name.

        Args:
            name: The workspace's name.
            auth: Accepted for v1's sake; not used.
            subscription_id: Azure's subscription; kept and shown if the workspace knows none.
            resource_group: Azure's resource group; see `subscription_id`.
            location: Azure's region; see `subscription_id`.
            cloud: Accepted for v1's sake; not used.
            id: Accepted for v1's sake; not used.

        Returns:
            The workspace.

        Raises:
            WorkspaceException: There is no workspace of that name, or it belongs to another home.
        """
        return cls.of_block(cls._found(name)).opened()._learn(subscription_id, resource_group, location)  # noqa: SLF001  (its own)

    def _learn(self, subscription_id: str | None, resource_group: str | None, location: str | None) -> Self:
        """Keep and save those of Azure's facts that the workspace does not know yet, since code prints them.

        Args:
            subscription_id: Azure's subscription.
            resource_group: Azure's resource group.
            location: Azure's region.

        Returns:
            The workspace.
        """
        given = {"subscription_id": subscription_id, "resource_group": resource_group, "location": location}
        new = {name: str(value) for name, value in given.items() if value and not getattr(self._block, name)}
        if new:
            self._change(**new)
        return self

    @classmethod
    def of_block(cls, block: WorkspaceBlock) -> Self:
        """Return the workspace whose facts these are.

        Args:
            block: Its document.

        Returns:
            The workspace; whose home it belongs to is not looked at.
        """
        workspace = cls.__new__(cls)
        workspace._block = block  # noqa: SLF001  (its own)
        return workspace

    @classmethod
    def _found(cls, name: str) -> WorkspaceBlock:
        """Return the facts of the workspace of that name; raise WorkspaceException if there is none."""
        block = documents.load_named(WorkspaceBlock, name)
        if block is None:
            known = cls.list()
            elsewhere = sorted(folder for folder in folders_of_workspaces() if folder not in known)
            facts = {"workspaces": ", ".join(known) or "none"}
            if elsewhere:
                facts["with data in this home, but not known to this Prefect server"] = ", ".join(elsewhere)
            raise WorkspaceException(
                f"There is no workspace {name!r}",
                facts,
                "Create it with `Workspace.create(name)`, or set PREFECT_API_URL to the server that knows it."
                if name in elsewhere
                else f"Create it once: `stepwell workspaces create {name}`, or `Workspace.create(name)`.",
            )
        return block

    @classmethod
    def list(
        cls,
        subscription_id: str | None = None,
        auth: object = None,
        resource_group: str | None = None,
    ) -> dict[str, Self]:
        """Return every workspace of the server.

        Args:
            subscription_id: Accepted for v1's sake; not used.
            auth: Accepted for v1's sake; not used.
            resource_group: Accepted for v1's sake; not used.

        Returns:
            The workspaces by name.
        """
        return {block.name: cls.of_block(block) for block in documents.load_any([WorkspaceBlock])}

    @classmethod
    def from_config(
        cls,
        path: str | PurePath | None = None,
        auth: object = None,
        _logger: object = None,
        _file_name: str | None = None,
    ) -> Self:
        """Return the workspace that the nearest config file names.

        As in Azure ML SDK v1, `config.json` or `project.json` is looked for in `.azureml`, in `aml_config` and beside
        them, folder by folder upwards.

        Args:
            path: The config file, or the folder where the search begins; by default the current one.
            auth: Accepted for v1's sake; not used.

        Returns:
            The workspace.

        Raises:
            UserErrorException: No config file was found, or it can't be read.
            WorkspaceException: There is no workspace of the name that the file has.
        """
        config = find_config(Path(path or "."), (_file_name,) if _file_name else CONFIG_NAMES)
        return cls.get(name_in(config), None, fact_in(config, "subscription_id"), fact_in(config, "resource_group"))

    def write_config(self, path: str | PurePath | None = None, file_name: str | None = None) -> None:
        """Write the config file that lets `from_config` find this workspace.

        Args:
            path: The folder that gets `.azureml`; by default the current one.
            file_name: The file's name in `.azureml`, by default `config.json`.
        """
        folder = Path(path or ".") / ".azureml"
        folder.mkdir(parents=True, exist_ok=True)
        text = config_text(self.name, self.subscription_id, self.resource_group)
        (folder / (file_name or "config.json")).write_text(text)

    # What it holds --------------------------------------------------------------------------------------------------

    @property
    def subscription_id(self) -> str:
        """The subscription that it was created or first opened with; '' if none."""
        return self._block.subscription_id or ""

    @property
    def resource_group(self) -> str:
        """The resource group that it was created or first opened with; '' if none."""
        return self._block.resource_group or ""

    @property
    def location(self) -> str:
        """The location that it was created or first opened with; '' if none."""
        return self._block.location or ""

    @property
    def tags(self) -> dict[str, str]:
        """The workspace's labels."""
        return dict(self._block.tags)

    @property
    def sku(self) -> str:
        """What `create` was given."""
        return self._block.sku

    @property
    def friendly_name(self) -> str | None:
        """The name for people."""
        return self._block.friendly_name

    @property
    def discovery_url(self) -> str:
        """The address of Prefect's server, by which everything of the workspace is found."""
        return documents.ui_url()

    def get_details(self) -> dict[str, Any]:
        """Return everything known of the workspace but its secrets.

        Returns:
            The workspace's id and facts, ready for JSON.
        """
        details = self._block.model_dump(mode="json", exclude=_HIDDEN)
        created, changed = documents.saved_at(self._block)
        return {
            "id": joined_name(self.name),
            "workspaceid": joined_name(self.name),
            "type": "Microsoft.MachineLearningServices/workspaces",
            "friendlyName": self.friendly_name,
            "creationTime": created,
            "changeTime": changed,
            "discoveryUrl": self.discovery_url,
            **details,
        }

    def path_of(self, artifact: Artifact) -> Path:
        """Return where the bytes of a step's output are on this machine. They must not be changed there.

        Args:
            artifact: An output, as the record of a step's result lists it.

        Returns:
            The path of the file or folder.

        Raises:
            DatastoreException: The output is gone, or one of another workspace.
        """
        if artifact.workspace not in ("", self.name):
            raise DatastoreException(
                f"The output is in workspace {artifact.workspace!r}, where its step ran",
                {"output": artifact.path, "asked of": self.name},
                f"Ask `Workspace.get({artifact.workspace!r}).path_of(…)`, or run the step in this one `with ws:`.",
            )
        path = self.store.bring(artifact.digest)
        if not path.exists():
            raise DatastoreException(
                "An output is gone", {"output": artifact.path}, "Run its step again: it will be made anew."
            )
        return path

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"
