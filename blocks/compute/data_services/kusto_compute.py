"""`KustoCompute`: a Kusto cluster, which queries are sent to from this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.compute_target import ComputeTarget, FoundByName
from stepwell.blocks.compute.local_compute import LocalCompute
from stepwell.blocks.compute.local_run import run_here
from stepwell.blocks.system.home import home
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from stepwell.blocks.compute.job import Finished, Job
    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal
    from stepwell.blocks.workspace.base_workspace import BaseWorkspace
    from stepwell.model.definitions import StepDefinition

DRIVER, VARIABLE = "kusto", "STEPWELL_KUSTO_CONNECTION"
"""The driver whose steps it runs, and the variable in which that finds the cluster and the credentials."""


@checked
class KustoCompute(FoundByName, LocalCompute):
    """A Kusto cluster (Azure Data Explorer), which a `KustoStep` queries. `KustoCompute(ws, name)` finds one.

    A process of this machine sends the query: as the application whose key is given, else as whoever has logged in with
    `az login`. A cluster whose address begins with `http://` is asked without credentials. Its other attributes are those of
    `LocalCompute`.

    Attributes:
        kusto_connection_string: The cluster's address, `https://<cluster>.<region>.kusto.windows.net`.
        application_id: The application that asks.
        application_key: Its key, kept as a secret.
        tenant_id: The tenant that it belongs to.
        resource_group: Kept, not used.
        workspace_name: Kept, not used.
        resource_id: Kept, not used.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Kusto Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-kusto-compute"
    _description: ClassVar[str | None] = "Sends queries to a Kusto cluster."
    default_name: ClassVar[str] = ""
    attach: ClassVar[Callable[..., Compute]] = ComputeTarget.attach

    kusto_connection_string: str = Field(default="", description="The cluster's address.")
    application_id: str = Field(default="", description="The application that asks.")
    application_key: SecretStr = Field(default=SecretStr(""), description="The key of that application.")
    tenant_id: str = Field(default="", description="The tenant that the application belongs to.")
    resource_group: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    workspace_name: str = Field(default="", description="Kept for users of Azure ML; not needed.")
    resource_id: str = Field(default="", description="Kept for users of Azure ML; not needed.")

    def __init__(self, workspace: BaseWorkspace | str = "", name: str = "", **fields: Any) -> None:
        super().__init__(workspace, name, **fields)

    @classmethod
    def attach_configuration(
        cls,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        resource_id: str | None = None,
        tenant_id: str | None = None,
        kusto_connection_string: str | None = None,
        application_id: str | None = None,
        application_key: str | None = None,
    ) -> KustoCompute:
        """Return a configuration for `ComputeTarget.attach`.

        Args:
            resource_group: Kept, not used.
            workspace_name: Kept, not used.
            resource_id: Kept, not used.
            tenant_id: The tenant that the application belongs to.
            kusto_connection_string: The cluster's address.
            application_id: The application that asks; None: whoever has logged in with `az login`.
            application_key: The application's key.

        Returns:
            The settings, as a target that is not saved.

        Raises:
            ComputeTargetException: No cluster is named, or the application's key or tenant is missing.
        """
        if not kusto_connection_string:
            raise ComputeTargetException(
                "A KustoCompute needs a cluster: there is none here to ask",
                hint="Pass its address as `kusto_connection_string`.",
            )
        if not re.match(r"https?://[^/\s]+|[\w ]+=.+;?", kusto_connection_string.strip()):
            raise ComputeTargetException(
                "`kusto_connection_string` is no address of a cluster",
                {"value": kusto_connection_string},
                "Pass it such as `https://<cluster>.<region>.kusto.windows.net`.",
            )
        if application_id and not (application_key and tenant_id):
            raise ComputeTargetException(
                "An application that asks Kusto needs a key and a tenant",
                {"application_id": application_id},
                "Pass `application_key` and `tenant_id`.",
            )
        return KustoCompute(
            kusto_connection_string=kusto_connection_string,
            application_id=application_id or "",
            application_key=SecretStr(application_key or ""),
            tenant_id=tenant_id or "",
            resource_group=resource_group or "",
            workspace_name=workspace_name or "",
            resource_id=resource_id or "",
        )

    def check(self, step: StepDefinition) -> None:
        """Raise ComputeTargetException if the step is no query.

        Args:
            step: The definition of the step.

        Raises:
            ComputeTargetException: The step is no KustoStep.
        """
        if step.driver is None or step.driver.name != DRIVER:
            raise ComputeTargetException(
                f"The Kusto cluster {self.name!r} runs queries alone",
                {"step": step.name, "it is a": step.type},
                "Use a KustoStep, or choose another compute target.",
            )
        super().check(step)

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the query from a process of this machine.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the process's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.
        """
        key = self.application_key.get_secret_value()
        connection = {
            "cluster": self.kusto_connection_string,
            "application_id": self.application_id,
            "application_key": key,
            "tenant_id": self.tenant_id,
        }

        def hide(text: str) -> str:
            return redact(text.replace(key, "***") if key else text)

        variables = {VARIABLE: json.dumps(connection)}
        return run_here(job, home() / "cache", on_output, stop, hide, variables=variables)
