"""The worker of `stepwell serve`: Prefect's own, which starts a run's process as the work pool fixes it, or not at all.

`python -m stepwell.deployments.serve.worker worker start …` takes what `prefect` takes.
"""

from __future__ import annotations

import runpy
from typing import Any

from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from stepwell.blocks.server.work_pool import POOL, RUN_COMMAND, fixed_among
from stepwell.errors import UserErrorException


class FixedJobConfiguration(ProcessJobConfiguration):
    """How a run's process is started; that of a run which wants another command, environment or folder is not."""

    def prepare_for_flow_run(self, flow_run: Any, deployment: Any = None, *more: Any, **named: Any) -> None:
        """Fill in what the run says; raise UserErrorException if it, its deployment or the pool says too much."""
        wanted = [
            *fixed_among(flow_run.job_variables or {}),
            *fixed_among(getattr(deployment, "job_variables", None) or {}),
        ]
        if self.command != RUN_COMMAND:
            wanted.append("command")
        wanted += ["env"] if self.env else []
        wanted += ["working_dir"] if self.working_dir is not None else []
        if wanted:
            raise UserErrorException(
                "How the process of a run is started can't be chosen from outside",
                {"work pool": POOL, "job variables": ", ".join(dict.fromkeys(wanted))},
                "Take these job variables out of the deployment; `stepwell serve`, started again, mends the pool.",
            )
        super().prepare_for_flow_run(flow_run, deployment, *more, **named)


if __name__ == "__main__":
    ProcessWorker.job_configuration = FixedJobConfiguration
    runpy.run_module("prefect", run_name="__main__")
