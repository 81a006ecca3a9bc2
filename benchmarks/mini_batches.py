"""Mini-batches of many small files on two worker processes, beside a plain multiprocessing pool that does the same.

`python benchmarks/mini_batches.py [FILES]` prints the ratio for so many files (by default 100,000) and for a tenth of them; `bench.py` has the same as a row.
Both sides read each file and work on it for a while, which `run` of the entry script does; the driver runs under the launcher, as in a step, which notes reads.
Then a pipeline runs over as many files, and once more with one of them changed: it prints the peak memory of the step's own process, of that
in which the pipeline runs, and of that which submitted it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from rows import Row

if TYPE_CHECKING:
    from place import Place

WORKERS, SIZE = 2, 10
SCRIPT = """
import hashlib


def run(mini_batch):
    rows = []
    for path in mini_batch:
        with open(path, "rb") as stream:
            data = stream.read()
        for _ in range(40):
            data = hashlib.sha256(data * 4).digest()
        rows.append(f"{path} {data.hex()}")
    return rows
"""
POOL = """
import multiprocessing, os, sys
sys.path.insert(0, os.getcwd())
import score
top, target, workers, size = sys.argv[1:]
paths = sorted(os.path.join(place, name) for place, _, names in os.walk(top) for name in names)
batches = [paths[start:start + int(size)] for start in range(0, len(paths), int(size))]
with multiprocessing.Pool(int(workers)) as pool, open(target, "w") as stream:
    for rows in pool.imap_unordered(score.run, batches):
        stream.writelines(f"{row}\\n" for row in rows)
"""
DRIVER = """
import runpy, sys
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
PIPELINE = """
import os, resource, threading, time
from stepwell import DataReference, Datastore, Experiment, ParallelRunConfig, ParallelRunStep, Pipeline, PipelineData, Workspace

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def status(process, name):
    with open(f"/proc/{process}/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(name))

def watch(peaks):
    "Follow the process of the step, which its script names, and that of the run, our own child, above it."
    while not os.path.exists("step"):
        time.sleep(0.01)
    try:
        step = run = open("step").read()
        while (above := status(run, "PPid")) != os.getpid():
            run = above
        while True:
            peaks["run"] = status(run, "VmHWM") // 1024
            if os.path.exists(f"/proc/{step}"):
                peaks["step"] = status(step, "VmHWM") // 1024
            time.sleep(0.01)
    except (OSError, StopIteration):
        return

def run():
    config = ParallelRunConfig(
        environment=None, entry_script="score.py", source_directory="code", mini_batch_size=10, error_threshold=0,
        output_action="append_row", compute_target="local", node_count=1, process_count_per_node=2,
    )
    data = DataReference(store, "data", path_on_datastore="")
    pipeline = Pipeline(workspace, [ParallelRunStep("score", config, [data], PipelineData("scores"))])
    Experiment(workspace, "memory").submit(pipeline).wait_for_completion(show_output=False)

workspace = Workspace.create("files", exist_ok=True)
store = Datastore.register(workspace, "files", "data", overwrite=True)
told = [megabytes()]
for again in range(2):
    peaks = {"step": 0, "run": 0}
    watching = threading.Thread(target=watch, args=(peaks,))
    watching.start()
    run()
    watching.join()
    os.unlink("step")
    told += [peaks["step"], peaks["run"], megabytes()]
    with open("data/0000/0000001.txt", "w") as stream:
        stream.write("changed")
print("told", *told)
"""
LAUNCHER = Path(__file__).resolve().parents[1] / "src" / "stepwell" / "script" / "launcher.py"
TOLD = """
    import resource
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print("told", cpu, max(one.ru_maxrss for one in used), file=sys.stderr)
"""


def small_files(place: Place) -> Iterator[Row]:
    """Yield how long mini-batches of small files take, over a plain pool of processes that does the same."""
    count = 5_000 if place.quick else 100_000
    ratio, detail = measure(count, 3 if place.quick else place.repeat)
    yield Row(f"{count} files in mini-batches / multiprocessing.Pool", ratio, 1.2, "x", detail)


def measure(count: int, repeat: int) -> tuple[float, str]:
    """Return the ratio of the driver's time to the pool's, and words on both; the median of some pairs."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        _prepare(top, count)
        driver = (str(LAUNCHER), str(top / "spec.json"))
        pairs = [(_run(top, DRIVER, *driver), _run(top, POOL, *_pool(top))) for _ in range(repeat)]
        rows = [
            sorted((top / name).read_text().splitlines()) for name in ("out/scores/parallel_run_step.txt", "pool.txt")
        ]
        assert rows[0] == rows[1]
        assert len(rows[0]) == count
    mine, bare = ([side[number] for side in pairs] for number in (0, 1))
    seconds, cpu, megabytes = ([median(one[place] for one in side) for side in (mine, bare)] for place in range(3))
    words = f"{seconds[0]:.2f} s / {seconds[1]:.2f} s; CPU {cpu[0]:.2f} / {cpu[1]:.2f} s; {megabytes[0]:.0f} / {megabytes[1]:.0f} MB"
    return median(own[0] / plain[0] for own, plain in pairs), words


def memory(count: int) -> str:
    """Return in words how much memory a pipeline needs for so many files: its own process, and that of the step."""
    from place import place

    with place(quick=True, full=False) as home:
        top = home.folder / "files"
        (top / "code").mkdir(parents=True)
        note = f"import os\n\n\ndef init():\n    open({str(top / 'step')!r}, 'w').write(str(os.getppid()))\n"
        (top / "code" / "score.py").write_text(SCRIPT + "\n\n" + note)
        _files(top, count)
        done = subprocess.run([sys.executable, "-c", PIPELINE], cwd=top, check=True, capture_output=True, text=True)
    begun, *peaks = done.stdout.rsplit("told ", 1)[1].split()
    words = [
        f"step {step} MB, run {run} MB, submission {submission} MB" for step, run, submission in (peaks[:3], peaks[3:])
    ]
    return f"{words[0]}; one file changed: {words[1]} (submission before the run: {begun} MB)"


def _files(top: Path, count: int) -> None:
    for number in range(count):
        folder = top / "data" / f"{number // 1000:04}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:07}.txt").write_bytes(b"%d " % number * 200)


def _prepare(top: Path, count: int) -> None:
    for name in ("control", "work", "out", "earlier", "before"):
        (top / name).mkdir()
    _files(top, count)
    (top / "work" / "score.py").write_text(SCRIPT)
    inputs = {"data": "data", "earlier mini-batches": "earlier", "earlier output": "before"}
    outputs = {"scores": "out/scores", "kept mini-batches": "out/kept mini-batches"}
    ports = {"input_datasets": inputs, "output_datasets": outputs}
    context = {kind: {name: str(top / place) for name, place in found.items()} for kind, found in ports.items()}
    (top / "control" / "context.json").write_text(json.dumps(context))
    (top / "spec.json").write_text(json.dumps(_spec(top)))


def _spec(top: Path) -> dict[str, Any]:
    """Return what a step's process is told: it runs the driver, and notes what the script reads."""
    settings = {"inputs": '["data"]', "output": "scores", "keeps": "yes", "mini_batch_size": str(SIZE)}
    return {
        "script": "score.py",
        "module": "stepwell.drivers.parallel_run",
        "settings": {**settings, "process_count_per_node": str(WORKERS)},
        "argv": [],
        "cwd": str(top / "work"),
        "module_path": [str(LAUNCHER.parents[2])],
        "watch": True,
        "quiet": [str(top / name) for name in ("control", "data", "out", "earlier", "before", "work/logs")],
        "reads": str(top / "reads.jsonl"),
    }


def _pool(top: Path) -> tuple[str, ...]:
    return str(top / "data"), str(top / "pool.txt"), str(WORKERS), str(SIZE)


def _run(top: Path, code: str, *arguments: str) -> tuple[float, float, float]:
    """Return the seconds and processors' seconds that code takes in a process of its own, and the megabytes of its largest."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    variables = {"STEPWELL_CONTROL": str(top / "control"), "AZUREML_RUN_ID": "step", "PYTHONPATH": source}
    timed = f"import sys\ntry:\n    exec({code!r})\nfinally:\n" + TOLD
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", timed, *arguments], cwd=top / "work", env={**os.environ, **variables},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - before
    cpu, kilobytes = done.stderr.rsplit("told ", 1)[1].split()
    return seconds, float(cpu), int(kilobytes) / 1024


def main() -> None:
    """Print the ratio, and what memory is needed, for a number of files and for a tenth of them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    sizes = (max(1, count // 10), count)
    for number in sizes:
        ratio, detail = measure(number, 3)
        print(f"{number:>9,} files: {ratio:.2f} x ({detail})", flush=True)
    for number in sizes:
        print(f"{number:>9,} files: {memory(number)}", flush=True)


if __name__ == "__main__":
    main()
