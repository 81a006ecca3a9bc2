"""The proof of the GPU part, run by `gpu_check.sh`: a table of checks, and exit code 0 if all of them passed.

STAND_IN=1: NVIDIA's library is a stand-in, so the script itself is tried, and checks that need a GPU are left out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stepwell import Pipeline, PipelineData, PythonScriptStep, Workspace
from stepwell.blocks.compute.dask import gpu
from stepwell.blocks.compute.dask.clusters import cluster
from stepwell.blocks.compute.dask.cuda_compute import CudaCompute
from stepwell.blocks.server import connection
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.deployments.reports.report import report
from stepwell.errors import StepwellError
from stepwell.flows.runs.summary import RunSummary, summarize
from stepwell.script.metrics import metrics_of

HERE = Path(__file__).resolve().parent
STAND_IN = bool(os.environ.get("STAND_IN"))
TRAINING_SECONDS = float(os.environ.get("TRAINING_SECONDS", "20"))
PAIRS = 3
GOAL_PERCENT = 3.0


class Skipped(Exception):
    """The check has nothing to look at on this machine."""


def need(found: object, what: str) -> None:
    """Fail the check if what was looked for is not so."""
    if not found:
        raise AssertionError(what)


class Proof:
    """One workspace, its GPU target, and what the checks said so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failed = 0
        self.workspace = Workspace.create("gpu-check", exist_ok=True)
        limits = {"device_memory_limit": "2GB", "n_gpus": 1}
        self.target: Any = CudaCompute(**limits).attach_to(self.workspace, "gpu")
        self.trained: dict[str, Any] = {}
        self.training: RunSummary | None = None

    def check(self, name: str, body: Callable[[], str]) -> None:
        """Make the check a line of the table."""
        began = time.monotonic()
        try:
            word, told = "PASS", body()
        except Skipped as reason:
            word, told = "SKIP", str(reason)
        except Exception as error:
            word, told = "FAIL", f"{type(error).__name__}: {error}"
            self.failed += 1
        self.say(f"{word}  {name:<58} {told}  [{time.monotonic() - began:.1f} s]")

    def say(self, line: str) -> None:
        """Print and keep the line."""
        self.lines.append(line)
        print(line, flush=True)

    # Running --------------------------------------------------------------------------------------------------------

    def step(self, out: str, *arguments: str, target: str = "gpu", **more: Any) -> PythonScriptStep:
        """Return a step that trains."""
        data = PipelineData(out)
        words = ["--out", data, *arguments]
        given = {"outputs": [data], "compute_target": target, "source_directory": HERE / "gpu_project", **more}
        return PythonScriptStep("train.py", out, words, **given)

    def run(self, *steps: PythonScriptStep) -> RunSummary:
        """Return the summary of a run of these steps."""
        with connection.client_settings():
            state = Pipeline(self.workspace, list(steps)).flow(return_state=True)
        return summarize(RunFolder(self.workspace.store.run_folder(str(state.state_details.flow_run_id))))

    def told(self, summary: RunSummary, step: str) -> dict[str, Any]:
        """Return what the step's script wrote."""
        (found,) = [one for one in summary.steps if one.id == step]
        need(found.status in ("done", "reused"), f"step {step} {found.status}: {found.error}")
        (run,) = self.workspace.get_run(summary.run_id).find_step_run(step)
        return dict(json.loads(run.get_output_data(step).local_path.read_text()))

    # Checks ---------------------------------------------------------------------------------------------------------

    def machine(self) -> str:
        """Return the GPUs there are."""
        found = gpu.gpus()
        need(found, "no GPU")
        return "; ".join(f"{one.index} {one.model} {one.memory_mb} MiB, driver {one.driver}" for one in found)

    def trains(self) -> str:
        """Check that a step trains on the GPU, the cluster being started for it."""
        self.training = self.run(self.step("model", "--seconds", "6"))
        self.trained = self.told(self.training, "model")
        need(self.trained["last_loss"] < self.trained["first_loss"], f"nothing was learnt: {self.trained}")
        need(STAND_IN or self.trained["device"] == "cuda", f"trained on the {self.trained['device']}")
        return f"{self.trained['steps']} steps on {self.trained['device']} {self.trained['name']}"

    def right_device(self) -> str:
        """Check that the step saw one GPU: the worker's own."""
        visible, order = self.trained["visible"], self.trained["order"]
        need(visible == self.ran_on()["device"], f"saw {visible}, was lent {self.ran_on()['device']}")
        need("," not in visible and order == "PCI_BUS_ID", f"saw {visible} in the order {order}")
        if not STAND_IN:
            need(self.trained["devices"] == 1, f"PyTorch saw {self.trained['devices']} GPUs")
            need(self.trained["name"] == self.ran_on()["GPU"], f"{self.trained['name']} is not {self.ran_on()['GPU']}")
        return f"CUDA_VISIBLE_DEVICES={visible}"

    def recorded(self) -> str:
        """Model, driver and memory are recorded and told."""
        assert self.training
        facts = self.ran_on()
        need({"GPU", "driver", "GPU memory"} <= set(facts), f"recorded: {facts}")
        text = report(RunFolder(self.workspace.store.run_folder(self.training.run_id)))
        need(facts["GPU"] in text and facts["driver"] in text, "the run's report names no GPU")
        return f"{facts['GPU']}, driver {facts['driver']}, {facts['GPU memory']}"

    def ran_on(self) -> dict[str, str]:
        """Where the training step ran."""
        assert self.training
        return dict(self.training.steps[0].ran_on)

    def measured(self) -> str:
        """Check that the GPU's use is among the step's metrics."""
        assert self.training
        metrics = metrics_of(self.training.steps[0].events)
        names = ("gpu_utilization_mean", "gpu_utilization_max", "gpu_memory_peak_mb")
        need(set(names) <= set(metrics), f"logged: {metrics}")
        need(metrics["gpu_utilization_max"] > 0, f"logged: {metrics}")
        need(STAND_IN or metrics["gpu_memory_peak_mb"] > 100, f"logged: {metrics}")
        return ", ".join(f"{name.removeprefix('gpu_')} {metrics[name]}" for name in names)

    def reused(self) -> str:
        """Check that the same step again is reused, and no cluster is started for it."""
        cluster.close_all()
        began = time.monotonic()
        summary = self.run(self.step("model", "--seconds", "6"))
        seconds = time.monotonic() - began
        need([step.happened for step in summary.steps] == ["reused"], f"{summary.headline}")
        need(cluster.known_cluster(self.target.spec()) is None, "the cluster was started")
        return f"in {seconds:.1f} s"

    def queued(self) -> str:
        """Two steps that take a GPU each wait for the only one."""
        summary = self.run(*(self.step(f"whole{n}", "--seconds", "4", "--salt", f"{n}") for n in range(2)))
        first, second = sorted((self.told(summary, f"whole{n}") for n in range(2)), key=lambda told: told["began"])
        need(second["began"] >= first["ended"], f"they overlapped by {first['ended'] - second['began']:.1f} s")
        return f"the second began {second['began'] - first['ended']:.1f} s after the first had ended"

    def shared(self) -> str:
        """Two steps that take half a GPU each run at once, on the same one."""
        given = {"resources": {"gpus": 0.5}}
        summary = self.run(*(self.step(f"half{n}", "--seconds", "6", "--salt", f"{n}", **given) for n in range(2)))
        first, second = (self.told(summary, f"half{n}") for n in range(2))
        common = min(first["ended"], second["ended"]) - max(first["began"], second["began"])
        need(common > 0, "one waited for the other")
        need(first["visible"] == second["visible"], f"saw {first['visible']} and {second['visible']}")
        return f"{common:.1f} s at once on GPU {first['visible']}"

    def spread(self) -> str:
        """With several GPUs, steps at once have one each."""
        if len(gpu.gpus()) < 2:
            raise Skipped("this machine has one GPU")
        CudaCompute(n_gpus=2).attach_to(self.workspace, "two")
        summary = self.run(
            *(self.step(f"spread{n}", "--salt", f"{n}", "--seconds", "6", target="two") for n in range(2))
        )
        first, second = (self.told(summary, f"spread{n}") for n in range(2))
        need(first["visible"] != second["visible"], f"both saw GPU {first['visible']}")
        need(min(first["ended"], second["ended"]) > max(first["began"], second["began"]), "one waited for the other")
        return f"GPUs {first['visible']} and {second['visible']}"

    def overhead(self) -> str:
        """Check that a warm step takes hardly longer than the training command by itself."""
        bare, stepped, steps = [], [], self.bare("--seconds", f"{TRAINING_SECONDS}")[1]["steps"]
        for n in range(PAIRS):
            bare.append(self.bare("--steps", f"{steps}", "--salt", f"{n}")[0])
            summary = self.run(self.step(f"timed{n}", "--steps", f"{steps}", "--salt", f"{n}"))
            self.told(summary, f"timed{n}")
            stepped.append(summary.steps[0].seconds or 0)
        alone, within = statistics.median(bare), statistics.median(stepped)
        percent = (within / alone - 1) * 100
        told = f"{percent:+.1f} % ({within:.2f} s as a step, {alone:.2f} s bare, {steps} training steps, median of {PAIRS})"
        need(STAND_IN or percent <= GOAL_PERCENT, f"{told}, goal {GOAL_PERCENT:g} %")
        return told

    def bare(self, *words: str) -> tuple[float, dict[str, Any]]:
        """Return seconds of the training command as it is typed, and what it wrote."""
        out = Path(os.environ["STEPWELL_HOME"]) / "bare.json"
        line = [sys.executable, str(HERE / "gpu_project" / "train.py"), "--out", str(out), *words]
        shown = {"CUDA_VISIBLE_DEVICES": self.trained["visible"], "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        began = time.monotonic()
        subprocess.run(line, check=True, env={**os.environ, **shown})
        return time.monotonic() - began, json.loads(out.read_text())

    def refused(self, surroundings: Callable[[], Any], words: str) -> str:
        """Without a GPU nothing starts, and what is missing is named."""
        with surroundings():
            pipeline = Pipeline(self.workspace, [self.step(f"never{len(self.lines)}", "--seconds", "1")])
            try:
                with connection.client_settings():
                    pipeline.flow()
            except StepwellError as error:
                need(words in error.message and 'fallback="cpu"' in error.hint, error.message)
                return error.title
        raise AssertionError("it ran")

    def fell_back(self) -> str:
        """Without a driver a target that says so runs on processors, with a warning."""
        CudaCompute(fallback="cpu").attach_to(self.workspace, "fallback")
        with without_driver(), hidden():
            summary = self.run(self.step("fallback", "--seconds", "1", target="fallback"))
        need(self.told(summary, "fallback")["device"] == "cpu", "it found a GPU")
        need(summary.steps[0].ran_on.get("fallback") == "cpu", f"recorded: {summary.steps[0].ran_on}")
        said = [warning for warning in summary.warnings if "ran on processors" in warning]
        need(len(said) == 1, f"warnings: {summary.warnings}")
        return said[0]


@contextmanager
def hidden() -> Iterator[None]:
    """Hide all GPUs by the environment of this process."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


@contextmanager
def without_driver() -> Iterator[None]:
    """Show Stepwell a machine without NVIDIA's driver."""
    before = gpu.LIBRARY, os.environ["PATH"], sys.modules.get("pynvml")
    gpu.LIBRARY, os.environ["PATH"], sys.modules["pynvml"] = "libnvidia-none.so.1", "", None  # type: ignore[assignment]
    try:
        yield
    finally:
        gpu.LIBRARY, os.environ["PATH"] = before[:2]
        del sys.modules["pynvml"]
        if before[2] is not None:
            sys.modules["pynvml"] = before[2]


def main() -> int:
    """0 if every check passed; the table stands in the folder RESULTS, too."""
    began = time.monotonic()
    connection.ensure_server()
    proof = Proof()
    try:
        proof.say(
            f"Stepwell on GPUs, {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}, by benchmarks/gpu_check.sh"
        )
        if STAND_IN:
            proof.say("ON A STAND-IN: this tries the script and proves nothing of GPUs")
        proof.check("GPUs and driver are found", proof.machine)
        proof.check("a step trains on the GPU", proof.trains)
        proof.check("it sees exactly its own GPU", proof.right_device)
        proof.check("model, driver and memory are recorded with the run", proof.recorded)
        proof.check("utilisation and peak memory are metrics of the step", proof.measured)
        proof.check("the second run reuses it without waking the cluster", proof.reused)
        proof.check("two steps that take a GPU each are queued", proof.queued)
        proof.check("two steps that take half a GPU each share it", proof.shared)
        proof.check("with several GPUs, steps have one each", proof.spread)
        proof.check(f"overhead over the bare command, at most {GOAL_PERCENT:g} %", proof.overhead)
        proof.check("hidden GPUs: refused before it starts", lambda: proof.refused(hidden, "hides all of them"))
        proof.check("no driver: refused before it starts", lambda: proof.refused(without_driver, "no NVIDIA driver"))
        proof.check('no driver, fallback="cpu": runs, and says so', proof.fell_back)
    finally:
        cluster.close_all()
        with suppress(StepwellError):
            connection.stop()
    proof.say(
        f"{'FAILED' if proof.failed else 'PASSED'}: {proof.failed} checks failed, {time.monotonic() - began:.0f} s"
    )
    keep(proof.lines)
    return 1 if proof.failed else 0


def keep(lines: list[str]) -> None:
    """Write the table to a file, unless a stand-in made it."""
    if STAND_IN:
        return
    model = next((one.model for one in gpu.gpus()), "none").replace(" ", "-")
    folder = Path(os.environ.get("RESULTS") or HERE / "results")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"gpu-{time.strftime('%Y-%m-%d')}-{model}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
