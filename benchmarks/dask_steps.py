"""What Stepwell adds to a step on a Dask worker, how a wide pipeline fares on ten workers, and how a cluster grows.

`python benchmarks/dask_steps.py FOLDER ARGUMENTS` answers, as JSON, what is measured within a process that has Prefect
loaded. `python benchmarks/dask_steps.py --plot FILE` draws the nodes of a cluster over time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rows import Row

if TYPE_CHECKING:
    from place import Place

    from stepwell import Pipeline


def spread(place: Place) -> Iterator[Row]:
    """Yield the figures of steps on Dask: the overhead of one over the bare command there, twenty of half a second, and the first of all."""
    place.settle()
    few, many = (4, 16) if place.quick else (5, 35)
    arguments = json.dumps({"few": few, "many": many, "repeat": place.repeat})
    words = [sys.executable, str(Path(__file__).resolve()), str(place.folder), arguments]
    done = subprocess.run(words, cwd=place.project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The steps on Dask failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    detail = f"step {1000 * found['step']:.1f} - bare {1000 * found['bare']:.1f} ms"
    yield Row("executed step, dask: over the bare command there", 1000 * found["overhead"], 20, "ms", detail)
    yield Row(
        "20 steps of 0.5 s on 10 workers",
        found["wide"],
        1.3,
        "s",
        f"the bare commands there {found['wide_bare']:.2f} s",
    )
    yield Row("first step of a cold cluster", found["cold"], 5, "s", "from the call of the pipeline")


def measure(folder: Path, few: int, many: int, repeat: int) -> dict[str, float]:
    """Return seconds, each the median of several rounds."""
    from place import new_salt, settle

    from stepwell.blocks.compute.dask.clusters.cluster import close_all, cluster_of
    from stepwell.blocks.compute.dask.dask_compute import DaskCompute

    compute = DaskCompute(min_nodes=2, max_nodes=2)
    cold = _seconds(_build(1, new_salt(), compute))
    client = cluster_of(compute.spec()).client
    _build(2, new_salt(), compute)()
    rounds = []
    for _ in range(repeat):
        settle()
        short, long = (_seconds(_build(count, new_salt(), compute)) for count in (few, many))
        bare = _seconds(lambda: _bare(client, folder, many)) / many
        rounds.append(((long - short) / (many - few), bare))
    close_all()
    wide, wide_bare = _wide(folder, repeat)
    step, bare = (median(column) for column in zip(*rounds, strict=True))
    overhead = median(step - bare for step, bare in rounds)
    return {"step": step, "bare": bare, "overhead": overhead, "wide": wide, "wide_bare": wide_bare, "cold": cold}


def _build(count: int, salt: str, compute: Any) -> Pipeline:
    from pipeline import build

    pipeline = build(count, "flat", salt, compute_target="dask")
    compute.attach_to(pipeline.workspace, "dask")
    return pipeline


def _bare(client: Any, folder: Path, count: int) -> None:
    script, out = str(folder / "project" / "steps" / "step.py"), str(folder / "bare.txt")
    words = [[sys.executable, script, str(number), f"{out}{number}"] for number in range(count)]
    futures = [client.submit(subprocess.run, word, capture_output=True, check=True, pure=False) for word in words]
    client.gather(futures)


def sleepers(folder: Path, count: int, seconds: float, name: str) -> Pipeline:
    """Return a pipeline of steps that only take time, on the target `wide`."""
    from stepwell import Pipeline, PythonScriptStep, Workspace

    (folder / "sleep").mkdir(exist_ok=True)
    (folder / "sleep" / "sleep.py").write_text("import sys, time\ntime.sleep(float(sys.argv[1]))\n")
    steps = [
        PythonScriptStep(
            "sleep.py",
            f"{name}{number}",
            [str(seconds)],
            "wide",
            source_directory=folder / "sleep",
            version=f"{name}{number}",
        )
        for number in range(count)
    ]
    return Pipeline(Workspace.create("bench", exist_ok=True), steps=steps, name="wide")


def _wide(folder: Path, repeat: int) -> tuple[float, float]:
    from place import new_salt, settle

    from stepwell.blocks.compute.dask.clusters.cluster import close_all, cluster_of
    from stepwell.blocks.compute.dask.dask_compute import DaskCompute

    compute = DaskCompute(min_nodes=10, max_nodes=10)
    first = sleepers(folder, 20, 0.01, new_salt())
    compute.attach_to(first.workspace, "wide")
    client = cluster_of(compute.spec()).client
    client.wait_for_workers(10, timeout=120)
    first()
    times, bare, command = [], [], [sys.executable, str(folder / "sleep" / "sleep.py"), "0.5"]
    for _ in range(repeat):
        settle()
        times.append(_seconds(sleepers(folder, 20, 0.5, new_salt())))
        bare.append(
            _seconds(lambda: client.gather([client.submit(subprocess.run, command, pure=False) for _ in range(20)]))
        )
    close_all()
    return median(times), median(bare)


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def nodes_over_time(folder: Path, steps: int, seconds: float, idle: float) -> list[tuple[float, int]]:
    """Return how many nodes there were at which second, while a wide pipeline ran on a cold cluster and until it was idle."""
    from place import new_salt

    from stepwell.blocks.compute.dask.clusters.cluster import close_all, known_cluster
    from stepwell.blocks.compute.dask.dask_compute import DaskCompute

    compute = DaskCompute(max_nodes=6, idle_seconds_before_scaledown=idle)
    pipeline = sleepers(folder, steps, seconds, new_salt())
    compute.attach_to(pipeline.workspace, "wide")
    seen, over, began = [(0.0, 0)], threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(0.05):
            cluster = known_cluster(compute.spec())
            seen.append((time.monotonic() - began, len(cluster.workers()) if cluster else 0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    pipeline()
    while seen[-1][1] and time.monotonic() - began < 120:
        time.sleep(0.1)
    time.sleep(0.5)
    over.set()
    watcher.join()
    close_all()
    return seen


def plot(file: Path) -> None:
    """Draw how a cluster grows and shrinks."""
    import matplotlib as mpl
    from place import place

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with place(quick=True, full=False) as there:
        sys.path.insert(0, str(there.project))
        seen = nodes_over_time(there.folder, steps=18, seconds=2, idle=3)
    figure, axes = plt.subplots(figsize=(8, 3))
    axes.step(*zip(*seen, strict=True), where="post", color="#2563eb")
    axes.fill_between(*zip(*seen, strict=True), step="post", alpha=0.15, color="#2563eb")
    axes.set(xlabel="seconds since the pipeline was called", ylabel="nodes", ylim=(0, 6.5))
    axes.set_title("18 steps of 2 s on a cold DaskCompute(max_nodes=6, idle_seconds_before_scaledown=3)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    if sys.argv[1] == "--plot":
        plot(Path(sys.argv[2]))
    else:
        sys.path.insert(0, str(Path(sys.argv[1]) / "project"))
        print(json.dumps(measure(Path(sys.argv[1]), **json.loads(sys.argv[2]))))
