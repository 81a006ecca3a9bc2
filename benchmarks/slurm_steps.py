"""How long many short steps take on a private SLURM cluster of this machine: `python benchmarks/slurm_steps.py [STEPS WORKERS SECONDS]`.

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge. The steps sleep, for SLURM's nodes are all this machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "support")]

import slurm_cluster  # noqa: E402


def main(steps: int = 200, workers: int = 16, seconds: float = 10) -> None:
    """Print how long the steps took, from the call to the end, and how long they would if they cost nothing but sleep."""
    with tempfile.TemporaryDirectory() as folder, slurm_cluster.slurm(nodes=4, cpus=workers // 4) as slurm:
        os.environ.update(slurm.environment, STEPWELL_HOME=folder)
        from stepwell import DaskCompute, Pipeline, PythonScriptStep, Workspace

        source = Path(folder) / "source"
        source.mkdir()
        (source / "nap.py").write_text("import sys, time\ntime.sleep(float(sys.argv[1]))\n")
        target = DaskCompute(
            cluster_class="dask_jobqueue.SLURMCluster", cluster_options={"interface": "lo"}, max_nodes=workers
        )
        workspace = Workspace.create("naps")
        naps = [
            PythonScriptStep("nap.py", name=f"nap-{n}", arguments=[str(seconds), str(n)], source_directory=source,
                             compute_target=target, allow_reuse=False)
            for n in range(steps)
        ]  # fmt: skip
        began = time.monotonic()
        Pipeline(workspace, naps)()
        took, ideal = time.monotonic() - began, seconds * steps / workers
        print(
            f"{steps} steps of {seconds:g} s on {workers} workers, cold: {took:.0f} s; {took / ideal:.2f} x {ideal:.0f} s"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
