"""`ModuleVersion`: a version of a module, as steps are made of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import ModuleVersionBlock
from stepwell.errors import UserErrorException
from stepwell.flows.catalog.port_definitions import InputPortDef, OutputPortDef


class ModuleVersionDescriptor(NamedTuple):
    """What a module's list tells of a version.

    Attributes:
        version: The version.
        module_version_id: Its id.
    """

    version: str
    module_version_id: str


@checked
class ModuleVersion:
    """A version of a module: a snapshot, what of it runs, and its ports; nothing of these ever changes.

    `Module.publish_python_script` makes one, `Module.resolve` and `ModuleVersion.get` find it.

    Args:
        workspace: The workspace that knows it.
        block: The document that Prefect's server keeps of it.

    Attributes:
        workspace: The workspace that knows it.
        block: The document that Prefect's server keeps of it.
    """

    def __init__(self, workspace: BaseWorkspace, block: ModuleVersionBlock) -> None:
        self.workspace = workspace
        self.block = block

    @classmethod
    def get(cls, workspace: BaseWorkspace, module_version_id: str) -> ModuleVersion:
        """Return the version of that id.

        Args:
            workspace: The workspace that knows it.
            module_version_id: Its id.

        Returns:
            The version.

        Raises:
            UserErrorException: There is none.
        """
        block = documents.load(ModuleVersionBlock, f"module-version-{module_version_id}")
        if block is None or block.workspace != workspace.name:
            raise UserErrorException(
                f"There is no module version {module_version_id!r}",
                {"workspace": workspace.name},
                "List the versions with `stepwell modules`.",
            )
        return cls(workspace, block)

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.block.version_id

    module_version_id = id

    @property
    def module_id(self) -> str:
        """The id of its module."""
        return self.block.module_id

    @property
    def version(self) -> str:
        """The version."""
        return self.block.version

    @property
    def description(self) -> str:
        """What it does."""
        return self.block.description

    @property
    def status(self) -> str:
        """`Active`, `Deprecated` or `Disabled`."""
        return self.block.status

    @property
    def kind(self) -> str:
        """What its script is: `python`, `adla` or `azure_batch`."""
        return self.block.kind

    @property
    def script(self) -> str:
        """The path of its script in its snapshot."""
        return self.block.script

    @property
    def inputs(self) -> list[InputPortDef]:
        """The ports of what it reads."""
        return [InputPortDef(**port) for port in self.block.inputs]

    @property
    def outputs(self) -> list[OutputPortDef]:
        """The ports of what it writes."""
        return [OutputPortDef(**port) for port in self.block.outputs]

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters, and their defaults."""
        return dict(self.block.params)

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

    def _change(self, **facts: Any) -> None:
        what = f"version {self.version!r} of the module"
        block = documents.newest(self.block, what).model_copy(update=facts)
        documents.replace(block, what)
        self.block = block

    def __repr__(self) -> str:
        return f"ModuleVersion(version={self.version!r}, id={self.id!r}, status={self.status!r})"
