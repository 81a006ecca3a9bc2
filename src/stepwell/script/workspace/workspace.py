"""`Workspace` as a script of a step has it: the one of its run, to be looked at."""

from __future__ import annotations

import os

from stepwell.errors import ComputeTargetException, WorkspaceException
from stepwell.script import channel
from stepwell.script.workspace.datastore import Datastore
from stepwell.script.workspace.keyvault import Keyvault
from stepwell.script.workspace.public_names import Narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn, Self

    from stepwell.script.workspace.experiment import Experiment
    from stepwell.script.workspace.model import Model

_REFUSED = ("delete", "update", "sync_keys", "setup", "set_default_datastore", "add_private_endpoint")


class Workspace(Narrow):
    """The workspace of the run that the script is part of, whatever the arguments say but another name."""

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
        self._facts: dict[str, Any] | None = None
        if workspace_name != self.name:
            raise WorkspaceException(
                f"A step reaches the workspace of its run only, which is not {workspace_name!r}",
                {"workspace of the run": self.name},
                "Use `Run.get_context().experiment.workspace`.",
            )

    @classmethod
    def of_run(cls) -> Self:
        """Return the workspace of the run."""
        workspace = cls.__new__(cls)
        workspace._facts = None  # noqa: SLF001  (its own)
        return workspace

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        auth: object = None,
        _logger: object = None,
        _file_name: str | None = None,
    ) -> Self:
        """Return the workspace of the run, whatever a config file says."""
        return cls.of_run()

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
        """Return the workspace of the run; raise WorkspaceException if it has another name."""
        return cls(subscription_id, resource_group, name)

    @classmethod
    def list(
        cls, subscription_id: str | None = None, auth: object = None, resource_group: str | None = None
    ) -> dict[str, Self]:
        """Return the workspace of the run by its name: a step sees no other."""
        workspace = cls.of_run()
        return {workspace.name: workspace}

    @classmethod
    def create(cls, name: str, *_: object, **__: object) -> NoReturn:
        """Raise WorkspaceException: steps create none."""
        raise _can_not("create")

    # Facts ----------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The workspace's name."""
        return str(self._details["name"])

    @property
    def subscription_id(self) -> str:
        """The subscription that it was created or first opened with; '' if none."""
        return self._details.get("subscription_id") or ""

    @property
    def resource_group(self) -> str:
        """The resource group that it was created or first opened with; '' if none."""
        return self._details.get("resource_group") or ""

    @property
    def location(self) -> str:
        """The location that it was created or first opened with; '' if none."""
        return self._details.get("location") or ""

    @property
    def sku(self) -> str | None:
        """What it was created with."""
        return self._details.get("sku")

    @property
    def friendly_name(self) -> str | None:
        """The name for people."""
        return self._details.get("friendly_name")

    @property
    def tags(self) -> dict[str, str]:
        """Its labels."""
        return dict(self._details.get("tags") or {})

    @property
    def discovery_url(self) -> str | None:
        """The address of the server, for people."""
        return self._details.get("discoveryUrl")

    def get_details(self) -> dict[str, Any]:
        """Return all that is known of it but its secrets."""
        return {name: value for name, value in self._details.items() if name != "default_datastore"}

    @property
    def _details(self) -> dict[str, Any]:
        if self._facts is None:
            self._facts = dict(channel.ask("workspace.details"))
        return self._facts

    # What it holds --------------------------------------------------------------------------------------------------

    @property
    def datastores(self) -> dict[str, Datastore]:
        """Its datastores by name."""
        return {name: Datastore(self, name) for name in channel.ask("datastore.list")["datastores"]}

    def get_default_datastore(self) -> Datastore:
        """Return the datastore where results and outputs are kept."""
        return Datastore(self)

    @property
    def datasets(self) -> Mapping[str, Any]:
        """The latest version of each registered dataset, by name."""
        from stepwell.script.workspace.dataset import registered

        return registered(self)

    @property
    def models(self) -> dict[str, Model]:
        """The latest version of each registered model, by name."""
        from stepwell.script.workspace.model import Model

        return {model.name: model for model in Model.list(self, latest=True)}

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiment of the run, by its name."""
        from stepwell.script.workspace.experiment import Experiment

        name = str(channel.ask("run.details").get("experiment") or "")
        return {name: Experiment(self, name)}

    @property
    def environments(self) -> Mapping[str, Any]:
        """Its registered environments; each is asked for by its name."""
        from stepwell.script.workspace.environment import Environments

        return Environments(self)

    @property
    def compute_targets(self) -> NoReturn:
        """Raise ComputeTargetException: steps have no business with what they run on."""
        raise ComputeTargetException(
            "AuthenticationFailed: a step can't manage compute targets",
            {"workspace": self.name},
            "Manage compute targets where the pipeline is submitted.",
        )

    def get_default_keyvault(self) -> Keyvault:
        """Return the secrets of the workspace, to be read."""
        return Keyvault(self)

    def get_run(self, run_id: str) -> Any:
        """Return the pipeline run, or a step of it, by its id; raise UserErrorException for any other run."""
        from stepwell.script.workspace.step_run import PipelineRun

        return PipelineRun.get(self, run_id)

    def get_mlflow_tracking_uri(self, _with_auth: bool = False) -> str:
        """Return where MLflow logs to in this step; '' if that was not set."""
        return os.environ.get("MLFLOW_TRACKING_URI", "")

    def write_config(self, path: str | os.PathLike[str] | None = None, file_name: str | None = None) -> None:
        """Write the config file that names this workspace, as on the host."""
        import json

        folder = os.path.join(path or ".", ".azureml")
        os.makedirs(folder, exist_ok=True)
        shown = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
        }
        with open(os.path.join(folder, file_name or "config.json"), "w", encoding="utf-8") as stream:
            stream.write(json.dumps(shown, indent=4) + "\n")

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            raise _can_not("change")
        return super().__getattr__(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )


def _can_not(verb: str) -> WorkspaceException:
    return WorkspaceException(f"A step can't {verb} workspaces", hint="Do it where the pipeline is submitted.")
