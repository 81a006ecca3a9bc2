"""GPUs of this machine: which there are, what is missing where there are none, and how one was used while a step ran.

Part of the worker bundle. NVIDIA's own library is asked through `pynvml`, which Dask-CUDA brings along, or else
`nvidia-smi` is.
"""

from __future__ import annotations

import csv
import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.blocks.processes.markers import markers_of
from stepwell.script.log import FolderLog

LIBRARY = "libnvidia-ml.so.1"
TICK_SECONDS = 0.2
_MEBIBYTE = 1 << 20
_SMI_SECONDS = 20.0
_UNKNOWN = -1


@dataclass(frozen=True)
class Gpu:
    """One GPU: its number in the order of the PCI bus, and what people want to know of it."""

    index: int
    uuid: str
    model: str
    driver: str
    memory_mb: int

    def facts(self) -> dict[str, str]:
        """Return what is recorded with a run."""
        memory = {"GPU memory": f"{self.memory_mb} MiB"} if self.memory_mb > 0 else {}
        return {"GPU": self.model, **memory, "driver": self.driver, "GPU's id": self.uuid}


class Sample(NamedTuple):
    """What a GPU does now: percent of time that it computes, bytes in use, and bytes by process if the driver knows."""

    utilization: int
    used: int
    processes: dict[int, int]


def driver_loads() -> bool:
    """Return whether NVIDIA's driver is installed here."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this machine, visible to CUDA or not; none without a driver."""
    library = _library()
    if library is None:
        return _gpus_of_smi()
    try:
        return _gpus_of_library(library)
    except library.NVMLError:  # one that fell off the bus
        return ()


def driver_error() -> str:
    """Return the driver's own error if it can't be asked; '' if it can, or without `pynvml` to ask it."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        return ""
    except Exception as error:  # noqa: BLE001
        return str(error)
    return ""


def find(device: str) -> Gpu | None:
    """Return the GPU of that number or id, as in `CUDA_VISIBLE_DEVICES`; None if there is none."""
    return next((gpu for gpu in gpus() if device == str(gpu.index) or (device and gpu.uuid.startswith(device))), None)


def sampler(device: str) -> Callable[[], Sample] | None:
    """Return a function that samples what the GPU does now; None if there is no such GPU."""
    library, gpu = _library(), find(device)
    if gpu is None:
        return None
    if library is None:
        return lambda: _sample_of_smi(gpu)
    handle = library.nvmlDeviceGetHandleByIndex(gpu.index)
    return lambda: _sample_of_library(library, handle)


# While a step runs ----------------------------------------------------------------------------------------------------


@contextmanager
def observed(device: str, step_run_id: str, control: Path) -> Iterator[None]:
    """Sample the GPU while the block runs, and log how it was used as metrics of the step.

    `gpu_utilization_mean` and `gpu_utilization_max` (percent, of the whole GPU), `gpu_memory_peak_mb` (MiB, of the step's
    own processes if the driver reports that, else of all that came to the GPU since the step began).
    """
    sample = sampler(device)
    if sample is None:
        yield
        return
    watch = Watch(sample, step_run_id)
    watch.start()
    try:
        yield
    finally:
        watch.finish()
        with suppress(OSError):
            _log(control, watch.metrics())


class Watch:
    """Samples of a GPU, taken by a thread while a step runs."""

    def __init__(self, sample: Callable[[], Sample], step_run_id: str) -> None:
        self._sample = sample
        self._marker = f"stepwell-{step_run_id}"
        self._is_own_by_pid: dict[int, bool] = {}
        self._utilization: list[int] = []
        self._own, self._added, self._baseline = 0, 0, _UNKNOWN
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stepwell-gpu", daemon=True)

    def start(self) -> None:
        """Start sampling; what the GPU holds now is not the step's."""
        with suppress(Exception):
            self._baseline = self._sample().used
        self._thread.start()

    def finish(self) -> None:
        """Stop sampling."""
        self._finished.set()
        self._thread.join()

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name; none if there were no samples."""
        found: dict[str, float] = {}
        if self._utilization:
            found["gpu_utilization_mean"] = round(sum(self._utilization) / len(self._utilization), 1)
            found["gpu_utilization_max"] = max(self._utilization)
        if self._baseline != _UNKNOWN:
            found["gpu_memory_peak_mb"] = round((self._own or self._added) / _MEBIBYTE, 1)
        return found

    def _watch(self) -> None:
        while not self._finished.wait(TICK_SECONDS):
            self._take()
        if not self._utilization:
            self._take()

    def _take(self) -> None:
        try:
            now = self._sample()
        except Exception:  # noqa: BLE001  (a driver's hiccup is not the step's)
            return
        if now.utilization != _UNKNOWN:
            self._utilization.append(now.utilization)
        self._added = max(self._added, now.used - self._baseline)
        self._own = max(self._own, sum(used for pid, used in now.processes.items() if self._is_own(pid)))

    def _is_own(self, pid: int) -> bool:
        if pid not in self._is_own_by_pid:
            self._is_own_by_pid[pid] = self._marker in markers_of(pid)
        return self._is_own_by_pid[pid]


def _log(control: Path, metrics: Mapping[str, float]) -> None:
    log = FolderLog(str(control))
    for name, value in metrics.items():
        event = {"type": "metric", "scope": "step", "name": name, "kind": "scalar", "value": value}
        log.append({**event, "time": time.time()})


# The driver -----------------------------------------------------------------------------------------------------------


def _library() -> Any:
    """Return NVIDIA's library, ready to be asked; None if it or `pynvml` isn't there."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001  (pynvml has an error of its own for everything that can be missing)
        return None
    return pynvml


def _gpus_of_library(library: Any) -> tuple[Gpu, ...]:
    driver = _text(library.nvmlSystemGetDriverVersion())
    handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())]
    return tuple(
        Gpu(
            index,
            _text(library.nvmlDeviceGetUUID(handle)),
            _text(library.nvmlDeviceGetName(handle)),
            driver,
            _memory(library, handle) // _MEBIBYTE,
        )
        for index, handle in enumerate(handles)
    )


def _memory(library: Any, handle: Any) -> int:
    with suppress(library.NVMLError):  # some GPUs share the machine's memory
        return int(library.nvmlDeviceGetMemoryInfo(handle).total)
    return 0


def _sample_of_library(library: Any, handle: Any) -> Sample:
    utilization, processes = _UNKNOWN, {}
    with suppress(library.NVMLError):
        utilization = int(library.nvmlDeviceGetUtilizationRates(handle).gpu)
    with suppress(library.NVMLError):
        running = library.nvmlDeviceGetComputeRunningProcesses(handle)
        processes = {int(process.pid): int(process.usedGpuMemory or 0) for process in running}
    return Sample(utilization, int(library.nvmlDeviceGetMemoryInfo(handle).used), processes)


def _gpus_of_smi() -> tuple[Gpu, ...]:
    rows = _smi("--query-gpu=index,uuid,name,driver_version,memory.total")
    return tuple(Gpu(int(row[0]), row[1], row[2], row[3], max(0, _number(row[4]))) for row in rows if len(row) == 5)


def _sample_of_smi(gpu: Gpu) -> Sample:
    ((utilization, used),) = _smi("--query-gpu=utilization.gpu,memory.used", f"--id={gpu.uuid}")
    rows = _smi("--query-compute-apps=pid,used_memory", f"--id={gpu.uuid}")
    processes = {int(row[0]): max(0, _number(row[1])) * _MEBIBYTE for row in rows if len(row) == 2 and row[0].isdigit()}
    return Sample(_number(utilization), _number(used) * _MEBIBYTE, processes)


def _smi(*query: str) -> list[list[str]]:
    try:
        result = subprocess.run(
            ["nvidia-smi", *query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_SMI_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [[cell.strip() for cell in row] for row in csv.reader(result.stdout.splitlines()) if row]


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _UNKNOWN


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
