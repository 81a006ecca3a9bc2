"""`Schedule`: runs a published pipeline, or a pipeline endpoint's default, at times or when data have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self
from uuid import uuid4

from stepwell.blocks.server import documents
from stepwell.blocks.server.documents import client
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.publications import ScheduleBlock, check_name
from stepwell.deployments.schedules.prefect_schedules import begin, check, end, plain_values, request_of, target_of
from stepwell.deployments.schedules.recurrence import ScheduleRecurrence
from stepwell.errors import ExperimentExecutionException, UserErrorException
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.publishing.lock import publications_locked
from stepwell.flows.publishing.run_requests import submit_run

_PAGE = 200


class Schedule:
    """A schedule. Prefect, with a worker, does what it says; a data-triggered one needs `stepwell serve`."""

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
        datastore: Any = None,
        polling_interval: float = 5,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
        *,
        _pipeline_endpoint_id: str = "",
    ) -> Self:
        """The new schedule: with a recurrence, or for a datastore whose `path_on_datastore` is looked at for changed files.

        `polling_interval` are minutes. What the runs could not be given raises UserErrorException.
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
        _refuse_contradictions(block)
        published = target_of(block)
        go_on = published.continue_on_failure if continue_on_step_failure is None else continue_on_step_failure
        values = plain_values(published, pipeline_parameters or {})
        block = block.model_copy(update={"continue_on_failure": go_on, "parameters": values})
        _check_trigger(workspace, block)
        check(block, published)
        with ExitStack() as undo:
            if recurrence is not None:
                block = begin(block, published)
                undo.callback(end, block)
            documents.save(block, block.document)
            undo.pop_all()
        schedule = cls(workspace, block)
        if recurrence is not None and recurrence.runs_at_once:
            submit_run(published, request_of(block, published, f"stepwell-schedule-{block.schedule_id}"), workspace)
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
        **more: Any,
    ) -> Self:
        """The new schedule of whatever version is the endpoint's default when it is due."""
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
        """The schedule of that id; ExperimentExecutionException if there is none."""
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
        """The workspace's schedules, newest first; those of one pipeline or endpoint."""
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
        """When it runs; None if data trigger it."""
        return ScheduleRecurrence.from_json(self.block.recurrence) if self.block.recurrence else None

    @property
    def error_status(self) -> str:
        """Always empty: what is wrong with a schedule is told when it is made."""
        return ""

    # What it does ---------------------------------------------------------------------------------------------------

    def enable(self, wait_for_provisioning: bool = False, wait_timeout: int = 3600) -> None:
        """Nothing; it starts runs again. What changed while it was disabled counts as seen."""
        self._change(lambda block: block.model_copy(update={"status": "Active", "seen": None}))

    def disable(self, wait_for_provisioning: bool = False, wait_timeout: int = 3600) -> None:
        """Nothing; it starts no more runs."""
        self._change(lambda block: block.model_copy(update={"status": "Disabled"}))

    def update(
        self,
        name: str | None = None,
        description: str | None = None,
        recurrence: ScheduleRecurrence | None = None,
        pipeline_parameters: Mapping[str, Any] | None = None,
        status: str | None = None,
        wait_for_provisioning: bool = False,
        wait_timeout: int = 3600,
        datastore: Any = None,
        polling_interval: float | None = None,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,
        path_on_datastore: str | None = None,
    ) -> None:
        """Nothing; what is given is so from now on, all of it or, after an error, nothing."""
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
        """The runs that it has started, newest first."""
        experiment = Experiment(self.workspace, self.block.experiment_name)
        return [PipelineRun(experiment, run_id) for run_id in self._run_ids()]

    def get_last_pipeline_run(self) -> PipelineRun | None:
        """The run that it started last; None if there is none yet."""
        runs = self.get_pipeline_runs()
        return runs[0] if runs else None

    def _run_ids(self) -> Sequence[str]:
        """Runs that Prefect made of it know its schedule; those that were ordered have its tag."""
        by = [{"tags": {"all_": [f"ScheduleId:{self.id}"]}}]
        if self.block.prefect_schedule_ids:
            by.append({"created_by": {"id_": self.block.prefect_schedule_ids}})
        found: dict[str, str] = {}
        with client() as api:
            for asked in by:
                begun = {**asked, "state": {"name": {"not_any_": ["Scheduled"]}}}
                body = {"flow_runs": begun, "sort": "START_TIME_DESC", "limit": _PAGE}
                for run in api.request("POST", "/flow_runs/filter", json=body).json():
                    found[run["id"]] = str(run["expected_start_time"])
        return sorted(found, key=lambda run_id: found[run_id], reverse=True)

    # ----------------------------------------------------------------------------------------------------------------

    def _change(self, changed: Callable[[ScheduleBlock], ScheduleBlock]) -> None:
        with publications_locked(self.workspace), ExitStack() as undo:
            before = documents.load(ScheduleBlock, self.block.document) or self.block
            block = changed(before)
            _refuse_contradictions(block)
            _check_trigger(self.workspace, block)
            published = target_of(block)
            check(block, published)
            if block.recurrence is not None and block.status == "Active":
                block = begin(block, published)
                undo.callback(end, block)
            documents.save(block, block.document)
            undo.pop_all()
            end(before)
            self.block = block

    def __repr__(self) -> str:
        return f"Schedule(name={self.name!r}, id={self.id!r}, status={self.status!r})"


def _refuse_contradictions(block: ScheduleBlock) -> None:
    if bool(block.recurrence) == bool(block.datastore):
        raise UserErrorException(
            "A schedule needs either a recurrence or a datastore", hint="Pass `recurrence=` or `datastore=`."
        )
    if not 1 / 60 <= block.polling_minutes <= 60 * 24 * 365:
        raise UserErrorException(
            f"{block.polling_minutes!r} is no polling interval", hint="Pass minutes, from 1/60 to a year."
        )
    if block.recurrence and (block.path_on_datastore or block.data_path_parameter):
        raise UserErrorException(
            "A path goes with a datastore, not with a recurrence", hint="Leave it out, or pass `datastore=`."
        )


def _check_trigger(workspace: BaseWorkspace, block: ScheduleBlock) -> None:
    if not block.datastore:
        return
    if block.datastore not in workspace.datastores:
        raise UserErrorException(
            f"There is no datastore {block.datastore!r}",
            {"datastores": ", ".join(workspace.datastores)},
            "Correct the name, or register the datastore.",
        )
    workspace.datastores[block.datastore].inside(block.path_on_datastore)
    if block.data_path_parameter:
        known = {str(plain["name"]): plain["type"] for plain in target_of(block).parameters}
        if known.get(block.data_path_parameter) != "data":
            raise UserErrorException(
                f"The pipeline has no data path parameter {block.data_path_parameter!r}",
                {"parameters": ", ".join(known) or "none"},
                "Name a parameter whose default is a DataPath.",
            )
        if block.data_path_parameter in block.parameters:
            raise UserErrorException(
                f"The parameter {block.data_path_parameter!r} is what the trigger sets",
                hint="Leave it out of `pipeline_parameters`.",
            )
