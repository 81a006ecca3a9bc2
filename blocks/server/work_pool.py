"""The work pool that published pipelines wait in, and that the worker of `stepwell serve` takes them from.

What starts a run's process is no matter of whoever orders the run: command, environment and folder are fixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from stepwell.blocks.server.documents import client
from stepwell.errors import UserErrorException

POOL = "local"
RUN_COMMAND = "python -m stepwell.flows.worker_run"
"""Prefect's own choice starts two interpreters, one after the other, for each run."""

FIXED = frozenset({"command", "env", "working_dir"})
"""What no job variable of a deployment or run may set."""


def ensure_pool() -> WorkPool:
    """Return the pool, of type `process`, made if missing; raise UserErrorException if another type has its name.

    What is fixed of it is mended if it isn't.
    """
    with client() as api:
        try:
            pool = api.read_work_pool(POOL)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # somebody else was faster
                api.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template({})))
            pool = api.read_work_pool(POOL)
        wanted = template(pool.base_job_template)
        if pool.type == "process" and pool.base_job_template != wanted:
            api.update_work_pool(POOL, WorkPoolUpdate(base_job_template=wanted))
            pool = api.read_work_pool(POOL)
    if pool.type != "process":
        raise UserErrorException(
            f"The work pool {POOL!r} is of type {pool.type!r}",
            hint="Delete it, or rename it: it must be of type process.",
        )
    return pool


def template(known: dict[str, Any]) -> dict[str, Any]:
    """Return the pool's job template `known`, or Prefect's own if it is empty, with all fixed that is to be fixed."""
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


def fixed_among(job_variables: Iterable[str]) -> list[str]:
    """Return those of the job variables that would set what is fixed, as `env.PATH` does."""
    return sorted(name for name in job_variables if name.partition(".")[0] in FIXED)
