"""`Schedule`: runs a published pipeline, or a pipeline endpoint's default, at times or when data have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self, Unpack
from uuid import uuid4

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.publications import ScheduleBlock, check_name
from stepwell.deployments.schedules.prefect_schedules import (
    activate,
    check,
    deactivate,
    plain_values,
    run_ids_of,
    run_request_for,
    target_of,
)
from stepwell.deployments.schedules.recurrence import ScheduleRecurrence
from stepwell.deployments.schedules.schedule_checks import check_consistency, check_enabled, check_trigger
from stepwell.deployments.schedules.schedule_options import ScheduleOptions
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.publishing.lock import publications_locked
from stepwell.flows.publishing.submission import submit_run


@checked
class Schedule:
    """A schedule. Prefect, with a worker, does what it says; a data-triggered one needs `stepwell serve`.

    Attributes:
        workspace: The workspace that it belongs to.
        block: Its document, as last read or saved.
    """

    def __init__(self, workspace: BaseWorkspace, block: ScheduleBlock) -> None:
        self.workspace = workspace
        self.block = block

    @classmethod
    def create(
        cls,
        workspace: BaseWorkspace,
        name: str,
        pipeline_id: str = "",
        experiment_name: str = "",
        recurrence: ScheduleRecurrence | None = None,
        description: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        wait_for_provisioning: bool = False,
        wait_timeout: int = 3600,
        datastore: Datastore | str | None = None,
        polling_interval: float = 5,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
        *,
        _pipeline_endpoint_id: str = "",
    ) -> Self:
        """Make a schedule: with a recurrence, or for a folder that is polled for changed files, as in Azure ML SDK v1.

        Args:
            workspace: The pipeline's workspace.
            name: Its name; several may share one.
            pipeline_id: The id of the published pipeline to run.
            experiment_name: The experiment that the runs belong to.
            recurrence: At which times to run; excludes `datastore`.
            description: What it is for.
            pipeline_parameters: Values by parameter; others keep their defaults. Secrets are not taken.
            wait_for_provisioning: Accepted for v1's sake; not used.
            wait_timeout: Accepted for v1's sake; not used.
            datastore: The datastore, or its name, where changed files start runs; excludes `recurrence`.
            polling_interval: Minutes between two polls of the folder, 1/60 to a year.
            data_path_parameter_name: The parameter that is given each changed file; without it, all the changes that
                are seen at once start one run.
            continue_on_step_failure: Whether runs go on past failed steps; None: as published.
            path_on_datastore: The folder to poll, without its sub-folders; by default the datastore's root.

        Returns:
            The new schedule, which is active.

        Raises:
            UserErrorException: If the arguments contradict each other, the runs could not be given them, or the pipeline
                is disabled.
            ExperimentExecutionException: If there is no such pipeline.
        """
        block = ScheduleBlock(
            schedule_id=str(uuid4()),
            workspace=workspace.name,
            name=check_name(name, "schedule"),
            description=description or "",
            created=time.time(),
            experiment_name=experiment_name,
            pipeline_id=pipeline_id,
            pipeline_endpoint_id=_pipeline_endpoint_id,
            recurrence=recurrence.to_json() if recurrence else None,
            datastore=str(getattr(datastore, "name", datastore) or ""),
            path_on_datastore=path_on_datastore or "",
            data_path_parameter=data_path_parameter_name or "",
            polling_minutes=polling_interval,
        )
        check_consistency(block)
        published = target_of(block)
        check_enabled(block, published)
        go_on = published.continue_on_failure if continue_on_step_failure is None else continue_on_step_failure
        values = plain_values(published, pipeline_parameters or {})
        block = block.model_copy(update={"continue_on_failure": go_on, "parameters": values})
        check_trigger(workspace, block)
        check(block, published)
        with ExitStack() as undo:
            if recurrence is not None:
                block = activate(block, published)
                undo.callback(deactivate, block)
            documents.save(block, block.document)
            undo.pop_all()
        schedule = cls(workspace, block)
        if recurrence is not None and recurrence.runs_at_once:
            submit_run(
                published, run_request_for(block, published, f"stepwell-schedule-{block.schedule_id}"), workspace
            )
        return schedule

    @classmethod
    def create_for_pipeline_endpoint(
        cls,
        workspace: BaseWorkspace,
        name: str,
        pipeline_endpoint_id: str,
        experiment_name: str,
        recurrence: ScheduleRecurrence | None = None,
        description: str | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        **more: Unpack[ScheduleOptions],
    ) -> Self:
        """Make a schedule of whatever version is the endpoint's default when it is due, as in Azure ML SDK v1.

        Args:
            workspace: The endpoint's workspace.
            name: Its name; several may share one.
            pipeline_endpoint_id: The id of the pipeline endpoint to run.
            experiment_name: The experiment that the runs belong to.
            recurrence: At which times to run; excludes `datastore`.
            description: What it is for.
            pipeline_parameters: Values by parameter; others keep their defaults.
            **more: The other arguments of `create`.

        Returns:
            The new schedule, which is active.

        Raises:
            UserErrorException: As `create`.
            ExperimentExecutionException: If there is no such endpoint.
        """
        return cls.create(
            workspace,
            name,
            "",
            experiment_name,
            recurrence,
            description,
            pipeline_parameters,
            _pipeline_endpoint_id=pipeline_endpoint_id,
            **more,
        )

    @classmethod
    def get(cls, workspace: BaseWorkspace, id: str) -> Self:
        """Return the schedule of that id.

        Args:
            workspace: The workspace to look in.
            id: The id.

        Returns:
            The schedule.

        Raises:
            ExperimentExecutionException: If there is none.
        """
        found = documents.load_any([ScheduleBlock], workspace=workspace.name, schedule_id=str(id))
        if not found:
            raise ExperimentExecutionException(
                f"There is no schedule {id!r}",
                {"workspace": workspace.name},
                "List them with `stepwell schedule list`.",
            )
        return cls(workspace, found[0])

    @classmethod
    def list(
        cls,
        workspace: BaseWorkspace,
        active_only: bool = True,
        pipeline_id: str | None = None,
        pipeline_endpoint_id: str | None = None,
    ) -> list[Self]:
        """Return the workspace's schedules, newest first.

        Args:
            workspace: The workspace.
            active_only: Leave out disabled ones; the default.
            pipeline_id: Only those of this published pipeline.
            pipeline_endpoint_id: Only those of this pipeline endpoint.

        Returns:
            The schedules.
        """
        found = documents.load_any([ScheduleBlock], workspace=workspace.name)
        found.sort(key=lambda block: block.created, reverse=True)
        return [
            cls(workspace, block)
            for block in found
            if (block.status == "Active" or not active_only)
            and pipeline_id in (None, block.pipeline_id)
            and pipeline_endpoint_id in (None, block.pipeline_endpoint_id)
        ]

    get_all = list

    # What it is -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.block.schedule_id

    @property
    def name(self) -> str:
        """Its name."""
        return self.block.name

    @property
    def description(self) -> str:
        """What it is for."""
        return self.block.description

    @property
    def status(self) -> str:
        """`Active` or `Disabled`."""
        return self.block.status

    @property
    def pipeline_id(self) -> str:
        """The id of the published pipeline; '' for a schedule of an endpoint."""
        return self.block.pipeline_id

    @property
    def pipeline_endpoint_id(self) -> str:
        """The id of the pipeline endpoint; '' for a schedule of a pipeline."""
        return self.block.pipeline_endpoint_id

    @property
    def schedule_type(self) -> str:
        """`Recurrence` or `DataTrigger`."""
        return "Recurrence" if self.block.recurrence else "DataTrigger"

    @property
    def recurrence(self) -> ScheduleRecurrence | None:
        """At which times it runs; None if data trigger it."""
        return ScheduleRecurrence.from_json(self.block.recurrence) if self.block.recurrence else None

    @property
    def error_status(self) -> str:
        """Always empty: what is wrong with a schedule is raised when it is made."""
        return ""

    # What it does ---------------------------------------------------------------------------------------------------

    def enable(self, wait_for_provisioning: bool = False, wait_timeout: int = 3600) -> None:
        """Start runs again; what changed while it was disabled counts as seen.

        Args:
            wait_for_provisioning: Accepted for v1's sake; not used.
            wait_timeout: Accepted for v1's sake; not used.

        Raises:
            UserErrorException: If the pipeline is disabled.
        """
        self._change(lambda block: block.model_copy(update={"status": "Active", "seen": None}))

    def disable(self, wait_for_provisioning: bool = False, wait_timeout: int = 3600) -> None:
        """Start no more runs.

        Args:
            wait_for_provisioning: Accepted for v1's sake; not used.
            wait_timeout: Accepted for v1's sake; not used.
        """
        self._change(lambda block: block.model_copy(update={"status": "Disabled"}))

    def delete(self) -> None:
        """Remove the schedule, which starts no more runs; those that it started stay."""
        with publications_locked(self.workspace):
            deactivate(documents.load(ScheduleBlock, self.block.document) or self.block)
            documents.delete(ScheduleBlock, self.block.document)

    def update(
        self,
        name: str | None = None,
        description: str | None = None,
        recurrence: ScheduleRecurrence | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        status: str | None = None,
        wait_for_provisioning: bool = False,
        wait_timeout: int = 3600,
        datastore: Datastore | str | None = None,
        polling_interval: float | None = None,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
    ) -> None:
        """Change what is given, all of it or, after an error, nothing; None leaves a value as it is.

        Args:
            name: Its new name.
            description: What it is for.
            recurrence: At which times to run.
            pipeline_parameters: Values by parameter, instead of all those before.
            status: `Active` or `Disabled`.
            wait_for_provisioning: Accepted for v1's sake; not used.
            wait_timeout: Accepted for v1's sake; not used.
            datastore: The datastore, or its name, where changed files start runs.
            polling_interval: Minutes between two polls of the folder.
            data_path_parameter_name: The parameter that is given each changed file.
            continue_on_step_failure: Whether runs go on past failed steps.
            path_on_datastore: The folder to poll.

        Raises:
            UserErrorException: If the values contradict each other, or the runs could not be given them.
        """
        given: dict[str, Any] = {
            "name": check_name(name, "schedule") if name is not None else None,
            "description": description,
            "recurrence": recurrence.to_json() if recurrence else None,
            "parameters": None
            if pipeline_parameters is None
            else plain_values(target_of(self.block), pipeline_parameters),
            "status": status,
            "datastore": str(getattr(datastore, "name", datastore)) if datastore is not None else None,
            "polling_minutes": polling_interval,
            "data_path_parameter": data_path_parameter_name,
            "continue_on_failure": continue_on_step_failure,
            "path_on_datastore": path_on_datastore,
        }
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        if status not in (None, "Active", "Disabled"):
            raise UserErrorException(f"{status!r} is no status", hint="Use Active or Disabled.")
        if changes.keys() & {"datastore", "path_on_datastore"}:
            changes["seen"] = None
        self._change(lambda block: block.model_copy(update=changes))

    def get_pipeline_runs(self) -> Sequence[PipelineRun]:
        """Return the runs that it has started, newest first.

        Returns:
            The runs.
        """
        experiment = Experiment(self.workspace, self.block.experiment_name)
        return [PipelineRun(experiment, run_id) for run_id in run_ids_of(self.block)]

    def get_last_pipeline_run(self) -> PipelineRun | None:
        """Return the run that it started last.

        Returns:
            The run; None if there is none yet.
        """
        runs = self.get_pipeline_runs()
        return runs[0] if runs else None

    # ----------------------------------------------------------------------------------------------------------------

    def _change(self, changed: Callable[[ScheduleBlock], ScheduleBlock]) -> None:
        with publications_locked(self.workspace), ExitStack() as undo:
            before = documents.newest(self.block, f"schedule {self.name!r}")
            block = changed(before)
            check_consistency(block)
            check_trigger(self.workspace, block)
            published = target_of(block)
            if block.status == "Active" != before.status:
                check_enabled(block, published)
            check(block, published)
            if block.recurrence is not None and block.status == "Active":
                block = activate(block, published)
                undo.callback(deactivate, block)
            documents.replace(block, f"schedule {self.name!r}")
            undo.pop_all()
            deactivate(before)
            self.block = block

    def __repr__(self) -> str:
        return f"Schedule(name={self.name!r}, id={self.id!r}, status={self.status!r})"
