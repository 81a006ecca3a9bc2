"""A survey of R: its version, and the packages that it finds, with what they need."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_CODE = """
cat("R", as.character(getRversion()), "", sep = "\\t"); cat("\\n")
found <- installed.packages(fields = "Priority")
found <- found[!duplicated(found[, "Package"]), , drop = FALSE]
needs <- apply(found[, c("Depends", "Imports", "LinkingTo"), drop = FALSE], 1, function(x) paste(x[!is.na(x)], collapse = ","))
needs <- gsub("[\\n\\t]", " ", needs)
base <- found[, "Priority"] %in% "base"
cat(paste(found[, "Package"], found[, "Version"], ifelse(base, "base", needs), sep = "\\t"), sep = "\\n")
cat("\\n", .libPaths(), sep = "\\n")
"""


@dataclass(frozen=True, slots=True)
class RSurvey:
    """R's version, and the installed packages by name, each with its version and the packages that it needs."""

    version: str
    packages: Mapping[str, tuple[str, frozenset[str]]]

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """Return the versions of packages and of all that they need; those that come with R have none of their own."""
        found: dict[str, str] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in self.packages and name not in found:
                found[name], needs = self.packages[name]
                waiting += needs
        return {name: version for name, version in sorted(found.items()) if version}


_known: dict[tuple[object, ...], tuple[tuple[tuple[str, int], ...], RSurvey]] = {}


def r_survey(rscript: str = "Rscript", variables: Mapping[str, str] | None = None) -> RSurvey | None:
    """Return what an R finds here, None if there is none; it is asked again when a folder of packages has changed.

    `variables` are those of the script's process that differ from the ones here.
    """
    own = {**os.environ, **(variables or {})}
    program = shutil.which(rscript, path=own.get("PATH"))
    if program is None:
        return None
    asked = (program, *sorted((name, value) for name, value in own.items() if name.startswith("R_")))
    known = _known.get(asked)
    if known and known[0] == _states(path for path, _ in known[0]):
        return known[1]
    command = [program, "--no-init-file", "-e", _CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=own)
    if done.returncode:
        return None
    body, _, folders = done.stdout.partition("\n\n")
    rows = [line.split("\t") for line in body.splitlines() if line.count("\t") == 2]
    packages = {
        name: ("", frozenset[str]()) if needs == "base" else (version, _names(needs))
        for name, version, needs in rows[1:]
    }
    survey = RSurvey(rows[0][1], packages)
    _known[asked] = (_states(folders.split("\n")), survey)
    return survey


def _names(needs: str) -> frozenset[str]:
    """Return the packages of a list such as `R (>= 3.5), rlang (>= 1.0)`."""
    return frozenset(part.partition("(")[0].strip() for part in needs.split(",")) - {"", "R"}


def _states(folders: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple((path, os.stat(path).st_mtime_ns) for path in folders if path and os.path.isdir(path))
