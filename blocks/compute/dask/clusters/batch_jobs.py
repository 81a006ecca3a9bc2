"""The jobs of a batch system in which Dask's workers run: submitted, watched, replaced when they end, told of while they wait.

dask-jobqueue submits and cancels jobs; what became of them only the batch system knows, by its own command.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 2.0
_COMMAND_SECONDS = 30
_MOST_FAILURES = 3
"""After so many jobs in a row that ended before their workers came, or could not be submitted, there is no use in another."""

States = Mapping[str, tuple[str, str]]
"""State and reason by job id."""

_SLURM_AT_WORK = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING", "STOPPED")


@dataclass
class Job:
    """A job as it was last seen. `ended` is the state that it ended in, `came` whether its worker was ever there."""

    name: str
    id: str
    came: bool = False
    state: str = ""
    reason: str = ""
    ended: bool = False


def recording(job_class: Any) -> Any:
    """Return the class of jobs whose instances keep why they were not submitted: Dask would try again for ever."""

    class Recorded(job_class):  # type: ignore[misc]
        refusal = ""

        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:  # noqa: BLE001  (whatever the batch system's command says)
                from distributed.deploy.spec import ProcessInterface

                self.refusal = _refusal(error)
                begin: Any = ProcessInterface.start
                await begin(self)

    Recorded.__name__ = job_class.__name__
    return Recorded


def _refusal(error: Exception) -> str:
    said = str(error).partition("stderr:\n")[2].strip() or str(error).partition("stdout:\n")[2].strip() or str(error)
    return said.splitlines()[0] if said else type(error).__name__


class BatchJobs:
    """The jobs of one cluster of dask-jobqueue's.

    Args:
        cluster: The cluster.
        target: The name of the compute target.
    """

    def __init__(self, cluster: Any, target: str) -> None:
        self._cluster, self._target = cluster, target
        self._system = str(getattr(cluster.job_cls, "config_name", ""))
        self._queue = str(cluster._job_kwargs.get("queue") or "")  # noqa: SLF001  (nowhere else)
        self._logs = Path(str(cluster._dummy_job.log_directory or "."))  # noqa: SLF001  (nowhere else)
        self._jobs: dict[str, Job] = {}
        self._failures: list[str] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="stepwell-jobs", daemon=True).start()

    @property
    def problem(self) -> str:
        """Why no worker will come; empty while there is hope."""
        return self._failures[-1] if len(self._failures) >= _MOST_FAILURES else ""

    def forgive(self) -> None:
        """Forget jobs that failed: somebody tries again."""
        self._failures.clear()

    def waiting(self) -> str:
        """Return what the batch system says of jobs whose workers have not come yet; empty if there are none."""
        self.look()
        jobs = [job for job in self._jobs.values() if not (job.came or job.ended)]
        if not jobs:
            return self._failures[-1] if self._failures else ""
        where = f" in queue {self._queue}" if self._queue else ""
        said = sorted({f"{job.state} ({job.reason})" if job.reason else job.state for job in jobs if job.state})
        number = f"job {jobs[0].id}" if len(jobs) == 1 else f"{len(jobs)} jobs"
        return f"{number}{where}{': ' if said else ''}{', '.join(said)}"

    def endings(self) -> str:
        """Return how the last jobs ended whose workers had come, such as `17 TIMEOUT`; empty if none did."""
        self.look()
        ended = [job for job in list(self._jobs.values())[-8:] if job.came and job.ended]
        ending = [job for job in ended if job.state == "COMPLETING"]
        seen = states(self._system, [job.id for job in ending]) if ending else None
        for job in ending:
            job.state = (seen or {}).get(job.id, (job.state, ""))[0]
        return ", ".join(f"{job.id} {job.state}" for job in ended)

    def stop(self) -> None:
        """Watch no longer, as the cluster is about to close."""
        self._closed.set()

    def clean(self) -> None:
        """Remove what the closed cluster left: its keys, and the logs of the jobs that did their work."""
        for name in ("ca_file", "key", "cert"):
            with suppress(AttributeError, OSError):
                getattr(self._cluster, f"_job_{name}").close()
        for job in self._jobs.values():
            for log in _logs_of(self._logs, job.id) if job.came and self._logs != Path() else ():
                with suppress(OSError):
                    log.unlink()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            with suppress(Exception):  # the next look may see more
                self.look()

    def look(self) -> None:
        """See which jobs have workers, ask for the state of the others, and let go of those that ended."""
        with self._lock:
            if self._closed.is_set():
                return
            present = {str(worker["name"]) for worker in list(self._cluster.scheduler_info["workers"].values())}
            absent = []
            for name, submitted in list(self._cluster.workers.items()):
                if submitted.refusal:
                    self._failures.append(f"no job could be submitted: {submitted.refusal}")
                    self._let_go(name)
                elif submitted.job_id:
                    job = self._jobs.setdefault(submitted.job_id, Job(name, submitted.job_id))
                    if any(other == name or other.startswith(f"{name}-") for other in present):
                        job.came, job.state, job.reason = True, "RUNNING", ""
                        self._failures.clear()
                    elif not job.ended:
                        absent.append(job)
            absent += [job for job in self._jobs.values() if job.came and not job.ended and job not in absent
                       and job.name not in self._cluster.workers]  # fmt: skip
            if absent:
                self._judge(absent, states(self._system, [job.id for job in absent]))

    def _judge(self, jobs: Iterable[Job], seen: States | None) -> None:
        for job in jobs:
            if seen is None:  # the batch system did not answer, or is one that we can't ask
                continue
            job.state, job.reason = seen.get(job.id, ("gone", ""))
            if _is_at_work(self._system, job.state):
                continue
            job.ended = True
            if not job.came:
                self._failures.append(self._told(job))
            if job.name in self._cluster.workers:
                self._let_go(job.name)

    def _let_go(self, name: str) -> None:
        """Forget a job that is no more, so that another one is submitted if it is needed."""

        def forget() -> None:  # at once, so that Dask can't give its name to the next one in between
            from distributed.core import Status

            self._cluster.worker_spec.pop(name, None)
            gone = self._cluster.workers.pop(name, None)
            if gone is not None:
                gone.status = Status.closed

        self._cluster.loop.add_callback(forget)

    def _told(self, job: Job) -> str:
        last = [line for log in _logs_of(self._logs, job.id) for line in _last_line(log)]
        said = f": {last[-1]}" if last else ""
        state = f" ({job.state}{', ' + job.reason if job.reason not in ('', 'None') else ''})"
        return f"job {job.id}{state} ended before its worker reached the scheduler{said}"


def _logs_of(folder: Path, job_id: str) -> list[Path]:
    number = re.compile(rf"(?<!\d){re.escape(job_id)}(?!\d)")
    return sorted(path for path in folder.glob(f"*{job_id}*") if number.search(path.name)) if folder.is_dir() else []


def _last_line(log: Path) -> list[str]:
    with suppress(OSError):
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 4096))
            lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines()]
        return [line for line in lines if line][-1:]
    return []


# What batch systems say -------------------------------------------------------------------------------------------------


def states(system: str, ids: list[str]) -> States | None:
    """Return what the batch system knows of the jobs; None if it does not answer, or can't be asked."""
    if system not in _SYSTEMS:
        return None
    command, parse = _SYSTEMS[system]
    try:
        done = subprocess.run(
            command(ids), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    known = parse(done.stdout)
    if (
        done.returncode
        and not known
        and not re.search(r"unknown|invalid job id|not found|do not exist|finished", done.stderr.lower())
    ):
        return None
    return known


def _is_at_work(system: str, state: str) -> bool:
    if system == "slurm":
        return state in _SLURM_AT_WORK
    return state not in ("gone", "C", "F", "X", "DONE", "EXIT", "ZOMBI")


def _of_slurm(text: str) -> States:
    rows = (line.strip().split("|") for line in text.splitlines())
    return {row[0]: (row[1], "" if row[2] == "None" else row[2]) for row in rows if len(row) == 3}


def _of_pbs(text: str) -> States:
    found = {}
    for block in re.split(r"(?m)^Job Id: *", text)[1:]:
        flat = re.sub(r"\n\t", "", block)
        said = {key.strip(): value.strip() for key, _, value in (line.partition(" = ") for line in flat.splitlines())}
        found[re.match(r"\d*", block)[0]] = (said.get("job_state", ""), said.get("comment", ""))  # type: ignore[index]
    return found


def _of_lsf(text: str) -> States:
    rows = (line.strip().split("|", 2) for line in text.splitlines())
    return {row[0]: (row[1], row[2].strip("- ;")) for row in rows if len(row) == 3 and row[0].isdigit()}


def _of_sge(text: str) -> States:
    rows = (line.split() for line in text.splitlines())
    return {row[0]: (row[4], "") for row in rows if len(row) > 4 and row[0].isdigit()}


_SYSTEMS: dict[str, tuple[Callable[[list[str]], list[str]], Callable[[str], States]]] = {
    "slurm": (
        lambda ids: ["squeue", "--noheader", "--states=all", "--format=%i|%T|%r", f"--jobs={','.join(ids)}"],
        _of_slurm,
    ),
    "pbs": (lambda ids: ["qstat", "-f", *ids], _of_pbs),
    "lsf": (lambda ids: ["bjobs", "-a", "-noheader", "-o", "jobid stat pend_reason delimiter='|'", *ids], _of_lsf),
    "sge": (lambda _: ["qstat"], _of_sge),
}
