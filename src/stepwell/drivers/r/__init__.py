"""Runs a script in R: with a package for its run, those that the step asks for, and its reads of files noted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress

from stepwell.drivers.r import package
from stepwell.drivers.r.installation import library_with

MISSING = "Scripts in R need `Rscript`: Install R (on Debian: apt-get install r-base-core)"
_USUAL_PACKAGES = "datasets,utils,grDevices,graphics,stats,methods"


def main(script: str, settings: dict[str, str]) -> None:
    """Run `script` by `rscript`, after the `packages` (JSON) that are lacking were installed; end as it does."""
    rscript = shutil.which(settings.get("rscript", "Rscript"))
    if rscript is None:
        raise SystemExit(f"{MISSING}.")
    with tempfile.TemporaryDirectory(prefix="r-") as folder:
        libraries = [_own_library(folder)]
        wishes = json.loads(settings.get("packages", "{}"))
        if any(wishes.values()):
            libraries.append(library_with(rscript, wishes))
        code = _run(rscript, script, libraries, os.path.join(folder, "reads"))
    if code:
        raise SystemExit(code if code > 0 else 128 - code)


def _own_library(folder: str) -> str:
    """Make the package of the run, and v1's, in a library of their own."""
    library = os.path.join(folder, "library")
    package.write_package(library, "stepwell", package.CODE + package.ON_LOAD)
    package.write_package(library, "azuremlsdk", package.CODE + package.QUIET)
    return library


def _run(rscript: str, script: str, libraries: list[str], reads: str) -> int:
    own = os.environ.get("R_LIBS")
    variables = {
        **os.environ,
        "R_LIBS": os.pathsep.join([*libraries, *([own] if own else [])]),
        "R_DEFAULT_PACKAGES": f"{os.environ.get('R_DEFAULT_PACKAGES') or _USUAL_PACKAGES},stepwell",
        "STEPWELL_R_READS": reads,
    }
    done = subprocess.run([rscript, script, *sys.argv[1:]], env=variables, check=False, stdin=subprocess.DEVNULL)
    _note(reads)
    return done.returncode


def _note(reads: str) -> None:
    """Open what the script read: what this process opens is noted, as of every script."""
    with suppress(OSError), open(reads, encoding="utf-8", errors="surrogateescape") as stream:
        for path in dict.fromkeys(stream.read().splitlines()):
            with suppress(OSError):
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
