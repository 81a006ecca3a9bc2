"""The work pools that published pipelines wait in: that of `stepwell serve`, those of `stepwell worker`, and people's own.

What starts a run's process is no matter of whoever orders the run: in pools of ours command, environment and folder are fixed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from stepwell.blocks.server.documents import client
from stepwell.blocks.system.home import home
from stepwell.errors import UserErrorException

POOL = "local"
RUN_COMMAND = "python -m stepwell.flows.worker_run"
"""Prefect's own choice starts two interpreters, one after the other, for each run."""

FIXED = frozenset({"command", "env", "working_dir"})
"""What no job variable of a deployment or run may set."""

_PACKAGES = {"docker": "prefect-docker", "kubernetes": "prefect-kubernetes"}
_IMAGE = "with Stepwell, and the packages that its steps import"


def ensure_pool(name: str = POOL, type: str = "process", image: str = "") -> WorkPool:
    """Return the pool, made if missing; raise UserErrorException if another type has its name.

    What is fixed of a pool of processes is mended if it isn't; of others, which may be shared, nothing but the image is set.

    Args:
        name: The pool's name.
        type: The kind of worker that takes its runs: `process`, `docker`, `kubernetes` or another that is installed.
        image: The image that containers and pods start from; '' leaves it as it is.
    """
    worker = _worker(type)
    with client() as api:
        try:
            pool = api.read_work_pool(name)
        except ObjectNotFound:
            made = template({}) if type == "process" else template_for_images(worker, image, str(api.api_url))
            if type != "process" and not image:
                raise UserErrorException(
                    f"The work pool {name!r} needs an image {_IMAGE}",
                    {"type": type},
                    "Name one with `--image`; docs/how-to/work-pools.md says how to make it.",
                ) from None
            with suppress(ObjectAlreadyExists):  # somebody else was faster
                api.create_work_pool(WorkPoolCreate(name=name, type=type, base_job_template=made))
            pool = api.read_work_pool(name)
        if pool.type == type:
            wanted = _mended(pool, worker, image)
            if pool.base_job_template != wanted:
                api.update_work_pool(name, WorkPoolUpdate(base_job_template=wanted))
                pool = api.read_work_pool(name)
    if pool.type != type:
        raise UserErrorException(
            f"The work pool {name!r} is of type {pool.type!r}",
            hint=f"Delete it, or rename it: it must be of type {type}."
            if name == POOL
            else f"Start its worker with `--type {pool.type}`, or choose another pool with `--pool`.",
        )
    return pool


def worker_folder(pool: str) -> Path:
    """Return the folder of this home's worker of the pool, whose lock is held while that is at work: one at a time."""
    return home() / "serve" if pool == POOL else home() / "workers" / re.sub(r"[^A-Za-z0-9._-]+", "-", pool)


def _mended(pool: WorkPool, worker: type[BaseWorker[Any, Any, Any]], image: str) -> dict[str, Any]:
    if pool.type == "process":
        return template(pool.base_job_template)
    if not image:
        return pool.base_job_template
    changed = copy.deepcopy(pool.base_job_template) or worker.get_default_base_job_template()
    changed["variables"]["properties"]["image"]["default"] = image
    return changed


def _worker(type: str) -> Any:
    """Return Prefect's class of workers of that type."""
    if type == "process":
        return ProcessWorker
    worker = BaseWorker.get_worker_class_from_type(type)
    if worker is None:
        package = _PACKAGES.get(type)
        raise UserErrorException(
            f"There is no worker of type {type!r} here",
            {"missing": f"the package {package}"} if package else {},
            f"Install it by `pip install {package}`." if package else "Choose process, docker or kubernetes.",
        )
    return worker


def template(known: dict[str, Any]) -> dict[str, Any]:
    """Return the job template `known` of a pool of processes, or Prefect's own if it is empty, with all fixed that is to be."""
    base = known or ProcessWorker.get_default_base_job_template()
    variables = base.get("variables", {})
    properties = {name: field for name, field in variables.get("properties", {}).items() if name not in FIXED}
    # Without `env`: Prefect adds a job variable of that name to any that stands here.
    fixed = {name: value for name, value in base.get("job_configuration", {}).items() if name not in FIXED}
    return {
        **base,
        "job_configuration": {**fixed, "command": RUN_COMMAND, "working_dir": None},
        "variables": {**variables, "type": "object", "properties": properties, "additionalProperties": False},
    }


def template_for_images(worker: Any, image: str, server: str) -> dict[str, Any]:
    """Return the job template of a pool whose runs start from an image: Prefect's own, with the image and the command of a run.

    Args:
        worker: Prefect's class of workers.
        image: The image.
        server: The address of Prefect's server; containers share the network of this machine if it is reached only from here.
    """
    made: dict[str, Any] = copy.deepcopy(worker.get_default_base_job_template())
    properties = made["variables"]["properties"]
    properties["command"]["default"] = RUN_COMMAND
    properties["image"]["default"] = image
    _mend_manifest(made["job_configuration"].get("job_manifest"))
    if "network_mode" in properties and _is_loopback(server):
        properties["network_mode"]["default"] = "host"
    return made


def _mend_manifest(job: dict[str, Any] | None) -> None:
    """Move what Prefect's job of Kubernetes says of the job out of its pod, where strict clusters refuse it."""
    if job:
        pod = job["spec"]["template"]["spec"]
        job["spec"] |= {name: pod.pop(name) for name in ("parallelism", "completions") if name in pod}


def _is_loopback(address: str) -> bool:
    return (urlsplit(address).hostname or "") in ("127.0.0.1", "localhost", "::1")


def job_variables(pool: WorkPool) -> dict[str, Any]:
    """Return what a deployment says to its pool, so that a run starts as Stepwell's: the command, unless the pool has one.

    Raises:
        UserErrorException: Its containers would start from Prefect's own image, in which there is no Stepwell.
    """
    properties = pool.base_job_template.get("variables", {}).get("properties", {})
    if pool.type == "process":
        return {}
    if pool.type in _PACKAGES and "image" in properties and not properties["image"].get("default"):
        raise UserErrorException(
            f"The runs of work pool {pool.name!r} would start from Prefect's own image, which lacks Stepwell",
            {"type": pool.type},
            f"Name one {_IMAGE}: `stepwell worker --pool {pool.name} --type {pool.type} --image IMAGE`.",
        )
    return {"command": RUN_COMMAND} if "command" in properties and not properties["command"].get("default") else {}


def fixed_among(job_variables: Iterable[str]) -> list[str]:
    """Return those of the job variables that would set what is fixed, as `env.PATH` does."""
    return sorted(name for name in job_variables if name.partition(".")[0] in FIXED)
