"""Packages of R that a step asks for: those that are lacking are installed once, into a library of their own by content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

CRAN = "https://cloud.r-project.org"
CACHE = "STEPWELL_R_LIBRARIES"
"""The variable that names the folder of libraries; by default it is below the user's cache."""

_ASK = r"""
found <- installed.packages()
cat(as.character(getRversion()), paste(found[, "Package"], found[, "Version"], sep = "="), sep = "\n")
"""

_INSTALL = r"""
told <- commandArgs(TRUE)
library <- told[1]
repos <- told[2]
options(repos = c(CRAN = repos), warn = 1)
.libPaths(c(library, .libPaths()))
for (wish in told[-(1:2)]) {
  parts <- strsplit(wish, "|", fixed = TRUE)[[1]]
  kind <- parts[1]
  if (kind == "cran") {
    name <- parts[2]
    version <- parts[3]
    from <- if (nzchar(parts[4])) parts[4] else repos
    if (nzchar(version)) {
      known <- available.packages(repos = from)
      newest <- name %in% rownames(known) && known[name, "Version"] == version
      place <- if (newest) "" else paste0("Archive/", name, "/")
      needed <- tools::package_dependencies(name, db = known)[[1]]
      install.packages(setdiff(needed, rownames(installed.packages())), lib = library, repos = from)
      url <- paste0(from, "/src/contrib/", place, name, "_", version, ".tar.gz")
      archive <- file.path(tempdir(), basename(url))
      download.file(url, archive, mode = "wb", quiet = TRUE)
      install.packages(archive, lib = library, repos = NULL, type = "source")
    } else {
      install.packages(name, lib = library, repos = from)
    }
    if (!name %in% rownames(installed.packages(lib.loc = library))) stop("The package ", name, " was not installed.")
  } else if (kind == "github") {
    if (!requireNamespace("remotes", quietly = TRUE)) install.packages("remotes", lib = library)
    remotes::install_github(parts[2], lib = library, upgrade = "never")
  } else {
    before <- rownames(installed.packages(lib.loc = library))
    archive <- parts[2]
    if (grepl("^[a-z]+://", archive)) {
      archive <- file.path(tempdir(), basename(parts[2]))
      download.file(parts[2], archive, mode = "wb", quiet = TRUE)
    }
    install.packages(archive, lib = library, repos = NULL, type = "source")
    if (length(setdiff(rownames(installed.packages(lib.loc = library)), before)) == 0) {
      stop("The package of ", parts[2], " was not installed.")
    }
  }
}
"""


def library_with(rscript: str, wishes: dict[str, Any]) -> str:
    """Return a library that has what is asked for and R lacks: `cran`, `github` and `urls`; end with a sentence if it can't be."""
    asked = subprocess.run(
        [rscript, "--no-init-file", "-e", _ASK], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    version, *installed = asked.stdout.splitlines() or [""]
    lacking = _lacking(wishes, dict(line.split("=", 1) for line in installed))
    facts = json.dumps([version, sys.platform, lacking], sort_keys=True)
    cache = os.environ.get(CACHE) or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "stepwell", "r-libraries"
    )
    place = os.path.join(cache, hashlib.sha256(facts.encode()).hexdigest()[:16])
    if not os.path.isdir(place):
        os.makedirs(cache, exist_ok=True)
        _install(rscript, lacking, cache, place)
    return place


def _lacking(wishes: dict[str, Any], installed: dict[str, str]) -> list[str]:
    """Return the wishes that are not fulfilled, in words of `_INSTALL`."""
    found = []
    for wish in wishes.get("cran", ()):
        version = wish.get("version", "")
        if installed.get(wish["name"]) not in ([version] if version else installed.values()):
            found.append(f"cran|{wish['name']}|{version}|{wish.get('repository', '')}|")
    found += [f"github|{repository}" for repository in wishes.get("github", ())]
    return [*found, *(f"url|{url}" for url in wishes.get("urls", ()))]


def _install(rscript: str, lacking: list[str], cache: str, place: str) -> None:
    draft = tempfile.mkdtemp(prefix=".", dir=cache)
    try:
        if lacking:
            print(f"Installing packages of R: {', '.join(wish.split('|')[1] for wish in lacking)}", flush=True)
            command = [rscript, "--no-init-file", "-e", _INSTALL]
            repository = os.environ.get("STEPWELL_CRAN") or CRAN
            done = subprocess.run([*command, draft, repository, *lacking], check=False, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise SystemExit(
                    "The packages of R that the step asks for can't be installed, as is said above: Install them where R is, "
                    "or name a repository that can be reached."
                )
        os.rename(draft, place)
    except OSError:  # another process was first
        if not os.path.isdir(place):
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
