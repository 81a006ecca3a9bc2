"""Trials of a sweep, one after the other, beside the bare script as often: `python benchmarks/trials.py [TRIALS]`.

Figures are slopes: what a sweep of so many trials more took, by the clock and of processors, in a home of its own with a
server of its own. The server's own processors don't count.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
SCRIPT = """
import argparse
from stepwell import Run
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int)
Run.get_context().log("score", parser.parse_args().x)
"""


def took(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that the work took by the clock, and of processors."""
    clock, cpu = time.perf_counter(), _cpu()
    work()
    return time.perf_counter() - clock, _cpu() - cpu


def _cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    """Measure, and print a line for each figure."""
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"  # before Prefect is imported
    from stepwell import (
        GridParameterSampling,
        HyperDriveConfig,
        HyperDriveStep,
        Pipeline,
        PrimaryMetricGoal,
        ScriptRunConfig,
        Workspace,
        choice,
    )
    from stepwell.blocks.server import connection

    count = int(sys.argv[1]) if sys.argv[1:] else 20
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STEPWELL_HOME"] = f"{folder}/home"
        script = Path(folder, "source", "train.py")
        script.parent.mkdir()
        script.write_text(SCRIPT)
        connection.ensure_server()
        ws = Workspace.create("trials")

        def sweep(trials: int, version: str) -> Callable[[], object]:
            config = HyperDriveConfig(
                GridParameterSampling({"x": choice(range(trials))}),
                "score",
                PrimaryMetricGoal.MAXIMIZE,
                trials,
                max_concurrent_runs=1,
                run_config=ScriptRunConfig(script.parent, script.name),
            )
            return Pipeline(ws, [HyperDriveStep("search", config, version=version)], name="trials")

        def bare() -> None:
            for number in range(count):
                subprocess.run([sys.executable, str(script), "--x", str(number)], check=True, capture_output=True)

        try:
            took(sweep(1, "warm"))
            few, many, alone = took(sweep(2, "a")), took(sweep(2 + count, "b")), took(bare)
            took(sweep(1 + count, "b"))
            again = took(sweep(count, "b"))
            one = took(sweep(1, "b"))
        finally:
            connection.stop()
    each = [(one - other) / count for one, other in zip(many, few, strict=True)]
    reused = [(all_ - first) / (count - 1) for all_, first in zip(again, one, strict=True)]
    for name, seconds in (
        ("bare script", [value / count for value in alone]),
        ("trial", each),
        ("reused trial", reused),
    ):
        print(f"{name:<14} {seconds[0]:.2f} s, {seconds[1]:.2f} s of processors")


if __name__ == "__main__":
    main()
