"""`SparkCompute`: steps whose scripts and notebooks find Spark, of this machine or of a cluster."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.job import Finished, Job
from stepwell.blocks.compute.spark.local_spark import run_on_spark
from stepwell.blocks.processes.output import OnOutput, Redact
from stepwell.blocks.processes.runner import StopSignal
from stepwell.drivers.spark import session


@checked
class SparkCompute(Compute):
    """Spark at any master: the driver of each step is a process of this machine.

    Attributes:
        master: `local[*]` for this machine, `spark://host:7077`, `yarn`, `k8s://…`, or `sc://host:15002` for Spark Connect.
        conf: Spark's settings, by name.
        folder: What stands in for a Databricks workspace, with notebooks in `workspace/` and `dbfs:/` in `dbfs/`; by default
            the folder that `STEPWELL_DATABRICKS_FOLDER` names, or `databricks` in the home.
        max_concurrent: How many steps of a pipeline run at once; by default one, since it takes all processors.
    """

    _block_type_name: ClassVar[str | None] = "Stepwell Spark Compute"
    _block_type_slug: ClassVar[str | None] = "stepwell-spark-compute"
    _description: ClassVar[str | None] = "Runs steps on Spark."
    default_name: ClassVar[str] = "spark"
    inherits_packages: ClassVar[bool] = True
    follows_links: ClassVar[bool] = True

    master: str = Field(default=session.HERE, min_length=1, description="Spark's master, or a URL of Spark Connect.")
    conf: dict[str, str] = Field(default_factory=dict, description="Spark's settings, by name.")
    folder: str = Field(default="", description="What stands in for a Databricks workspace.")
    max_concurrent: int = Field(default=1, ge=1, description="How many steps of a pipeline run at once.")

    def run(self, job: Job, on_output: OnOutput, stop: StopSignal, redact: Redact) -> Finished:
        """Run the job as a process of this machine that finds Spark at the master.

        Args:
            job: The step call, with its snapshot, inputs and folders on this machine.
            on_output: Called with each piece of the script's output while it runs.
            stop: Signal that ends the job once it is raised.
            redact: Returns a text without the secrets in it; applied to all that is logged or passed on.

        Returns:
            How the process ended, and where its outputs stand on this machine.
        """
        return run_on_spark(job, on_output, stop, redact, master=self.master, conf=self.conf, folder=self.folder)
