"""`python benchmarks/bench.py [--quick | --full] [--only NAME]... [--save FILE]`: a table of what Stepwell costs.

A missed budget is a word in the table, never an exit code: times on a shared machine prove nothing. See README.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import commands
import dask_steps
import docker_steps
import files
import growth
import mini_batches
import step_types
import steps
import waits
from place import Place, place
from rows import Row, machine, save, table

BENCHMARKS: dict[str, Callable[[Place], Iterator[Row]]] = {
    "waits": waits.waits,
    "thousand": waits.thousand_reused,
    "runs": waits.runs_listed,
    "growth": waits.growing_memory,
    "executed": steps.executed,
    "cold": growth.cold_start,
    "plan": growth.plan_over_records,
    "help": commands.help_text,
    "hashing": files.hashing,
    "snapshot": files.snapshot,
    "reused": steps.reused,
    "dask": dask_steps.spread,
    "docker": docker_steps.contained,
    "mini-batches": mini_batches.small_files,
    "types": step_types.over_their_tools,
    "command": commands.command,
    "memory": commands.memory,
    "scale": commands.scale,
}


def main() -> None:
    """Print the table, and save it where asked."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    before, rows = time.monotonic(), []
    with place(quick=options.quick, full=options.full) as there:
        for name in options.only or BENCHMARKS:
            print(f"{time.monotonic() - before:5.0f} s  {name}", file=sys.stderr, flush=True)
            rows += BENCHMARKS[name](there)
    print(table(rows))
    facts = machine()
    print(f"\n{facts['processors']} processors, load {facts['load']}, {time.monotonic() - before:.0f} s.")
    print("Both sides of a ratio met the same load; other figures grow with whatever else the machine does.")
    if options.save:
        save(rows, options.save)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="Small sizes, few repetitions: five minutes.")
    parser.add_argument("--full", action="store_true", help="More repetitions: twice as long.")
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS), help="This benchmark; may be repeated.")
    parser.add_argument("--save", type=Path, metavar="FILE", help="Also write the rows to FILE, as JSON.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
