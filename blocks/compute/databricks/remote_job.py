"""A step as a job of a Databricks workspace: its files sent there, the job run and followed, what it left fetched and removed."""

from __future__ import annotations

import io
import posixpath
import secrets
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from stepwell.blocks.compute.databricks.connection import Address, StoppableClock, Stopped, connect, told
from stepwell.blocks.compute.databricks.data_places import DataPlaces
from stepwell.blocks.compute.databricks.job_log import JobLog
from stepwell.blocks.compute.databricks.job_run import JobRun, Outcome, TimeIsUp
from stepwell.blocks.compute.databricks.job_settings import NOTEBOOK, JobSettings, with_paths
from stepwell.blocks.compute.databricks.job_sources import JobSources
from stepwell.blocks.compute.databricks.workspace_files import DBFS, VOLUMES, WorkspaceFiles
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.working_directory import redact_record
from stepwell.errors import StepFailedException, StepwellError
from stepwell.model.records import Exit

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Run

    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal

_RETRY_SECONDS = 900
_CANCELLED_CODE = -15
_SHOWN_LINES, _LARGEST_LOG = 12, 16 << 20


@dataclass(frozen=True)
class JobOptions:
    """What the target says of its jobs: folders of the workspace for files and notebooks, and what new clusters are."""

    files_folder: str
    notebooks_folder: str
    spark_version: str = ""
    node_type: str = ""
    on_datastores: bool = True


def run_remote(
    job: Job, address: Address, options: JobOptions, on_output: OnOutput, stop: StopSignal, redact: Redact
) -> Finished:
    """Run the job in the workspace, and return how it finished, with its outputs on this machine."""
    try:
        with JobLog(job, on_output, redact) as log:
            return RemoteJob(job, address, options, log, StoppableClock(stop, log.say)).run()
    finally:
        redact_record(job, redact)


@dataclass
class RemoteJob:
    """One attempt of a step in a workspace. `clock` says when it is stopped, and waits."""

    job: Job
    address: Address
    options: JobOptions
    log: JobLog
    clock: StoppableClock
    _chunks: int = field(default=0, init=False)
    _sent: bool = field(default=False, init=False)

    def run(self) -> Finished:
        """Do it, and leave nothing in the workspace but the run's own record."""
        began = self.clock.time()
        client = connect(self.address, self.clock, retry_seconds=_RETRY_SECONDS)
        name = f"{self.job.step_run_id}-{secrets.token_hex(4)}"
        folder = f"{self.options.files_folder.rstrip('/')}/{name}"
        notebooks = f"{self.options.notebooks_folder.rstrip('/')}/{name}"
        files = WorkspaceFiles(client)
        places = DataPlaces(self.job, files, folder, on_datastores=self.options.on_datastores)
        run = JobRun(self.address, client, self.clock, self.log)
        limit = self.job.call.definition.timeout_seconds
        try:
            with told(self.address, "write to its files"):
                places.send(self.log.say)
                self._sent = True
                task = self._task(client, files, folder, notebooks, places)
            run.submit(self._run_name, self.job.step_run_id, task, limit)
            ended = run.follow(began + (inf if limit is None else limit), lambda: self._show_log(files, folder))
            return self._finished(run, ended, files, folder, places, began)
        except (Stopped, TimeIsUp) as why:
            run.cancel()
            stopped = isinstance(why, Stopped)
            end = Exit(_CANCELLED_CODE, self.clock.time() - began, timed_out=not stopped, cancelled=stopped)
            return Finished(end, {}, same_files=False, facts=_facts(run, ""))
        except BaseException as error:
            run.cancel()
            if isinstance(error, StepwellError) and run.page:
                error.facts.setdefault("run", run.page)
            raise
        finally:
            self._clear(folder, notebooks, places)

    @property
    def _run_name(self) -> str:
        return self._settings({}).told.get("run_name") or f"stepwell {self.job.call.definition.name}"

    def _settings(self, uris: Mapping[str, str]) -> JobSettings:
        call = self.job.call
        names = [*(port.name for port in call.definition.inputs), *(port.name for port in call.definition.outputs)]
        ports = {name: uris.get(name, "") for name in names}
        workspace, experiment = (str(self.job.context.get(name, "")) for name in ("workspace", "experiment"))
        run = {
            "AZUREML_SCRIPT_DIRECTORY_NAME": ".",
            "AZUREML_RUN_TOKEN": "none",
            "AZUREML_RUN_TOKEN_EXPIRY": "0",
            "AZUREML_RUN_ID": self.job.step_run_id,
            "AZUREML_ARM_SUBSCRIPTION": "stepwell",
            "AZUREML_ARM_RESOURCEGROUP": "stepwell",
            "AZUREML_ARM_WORKSPACE_NAME": workspace,
            "AZUREML_ARM_PROJECT_NAME": experiment,
            "AZUREML_SERVICE_ENDPOINT": "stepwell",
            "AZUREML_WORKSPACE_ID": workspace,
            "AZUREML_EXPERIMENT_ID": experiment,
        }
        script = call.definition.script
        text = self.job.snapshot.read(script).decode(errors="replace") if script and self.job.snapshot else ""
        return JobSettings.of(call.definition, call.parameters, ports, run, text)

    # Sent -----------------------------------------------------------------------------------------------------------

    def _task(
        self, client: WorkspaceClient, files: WorkspaceFiles, folder: str, notebooks: str, places: DataPlaces
    ) -> dict[str, Any]:
        settings = self._settings(places.shown)
        sent = {path: f"{folder}/libraries/{path}" for path in settings.local_libraries() if self._has(path)}
        for path, place in sent.items():
            assert self.job.snapshot
            library = self.job.snapshot.place(path)
            assert library
            files.upload(library, place)
        task = settings.task(JobSources(self.job, client, files, folder, notebooks).what_runs(settings, places.shown))
        if "spark_python_task" in task and self.job.call.definition.script is not None:
            task["spark_python_task"]["parameters"].insert(0, folder)
        libraries = with_paths(settings.libraries, sent)
        if settings.existing_cluster:
            self._check_cluster(client, settings)
            where: dict[str, Any] = {"existing_cluster_id": settings.existing_cluster}
        else:
            volumes = folder.startswith(VOLUMES)
            where = {"new_cluster": settings.new_cluster(*self._machines(client, settings), volumes=volumes)}
        return {**task, **where, **({"libraries": libraries} if libraries else {})}

    def _has(self, path: str) -> bool:
        return self.job.snapshot is not None and self.job.snapshot.place(path) is not None

    # Clusters ---------------------------------------------------------------------------------------------------------

    def _machines(self, client: WorkspaceClient, settings: JobSettings) -> tuple[str, str]:
        """Return the runtime and the kind of machine of a new cluster: the step's, the target's, or the workspace's usual."""
        version = settings.spark_version or self.options.spark_version
        if not version:
            version = client.clusters.select_spark_version(latest=True, long_term_support=True)
            self.log.say(f"The new cluster has the newest runtime with long-term support: {version}\n")
        node_type = settings.node_type or self.options.node_type
        if not node_type and not settings.pool:
            node_type = client.clusters.select_node_type(local_disk=True)
            self.log.say(f"The new cluster has the smallest machines with a disk: {node_type}\n")
        return version, node_type

    def _check_cluster(self, client: WorkspaceClient, settings: JobSettings) -> None:
        """Restart the existing cluster if libraries on it wait for that and the step permits it; else tell of it."""
        cluster = settings.existing_cluster
        with told(self.address, f"use the cluster {cluster!r}", f"cluster {cluster!r}"):
            state = client.clusters.get(cluster).state
            if not settings.libraries or state is None or state.value != "RUNNING":
                return
            waiting = [
                status.library
                for status in client.libraries.cluster_status(cluster)
                if status.status and status.status.value == "UNINSTALL_ON_RESTART"
            ]
            if waiting and settings.may_restart_cluster:
                self.log.say(f"Restarting the cluster {cluster}, where libraries wait for that\n")
                client.clusters.restart(cluster)
            elif waiting:
                self.log.say(
                    f"Libraries of the cluster {cluster} go only when it is restarted: pass permit_cluster_restart=True\n"
                )

    # Fetched ----------------------------------------------------------------------------------------------------------

    def _show_log(self, files: WorkspaceFiles, folder: str) -> None:
        """Show what the script has printed since the last look, as far as its launcher has sent it."""
        if self.job.call.definition.script is None or self.job.call.definition.driver.name == NOTEBOOK:  # type: ignore[union-attr]
            return
        with told(self.address, "read its files"):
            while (chunk := files.read(f"{folder}/log/{self._chunks:06d}.txt")) and chunk.endswith(b"\0"):
                self.log.say(chunk[:-1].decode(errors="surrogateescape"))
                self._chunks += 1

    def _finished(
        self, run: JobRun, ended: Run, files: WorkspaceFiles, folder: str, places: DataPlaces, began: float
    ) -> Finished:
        outcome = run.outcome(ended)
        if outcome.printed and not self._chunks:
            self.log.say(outcome.printed.rstrip("\n") + "\n")
        if outcome.returned:
            self.log.say(f"The notebook returned: {outcome.returned}\n")
        with told(self.address, "read its files"):
            self._keep_notebook(run, ended)
            self._keep_cluster_logs(files, outcome.cluster)
            self._keep_result(files.read(f"{folder}/result.zip"))
            if not outcome.ok:
                seconds = self.clock.time() - began
                if outcome.result == "TIMEDOUT":
                    end = Exit(_CANCELLED_CODE, seconds, timed_out=True)
                    return Finished(end, {}, same_files=False, facts=_facts(run, outcome.cluster))
                return self._failed(run, outcome.cluster, self._failure(run, outcome), seconds)
            outputs = places.fetch(self.job.folder / "outputs", self.log.say)
        lacking = [port.name for port in self.job.call.definition.outputs if port.name not in outputs]
        for name in lacking:
            self.log.say_error(f"The job succeeded, and left nothing at {places.uris[name]} for the output {name}\n")
        if failure := self._missing(lacking, run, places):
            return self._failed(run, outcome.cluster, failure, self.clock.time() - began)
        outputs |= {name: self.job.folder / "outputs" / name for name in lacking}
        end = Exit(0, self.clock.time() - began)
        return Finished(end, outputs, same_files=False, facts=_facts(run, outcome.cluster))

    @staticmethod
    def _failed(run: JobRun, cluster: str, failure: StepFailedException, seconds: float) -> Finished:
        return Finished(Exit(1, seconds), {}, same_files=False, facts=_facts(run, cluster), failure=failure)

    def _missing(self, lacking: list[str], run: JobRun, places: DataPlaces) -> StepFailedException | None:
        """Return the error of a job that succeeded without an output that it has to write, None if it may leave it empty."""
        needed = [name for name in lacking if name not in self.job.call.definition.may_leave_empty]
        if not needed:
            return None
        return StepFailedException(
            f"Declared output missing: the Databricks job of step {self.job.call.definition.id!r} succeeded and did not "
            f"write {needed[0]!r}, so its result was not kept",
            {"looked for at": places.uris[needed[0]], "run": run.page},
            "Let the job write to the address that it is given for the output.",
        )

    def _failure(self, run: JobRun, outcome: Outcome) -> StepFailedException:
        if outcome.trace or outcome.error:
            self.log.say_error((outcome.trace or outcome.error).rstrip("\n") + "\n")
        step, how = self.job.call.definition.id, outcome.result.lower().replace("_", " ")
        if outcome.result == "CANCELED":
            title, hint = f"The Databricks job of step {step!r} was cancelled in Databricks", "Run the pipeline again."
        elif outcome.result == "INTERNAL_ERROR":
            title = f"Databricks could not run the job of step {step!r}"
            hint = "Mend what the error names, on the run's page or in the step's cluster settings."
        else:
            title = f"The Databricks job of step {step!r} ended as {how}"
            hint = "Read the run's page and the log, mend the job, and run the pipeline again."
        lines = "\n".join((outcome.trace or outcome.error).strip().splitlines()[-_SHOWN_LINES:])
        facts = {"error": outcome.error, "last lines": lines if outcome.trace else "", "run": run.page}
        facts["log"] = str(self.job.logs / "70_driver_log.txt")
        return StepFailedException(title, {name: text for name, text in facts.items() if text}, hint)

    def _keep_notebook(self, run: JobRun, ended: Run) -> None:
        """Keep the notebook as it ran, with its results, among the step's files."""
        driver = self.job.call.definition.driver
        if driver is None or driver.name != NOTEBOOK:
            return
        found = run.notebook_page(ended)
        if found:
            place = self.job.record / "outputs" / f"{posixpath.basename(found[0]) or 'notebook'}.html"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(found[1])

    def _keep_cluster_logs(self, files: WorkspaceFiles, cluster: str) -> None:
        """Keep what the cluster's driver printed, if its logs go to a folder and have arrived there."""
        folder = self._settings({}).log_folder
        for name in ("stdout", "stderr") if folder.startswith((DBFS, VOLUMES)) and cluster else ():
            if data := files.read(f"{folder}/{cluster}/driver/{name}"):
                place = self.job.record / "user_logs" / "driver" / f"{name}.txt"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data[-_LARGEST_LOG:])

    def _keep_result(self, archive: bytes | None) -> None:
        """Keep what the script logged, and what it wrote to `outputs/` and `logs/`."""
        if not archive:
            return
        kept = {
            "control": self.job.control,
            "outputs": self.job.record / "outputs",
            "logs": self.job.record / "user_logs",
        }
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            for name in packed.namelist():
                top, _, inner = name.partition("/")
                if top in kept and inner and ".." not in inner.split("/") and not inner.startswith("/"):
                    place = kept[top] / inner
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(packed.read(name))

    def _clear(self, folder: str, notebooks: str, places: DataPlaces) -> None:
        """Remove the job's own files from the workspace; what can't be removed is told."""
        client = connect(self.address, type(self.clock)(), retry_seconds=30)
        try:
            with told(self.address, "remove its files"):
                WorkspaceFiles(client).remove(folder)
                if self.job.call.definition.script is not None:
                    from databricks.sdk.errors import NotFound

                    with suppress(NotFound):
                        client.workspace.delete(notebooks, recursive=True)
            places.remove()
        except StepwellError as error:
            if self._sent:
                self.log.say(f"The files of the job stay at {folder}: {error.title}\n")


def _facts(run: JobRun, cluster: str) -> dict[str, str]:
    facts = {"Databricks run": run.page or (str(run.id) if run.id else ""), "cluster": cluster}
    return {name: text for name, text in facts.items() if text}
