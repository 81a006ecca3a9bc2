"""The markers by which the descendants of a step are known: the words of a variable, and a tag on the process.

The tag is the limit on the CPU time of realtime threads. It is inherited through fork and exec, whatever becomes of the
environment, and nobody else uses it. 2^60 microseconds are 36 thousand years: no limit at all, but a number that serves
as a name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource

from stepwell.blocks.processes.table import read

MARKER = "STEPWELL_MARKER"
"""The variable that holds the markers of a process and of its hosts, as words."""

_TAGS = 1 << 60


def markers_with(marker: str) -> str:
    """Return the variable's value for a process with this marker: a run within a run adds a word."""
    return " ".join([*os.environ.get(MARKER, "").split(), marker])


def markers_of(pid: int) -> list[str]:
    """Return the markers in the environment of a process."""
    name = f"{MARKER}=".encode()
    for entry in read(f"/proc/{pid}/environ").split(b"\0"):
        if entry.startswith(name):
            return os.fsdecode(entry[len(name) :]).split()
    return []


def tag_for(marker: str) -> int:
    """Return the tag that goes with a marker."""
    return _TAGS | int.from_bytes(hashlib.blake2b(os.fsencode(marker), digest_size=7).digest(), "big")


def put_tag(pid: int, tag: int) -> None:
    """Tag the process, if it is still there."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)[1]
        resource.prlimit(pid, resource.RLIMIT_RTTIME, (tag, hard))


def tag_of(pid: int) -> int:
    """Return the tag of a process, or its limit if it has none; 0 if it is gone."""
    with contextlib.suppress(AttributeError, OSError):
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)[0]
    return 0
