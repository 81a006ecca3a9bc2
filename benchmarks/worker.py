"""`worker.py TASK FOLDER ARGUMENTS` answers, as JSON, what is measured within a process that has Prefect loaded."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # as the command line does

from place import new_salt, server_cpu, settle

if TYPE_CHECKING:
    from stepwell import Workspace
    from stepwell.blocks.store.stat_cache import StatCache

Cost = tuple[float, float, float]
"""Seconds by the clock, of this process and its children, and of the server."""


def cost(work: Callable[[], object]) -> Cost:
    """Return what the work took; the server's share counts until it has caught up."""
    settle()
    before = time.perf_counter(), _cpu(), server_cpu()
    work()
    seconds, cpu = time.perf_counter() - before[0], _cpu() - before[1]
    settle()
    return seconds, cpu, server_cpu() - before[2]


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _slope(many: Cost, few: Cost, steps: int) -> Cost:
    wall, cpu, server = ((a - b) / steps for a, b in zip(many, few, strict=True))
    return wall, cpu, server


def _middle(costs: list[Cost]) -> list[float]:
    return [median(column) for column in zip(*costs, strict=True)]


# Steps ----------------------------------------------------------------------------------------------------------------


def executed(folder: Path, shape: str, few: int, many: int, repeat: int) -> dict[str, list[float]]:
    """Return the cost of one more executed step, and that of its bare process, from the same minute."""
    from pipeline import build

    places = 1 if shape == "chain" else build(1, shape, "x").workspace.compute_targets["local"].max_concurrent
    build(2, shape, new_salt())()  # everything is loaded
    steps, bare = [], []
    for _ in range(repeat):
        costs = {count: cost(build(count, shape, new_salt())) for count in (few, many)}
        steps.append(_slope(costs[many], costs[few], many - few))
        bare.append(_slope(cost(lambda: _bare(folder, many, places)), (0.0, 0.0, 0.0), many))
    overhead = [_slope(step, process, 1) for step, process in zip(steps, bare, strict=True)]
    return {"step": _middle(steps), "bare": _middle(bare), "overhead": _middle(overhead)}


def _bare(folder: Path, count: int, places: int) -> None:
    script, out = str(folder / "project" / "steps" / "step.py"), str(folder / "bare.txt")

    def run(number: int) -> None:
        subprocess.run([sys.executable, script, str(number), f"{out}{number}"], capture_output=True, check=True)

    with ThreadPoolExecutor(places) as pool:
        list(pool.map(run, range(count)))


def reused(folder: Path, few: int, many: int, repeat: int) -> dict[str, list[float]]:
    """Return the cost of one more reused step, and that of one more task of Prefect's own that does nothing."""
    from pipeline import build

    salt = new_salt()
    pipelines = {count: build(count, "flat", salt) for count in (few, many)}
    pipelines[many]()
    pipelines[many]()
    flow = _empty_tasks()
    steps, tasks = [], []
    for _ in range(repeat):
        steps.append(_slope(cost(pipelines[many]), cost(pipelines[few]), many - few))
        tasks.append(_slope(cost(lambda: flow(many)), cost(lambda: flow(few)), many - few))
    return {"step": _middle(steps), "task": _middle(tasks)}


def _empty_tasks() -> Callable[[int], None]:
    import prefect
    from prefect.futures import wait

    from stepwell.blocks.server.connection import client_settings

    @prefect.task
    def empty(_: int) -> None:
        pass

    @prefect.flow
    def tasks(count: int) -> None:
        wait([empty.submit(number) for number in range(count)])

    def run(count: int) -> None:
        with client_settings():
            tasks(count)

    return run


# Files ----------------------------------------------------------------------------------------------------------------


def snapshot(folder: Path, sources: list[str], unchanged: int, rest: float) -> dict[str, float]:
    """Return seconds for the snapshot of each source directory, new to the store; and of the last one, once all has settled."""
    from stepwell import Workspace

    workspace = Workspace.create("bench", exist_ok=True)
    cold = [_seconds(lambda source=source: _snapshot(workspace, source)) for source in sources]
    time.sleep(rest)
    _snapshot(workspace, sources[-1])  # read once more, and remembered
    again = [_seconds(lambda: _snapshot(workspace, sources[-1])) for _ in range(unchanged)]
    return {"cold": median(cold), "unchanged": median(again)}


def _snapshot(workspace: Workspace, source: str) -> None:
    from stepwell.flows.engine.run_context import RunContext

    context = RunContext(workspace, "bench")
    context.source(source)
    context.snapshots()


def hashing(folder: Path, file: str, repeat: int) -> dict[str, float]:
    """Return seconds to hash a file that no cache knows, with `sha256sum`, and once more; and the ratio of the first two."""
    from stepwell.blocks.store.stat_cache import StatCache

    rounds = [_hashed(StatCache(folder / f"cache{number}" / "digests.sqlite3"), file) for number in range(repeat)]
    first, system, again = (median(column) for column in zip(*rounds, strict=True))
    ratio = median(mine / other for mine, other, _ in rounds)
    return {"first": first, "sha256sum": system, "again": again, "ratio": ratio}


def _hashed(cache: StatCache, file: str) -> tuple[float, float, float]:
    def digest() -> str:
        return str(cache.digest_file(file, os.stat(file)))

    first = _seconds(digest)
    system = _seconds(lambda: subprocess.run(["sha256sum", file], capture_output=True, check=True))
    cache.close()  # a later process has to open it anew
    return first, system, _seconds(digest)


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def fill(folder: Path, steps: int, salt: str, records: int) -> int:
    """Put as many records into the store as there are to be, older ones of the same steps, and return their number."""
    from dataclasses import replace

    from pipeline import build

    from stepwell.blocks.store.store import FORMAT, encode, fan_out
    from stepwell.model.fingerprint import Fingerprint, partial_key

    store, made = build(1, "flat", salt).workspace.store, 0
    known = [record for _, record in store.records() if getattr(record, "step", "").startswith(f"{salt}flat")]
    for number in range(records // steps - 1):
        for record in known:
            rows = tuple(row._replace(value=f"{row.value} {number}") if row.kind == "argument" else row for row in record.fingerprint.rows)  # fmt: skip
            old = replace(record, fingerprint=Fingerprint(rows), key=Fingerprint(rows).key, sequence=-number)
            body = old.to_json()
            place = fan_out(store.written / "records", old.key).with_suffix(".json")
            index = store.written / "index"
            places = [
                place,
                index / "partial" / partial_key(old.fingerprint) / old.key,
                store._step_index(old.step) / f"{0:09d}-{old.key}",  # noqa: SLF001
            ]
            for one in places:
                one.parent.mkdir(parents=True, exist_ok=True)
                one.touch()
            place.write_bytes(encode({"format": FORMAT, "record": body, "signature": store.keyed("record", body)}))
            made += 1
    return made


TASKS: dict[str, Callable[..., object]] = {task.__name__: task for task in (executed, reused, snapshot, hashing, fill)}


if __name__ == "__main__":
    task, folder, arguments = sys.argv[1:]
    sys.path.insert(0, str(Path(folder) / "project"))
    print(json.dumps(TASKS[task](Path(folder), **json.loads(arguments))))
