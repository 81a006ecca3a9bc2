"""Runs a script in several processes that MPI starts on this machine, as many as its nodes have together."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from stepwell.drivers.ranks import Logs, command_of, fail, variables_for

MISSING = (
    "Processes that find one another by MPI need `mpirun`: Install Open MPI (on Debian: apt-get install openmpi-bin)"
)

_RANK = """
rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:-0}}}
export OMPI_COMM_WORLD_LOCAL_RANK=$((rank % $1)) OMPI_COMM_WORLD_LOCAL_SIZE=$1 OMPI_COMM_WORLD_NODE_RANK=$((rank % $1))
ends=$2
shift 2
"$@" > "logs/70_driver_log_$rank.txt" 2>&1
code=$?
[ "$code" = 0 ] || echo "$code" > "$ends/$rank"
exit "$code"
"""
"""What runs as each rank: its local rank is that of the node which it plays, its log is its own, and its end is noted."""

_OPEN_MPI = ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
_MASTER = "127.0.0.1"
_VARIABLES = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_ALLOW_RUN_AS_ROOT": "1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers forbid it, and say so at length
    "AZ_BATCHAI_MPI_MASTER_NODE": _MASTER,
    "AZ_BATCH_MASTER_NODE": f"{_MASTER}:6000",
}


def main(script: str, settings: dict[str, str]) -> None:
    """Run the script in `nodes` times `processes` processes; end as the first of them that fails."""
    nodes, processes = _count(settings, "nodes"), _count(settings, "processes")
    count, mpirun = nodes * processes, shutil.which("mpirun")
    if mpirun is None and count > 1:
        raise SystemExit(f"{MISSING}.")
    logs = Logs([str(rank) for rank in range(count)])
    with tempfile.TemporaryDirectory(prefix="mpi-") as ends:
        ranks = ["sh", "-c", _RANK, "rank", str(processes), ends, *command_of(script)]
        own = {name: value for name, value in _VARIABLES.items() if name not in os.environ}
        start: list[str] = []
        if mpirun is None:
            own |= {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}
        else:
            start = [mpirun, *(_OPEN_MPI if _is_open_mpi(mpirun) else []), "-n", str(count)]
        with open(os.path.join(ends, "mpirun"), "w+b") as said:
            process = subprocess.Popen(
                [*start, *ranks], env=variables_for(script, own), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
            logs.follow(lambda: process.poll() is None)
            code = process.wait()
            first = _first_end(ends)
            if first:
                fail(first[0], count, first[1])
            if code:
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace"))
                raise SystemExit(code if code > 0 else 128 - code)


def _count(settings: dict[str, str], name: str) -> int:
    text = settings[name]
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"The number of {name} must be a whole number of at least 1, not {text}.")
    return int(text)


def _is_open_mpi(mpirun: str) -> bool:
    told = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=False)
    return "Open MPI" in told.stdout or "OpenRTE" in told.stdout


def _first_end(ends: str) -> tuple[str, int] | None:
    """Return the rank that failed first, and its exit code; a shell's for a signal is that of the signal."""
    noted = [entry for entry in os.scandir(ends) if entry.name.isdecimal()]
    if not noted:
        return None
    first = min(noted, key=lambda entry: (entry.stat().st_mtime_ns, int(entry.name)))
    with open(first.path, encoding="ascii") as stream:
        code = int(stream.read() or 1)
    return first.name, 128 - code if code > 128 else code
