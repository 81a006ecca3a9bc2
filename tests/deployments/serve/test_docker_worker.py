"""`stepwell worker --type docker`: a run is a container with an empty home, which finds all that it needs through Prefect."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from uuid import UUID

from far_away import ftp_server
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from waiting import eventually
from workers import worker

from stepwell import Datastore, OutputFileDatasetConfig
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import ensure_pool
from stepwell.flows.publishing.submission import RunRequest, submit_run

REPOSITORY = Path(__file__).resolve().parents[3]


def test_containers_know_the_workspace_from_prefect_and_share_data_and_results_through_the_datastore(
    project, docker_engine, tmp_path
):
    pool = f"boxes-{uuid.uuid4().hex[:8]}"
    template = ensure_pool(pool, "docker", docker_engine.image).base_job_template
    # In place of an image with Stepwell: this Python and its packages, as they are.
    properties = template["variables"]["properties"]
    places = {sys.prefix, sys.base_prefix, str(REPOSITORY)}
    properties["volumes"]["default"] = [f"{place}:{place}:ro" for place in sorted(places)]
    properties["env"]["default"] = {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    properties["auto_remove"]["default"] = True
    with client() as api:
        api.update_work_pool(pool, WorkPoolUpdate(base_job_template=template))
    with ftp_server(tmp_path / "ftp") as url:
        store = Datastore.register(project.workspace, "far", url, options={"username": "u", "password": "hidden"})
        project.workspace.set_default_datastore("far")
        project.write(
            "a.py",
            """
            import os, pathlib, sys
            os.makedirs(sys.argv[1], exist_ok=True)
            pathlib.Path(sys.argv[1], 'seen').write_text(str(os.path.exists('/.dockerenv')))
            """,
        )
        out = OutputFileDatasetConfig("out", destination=(store, "results"))
        published = project.pipeline(project.step("a.py", arguments=[out]), name="boxed").publish(work_pool=pool)

        def submit(name):
            return submit_run(published.block, RunRequest(name), project.workspace).run_id

        def state(run_id):
            with client() as api:
                return api.read_flow_run(UUID(run_id)).state

        with worker("--pool", pool, "--type", "docker") as process:
            first = submit("first")
            eventually(lambda: state(first).is_final())
            second = submit("second")
            eventually(lambda: state(second).is_final())
        assert state(first).name == "Completed", f"{state(first)}\n{process.said}"
        assert (tmp_path / "ftp" / "results" / "seen").read_text() == "True"
        assert state(second).name == "Completed", f"{state(second)}\n{process.said}"

        def states_of_second():
            with client() as api:
                steps = api.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(second)])))
            return [step.state.name for step in steps]

        eventually(states_of_second)  # the server records what it was told of task runs when it finds the time
        assert states_of_second() == ["Cached"]  # the other container's result; its home is gone
    assert process.returncode == 0
    eventually(lambda: not docker_engine.docker("ps", "-aq").split())
