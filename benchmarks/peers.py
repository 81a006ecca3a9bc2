"""`python benchmarks/peers.py [--quick] [--docs]`: Stepwell beside doit, Snakemake and DVC, on the same work in the same run.

Each peer stands in a virtual environment of its own in `.bench-peers/`, made from pip the first time. `--docs` writes the
table and its picture to `docs/`. Times on a shared machine prove nothing; ratios within one run do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import peers_report
import rows
from peers_report import Figures
from place import place

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".bench-peers"
_PAGE, _LOOK_SECONDS = os.sysconf("SC_PAGE_SIZE"), 0.02

STEP = "import sys\nopen(sys.argv[2], 'w').write(open(sys.argv[1]).read() + '.')\n"
SLEEP = "import sys, time\ntime.sleep(0.5)\nopen(sys.argv[2], 'w').write(open(sys.argv[1]).read())\n"
READ = """\
import os, sys
size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(sys.argv[1]) for name in names)
open(sys.argv[2], 'w').write(str(size))
"""


@dataclass
class Work:
    """`count` steps `python SCRIPT in/N out/N`, each with an input of its own; `in/N` may be a folder."""

    folder: Path
    script: str
    count: int
    inputs: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Write script and inputs; no input is there yet."""
        for name in ("in", "out", "code"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "code" / "step.py").write_text(self.script)
        self.inputs = [f"in/{number}" for number in range(self.count)]
        for number, name in enumerate(self.inputs):
            (self.folder / name).write_text(f"{self.folder.name} {number}")  # results are known by content

    def change_one(self) -> None:
        """Give one input another content."""
        place = self.folder / self.inputs[self.count // 2]
        place.write_text(place.read_text() + "!")


@dataclass
class Cost:
    """What a command took: seconds by the clock, of processors, and the peak of the memory of all its processes in MB."""

    seconds: float
    cpu: float
    megabytes: float


def _without(name: str) -> dict[str, str]:
    """Return this process's variables without one, such as the server of the place: each tool keeps to its own."""
    return {other: said for other, said in os.environ.items() if other != name}


class Peer:
    """A tool. `packages` are what pip installs for it; `limits` what there is to know of it."""

    name, packages = "", ()
    starts_at_once = True
    """Whether it runs several steps at once."""

    def python(self) -> Path:
        """Return the Python of its virtual environment, made first if it is not there."""
        folder = VENVS / self.name.lower()
        if not (folder / "ready").exists():
            print(f"Installing {', '.join(self.packages)} into {folder}", file=sys.stderr)
            venv.create(folder, with_pip=True, clear=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run(
                [*pip, *self.packages], check=True, env=_without("PYTHONPATH")
            )  # lest pip check this checkout
            (folder / "ready").touch()
        return folder / "bin" / "python"

    def version(self) -> str:
        """Return the version that is installed."""
        code = f"import importlib.metadata as m; print(m.version({self.packages[0]!r}))"
        return subprocess.run([self.python(), "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    def variables(self) -> dict[str, str]:
        """Return the variables of its commands: those of a user who has nothing else on the path."""
        return {**_without("PREFECT_API_URL"), "PATH": f"{self.python().parent}{os.pathsep}{os.environ['PATH']}"}

    def write(self, work: Work) -> None:
        """Write the tool's own file for the work."""
        raise NotImplementedError

    def command(self, workers: int) -> list[str]:
        """Return the command that brings all outputs up to date."""
        raise NotImplementedError

    def end(self) -> None:
        """End what it left running."""


class Doit(Peer):
    """A build tool: a task runs again if the content of its files changed."""

    name, packages = "doit", ("doit",)

    def write(self, work: Work) -> None:
        text = "import os\n\n\ndef files(path):\n    found = [os.path.join(f, n) for f, _, ns in os.walk(path) for n in ns]\n    return found or [path]\n\n\n"
        text += f"def task_step():\n    for number in range({work.count}):\n        source, target = f'in/{{number}}', f'out/{{number}}'\n"
        text += "        yield {'name': str(number), 'actions': [['python', 'code/step.py', source, target]],\n"
        text += "               'file_dep': ['code/step.py', *files(source)], 'targets': [target]}\n"
        (work.folder / "dodo.py").write_text(text)

    def command(self, workers: int) -> list[str]:
        return ["doit", "--verbosity", "0", *(["-n", str(workers)] if workers > 1 else [])]


class Snakemake(Peer):
    """A workflow tool: a job runs again if its input, code or parameters changed."""

    name, packages = "Snakemake", ("snakemake",)

    def write(self, work: Work) -> None:
        kind = "directory('in/{number}')" if (work.folder / work.inputs[0]).is_dir() else "'in/{number}'"
        kind = "'in/{number}'" if "directory" in kind else kind  # a folder is an input by its path
        text = f"rule all:\n    input: expand('out/{{number}}', number=range({work.count}))\n\n"
        text += f"rule step:\n    input: {kind}, 'code/step.py'\n    output: 'out/{{number}}'\n"
        text += "    shell: 'python code/step.py {input[0]} {output}'\n"
        (work.folder / "Snakefile").write_text(text)

    def command(self, workers: int) -> list[str]:
        return ["snakemake", "--cores", str(workers), "--quiet", "all"]


class Dvc(Peer):
    """Data version control: a stage runs again if the content of its files or its command changed."""

    name, packages = "DVC", ("dvc",)
    starts_at_once = False

    def write(self, work: Work) -> None:
        text = f"stages:\n  step:\n    foreach: {list(range(work.count))}\n    do:\n"
        text += "      cmd: python code/step.py in/${item} out/${item}\n"
        text += "      deps: [code/step.py, 'in/${item}']\n      outs: ['out/${item}']\n"
        (work.folder / "dvc.yaml").write_text(text)
        for words in (["init", "--no-scm", "--quiet"], ["config", "core.analytics", "false"]):
            subprocess.run(["dvc", *words], cwd=work.folder, env=self.variables(), check=True, capture_output=True)

    def command(self, workers: int) -> list[str]:
        return ["dvc", "repro", "--quiet"]


class Stepwell(Peer):
    """This checkout; `resident`: from the second command on, a process that has all imported becomes the command."""

    def __init__(self, *, resident: bool) -> None:
        self.name = "Stepwell" if resident else "Stepwell, STEPWELL_RESIDENT=0"
        self._resident = resident
        self._home = VENVS / (
            "home-resident" if resident else "home"
        )  # with a store of its own: nothing is known in it

    def python(self) -> Path:
        return Path(sys.executable)

    def version(self) -> str:
        known = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return known.stdout.strip() or "this checkout"

    def variables(self) -> dict[str, str]:
        own = {"STEPWELL_RESIDENT": "1" if self._resident else "0", "STEPWELL_HOME": str(self._home)}
        return {**super().variables(), **own}

    def write(self, work: Work) -> None:
        text = f"""\
from pathlib import Path

from stepwell import Datastore, LocalCompute, Pipeline, PipelineData, PythonScriptStep, Workspace

HERE = Path(__file__).resolve().parent


def pipeline():
    ws = Workspace.create("peers", exist_ok=True)
    workers, name = int((HERE / "workers").read_text()), {f"peers{abs(hash(str(work.folder)))}"!r}
    if ws.compute_targets["local"].max_concurrent != workers:
        LocalCompute(max_concurrent=workers).attach_to(ws, "local")
    store = ws.datastores[name] if name in ws.datastores else Datastore.register(ws, name, str(HERE))
    steps = []
    for number in range({work.count}):
        source, target = store.path(f"in/{{number}}", f"in{{number}}"), PipelineData(f"out{{number}}")
        steps.append(PythonScriptStep("step.py", f"step{{number}}", [source, target], inputs=[source], outputs=[target],
                                      source_directory=HERE / "code"))
    return Pipeline(ws, steps, name={work.folder.name!r})
"""
        (work.folder / "pipeline.py").write_text(text)
        self._folder = work.folder
        if not self._home.exists():  # the server is up, and a runner, before anything is measured
            for words in (["server", "start"], ["runs"]):
                self._stepwell(*words)

    def command(self, workers: int) -> list[str]:
        (self._folder / "workers").write_text(str(workers))
        return [str(Path(sys.executable).with_name("stepwell")), "run", "pipeline.py"]

    def end(self) -> None:
        self._stepwell("server", "stop")  # with it the runner ends
        shutil.rmtree(self._home, ignore_errors=True)

    def _stepwell(self, *words: str) -> None:
        program = Path(sys.executable).with_name("stepwell")
        subprocess.run([program, *words], env=self.variables(), check=True, capture_output=True)


# Measuring --------------------------------------------------------------------------------------------------------------


def measured(command: list[str], folder: Path, variables: Mapping[str, str]) -> Cost:
    """Return what the command took; one that fails ends the benchmark with what it said."""
    peak, ended = [0], threading.Event()
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, env=variables, stdout=said, stderr=said, start_new_session=True)
        watch = threading.Thread(target=_watch, args=(child.pid, peak, ended), daemon=True)
        watch.start()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        ended.set()
        watch.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise RuntimeError(
                f"{command} ended with {child.returncode}:\n{said.read().decode(errors='replace')[-3000:]}"
            )
    return Cost(seconds, usage.ru_utime + usage.ru_stime, max(peak[0], usage.ru_maxrss * 1024) / 1e6)


def _watch(leader: int, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(_LOOK_SECONDS):
        total = 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getsid(int(name)) == leader:
                    total += int(Path(f"/proc/{name}/statm").read_text().split()[1]) * _PAGE
            except (OSError, ValueError):
                continue
        peak[0] = max(peak[0], total)


def loop(work: Work, variables: Mapping[str, str]) -> float:
    """Return how long a bare shell loop over the work's steps takes."""
    line = f"for n in $(seq 0 {work.count - 1}); do python code/step.py in/$n loop.$n; done"
    seconds = measured(["sh", "-c", line], work.folder, variables).seconds
    for number in range(work.count):
        (work.folder / f"loop.{number}").unlink()
    return seconds


def figures_of(peer: Peer, folder: Path, *, quick: bool) -> Figures:
    """Return all figures of one peer."""
    variables, again = peer.variables(), 1 if quick else 3
    found: dict[str, float] = {}

    def begin(name: str, script: str, count: int, prepare: Callable[[Work], None] = lambda _: None) -> Work:
        work = Work(folder / f"{name}-{len(os.listdir(folder))}", script, count)
        work.write()
        prepare(work)
        peer.write(work)
        return work

    def run(work: Work, workers: int = 1) -> Cost:
        return measured(peer.command(workers), work.folder, variables)

    def middle(costs: list[Cost]) -> Cost:
        return Cost(*(median(column) for column in zip(*((c.seconds, c.cpu, c.megabytes) for c in costs), strict=True)))

    run(begin("first", STEP, 2))  # what is imported for the first time, a server, a resident runner
    count = 10 if quick else 100
    work = begin("cold", STEP, count)
    bare = loop(work, variables)
    cold = run(work)
    found["cold"], found["each"] = cold.seconds, max(0.0, (cold.seconds - bare) / count * 1000)
    nothing = middle([run(work) for _ in range(again)])
    found["nothing"], found["cpu"] = nothing.seconds, nothing.cpu
    changed = []
    for _ in range(again):
        work.change_one()
        changed.append(run(work))
    found["one"] = middle(changed).seconds
    if peer.starts_at_once:
        found["cold2"] = run(begin("two", STEP, count), 2).seconds
    big = begin("big", READ, 1, lambda made: _fill(made, quick=quick))
    found["big"], found["big again"] = run(big).seconds, middle([run(big) for _ in range(again)]).seconds
    found["wide"] = run(begin("wide", SLEEP, 20), 10).seconds
    found["memory"] = max(cold.megabytes, nothing.megabytes)
    return Figures(peer.name, peer.version(), bare, found)


def _fill(work: Work, *, quick: bool) -> None:
    """Put 500 MB and 2,000 files in place of the only input."""
    data = work.folder / "in" / "0"
    data.unlink()
    data.mkdir()
    block = os.urandom(1 << 20)
    with open(data / "large", "wb") as stream:
        stream.writelines(block for _ in range(50 if quick else 500))
    for number in range(200 if quick else 2000):
        (data / f"small{number}").write_text(str(number))
    os.sync()  # or who writes anything durably meets the disk at work for minutes
    time.sleep(3)  # times of files count from two seconds on: who looks at them reads younger files again


def main() -> None:
    """Measure every peer, print the table, and write it to the documentation where asked."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found: list[Figures] = []
    with place(quick=options.quick, full=False) as there:
        peers = [Doit(), Snakemake(), Dvc(), Stepwell(resident=False), Stepwell(resident=True)]
        for peer in [peer for peer in peers if not options.only or peer.name.split(",")[0].lower() in options.only]:
            print(f"{datetime.now(UTC):%H:%M:%S}  {peer.name}", file=sys.stderr, flush=True)
            folder = there.folder / f"work-{len(found)}"
            folder.mkdir()
            peer.python()
            there.settle()
            try:
                found.append(figures_of(peer, folder, quick=options.quick))
            finally:
                peer.end()
            shutil.rmtree(folder, ignore_errors=True)
    print(peers_report.table(found))
    for one in found:
        if one.name == "Stepwell" and not options.quick:
            print("\n" + rows.table([*peers_report.budget_rows(one), *peers_report.ratio_rows(found)]))
    if options.docs:
        peers_report.write(found, ROOT / "docs")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="Small sizes, each once.")
    parser.add_argument("--docs", action="store_true", help="Write the table and the picture to docs/.")
    parser.add_argument("--only", action="append", metavar="NAME", help="This peer, in small letters; may be repeated.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
