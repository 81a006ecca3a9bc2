"""The store of a workspace, and whose it is: a random id, which the store keeps and the workspace's document names."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datastores.datastore_files import PRIVATE, DatastoreBlock
from stepwell.blocks.datastores.datastore_places import checked_place
from stepwell.blocks.server import documents
from stepwell.blocks.server.connection import status as server_status
from stepwell.blocks.store.runs.run_index import RunPlace
from stepwell.blocks.store.runs.shared_runs import SharedRuns
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.sharing import sharing_mode
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.home import home, signing_key
from stepwell.blocks.system.living import machine
from stepwell.blocks.trust.trusted_keys import ROLES, TrustedKeys
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.stand_ins import CHOICES, Databricks, Environments, Gpus, chosen_outside
from stepwell.blocks.workspace.store_identity import elsewhere, keep_id, place_of, read_id
from stepwell.errors import DatastoreException
from stepwell.model.names import folder_name

WORKSPACE_TAG, MACHINE_TAG = "workspace:", "machine:"
"""How the tags begin by which Prefect knows to which workspace a run belongs, and which machine is at work on it."""

BLOB_STORE = "workspaceblobstore"
SHARED = "v1"
"""The folder, and the format, of what workspaces share in the private folder of their default datastores."""

_RUNS_SECONDS, _LOOK_SECONDS = 10.0, 5.0
"""How long a run that tells of itself waits for an answer, and how long who looks does."""

Trust = Literal["writers", "ci-only"]


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
    sku: str = Field(default="basic", description="Kept for users of Azure ML; not needed.")
    description: str = Field(default="", description="What it is for.")
    tags: dict[str, str] = Field(default_factory=dict, description="Free labels.")
    default_datastore: str = Field(default=BLOB_STORE, description="Where results and outputs are kept.")
    signing_key: SecretStr = Field(
        default=SecretStr(""), description="Signs records of results, so that none can be forged."
    )
    store_id: str = Field(default="", description="The id of its store of results, which no other home's folder has.")
    folders_id: str = Field(default="", description="The id of its folder in the home that made it.")
    store_place: str = Field(default="", description="Where that store was when it was named, for people.")
    datastore_places: dict[str, str] = Field(
        default_factory=dict, description="Where datastores stand, by name, whatever they were registered with."
    )
    stand_ins: dict[str, str] = Field(
        default_factory=dict,
        description="What stands in for what is not there: for `environment`, `gpu` and `databricks`.",
    )
    trusts: Trust = Field(default="writers", description="Whose shared results are used: `writers`, or `ci-only`.")


@checked
class WorkspaceStore:
    """The datastores of a workspace, and its store of results: where it is, what signs its records, and whose it is."""

    def __init__(self, *, _block: WorkspaceBlock) -> None:
        self._block = _block

    def __getstate__(self) -> dict[str, Any]:
        return {"_block": self._block}  # the rest was looked up, and can be again in whatever process this comes to

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self._block.name

    @property
    def default_datastore_name(self) -> str:
        """The name of the datastore where results and outputs are kept."""
        return self._block.default_datastore

    @property
    def datastores(self) -> dict[str, Datastore]:
        """The workspace's datastores, by name."""
        blocks = documents.load_any([DatastoreBlock], workspace=self.name)
        return {block.name: Datastore(self, block.name, _block=block) for block in blocks}

    @property
    def datastore_places(self) -> dict[str, str]:
        """Where datastores stand that are not where they were registered: folders or URLs, as `lay_datastore` noted them."""
        return dict(self._block.datastore_places)

    def lay_datastore(self, datastore: str, place: str = "") -> None:
        """Lay a datastore on a folder or URL of one's own, whatever code registers it with, now or later.

        Args:
            datastore: Its name, its `account/container` (`server/database` of tables), its URL, or `*` for all that v1's
                methods register; below the folder of `*` each `account/container` has one of its own.
            place: A folder, an fsspec URL, or of tables a file of SQLite or an URL of SQLAlchemy; '' for none.

        Raises:
            DatastoreException: It can't be a datastore's place.
            UserErrorException: The workspace was deleted.
        """
        laid = {datastore: checked_place(place)} if place else {}
        places = self._reload().datastore_places
        self._change(datastore_places={**{name: there for name, there in places.items() if name != datastore}, **laid})
        for looked_up in ("_default", "_default_root", "folder", "store", "shared_runs"):
            self.__dict__.pop(looked_up, None)

    @property
    def stand_ins(self) -> dict[str, str]:
        """What stands in for what is not there, by `environment`, `gpu` and `databricks`, as `set_stand_ins` takes it.

        The variables `STEPWELL_V1_ENVIRONMENT`, `STEPWELL_V1_GPU` and `STEPWELL_V1_DATABRICKS` win over what that chose.
        """
        saved = self._block.stand_ins
        return {what: chosen_outside(what) or saved.get(what, usual) for what, (usual, *_) in CHOICES.items()}

    def set_stand_ins(
        self,
        *,
        environment: Environments | None = None,
        gpu: Gpus | None = None,
        databricks: Databricks | None = None,
    ) -> None:
        """Choose what stands in for what old code asks for and is not there; None leaves a choice as it is.

        Args:
            environment: `as-installed`: steps with packages of their own run with those in use here, and what differs is told;
                `as-asked`: their environments are made.
            gpu: `cpu`: where a target lacks its GPUs, steps run on processors; `gpu`: they fail.
            databricks: `local`: what a Databricks workspace would run, Spark runs on this machine; `workspace`: that runs it.
        """
        given = {"environment": environment, "gpu": gpu, "databricks": databricks}
        chosen = {**self._reload().stand_ins, **{what: str(word) for what, word in given.items() if word is not None}}
        self._change(stand_ins={what: word for what, word in chosen.items() if word != CHOICES[what][0]})

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
        for known in ("_default", "_default_root", "folder", "store", "shared_runs"):
            self.__dict__.pop(known, None)
        self._adopt(store_id=self.folder)
        self.is_here = True

    def _change(self, **facts: Any) -> None:
        """Save facts of the document's; raise UserErrorException if that was deleted."""
        block = self._reload()
        for name, fact in facts.items():
            setattr(block, name, fact)
        documents.replace(block, f"workspace {self.name!r}")

    def _reload(self) -> WorkspaceBlock:
        self._block = documents.newest(self._block, f"workspace {self.name!r}")
        return self._block

    @property
    def trusts(self) -> Trust:
        """Whose shared results its runs use, as `trust` chose."""
        return self._block.trusts

    def trust(self, whom: Trust) -> None:
        """Choose whose shared results the workspace's runs use; a home's own it always uses itself.

        Args:
            whom: `writers`: those of every home that shares the workspace and whose key is not revoked; `ci-only`: those
                of homes whose key has the role `ci`, as `stepwell trust role` gives it.
        """
        self._change(trusts=whom)
        self.__dict__.pop("keys", None)

    @cached_property
    def keys(self) -> TrustedKeys:
        """The keys of the homes that share the workspace, and which of them it believes."""
        return TrustedKeys(self.name, ("ci",) if self.trusts == "ci-only" else ROLES)

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

    @cached_property
    def folder(self) -> Path:
        """The local folder of results, snapshots and runs: in the default datastore if that is local, else in the home."""
        return (self._default_root or self._home_folder) / PRIVATE

    @cached_property
    def _default_root(self) -> Path | None:
        return None if self._default.is_shared else self._default.local_root

    @cached_property
    def _default(self) -> Datastore:
        return self.get_default_datastore()

    @cached_property
    def digests(self) -> StatCache:
        """The digests of files, remembered on this machine."""
        return StatCache(home() / "cache" / "digests.sqlite3")

    @cached_property
    def store(self) -> Store:
        """The store of results; WorkspaceException if it is another home's."""
        self.require_here()
        mode = sharing_mode()
        if mode == "off" or not self._default.is_shared:
            return Store(self.folder, self._signing_key, self.digests)
        opened = partial(self._default.objects, self._space)
        return SharedStore(self.folder, self._signing_key, self.digests, opened, self.keys, mode)

    @cached_property
    def shared_runs(self) -> SharedRuns | None:
        """The runs of all machines that share the default datastore; None if that is this machine's alone."""
        if sharing_mode() == "off" or not self._default.is_shared:
            return None
        objects = self._default.objects(self._space, timeout=_RUNS_SECONDS, pauses=(0.5,), rests=_LOOK_SECONDS)
        looks = self._default.objects(
            self._space, timeout=_LOOK_SECONDS, pauses=(0.5,), traffic=objects.traffic, rests=0.0
        )
        keys = TrustedKeys(self.name)  # runs are seen whoever's results are used
        return SharedRuns(objects, self.folder / "runs", keys=keys, read_only=sharing_mode() == "read", looks=looks)

    @property
    def _space(self) -> str:
        return f"{SHARED}/{folder_name(self.name)}-{self.sign('shared store')[:8]}"

    @property
    def run_place(self) -> Store | RunPlace:
        """Where runs stand on this machine: in the store, or, where that is another home's, copies of what is told of them."""
        return self.store if self.is_here else RunPlace(home() / "elsewhere" / self.name)

    @cached_property
    def is_here(self) -> bool:
        """Whether the store that the workspace's document means is the one that this home finds in its place.

        Where the default datastore is remote, it is: each home has a copy of its own.
        """
        return self._default_root is None or self._is_own(self.folder, "store_id")

    @cached_property
    def _has_folders(self) -> bool:
        return self._is_own(self._home_folder, "folders_id")

    @property
    def _home_folder(self) -> Path:
        return home() / "workspaces" / self.name

    def _is_own(self, folder: Path, field: str) -> bool:
        """Return whether the folder has the id that the document names.

        A document of an earlier release names none: the home that made the workspace says so on its first use.
        """
        found, named = read_id(folder), str(getattr(self._block, field))
        if named:
            lost = not found and self._was_made_here()  # its owner may remove the whole folder
            return found == named or (lost and keep_id(folder, named) in (named, ""))
        shared = not folder.is_relative_to(home()) and folder.exists()
        if not (found or shared or self._was_made_here()):
            return False
        if keep_id(folder):  # nothing, on a disk that can't be written
            self._adopt(**{field: folder})
        return True

    @property
    def store_place(self) -> str:
        """Where the store was when the document named it, as `host:folder`; '' if none did."""
        return self._block.store_place

    def require_here(self) -> None:
        """Raise WorkspaceException if the workspace's store is another home's."""
        if not self.is_here:
            raise elsewhere(self.name, self._block.store_place)

    def require_folders(self) -> None:
        """Raise WorkspaceException if the folders of datastores without a URL are another home's."""
        if not self._has_folders:
            raise elsewhere(self.name, self._block.store_place)

    def adopt(self) -> None:
        """Make what this home finds in the place of the workspace's store and folders its own from now on."""
        self._adopt(store_id=self.folder, folders_id=self._home_folder)
        self.is_here = self._has_folders = True

    def _create(self) -> bool:
        """Save the document of a new workspace; return whether nobody on another machine was faster."""
        self._note(store_id=self.folder, folders_id=self._home_folder)
        return documents.create_named(self._block)

    def _adopt(self, **folders: Path) -> None:
        self._note(**folders)
        documents.save_named(self._block)

    def _note(self, **folders: Path) -> None:
        for field, folder in folders.items():
            setattr(self._block, field, keep_id(folder))
        if "store_id" in folders:
            self._block.store_place = place_of(self.folder)

    def _was_made_here(self) -> bool:
        key = self._block.signing_key.get_secret_value()
        return key in ("", signing_key()) or server_status().managed

    def opened(self) -> Self:
        """Make sure that this home has the workspace's store.

        Returns:
            The workspace.

        Raises:
            WorkspaceException: Another home has it.
        """
        with suppress(DatastoreException):  # whoever needs the datastore is told
            self.require_here()
        return self


def place_tags(tags: Iterable[str], workspace: str, before: str = "") -> list[str]:
    """Return a run's tags with those of its workspace and of this machine, without that of the one that was at work `before`."""
    others = {tag for tag in tags if not before or tag != f"{MACHINE_TAG}{before}"}
    return sorted({*others, f"{WORKSPACE_TAG}{workspace}", f"{MACHINE_TAG}{machine()['name']}"})


def machine_in(tags: Iterable[str]) -> str:
    """Return the machine that a run's tags name, '' if none; a tag of a user's own may begin alike."""
    named = [tag.removeprefix(MACHINE_TAG) for tag in tags if tag.startswith(MACHINE_TAG)]
    return next((name for name in named if "@" in name), named[0] if named else "")
