"""A private SLURM cluster on this machine, of Debian's packages: munged, slurmctld, and a slurmd for each of its nodes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ports import port_for_later
from waiting import PATIENCE, eventually

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")

CONFIGURATION = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=10000,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
KillWait=5
OverTimeLimit=0
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=DOWN
"""


def why_not() -> str:
    """Return why there can be no private SLURM cluster here; empty if there can."""
    if os.geteuid() != 0:
        return "SLURM's nodes run jobs of their own user only if root starts them"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    return f"SLURM is not installed: {', '.join(missing)} missing" if missing else ""


@dataclass
class Slurm:
    """A running cluster. `environment` has what its commands need."""

    folder: Path
    environment: dict[str, str]

    def jobs(self) -> list[tuple[str, str]]:
        """Return id and state of each job that waits or runs."""
        lines = self("squeue", "--noheader", "--format=%i %T").splitlines()
        return [tuple(line.split()) for line in lines]

    def __call__(self, *command: str) -> str:
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@contextmanager
def slurm(nodes: int = 3, cpus: int = 2) -> Iterator[Slurm]:
    """Run a cluster of so many nodes with so many processors each, as SLURM counts them, while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # munge wants short paths
    host = socket.gethostname().partition(".")[0]
    ports = [port_for_later() for _ in range(nodes + 1)]
    lines = [
        f"NodeName=node{n} NodeAddr=127.0.0.1 NodeHostname={host} Port={ports[n]} CPUs={cpus} RealMemory=64000 State=UNKNOWN"
        for n in range(1, nodes + 1)
    ]
    (folder / "munge").mkdir(mode=0o700)
    (folder / "state").mkdir()
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(host=host, ports=ports, folder=folder, nodes="\n".join(lines))
    )
    cluster = Slurm(folder, {"SLURM_CONF": str(folder / "slurm.conf")})
    munge = [f"--{name}={folder}/munge/{file}" for name, file in _MUNGE_FILES.items()]
    commands = [["munged", "--foreground", "--force", *munge], ["slurmctld", "-D"]]
    commands += [["slurmd", "-D", "-N", f"node{n}"] for n in range(1, nodes + 1)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with open(folder / f"{command[0]}.out", "ab") as output:
                environment = {**os.environ, **cluster.environment}
                started.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))
            if command[0] == "munged":
                eventually((folder / "munge/socket").exists)
            elif command[0] == "slurmctld":
                eventually(lambda: _answers(ports[0]))  # nodes that come before it wait for half a minute
        eventually(lambda: _idle_nodes(cluster) == nodes)
        yield cluster
    finally:
        _end_jobs(cluster)
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


_MUNGE_FILES = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _idle_nodes(cluster: Slurm) -> int:
    try:
        return cluster("sinfo", "--noheader", "--partition=main", "--Node", "--states=idle", "--format=%N").count(
            "node"
        )
    except subprocess.CalledProcessError:
        return 0


def _end_jobs(cluster: Slurm) -> None:
    """Cancel what is left, so that no process of a job outlives the cluster."""
    try:
        if left := [job for job, _ in cluster.jobs()]:
            cluster("scancel", "--signal=KILL", *left)
            cluster("scancel", *left)
            eventually(lambda: not cluster.jobs())
    except subprocess.CalledProcessError:
        pass  # it never came up
