"""`DatabricksCompute`: steps as jobs of a Databricks workspace, or, where one is not at hand, on Spark of this machine."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.arguments.resource_ids import group_and_name
from stepwell.blocks.compute.base import refuse_inside_step
from stepwell.blocks.compute.compute_target import FoundByName
from stepwell.blocks.compute.databricks.connection import (
    HOST,
    TOKEN,
    Address,
    StoppableClock,
    connect,
    require_sdk,
    told,
)
from stepwell.blocks.compute.databricks.job_settings import DRIVERS
from stepwell.blocks.compute.databricks.remote_contents import contents, taken_by
from stepwell.blocks.compute.databricks.remote_job import JobOptions, run_remote
from stepwell.blocks.compute.spark.local_spark import run_on_spark
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.keyvault import secret_of
from stepwell.blocks.workspace.stand_ins import chosen_outside
from stepwell.blocks.workspace.workspace_store import WorkspaceBlock
from stepwell.errors import ComputeTargetException, UserErrorException
from stepwell.model.definitions import Piece
from stepwell.model.redaction import is_secret_name

if TYPE_CHECKING:
    from stepwell.blocks.compute.job import Finished, Job
    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace
    from stepwell.model.definitions import StepDefinition

_LOOK_SECONDS = 30
_PLACEHOLDER = re.compile(r"<[^<>]*>")


@checked
class DatabricksCompute(FoundByName):
    """A Databricks workspace, where each step is a job. `DatabricksCompute(ws, name)` finds the target of that name.

    With `local`, or where STEPWELL_V1_DATABRICKS is `local`, its steps run on Spark of this machine instead.

    Attributes:
        max_concurrent: How many steps of a pipeline run at once.
        host: The workspace's address, as in `https://adb-123.4.azuredatabricks.net`; '' is that of DATABRICKS_HOST.
        access_token: The token that opens it, kept as a secret; '' is `keyvault_entry`, else that of DATABRICKS_TOKEN.
        keyvault_entry: The name under which the key vault of the target's workspace, or a Secret block of Prefect, has it.
        resource_group: Azure's group of the workspace, as in Azure ML SDK v1; kept, not used.
        workspace_name: Azure's name of the workspace, as in Azure ML SDK v1; kept, not used.
        spark_version: The runtime of new clusters whose step names none; '' is the newest with long-term support.
        node_type: The kind of machine of new clusters whose step names none; '' is the smallest with a disk.
        files_folder: Where a job's files stand while it runs: a folder of `dbfs:/` or of a volume.
        notebooks_folder: Where notebooks of this machine stand while they run.
        shares_datastores: Whether its clusters open the datastores that they could reach; else all data go through its files.
        local: Whether steps run on Spark of this machine.
        folder: With `local`, the folder that stands in for the files and notebooks of the workspace.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Databricks Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-databricks-compute"
    _description: ClassVar[str | None] = "Runs steps as jobs of a Databricks workspace."

    host: str = Field(default="", description="The workspace's address; '' is that of DATABRICKS_HOST.")
    access_token: SecretStr = Field(default=SecretStr(""), description="The token that opens it.")
    keyvault_entry: str = Field(default="", description="The name under which the key vault has that token.")
    resource_group: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    workspace_name: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    spark_version: str = Field(default="", description="The runtime of new clusters; '' is the newest with support.")
    node_type: str = Field(default="", description="The machines of new clusters; '' is the smallest with a disk.")
    files_folder: str = Field(
        default="dbfs:/tmp/stepwell",
        pattern=r"^(dbfs:/|/Volumes/)\S*$",
        description="Where a job's files stand while it runs: a folder of `dbfs:/` or of a volume.",
    )
    notebooks_folder: str = Field(
        default="/Shared/stepwell", pattern="^/", description="Where notebooks of this machine stand while they run."
    )
    shares_datastores: bool = Field(default=True, description="Whether its clusters open the datastores themselves.")
    local: bool = Field(default=False, description="Whether steps run on Spark of this machine.")
    folder: str = Field(default="", description="With `local`, the folder that stands in for the workspace's files.")
    _stand_in: str | None = PrivateAttr(None)
    _contents: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        super().__init__(workspace, name, **fields)

    @classmethod
    def attach_configuration(
        cls,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        resource_id: str | None = None,
        access_token: str | SecretStr = "",
        *,
        host: str = "",
        local: bool = False,
    ) -> DatabricksCompute:
        """Return a configuration for `ComputeTarget.attach`, as in Azure ML SDK v1, where Azure knows the workspace's address.

        Args:
            resource_group: Azure's group of the Databricks workspace; kept, not used.
            workspace_name: Azure's name of it; kept, not used.
            resource_id: Azure's whole name of it, in place of the two.
            access_token: The token that opens it, kept as a secret; a placeholder such as `<token>` is none.
            host: Not in v1: the workspace's address; '' is that of DATABRICKS_HOST when a step runs.
            local: Not in v1: whether steps run on Spark of this machine.

        Returns:
            The settings, as a target that is not saved.

        Raises:
            ComputeTargetException: Nothing says which workspace it is, or the resource id is none of a workspace.
        """
        if resource_id:
            found = group_and_name("workspaces", resource_group, workspace_name, resource_id)
            if found is None:
                hint = "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Databricks/workspaces/…."
                raise ComputeTargetException(
                    "The resource id names no Databricks workspace, or another one than what stands beside it",
                    {"resource_id": resource_id, "resource_group": resource_group, "workspace_name": workspace_name},
                    hint,
                )
            resource_group, workspace_name = found
        if not (host or local or (resource_group and workspace_name)):
            raise ComputeTargetException(
                "Nothing says which Databricks workspace to attach",
                hint="Pass `resource_group` and `workspace_name`, a `resource_id`, or a `host`.",
            )
        token = access_token.get_secret_value() if isinstance(access_token, SecretStr) else access_token
        return cls(
            host=host,
            access_token=SecretStr("" if _PLACEHOLDER.fullmatch(token) else token),
            resource_group=resource_group or "",
            workspace_name=workspace_name or "",
            local=local,
        )

    def get_credentials(self) -> dict[str, str]:
        """Return the token that opens the workspace, as in Azure ML SDK v1.

        Returns:
            A dict with `databricksAccessToken`.

        Raises:
            ComputeTargetException: There is no token, or a step called it.
        """
        refuse_inside_step("read the credentials of")
        return {"databricksAccessToken": self._token()}

    # Steps ------------------------------------------------------------------------------------------------------------

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job in the Databricks workspace, or on Spark of this machine.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the job ended, and where its outputs stand on this machine.

        Raises:
            ComputeTargetException: The workspace can't be reached, or refuses something.
            StepFailedException: The job failed, or left no output.
        """
        if not self.is_remote:
            return run_on_spark(job, on_output, stop, redact, folder=self.folder)
        return run_remote(job, self._address(), self._options, on_output, stop, redact)

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step is no DatabricksStep, or has a secret that the workspace would show.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The target can't run the step.
        """
        name = self.name or self.type
        if step.driver is None or step.driver.name not in DRIVERS:
            title = f"The compute target {name!r} runs steps of the type DatabricksStep only"
            hint = "Make the step a DatabricksStep, or choose another compute target."
            raise ComputeTargetException(title, {"step": step.name, "type": step.type}, hint)
        secret = [p.name for p in step.parameters if p.secret]
        secret += [name for name in (*step.params, *step.environment.variables) if is_secret_name(name)]
        if secret and self.is_remote:
            title = f"The step {step.name!r} has a secret that everybody in the Databricks workspace could read"
            hint = "Keep it in a secret scope of that workspace, and read it with `dbutils.secrets.get`."
            raise ComputeTargetException(title, {"secret": secret[0]}, hint)

    def with_contents(self, step: StepDefinition) -> StepDefinition:
        """Return the step, told the digests of what it takes from the Databricks workspace: its notebook, script, libraries.

        Args:
            step: The definition of the step.

        Returns:
            The definition, with a setting of its driver for each.

        Raises:
            ComputeTargetException: The workspace can't be reached, or has no such thing.
        """
        if step.driver is None or step.driver.name not in DRIVERS or not self.is_remote:
            return step
        taken = taken_by(step)
        if missing := [what for what in taken if what.path not in self._contents]:
            address = self._address()
            client = connect(address, StoppableClock(), retry_seconds=_LOOK_SECONDS)
            self._contents |= contents(address, client, missing)
        told_of = {f"content of {what.path}": (Piece("text", self._contents[what.path]),) for what in taken}
        return replace(step, driver=replace(step.driver, settings={**step.driver.settings, **told_of}))

    def ready(self) -> None:
        """Raise ComputeTargetException if the workspace can't be reached, or does not take the token.

        Raises:
            ComputeTargetException: Its SDK is not installed, its address or token is not known, or it does not answer.
        """
        if not self.is_remote:
            return
        require_sdk()
        address = self._address()
        with told(address, "be used"):
            connect(address, StoppableClock(), retry_seconds=_LOOK_SECONDS).current_user.me()

    # Where it is ------------------------------------------------------------------------------------------------------

    @property
    def is_remote(self) -> bool:
        """Whether steps run in the Databricks workspace, not on Spark of this machine."""
        chosen = "local" if self.local else chosen_outside("databricks") or self._chosen_for_workspace
        return chosen != "local"

    @property
    def _chosen_for_workspace(self) -> str:
        if self._stand_in is None:
            block = documents.load_named(WorkspaceBlock, self.workspace) if self.workspace else None
            self._stand_in = block.stand_ins.get("databricks", "") if block else ""
        return self._stand_in

    @property
    def inherits_packages(self) -> bool:  # type: ignore[override]  # (it depends on where steps run)
        """Whether steps find the packages in use: on Spark of this machine they do."""
        return not self.is_remote

    @property
    def follows_links(self) -> bool:  # type: ignore[override]  # (it depends on where steps run)
        """Whether steps find what links in their data lead to: on this machine they do."""
        return not self.is_remote

    @property
    def _options(self) -> JobOptions:
        return JobOptions(
            self.files_folder, self.notebooks_folder, self.spark_version, self.node_type, self.shares_datastores
        )

    def _address(self) -> Address:
        name, host = self.name or self.type, self.host or os.environ.get(HOST, "")
        if not host:
            facts = {"resource group": self.resource_group, "workspace": self.workspace_name}
            raise ComputeTargetException(
                f"The address of the Databricks workspace of {name!r} is not known here",
                {what: text for what, text in facts.items() if text},
                f"Set {HOST} to it, as in https://adb-123.4.azuredatabricks.net, or attach the target with `host=`.",
            )
        return Address(name, host if "://" in host else f"https://{host}", self._token())

    def _token(self) -> str:
        token = self.access_token.get_secret_value()
        if not token and self.keyvault_entry:
            try:
                token = secret_of(self.workspace, self.keyvault_entry)
            except UserErrorException as error:
                raise ComputeTargetException(error.title, error.facts, error.hint) from None
        token = token or os.environ.get(TOKEN, "")
        if not token:
            title = f"There is no access token for the Databricks workspace of {self.name or self.type!r}"
            raise ComputeTargetException(title, hint=f"Attach the target with one, or set {TOKEN}.")
        return token
