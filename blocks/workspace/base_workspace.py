"""A workspace: the Prefect block that ties datastores, compute targets and the store of results together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, Unpack

from pydantic import SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.system.home import signing_key
from stepwell.blocks.workspace.azure_arguments import V1Create, V1Find
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.entered import EnteredWorkspace
from stepwell.blocks.workspace.store_identity import folders_of_workspaces
from stepwell.blocks.workspace.workspace_store import BLOB_STORE, WorkspaceBlock
from stepwell.errors import DatastoreException, UserErrorException, WorkspaceException
from stepwell.model.names import joined_name
from stepwell.model.records import Artifact
from stepwell.model.regular_files import read_text

FILE_STORE = "workspacefilestore"
_CONFIG_FOLDERS = (".azureml", "aml_config", ".")
_CONFIG_NAMES = ("config.json", "project.json")


@checked
class BaseWorkspace(EnteredWorkspace):
    """A workspace without its experiments (which stand in an upper room)."""

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
        exist_ok: bool = False,
        show_output: bool = True,
        **azure: Unpack[V1Create],
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
            **azure: v1's other arguments, those of `V1Create`, such as `storage_account`; not used.

        Returns:
            The workspace, with the datastores `workspaceblobstore` (the default one) and `workspacefilestore`.

        Raises:
            UserErrorException: The name can't name a workspace.
            WorkspaceException: The name is taken, and `exist_ok` is False; or by another home's workspace.
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
            return cls(_block=known).opened()
        block = WorkspaceBlock(
            name=name,
            subscription_id=subscription_id,
            resource_group=resource_group,
            location=location,
            friendly_name=friendly_name,
            tags=dict(tags or {}),
            signing_key=SecretStr(signing_key()),
        )
        workspace = cls(_block=block)
        workspace.is_here = workspace._has_folders = True
        Datastore.register(workspace, BLOB_STORE, overwrite=True)
        Datastore.register(workspace, FILE_STORE, overwrite=True)
        workspace.adopt()
        return workspace

    @classmethod
    def get(
        cls,
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        **azure: Unpack[V1Find],
    ) -> Self:
        """Return the workspace of that name.

        Args:
            name: The workspace's name.
            auth: Accepted for v1's sake; not used.
            subscription_id: Accepted for v1's sake; not used.
            resource_group: Accepted for v1's sake; not used.
            location: Accepted for v1's sake; not used.
            **azure: v1's other arguments, those of `V1Find`; not used.

        Returns:
            The workspace.

        Raises:
            WorkspaceException: There is no workspace of that name, or it belongs to another home.
        """
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
                else "Create it with `Workspace.create(name)`.",
            )
        return cls(_block=block).opened()

    @classmethod
    def list(
        cls,
        subscription_id: str | None = None,
        auth: object = None,
        resource_group: str | None = None,
        **azure: Unpack[V1Find],
    ) -> dict[str, Self]:
        """Return every workspace of the server.

        Args:
            subscription_id: Accepted for v1's sake; not used.
            auth: Accepted for v1's sake; not used.
            resource_group: Accepted for v1's sake; not used.
            **azure: v1's other arguments, those of `V1Find`; not used.

        Returns:
            The workspaces by name.
        """
        return {block.name: cls(_block=block) for block in documents.load_any([WorkspaceBlock])}

    @classmethod
    def from_config(cls, path: str | Path | None = None, auth: object = None, **azure: Unpack[V1Find]) -> Self:
        """Return the workspace that the nearest config file names.

        As in Azure ML SDK v1, `config.json` or `project.json` is looked for in `.azureml`, in `aml_config` and beside
        them, folder by folder upwards.

        Args:
            path: The config file, or the folder where the search begins; by default the current one.
            auth: Accepted for v1's sake; not used.
            **azure: v1's other arguments, those of `V1Find`; not used.

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

    def get_details(self) -> dict[str, Any]:
        """Return everything known of the workspace but its secrets.

        Returns:
            The workspace's id and facts, ready for JSON.
        """
        hidden = {"signing_key", "block_type_slug", "store_id", "folders_id", "store_place", "datastore_places"}
        details = self._block.model_dump(mode="json", exclude=hidden)
        return {"id": joined_name(self.name), **details}

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
        path = self.store.tree_path(artifact.digest)
        if not path.exists():
            raise DatastoreException(
                "An output is gone", {"output": artifact.path}, "Run its step again: it will be made anew."
            )
        return path

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
