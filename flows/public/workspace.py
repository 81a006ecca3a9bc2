"""`Workspace`: the public workspace, which also knows its experiments and runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.compute_target import targets_of
from stepwell.blocks.compute.spark.linked_service import LinkedService
from stepwell.blocks.datasets.dataset import Dataset
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.keyvault import Keyvault
from stepwell.errors import UserErrorException
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.model import Model
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.publishing.removal import remove_workspace
from stepwell.flows.runs.elsewhere.finding import known_runs


@checked
class Workspace(BaseWorkspace):
    """A home for pipelines: `create` it once, `get` it by name, or find it with `from_config`."""

    @property
    def compute_targets(self) -> dict[str, Compute]:
        """The workspace's compute targets, by name: one of each kind with its defaults, and those that were saved."""
        return targets_of(self)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that have runs, by name."""
        names = dict.fromkeys(run.experiment for run in known_runs(self))
        return {name: Experiment(self, name) for name in names}

    @property
    def environments(self) -> dict[str, Environment]:
        """The latest version of each registered environment, by name."""
        return Environment.list(self)

    @property
    def models(self) -> dict[str, Model]:
        """The latest version of each registered model, by name."""
        return {model.name: model for model in Model.list(self, latest=True)}

    @property
    def datasets(self) -> dict[str, Any]:
        """The latest version of each registered dataset, by name: a FileDataset or TabularDataset."""
        return Dataset.get_all(self)

    def get_run(self, run_id: str) -> PipelineRun:
        """Find a run by its short name, its id, or the beginning of that.

        Args:
            run_id: `digits#12`, `#12`, the id, or as much of its beginning as no other run has.

        Returns:
            The run.

        Raises:
            ExperimentExecutionException: No run, or more than one, is meant.
        """
        return PipelineRun.get(self, run_id)

    def get_default_keyvault(self) -> Keyvault:
        """Return the workspace's secrets.

        Returns:
            Where `set_secret` and `get_secret` are.
        """
        return Keyvault(self)

    def get_default_compute_target(self, type: str) -> Compute | None:
        """Return the target that steps without another one may use.

        Args:
            type: `CPU` or `GPU`.

        Returns:
            This machine, or its GPUs; None for any other word.
        """
        names = {"CPU": "local", "GPU": "cuda"}
        return self.compute_targets.get(names.get(type.upper(), ""))

    def get_mlflow_tracking_uri(self, _with_auth: bool = False) -> str:
        """Return where MLflow is to keep what it tracks outside of steps: `mlflow.set_tracking_uri(…)`.

        From release 3 on, MLflow logs to files only where MLFLOW_ALLOW_FILE_STORE says so, which is set in this process.

        Returns:
            The URI of a folder of the workspace.
        """
        folder = self.folder.absolute() / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        return folder.as_uri()

    @classmethod
    def setup(cls) -> Self:
        """Return the workspace of the nearest config file; where there is none, one called `default`, whose file is written.

        Returns:
            The workspace.
        """
        try:
            return cls.from_config()
        except UserErrorException:
            workspace = cls.create("default", exist_ok=True)
            workspace.write_config()
            return workspace

    def update(
        self,
        friendly_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        image_build_compute: str | None = None,
        service_managed_resources_settings: Any = None,
        primary_user_assigned_identity: str | None = None,
        allow_public_access_when_behind_vnet: bool | None = None,
        v1_legacy_mode: bool | None = None,
    ) -> dict[str, Any]:
        """Change what people are told of the workspace; what is None stays.

        Args:
            friendly_name: A name for people.
            description: What it is for.
            tags: All labels that it has from now on.
            image_build_compute: Accepted for v1's sake; not used, as all that follow.
            service_managed_resources_settings: See `image_build_compute`.
            primary_user_assigned_identity: See `image_build_compute`.
            allow_public_access_when_behind_vnet: See `image_build_compute`.
            v1_legacy_mode: See `image_build_compute`.

        Returns:
            The workspace's details.
        """
        texts = None if tags is None else {str(name): str(value) for name, value in tags.items()}
        changes = {"friendly_name": friendly_name, "description": description, "tags": texts}
        self._change(**{name: value for name, value in changes.items() if value is not None})
        return self.get_details()

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Delete the workspace with its datastores, targets, schedules, secrets and all that is published in it; data stay.

        Args:
            delete_dependent_resources: Accepted for v1's sake; not used: data and results stay on disk.
            no_wait: Accepted for v1's sake; not used.
        """
        remove_workspace(self.name)

    def sync_keys(self, no_wait: bool = False) -> None:
        """Do nothing: the keys of datastores are those that they were registered with.

        Args:
            no_wait: Accepted for v1's sake; not used.
        """

    @property
    def webservices(self) -> dict[str, Any]:
        """No webservice: Stepwell serves none."""
        return {}

    @property
    def images(self) -> dict[str, Any]:
        """No image: those of steps have no names."""
        return {}

    @property
    def linked_services(self) -> dict[str, LinkedService]:
        """The linked services that are registered, by name."""
        return {service.name: service for service in LinkedService.list(self)}
