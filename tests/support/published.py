"""Published pipelines for tests, an endpoint in this process, and its runs without a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi.testclient import TestClient
from prefect.flow_engine import run_flow

from stepwell import DataPath, DataPathComputeBinding, Datastore, PipelineData, PipelineParameter
from stepwell.blocks.access import tokens
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.connection import client_settings
from stepwell.deployments.endpoint.app import EndpointOptions, create_app
from stepwell.flows.publishing.frozen_pipeline import FrozenPipeline

BASE = "http://127.0.0.1:4280"


def endpoint(clock: Callable[[], float] = time.monotonic, **options: Any) -> TestClient:
    """Return a client of an endpoint in this process; errors of the server would be raised in the test."""
    made = create_app(EndpointOptions(**{"with_token": False, "rate": 1e6, **options}), clock)
    return TestClient(made, base_url=BASE)


def path_of(address: str) -> str:
    """Return the part of an address behind its host, which is another if a test beside has served in the same home."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def bearer(**scope: Any) -> dict[str, str]:
    """Return the header of a new token."""
    return {"Authorization": f"Bearer {tokens.create('test', **scope)[1]}"}


def every_kind(project: Any) -> Any:
    """Make a pipeline with a parameter of every kind, whose step writes its arguments."""
    folder = project.folder / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("1")
    datastore = Datastore.register(project.workspace, "given", str(folder), overwrite=True)
    parameters = [
        PipelineParameter("whole", 3, minimum=1, maximum=9, description="How many."),
        PipelineParameter("real", 0.5),
        PipelineParameter("flag", False),
        PipelineParameter("text", "x"),
        PipelineParameter("maybe", None, type=int),
        PipelineParameter("colour", "red", choices=["red", "green"]),
        PipelineParameter("sizes", [1, 2]),
    ]
    out = PipelineData("told", pipeline_output_name="told")
    bound = (PipelineParameter("data", DataPath(datastore, "a.csv")), DataPathComputeBinding())
    step = project.step(
        "tell.py",
        "import json\njson.dump(args[1:], open(args[0], 'w'))",
        arguments=[
            out,
            *[part for one in parameters for part in (f"--{one.name}", one)],
            "--data",
            bound,
        ],
        inputs=[bound],
        outputs=[out],
    )
    return project.pipeline(step, name="every kind")


def work(run_id: str) -> str:
    """Run a submitted run here, as a worker would, and return its final state."""
    with client() as api, client_settings():
        flow_run = api.read_flow_run(UUID(run_id))
        deployment = api.read_deployment(flow_run.deployment_id)
        flow = FrozenPipeline.get(str(UUID(deployment.entrypoint.rpartition(".p_")[2]))).flow
        state = run_flow(flow, flow_run=flow_run, parameters=flow_run.parameters, return_type="state")
    return state.name
