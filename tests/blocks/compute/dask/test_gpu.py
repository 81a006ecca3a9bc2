"""The GPUs that there are, and their use while a step ran: by NVIDIA's library (a stand-in) and by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import fake_gpu
import pytest

from stepwell.blocks.compute.dask import gpu
from stepwell.blocks.compute.dask.gpu import Gpu, Sample, Watch, observed
from stepwell.script.events import read_events
from stepwell.script.metrics import metrics_of

MEBIBYTE = 1 << 20
needs_library = pytest.mark.skipif(bool(fake_gpu.why_not()), reason=fake_gpu.why_not())
needs_no_driver = pytest.mark.skipif(fake_gpu.has_driver(), reason="this machine has a GPU's driver")


def printed(library, code, **variables):
    """Return what a process that finds the stand-in prints as JSON."""
    pytest.importorskip("pynvml")
    script = f"import json\nfrom dataclasses import asdict\nfrom stepwell.blocks.compute.dask import gpu\n{code}"
    environment = fake_gpu.with_library(library, **variables)
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fake_gpu.library(tmp_path_factory.mktemp("library"))


@needs_library
def test_gpus_by_the_library(library):
    found = printed(library, "print(json.dumps([asdict(one) for one in gpu.gpus()]))")
    assert found == [
        {"index": n, "uuid": f"GPU-0000000{n}-fake", "model": "Fake H-0", "driver": "999.01", "memory_mb": 8192}
        for n in range(2)
    ]
    assert printed(
        library, "print(json.dumps([gpu.gpus(), gpu.driver_loads(), gpu.driver_error()]))", FAKE_GPUS="0"
    ) == [
        [],
        True,
        "",
    ]


@needs_library
def test_a_gpu_is_found_by_number_and_by_id(library):
    code = (
        "print(json.dumps([f.index if (f := gpu.find(n)) else None for n in ('1', 'GPU-00000001', 'GPU-7', '9', '')]))"
    )
    assert printed(library, code) == [1, 1, None, None, None]


@needs_library
def test_a_sample_by_the_library(library, tmp_path):
    (tmp_path / "processes").write_text(f"1 4711 {5 * MEBIBYTE}\n0 4712 {3 * MEBIBYTE}\n")
    sample = printed(library, "print(json.dumps(gpu.sampler('1')()))", FAKE_GPU_PROCESSES=str(tmp_path / "processes"))
    assert sample == [41, 1029 * MEBIBYTE, {"4711": 5 * MEBIBYTE}]


SMI = """#!/bin/sh
case "$*" in
  *query-gpu=index*) echo '0, GPU-a, Tesla T4, 550.54, 15360'; echo '1, GPU-b, Tesla T4, 550.54, [N/A]';;
  *query-gpu=utilization*) echo '83, 1200';;
  *query-compute-apps*) echo '99, 700'; echo '98, [N/A]';;
esac
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_gpus_and_samples_by_the_command_line(smi):
    assert gpu.gpus() == (
        Gpu(0, "GPU-a", "Tesla T4", "550.54", 15360),
        Gpu(1, "GPU-b", "Tesla T4", "550.54", 0),
    )
    assert gpu.sampler("1")() == Sample(83, 1200 * MEBIBYTE, {99: 700 * MEBIBYTE, 98: 0})
    assert gpu.gpus()[0].facts() == {
        "GPU": "Tesla T4",
        "GPU memory": "15360 MiB",
        "driver": "550.54",
        "GPU's id": "GPU-a",
    }


@needs_no_driver
def test_a_machine_without_a_driver():
    assert not gpu.driver_loads()
    assert gpu.gpus() == ()
    assert gpu.sampler("0") is None


def test_a_step_is_charged_with_its_own_processes(monkeypatch):
    environment = {**os.environ, "STEPWELL_MARKER": "stepwell-outer stepwell-mine"}
    with subprocess.Popen(["sleep", "900"], env=environment) as own, subprocess.Popen(["sleep", "900"]) as other:
        try:
            samples = [Sample(50, 900 * MEBIBYTE, {other.pid: 800 * MEBIBYTE, own.pid: 100 * MEBIBYTE})]
            samples += [Sample(100, 1100 * MEBIBYTE, {other.pid: 800 * MEBIBYTE, own.pid: 300 * MEBIBYTE})]
            watch = watched(monkeypatch, [Sample(0, 800 * MEBIBYTE, {other.pid: 800 * MEBIBYTE}), *samples], "mine")
        finally:
            own.kill()
            other.kill()
    assert watch.metrics() == {"gpu_utilization_mean": 75.0, "gpu_utilization_max": 100, "gpu_memory_peak_mb": 300.0}


def test_where_processes_are_not_told_what_was_added_counts(monkeypatch):
    samples = [Sample(-1, 500 * MEBIBYTE, {}), Sample(-1, 700 * MEBIBYTE, {}), Sample(-1, 600 * MEBIBYTE, {})]
    assert watched(monkeypatch, samples, "x").metrics() == {"gpu_memory_peak_mb": 200.0}


def watched(monkeypatch, samples, step_run_id):
    """Return a watch that saw these samples, then an error for ever."""
    monkeypatch.setattr(gpu, "TICK_SECONDS", 0.001)
    waiting, seen = list(samples), threading.Event()

    def sample():
        if not waiting:
            seen.set()
        return waiting.pop(0)

    watch = Watch(sample, step_run_id)
    watch.start()
    assert seen.wait(300)
    watch.finish()
    return watch


def test_what_was_seen_becomes_metrics_of_the_step(smi, tmp_path):
    control = tmp_path / "control"
    control.mkdir()
    with observed("0", "mine", control):
        pass
    metrics = metrics_of(read_events(control))
    assert metrics == {"gpu_utilization_mean": 83.0, "gpu_utilization_max": 83, "gpu_memory_peak_mb": 0.0}
    with observed("5", "mine", tmp_path / "nowhere"):
        pass
    with observed("0", "mine", tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()
