"""The process that was started last, as the kernel tells."""

from __future__ import annotations

import subprocess

from stepwell.blocks.processes.table import last_number, list_processes


def test_the_last_number_is_that_of_what_was_started_last() -> None:
    for _ in range(10_000):  # others start processes, too
        with subprocess.Popen(["/bin/true"]) as process:
            last = last_number()
        if last == process.pid:
            break
    assert last == process.pid


def test_processes_are_listed_from_a_number_on() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        assert process.pid in list_processes(process.pid)
        assert process.pid not in list_processes(process.pid + 1)
        assert process.stdin
        process.stdin.close()
