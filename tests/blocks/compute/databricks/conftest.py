"""A Databricks workspace of the tests' own, jobs for it, and a clock that passes no time."""

from types import SimpleNamespace

import databricks_workspace
import pytest

from stepwell.blocks.compute.databricks import remote_job
from stepwell.blocks.compute.databricks.connection import Address, StoppableClock, Stopped
from stepwell.blocks.compute.databricks.remote_job import JobOptions, run_remote
from stepwell.blocks.compute.job import Job
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.model.definitions import Driver, InputPort, OutputPort, Piece, StepDefinition, UnboundInput
from stepwell.model.fingerprint import Fingerprint
from stepwell.model.records import Artifact, StepCall


@pytest.fixture
def dbx(tmp_path):
    """A workspace that is served; `address` is where."""
    root = tmp_path / "workspace"
    (root / "dbfs").mkdir(parents=True)
    workspace = databricks_workspace.Workspace(root)
    with databricks_workspace.serving(workspace) as url:
        workspace.address = url
        yield workspace


@pytest.fixture
def clock(monkeypatch):
    """A class of clocks whose pauses pass at once, and are noted."""

    class Clock(StoppableClock):
        now, slept = 0.0, []

        def time(self):
            return Clock.now

        def wait(self, seconds):
            Clock.slept.append(seconds)
            Clock.now += seconds
            if self._stop is not None and self._stop.stopped:
                raise Stopped

    monkeypatch.setattr(remote_job, "StoppableClock", Clock)
    return Clock


def text(value):
    return (Piece("text", str(value)),)


@pytest.fixture
def job(tmp_path):
    """Makes a job of a step with the driver's settings."""

    def make(
        driver="spark_script", settings=None, script=None, arguments=(), inputs=(), outputs=(), files=None, **more
    ):
        snapshot = tmp_path / "snapshot"
        snapshot.mkdir(exist_ok=True)
        for name, content in (files or {}).items():
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).write_text(content)
        elsewhere, declared = more.pop("elsewhere", {}), more.pop("declared", (script,) if script else ())
        definition = StepDefinition(
            "clean",
            "clean",
            "DatabricksStep",
            str(snapshot),
            script,
            tuple(map(text, arguments)),
            inputs=tuple(InputPort(name, UnboundInput(name), name) for name in inputs),
            outputs=tuple(OutputPort(name, f"REF_{name}") for name in outputs),
            driver=Driver(driver, {name: text(value) for name, value in (settings or {}).items()}),
            **more,
        )
        data = {}
        for name in inputs:
            data[name] = tmp_path / "data" / name / "table.csv"
            data[name].parent.mkdir(parents=True, exist_ok=True)
            data[name].write_text(f"the {name}")
        artifacts = {name: Artifact("store", f"in/{name}/table.csv", "d" * 64, 3, kept=False) for name in inputs}
        call = StepCall(definition, "s" * 64, artifacts, {}, Fingerprint(()), declared)
        for folder in ("job", "record"):
            (tmp_path / folder).mkdir(exist_ok=True)
        context = {"experiment": "trials", "workspace": "ws", "parent_id": "p"}
        return Job(
            call,
            "11111111-2222",
            Snapshot("s" * 64, (snapshot,)),
            data,
            tmp_path / "job",
            tmp_path / "record",
            context,
            elsewhere=elsewhere,
        )

    return make


@pytest.fixture
def run(dbx, clock):
    """Runs a job, and returns how it finished, with what was logged."""

    def go(job, *, stop=None, redact=lambda text: text, token=databricks_workspace.TOKEN, **options):
        said, options = [], {"files_folder": "dbfs:/tmp/stepwell", "notebooks_folder": "/Shared/stepwell", **options}
        address = Address("dbx", dbx.address, token)
        try:
            finished = run_remote(job, address, JobOptions(**options), said.append, stop or StopSignal(), redact)
        finally:
            go.log = "".join(said)
        if finished.failure:
            go.finished = finished
            raise finished.failure
        return SimpleNamespace(finished=finished, log=go.log)

    go.log = ""
    return go
