"""A job on Spark: its driver is a process of this machine, its executors are where the master is."""

from __future__ import annotations

import json
from collections.abc import Mapping

from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.local_run import run_here
from stepwell.blocks.compute.spark.databricks_folder import databricks_folder
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import StopSignal
from stepwell.blocks.system.home import home
from stepwell.drivers.spark import session


def run_on_spark(
    job: Job,
    on_output: OnOutput,
    stop: StopSignal,
    redact: Redact,
    *,
    master: str = session.HERE,
    conf: Mapping[str, str] | None = None,
    folder: str = "",
) -> Finished:
    """Run the job as a process of this machine that finds Spark at the master.

    Any script does, by `SparkSession.builder.getOrCreate()`; the drivers of Spark's step types know more.

    Args:
        job: The step call, with its snapshot, inputs and folders on this machine.
        on_output: Called with each piece of the script's output while it runs.
        stop: Signal that ends the job once it is raised.
        redact: Returns a text without the secrets in it.
        master: `local[…]`, `spark://…`, `yarn`, `k8s://…`, or the URL `sc://…` of a Spark Connect server.
        conf: Spark's settings, by name.
        folder: What stands in for a Databricks workspace; '': the folder that `STEPWELL_DATABRICKS_FOLDER` names, or
            `databricks` in the home.

    Returns:
        How the process ended, and where its outputs stand on this machine.
    """
    told = {"master": master, "conf": dict(conf or {}), "folder": str(databricks_folder(folder))}
    variables = {session.TARGET: json.dumps(told)}
    if job.call.definition.driver is None:
        own = {"spark.sql.warehouse.dir": f"file://{job.folder}/spark-warehouse"}
        variables |= {**session.variables(told, own), "SPARK_LOCAL_DIRS": str(job.folder)}
    finished = run_here(job, home() / "cache", on_output, stop, redact, variables=variables)
    finished.facts["spark"] = master
    return finished
