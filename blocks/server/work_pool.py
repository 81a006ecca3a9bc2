"""The work pool that published pipelines wait in, and that the worker of `stepwell serve` takes them from."""

from __future__ import annotations

from contextlib import suppress

from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from stepwell.blocks.server.documents import client
from stepwell.errors import UserErrorException

POOL = "local"
RUN_COMMAND = "python -m stepwell.flows.worker_run"
"""Prefect's own choice starts two interpreters, one after the other, for each run."""


def ensure_pool() -> WorkPool:
    """Return the pool, of type `process`, made if missing; raise UserErrorException if another type has its name."""
    with client() as api:
        try:
            pool = api.read_work_pool(POOL)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # somebody else was faster
                api.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=_template()))
            pool = api.read_work_pool(POOL)
    if pool.type != "process":
        raise UserErrorException(
            f"The work pool {POOL!r} is of type {pool.type!r}",
            hint="Delete it, or rename it: it must be of type process.",
        )
    return pool


def _template() -> dict[str, object]:
    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"]["command"]["default"] = RUN_COMMAND
    return template
