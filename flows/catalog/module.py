"""`Module`: a name over versions of a step that pipelines share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import ModuleBlock, ModuleVersionBlock, check_name
from stepwell.errors import UserErrorException
from stepwell.flows.catalog.module_publishing import ModulePublishing, modules_locked
from stepwell.flows.catalog.module_version import ModuleVersion, ModuleVersionDescriptor


@checked
class Module(ModulePublishing):
    """A name over versions of a step: each a snapshot with ports, from which any pipeline makes a `ModuleStep`.

    `Module.create` makes one, `Module.get` finds it; `publish_python_script` adds a version.

    Args:
        workspace: The workspace that knows it.
        block: The document that Prefect's server keeps of it.

    Attributes:
        workspace: The workspace that knows it.
        block: The document that Prefect's server keeps of it.
    """

    def __init__(self, workspace: BaseWorkspace, block: ModuleBlock) -> None:
        self.workspace = workspace
        self.block = block

    @classmethod
    def create(cls, workspace: BaseWorkspace, name: str, description: str, _workflow_provider: object = None) -> Module:
        """Make a module without versions.

        Args:
            workspace: The workspace that will know it.
            name: Its name, unique in the workspace.
            description: What it does.

        Returns:
            The module.

        Raises:
            UserErrorException: The name can't be used, or is taken.
        """
        check_name(name, "module")
        with modules_locked(workspace):
            if _blocks(workspace, name=name):
                raise _taken(workspace, name)
            block = ModuleBlock(
                module_id=str(uuid4()),
                workspace=workspace.name,
                name=name,
                description=description,
                created=time.time(),
            )
            documents.save(block, block.document)
            if not documents.came_first(block, _blocks(workspace, name=name)):  # somebody on another machine did
                documents.delete(ModuleBlock, block.document)
                raise _taken(workspace, name)
        return cls(workspace, block)

    @classmethod
    def get(
        cls,
        workspace: BaseWorkspace,
        module_id: str | None = None,
        name: str | None = None,
        _workflow_provider: object = None,
    ) -> Module:
        """Find a module by its id or name.

        Args:
            workspace: The workspace that knows it.
            module_id: Its id.
            name: Its name, if no id is given.

        Returns:
            The module.

        Raises:
            UserErrorException: There is none.
        """
        wanted = {"module_id": module_id} if module_id is not None else {"name": name or ""}
        found = _blocks(workspace, **wanted)
        if not found:
            raise UserErrorException(
                f"There is no module {module_id or name!r}",
                {"workspace": workspace.name},
                "List the modules with `stepwell modules`, or make one with `Module.create`.",
            )
        return cls(workspace, found[0])

    @classmethod
    def list(cls, workspace: BaseWorkspace) -> list[Module]:
        """List the modules of a workspace, by name.

        Args:
            workspace: The workspace.

        Returns:
            The modules.
        """
        return [cls(workspace, block) for block in sorted(_blocks(workspace), key=lambda block: block.name)]

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.block.module_id

    @property
    def name(self) -> str:
        """Its name."""
        return self.block.name

    @property
    def description(self) -> str:
        """What it does."""
        return self.block.description

    @property
    def status(self) -> str:
        """`Active`, `Deprecated` or `Disabled`."""
        return self.block.status

    @property
    def default_version(self) -> str | None:
        """The version that is meant if none is named; None if none was chosen, which means the newest active one."""
        return self.block.default_version or None

    def get_default_version(self) -> str | None:
        """Return the version that was chosen as the default.

        Returns:
            The version; None if none was chosen.
        """
        return self.default_version

    def module_version_list(self) -> Sequence[ModuleVersionDescriptor]:
        """Return its versions, oldest first.

        Returns:
            Version and id of each.
        """
        return [ModuleVersionDescriptor(version.version, version.id) for version in self.versions()]

    @staticmethod
    def get_versions(
        workspace: BaseWorkspace, name: str, _workflow_provider: object = None
    ) -> Sequence[ModuleVersionDescriptor]:
        """Return the versions of the module of a name, oldest first.

        Args:
            workspace: The workspace that knows it.
            name: Its name.

        Returns:
            Version and id of each.

        Raises:
            UserErrorException: There is no such module.
        """
        return Module.get(workspace, name=name).module_version_list()

    def versions(self) -> Sequence[ModuleVersion]:
        """Return its versions, oldest first.

        Returns:
            The versions.
        """
        found = documents.load_any([ModuleVersionBlock], workspace=self.workspace.name, module_id=self.id)
        return [ModuleVersion(self.workspace, block) for block in sorted(found, key=lambda block: block.created)]

    def get_default(self) -> ModuleVersion:
        """Return the default version.

        Returns:
            The version that was chosen, else the newest active one.

        Raises:
            UserErrorException: It has no such version.
        """
        return self.resolve()

    def resolve(self, version: str | None = None) -> ModuleVersion:
        """Return a version.

        Args:
            version: Which; None: the default, else the newest that is active.

        Returns:
            The version.

        Raises:
            UserErrorException: It has no such version.
        """
        self._reload()
        wanted, versions = version or self.default_version, self.versions()
        active = [one for one in versions if one.status == "Active"]
        found = [one for one in versions if one.version == str(wanted)] if wanted else active or versions
        if not found:
            raise UserErrorException(
                f"The module {self.name!r} has no version {wanted!r}"
                if wanted
                else f"The module {self.name!r} has no version",
                {"versions": ", ".join(one.version for one in versions) or "none"},
                "Name one of these, or publish one with `publish_python_script`.",
            )
        return found[-1]

    # What changes ---------------------------------------------------------------------------------------------------

    def set_default_version(self, version_id: str) -> None:
        """Choose the version that is meant if none is named.

        Args:
            version_id: The version, or its id.

        Raises:
            UserErrorException: It has no such version.
        """
        named = {one.id: one.version for one in self.versions()}
        self._change(default_version=self.resolve(named.get(version_id, version_id)).version)

    def enable(self) -> None:
        """Let steps be made of it again."""
        self._change(status="Active")

    def deprecate(self) -> None:
        """Warn who makes a step of it."""
        self._change(status="Deprecated")

    def disable(self) -> None:
        """Refuse new steps of it; pipelines that were published with it go on."""
        self._change(status="Disabled")

    def set_description(self, description: str) -> None:
        """Say what it does.

        Args:
            description: The new description.
        """
        self._change(description=description)

    def set_name(self, name: str) -> None:
        """Give it another name.

        Args:
            name: The new name.

        Raises:
            UserErrorException: The name can't be used, or is taken.
        """
        check_name(name, "module")
        if any(block.module_id != self.id for block in _blocks(self.workspace, name=name)):
            raise UserErrorException(f"There is a module {name!r} already", hint="Choose another name.")
        self._change(name=name)

    def _change(self, **facts: Any) -> None:
        with modules_locked(self.workspace):
            self._reload()
            block = self.block.model_copy(update=facts)
            documents.replace(block, f"module {self.name!r}")
            self.block = block

    def _reload(self) -> None:
        self.block = documents.newest(self.block, f"module {self.name!r}")

    def __repr__(self) -> str:
        return f"Module(name={self.name!r}, id={self.id!r}, status={self.status!r})"


def _taken(workspace: BaseWorkspace, name: str) -> UserErrorException:
    return UserErrorException(
        f"There is a module {name!r} already",
        {"workspace": workspace.name},
        "Get it with `Module.get(workspace, name=...)`, or choose another name.",
    )


def _blocks(workspace: BaseWorkspace, **fields: str) -> list[ModuleBlock]:
    return documents.load_any([ModuleBlock], workspace=workspace.name, **fields)
