"""Which commit a source directory stands at, under the names that Azure ML v1 gave."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""How long git may take for one command."""

_READER_SECONDS = 5.0

_REPOSITORY = "azureml.git.repository_uri"
_BRANCH = "azureml.git.branch"
_COMMIT = "azureml.git.commit"
_DIRTY = "azureml.git.dirty"

_OVERRIDES = {
    "AZUREML_GIT_REPOSITORY_URI": _REPOSITORY,
    "AZUREML_GIT_BRANCH": _BRANCH,
    "AZUREML_GIT_COMMIT": _COMMIT,
    "AZUREML_GIT_DIRTY": _DIRTY,
    "AZUREML_GIT_BUILD_ID": "azureml.git.build_id",
    "AZUREML_GIT_BUILD_URI": "azureml.git.build_uri",
}
_MLFLOW = {
    _REPOSITORY: "mlflow.source.git.repoURL",
    _BRANCH: "mlflow.source.git.branch",
    _COMMIT: "mlflow.source.git.commit",
}


_OTHER_REPOSITORY = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"}
)
"""Set inside git's hooks; they would point away from the repository of the directory."""


def git_provenance(directory: Path) -> dict[str, str]:
    """Return the git properties of a source directory, as far as they are known; never an error, never a credential.

    git itself is asked; where there is none, or it refuses (another owner) or takes too long, GitPython reads the
    repository's files, and only `dirty` stays unknown. Variables `AZUREML_GIT_*` win over both.
    """
    found = (_from_git(directory) or _from_files(directory)) if _is_readable(directory) else {}
    found |= {name: os.environ[variable] for variable, name in _OVERRIDES.items() if os.environ.get(variable)}
    found = {name: without_credentials(value) if name.endswith("_uri") else value for name, value in found.items()}
    return found | {alias: found[name] for name, alias in _MLFLOW.items() if name in found}


def without_credentials(url: str) -> str:
    """Return the URL without user, password, query and fragment; of an ssh URL the user's name stays."""
    helper, _, address = url.rpartition("::")
    if helper and re.fullmatch(r"\w+", helper):
        return f"{helper}::{without_credentials(address)}"
    parts = re.match(r"([A-Za-z][\w+.-]*)://([^/?#]*)([^?#]*)", url)
    if not parts:
        return re.sub(r"^([^/@:]+):[^/@]*@", r"\1@", url)
    scheme, place, path = parts.groups()
    if "@" in url and ":" in place and not re.search(r"@|:\d*$|\]$", place):
        return without_credentials(f"{scheme}://{url.rpartition('@')[2]}")  # a password with an unescaped delimiter
    user, _, host = place.rpartition("@")
    name = user.partition(":")[0] if "ssh" in scheme else ""
    return f"{scheme}://{name}{'@' if name else ''}{host}{path}"


_READ_FIRST = ("HEAD", "config", "index", "packed-refs", "commondir", "gitdir")
"""What git and GitPython open in a repository, without a look at what it is."""


def _is_readable(directory: Path) -> bool:
    """Return whether none of these files is a pipe or device, which git would wait for."""
    folder = Path(os.path.abspath(directory))
    for parent in (folder, *folder.parents):
        place = parent / ".git"
        if os.path.lexists(place):
            names = (place, *(place / name for name in _READ_FIRST))
            return all(path.is_file() or path.is_dir() or not path.exists() for path in names)
    return True


def _from_git(directory: Path) -> dict[str, str]:
    try:
        folder = Path(os.path.realpath(directory))
    except ValueError:  # no name of a folder
        return {}
    if not any(os.path.lexists(parent / ".git") for parent in (folder, *folder.parents)):
        return {}  # as git would find, some milliseconds later
    status = _ask(directory, "status", "--porcelain=v2", "--branch", "--", ".")
    if status is None:
        return {}
    lines = status.splitlines()
    headers = dict(line[2:].partition(" ")[::2] for line in lines if line.startswith("# "))
    return _known(
        repository=(_ask(directory, "ls-remote", "--get-url") or "").strip(),
        branch=headers.get("branch.head", "").removeprefix("(detached)"),
        commit=headers.get("branch.oid", "").removeprefix("(initial)"),
        dirty=str(any(not line.startswith("# ") for line in lines)),
    )


def _known(repository: str = "", branch: str = "", commit: str = "", dirty: str = "") -> dict[str, str]:
    rows = {_REPOSITORY: repository, _BRANCH: branch, _COMMIT: commit, _DIRTY: dirty}
    return {name: value for name, value in rows.items() if value}


def _ask(directory: Path, *words: str) -> str | None:
    command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", *words]
    surroundings = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    settings = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        completed = subprocess.run(
            command,
            cwd=directory,
            env=surroundings | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return completed.stdout.decode("utf-8", "replace")


def _from_files(directory: Path) -> dict[str, str]:
    folder = Path(os.path.abspath(directory))
    if not any(os.path.lexists(parent / ".git") for parent in (folder, *folder.parents)):
        return {}
    found: list[dict[str, str]] = []

    def read() -> None:
        with suppress(Exception):  # GitPython raises much besides its own errors; no run must fail for its provenance
            found.append(_from_gitpython(folder))

    reader = threading.Thread(target=read, name="stepwell-provenance", daemon=True)
    reader.start()
    reader.join(_READER_SECONDS)  # a reference may be a pipe, or a file that the settings include
    return found[0] if found else {}


def _from_gitpython(directory: Path) -> dict[str, str]:
    git = _import_gitpython()
    repository = git.Repo(directory, search_parent_directories=True)
    with repository.config_reader("repository") as settings:
        branch = "" if repository.head.is_detached else repository.active_branch.name
        remote = settings.get(f'branch "{branch}"', "remote", fallback="origin")
        url = settings.get(f'remote "{remote}"', "url", fallback="")
    try:
        commit = git.SymbolicReference.dereference_recursive(repository, "HEAD")
    except ValueError:
        commit = ""
    return _known(repository=str(url), branch=branch, commit=commit or "")


def _import_gitpython() -> Any:
    """Import GitPython, which takes long and has to be told that there may be no git."""
    before = os.environ.get("GIT_PYTHON_REFRESH")
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    try:
        return importlib.import_module("git")
    finally:
        if before is None:
            del os.environ["GIT_PYTHON_REFRESH"]
        else:
            os.environ["GIT_PYTHON_REFRESH"] = before
