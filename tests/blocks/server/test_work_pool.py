"""What a run's job is in pools of containers and pods: rendered as Prefect's workers do, and valid for who gets it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun

from stepwell.blocks.server.documents import client
from stepwell.blocks.server.work_pool import RUN_COMMAND, ensure_pool, job_variables, template_for_images
from stepwell.errors import UserErrorException


def rendered(worker: Any, template: dict[str, Any], variables: dict[str, Any]) -> Any:
    """Return the configuration of a run's job, made as a worker makes it."""
    made = asyncio.run(worker.job_configuration.from_template_and_values(template, variables))
    made.prepare_for_flow_run(FlowRun(flow_id=uuid.uuid4(), name="fond-fox"))
    return made


def test_a_pod_of_a_run_is_a_valid_job_that_starts_stepwells_command(server):
    worker = pytest.importorskip("prefect_kubernetes.worker").KubernetesWorker
    from kubernetes_asyncio.client import ApiClient, V1Job

    template = template_for_images(worker, "registry.example/stepwell:1", "https://prefect.example/api")
    job = rendered(worker, template, {}).job_manifest
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/stepwell:1" and container["args"] == RUN_COMMAND.split()
    assert unknown_fields(ApiClient, V1Job, job) == []


def test_a_pod_in_a_pool_of_somebodys_gets_the_command_from_the_deployment(server):
    worker = pytest.importorskip("prefect_kubernetes.worker").KubernetesWorker
    theirs = worker.get_default_base_job_template()
    theirs["variables"]["properties"]["image"]["default"] = "registry.example/theirs:2"
    name = f"pods-{uuid.uuid4().hex[:8]}"
    with client() as api:
        pool = api.create_work_pool(WorkPoolCreate(name=name, type="kubernetes", base_job_template=theirs))
    assert job_variables(pool) == {"command": RUN_COMMAND}
    (container,) = rendered(worker, theirs, job_variables(pool)).job_manifest["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/theirs:2" and container["args"] == RUN_COMMAND.split()
    changed = ensure_pool(name, "kubernetes", "registry.example/ours:3").base_job_template
    theirs["variables"]["properties"]["image"]["default"] = "registry.example/ours:3"
    assert changed == theirs  # no more than the image


def test_a_container_shares_the_network_with_a_server_that_is_reached_only_from_here(server):
    from prefect_docker.worker import DockerWorker

    here = rendered(DockerWorker, template_for_images(DockerWorker, "image", "http://127.0.0.1:4200/api"), {})
    assert (here.image, here.command, here.network_mode) == ("image", RUN_COMMAND, "host")
    there = rendered(DockerWorker, template_for_images(DockerWorker, "image", "https://prefect.example/api"), {})
    assert there.network_mode is None


def test_a_pool_whose_image_lacks_stepwell_is_refused_when_published_to(project):
    from prefect_docker.worker import DockerWorker

    name, template = f"boxes-{uuid.uuid4().hex[:8]}", DockerWorker.get_default_base_job_template()
    with client() as api:
        api.create_work_pool(WorkPoolCreate(name=name, type="docker", base_job_template=template))
    with pytest.raises(UserErrorException, match=f"stepwell worker --pool {name} --type docker --image IMAGE"):
        project.pipeline(project.step("a.py", "pass"), name="p").publish(work_pool=name)


def unknown_fields(api_client: Any, model: Any, plain: Any, place: str = "") -> list[str]:
    """Return the places of fields that Kubernetes' own model of the object does not have, or has as another type."""
    if isinstance(model, str):
        inner = model.partition("[")[2].rstrip("]") or model.partition("(")[2].rstrip(")").partition(", ")[2]
        if model.startswith("list["):
            if not isinstance(plain, list):
                return [place]
            return [
                bad for n, one in enumerate(plain) for bad in unknown_fields(api_client, inner, one, f"{place}[{n}]")
            ]
        if model.startswith("dict("):
            return [] if isinstance(plain, dict) else [place]
        import kubernetes_asyncio.client.models as models

        found = getattr(models, model, None)
        if found is None:
            kinds = {"str": str, "int": int, "bool": bool}
            return [] if plain is None or isinstance(plain, kinds.get(model, object)) else [place]
        model = found
    if plain is None:
        return []
    by_key = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
    return [
        bad
        for key, value in plain.items()
        for bad in (
            unknown_fields(api_client, by_key[key], value, f"{place}.{key}") if key in by_key else [f"{place}.{key}"]
        )
    ]
