"""What Stepwell adds to a step in a container, over a bare `docker run` of the same command at the same moment.

`python benchmarks/docker_steps.py FOLDER ARGUMENTS` answers, as JSON, what is measured within a process that has Prefect
loaded; the engine is DOCKER_HOST's, the image is named in BENCH_DOCKER_IMAGE.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rows import Row

if TYPE_CHECKING:
    from place import Place

    from stepwell import Pipeline

IMAGE = "BENCH_DOCKER_IMAGE"


def contained(place: Place) -> Iterator[Row]:
    """Yield the cost of one more executed step in a container, as a ratio to that of a bare container; no row without an engine."""
    image = os.environ.get(IMAGE, "")
    if not image or not shutil.which("docker"):
        print(f"Skipped: {IMAGE} names no image, or there is no `docker`", file=sys.stderr)
        return
    place.settle()
    few, many = (2, 8) if place.quick else (2, 14)
    arguments = json.dumps({"image": image, "few": few, "many": many, "repeat": place.repeat})
    words = [sys.executable, str(Path(__file__).resolve()), str(place.folder), arguments]
    done = subprocess.run(words, cwd=place.project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The steps in containers failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    detail = f"step {1000 * found['step']:.0f} / docker run {1000 * found['bare']:.0f} ms"
    yield Row("executed step, docker: to a bare docker run", found["ratio"], 1.15, "x", detail)


def measure(folder: Path, image: str, few: int, many: int, repeat: int) -> dict[str, float]:
    """Return seconds of one more step and of one more bare container, and their ratio, each the median of several rounds."""
    from place import new_salt

    _build(1, new_salt(), image)()  # everything is loaded
    rounds = [_round(folder, image, few, many) for _ in range(repeat)]
    step, bare = (median(column) for column in zip(*rounds, strict=True))
    return {"step": step, "bare": bare, "ratio": median(step / bare for step, bare in rounds)}


def _round(folder: Path, image: str, few: int, many: int) -> tuple[float, float]:
    from place import new_salt

    short, long = (_build(count, new_salt(), image) for count in (few, many))
    before = _seconds(lambda: _bare(folder, image, (many - few) // 2))
    steps = _seconds(long) - _seconds(short)
    after = _seconds(lambda: _bare(folder, image, (many - few) // 2))
    return steps / (many - few), (before + after) / ((many - few) // 2 * 2)


def _build(count: int, salt: str, image: str) -> Pipeline:
    from pipeline import build

    from stepwell.blocks.compute.docker.docker_compute import DockerCompute

    pipeline = build(count, "chain", salt, compute_target="docker")
    DockerCompute(image=image).attach_to(pipeline.workspace, "docker")
    return pipeline


def _bare(folder: Path, image: str, count: int) -> None:
    place = folder / "bare"
    place.mkdir(exist_ok=True)
    shutil.copy(folder / "project" / "steps" / "step.py", place)
    user = f"{os.getuid()}:{os.getgid()}"
    words = ["docker", "run", "--rm", "--network", "none", "--init", "-u", user, "-v", f"{place}:/work", "-w", "/work"]
    for number in range(count):
        subprocess.run([*words, image, "python3", "step.py", str(number), "out"], capture_output=True, check=True)


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    sys.path.insert(0, str(Path(sys.argv[1]) / "project"))
    print(json.dumps(measure(Path(sys.argv[1]), **json.loads(sys.argv[2]))))
