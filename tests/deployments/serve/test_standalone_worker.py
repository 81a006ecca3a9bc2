"""`stepwell worker`: takes the runs of its pool as processes; ended, it leaves none of them unknown to Prefect."""

from __future__ import annotations

import signal
import subprocess
import uuid
from uuid import UUID

import pytest
from waiting import PATIENCE, eventually
from workers import worker

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import RUN_COMMAND, ensure_pool
from stepwell.deployments.serve.standalone_worker import WorkerOptions, work
from stepwell.errors import UserErrorException
from stepwell.flows.public.published_pipeline import _is_served
from stepwell.flows.publishing.submission import RunRequest, submit_run


def state(run_id):
    with client() as api:
        return api.read_flow_run(UUID(run_id)).state


def test_a_pool_has_a_worker_that_runs_what_is_published_to_it_and_tells_what_it_left(project):
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    ensure_pool(pool)
    mark = project.folder / "mark"
    body = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\nif 'long' in args: time.sleep(900)"
    quick = project.pipeline(project.step("a.py", body), name="quick").publish(work_pool=pool)
    long = project.pipeline(project.step("a.py", arguments=["long"]), name="long").publish(work_pool=pool)
    first = submit_run(quick.block, RunRequest("e"), project.workspace).run_id
    assert not _is_served(pool)
    with worker("--pool", pool, "--limit", "2") as process:
        assert _is_served(pool)
        eventually(lambda: state(first).is_final())
        assert state(first).name == "Completed"
        mark.unlink()
        second = submit_run(long.block, RunRequest("e"), project.workspace).run_id
        eventually(mark.exists)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    assert process.returncode == 0, process.said
    told = state(second)
    assert told.name == "Scheduled" and "Its worker was stopped; the run goes on" in told.message
    assert not _is_served(pool)
    script = f"{project.source}/a.py"
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if script in line]


def test_a_pool_of_another_type_is_refused(server):
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    assert ensure_pool(pool).base_job_template["job_configuration"]["command"] == RUN_COMMAND
    with pytest.raises(UserErrorException, match=f"(?s)The work pool '{pool}' is of type 'process'.*--type process"):
        work(WorkerOptions(pool, "docker", "some/image"))
    with pytest.raises(UserErrorException, match="needs an image with Stepwell"):
        work(WorkerOptions(f"{pool}-2", "docker"))
    with pytest.raises(UserErrorException, match="There is no worker of type 'hand' here"):
        work(WorkerOptions(f"{pool}-2", "hand"))
