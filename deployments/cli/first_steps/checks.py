"""What `stepwell doctor` looks at: each check says what it found in words, and what to do. None of them starts anything."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from stepwell.errors import StepwellError

if TYPE_CHECKING:
    from stepwell.blocks.compute.base import Compute
    from stepwell.flows.public.workspace import Workspace

State = Literal["works", "off", "missing", "broken"]
WORKS: State = "works"
OFF: State = "off"
"""What does not run now, and is started when it is needed."""
MISSING: State = "missing"
"""What is not here, and nothing that is known to be in use needs."""
BROKEN: State = "broken"
"""What is in use and does not work."""

_SECONDS = 20.0
"""For how long what is far away may keep us waiting."""
_MOST_AT_ONCE = 16
_CONNECT_SECONDS = 3.0
_FEW_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its state, what was found in words, and what to do, '' if nothing is to be done."""

    name: str
    state: State
    words: str
    advice: str = ""


def examine() -> list[Finding]:
    """Return what was found, the most general first."""
    server, answers = _server()
    found = [_versions(), _home(), server]
    workspaces: list[Workspace] = []
    if answers:
        more, workspaces = _workspaces()
        found += more
    targets = [target for workspace in workspaces for target in _saved(workspace)]
    in_use = {type(target).__name__ for target in targets}
    found += [_docker(used="DockerCompute" in in_use), _dask()]
    found += [finding for target in targets for finding in _scheduler(target)]
    found += [_gpu(used="CudaCompute" in in_use), _git()]
    if _has("pyspark"):
        found.append(_java(used="SparkCompute" in in_use))
    return [*found, _r(), _extras()]


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    """Return what a look at something found, within seconds; what it fails with is found, too."""
    return _guarded_together({name: look})[0]


def _guarded_together(looks: Mapping[str, Callable[[], Finding]]) -> list[Finding]:
    """Return what looks at several things found, within the seconds of one."""
    found: dict[str, Queue[Finding]] = {name: Queue() for name in looks}
    for name, look in looks.items():
        Thread(target=lambda name=name, look=look: found[name].put(_looked(name, look)), daemon=True).start()
    until = time.monotonic() + _SECONDS
    return [_found_by(until, name, answer) for name, answer in found.items()]


def _found_by(until: float, name: str, answer: Queue[Finding]) -> Finding:
    try:
        return answer.get(timeout=max(0.0, until - time.monotonic()))
    except Empty:
        return Finding(
            name, BROKEN, f"it does not answer within {_SECONDS:.0f} s", "Check the network, then try again."
        )


def _looked(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except StepwellError as error:
        facts = "; ".join(f"{fact} {value}" for fact, value in error.facts.items())
        return Finding(name, BROKEN, f"{error.title}{f' ({facts})' if facts else ''}", error.hint)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is what was found)
        return Finding(name, BROKEN, f"{type(error).__name__}: {error}", "Read the message, and mend what it names.")


# What is installed ----------------------------------------------------------------------------------------------------


def _versions() -> Finding:
    words = f"stepwell {_version('stepwell')}, Prefect {_version('prefect')}, Python {platform.python_version()} on {platform.system()}"
    wrong = [text for text, has in _requirements("") if has is not None and not has]
    lacking = [text for text, has in _requirements("") if has is None]
    if wrong or lacking:
        return Finding(
            "versions",
            BROKEN,
            f"{words}; not as Stepwell needs them: {', '.join(wrong + lacking)}",
            f"Install them: pip install {' '.join(repr(text) for text in wrong + lacking)}",
        )
    return Finding("versions", WORKS, words)


def _requirements(extra: str) -> Iterator[tuple[str, bool | None]]:
    """Yield what Stepwell, or one of its extras, requires, and whether that is installed: None if it isn't at all."""
    for text in metadata.requires("stepwell") or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        plain = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        if plain == bool(extra):
            continue
        short, has = f"{wanted.name}{wanted.specifier}", _version(wanted.name)
        yield short, wanted.specifier.contains(has, prereleases=True) if has else None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _has(package: str) -> bool:
    return bool(_version(package))


def _extras() -> Finding:
    names = metadata.metadata("stepwell").get_all("Provides-Extra") or []
    ours = sorted(set(names) - {"dev", "docs", "examples"})
    there = [name for name in ours if all(has for _, has in _requirements(name))]
    rest = [name for name in ours if name not in there]
    words = ", ".join(there) or "none"
    words += f"; not installed: {', '.join(rest)}" if rest else ""
    return Finding("extras", WORKS, words, "Install one: pip install 'stepwell[NAME]'" if rest else "")


# What is this home's --------------------------------------------------------------------------------------------------


def _home() -> Finding:
    named = os.path.abspath(os.path.expanduser(os.environ.get("STEPWELL_HOME") or "~/.stepwell"))
    place = named
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            "home", BROKEN, f"{named} can't be written", "Set STEPWELL_HOME to a folder that you can write to."
        )
    free = shutil.disk_usage(place).free
    words = f"{named}{'' if place == named else ', not made yet'}, {free / 1e9:.1f} GB free"
    if free < _FEW_BYTES:
        return Finding("home", BROKEN, words, "Make room: `stepwell store gc`, `stepwell runs gc`.")
    return Finding("home", WORKS, words)


def _server() -> tuple[Finding, bool]:
    """Return how Prefect's server is, and whether it may be asked without starting or replacing one."""
    from stepwell.blocks.server import connection

    asked = []

    def look() -> Finding:
        found = connection.status()
        asked.append(found.running and (found.guarded or not found.managed))
        if found.elsewhere:
            words = f"this home's server runs in another container or on another machine ({found.elsewhere})"
            return Finding("server", BROKEN, words, "Stop it there: `stepwell server stop`.")
        if found.running:
            owner = "Stepwell's own" if found.managed else "named by PREFECT_API_URL"
            return Finding("server", WORKS, f"{found.ui_url}, {owner}")
        if not found.managed:
            words = f"the server that PREFECT_API_URL names does not answer: {found.ui_url}"
            return Finding("server", BROKEN, words, "Start it, or unset PREFECT_API_URL.")
        if found.url:
            return Finding("server", BROKEN, f"{found.ui_url} does not answer", "Stop it: `stepwell server stop`.")
        return Finding("server", OFF, "Stepwell's own, started by the next command that needs it")

    # Only what is in a thread of its own can be given up, and the settings that it puts in force are the process's.
    return _guarded("server", look), any(asked)


def _workspaces() -> tuple[list[Finding], list[Workspace]]:
    """Return how the stores of this home's workspaces are, and these workspaces."""
    from stepwell.flows.public.workspace import Workspace

    known: list[Workspace] = []

    def listed() -> Finding:
        known.extend(sorted(Workspace.list().values(), key=lambda one: one.name))
        names = ", ".join(one.name for one in known)
        return Finding("workspaces", WORKS, names or "none yet")

    def look(workspace: Workspace) -> Finding:
        name = f"store of {workspace.name}"
        if not workspace.is_here:
            return Finding(name, WORKS, f"another home's: {workspace.store_place or 'not known'}")
        here.add(workspace.name)
        return _store(name, workspace)

    findings, here = [_guarded("workspaces", listed)], set[str]()
    for first in range(0, len(known), _MOST_AT_ONCE):
        some = known[first : first + _MOST_AT_ONCE]
        findings += _guarded_together({f"store of {one.name}": partial(look, one) for one in some})
    return findings, [workspace for workspace in known if workspace.name in here]


def _store(name: str, workspace: Workspace) -> Finding:
    from stepwell.blocks.store.shared.shared_store import SharedStore
    from stepwell.blocks.store.shared.upkeep import status

    store = workspace.store
    if store.read_only:
        return Finding(name, BROKEN, f"{store.root} can't be written", "Check its owner and permissions.")
    if not isinstance(store, SharedStore):
        return Finding(name, WORKS, str(store.root))
    shared = status(store)
    if shared.trouble:
        words = f"{store.root}; its shared store {shared.place} can't be used: {shared.trouble}"
        return Finding(name, BROKEN, words, "Mend the datastore, or set STEPWELL_SHARED=off.")
    waiting = f", {shared.waiting} results waiting" if shared.waiting else ""
    return Finding(name, WORKS, f"{store.root}, shared at {shared.place}{waiting}")


def _saved(workspace: Workspace) -> list[Compute]:
    """Return the targets that somebody saved in the workspace, and therefore uses."""
    from stepwell.blocks.compute.compute_target import all_kinds
    from stepwell.blocks.server import documents

    try:
        return list(documents.load_any(all_kinds(), workspace=workspace.name))
    except StepwellError:
        return []


# What steps run on ----------------------------------------------------------------------------------------------------


def _docker(*, used: bool) -> Finding:
    from stepwell.blocks.compute.docker.engine import LOCAL_ENGINE, not_reached

    address = os.environ.get("DOCKER_HOST") or LOCAL_ENGINE

    def look() -> Finding:
        import docker

        try:
            api = docker.APIClient(base_url=address, version="auto", timeout=_CONNECT_SECONDS)
            version = api.version()["Version"]
            api.close()
        except Exception as error:  # noqa: BLE001  (of Docker's SDK, of requests, of the socket)
            told = not_reached("docker", address, error)
            return Finding(
                "Docker", BROKEN if used else MISSING, f"no engine at {address}: {told.facts['reason']}", told.hint
            )
        return Finding("Docker", WORKS, f"engine {version} at {address}")

    return _guarded("Docker", look)


def _dask() -> Finding:
    version = _version("distributed")
    if version:
        return Finding("Dask", WORKS, f"distributed {version}")
    return Finding("Dask", BROKEN, "distributed is not installed", "Install it: pip install prefect-dask")


def _scheduler(target: Any) -> Iterator[Finding]:
    """Yield whether the scheduler that a target names by its address can be reached."""
    address = getattr(target, "address", "")
    place = urlsplit(address) if isinstance(address, str) and "://" in address else None
    if place is None or not place.hostname or not place.port:
        return
    name = f"target {target.name}"
    try:
        socket.create_connection((place.hostname, place.port), _CONNECT_SECONDS).close()
    except OSError as error:
        words = f"nothing answers at {place.hostname}:{place.port}: {error}"
        yield Finding(name, BROKEN, words, "Start the scheduler, or delete the target: `stepwell compute delete NAME`.")
    else:
        yield Finding(name, WORKS, f"a scheduler at {place.hostname}:{place.port}")


def _gpu(*, used: bool) -> Finding:
    from stepwell.blocks.compute.dask.gpu import driver_error, driver_loads, gpus

    def look() -> Finding:
        found = gpus()
        if found:
            return Finding("GPU", WORKS, ", ".join(f"{one.model} (driver {one.driver})" for one in found))
        reason = (driver_error() or "the driver finds none") if driver_loads() else "no NVIDIA driver is installed"
        advice = "Let steps run on processors where there is none: `stepwell workspaces stand-ins NAME --gpu cpu`."
        return Finding("GPU", BROKEN if used else MISSING, reason, advice)

    return _guarded("GPU", look)


def _git() -> Finding:
    words = _first_line("git", "--version")
    if words:
        return Finding("git", WORKS, words)
    return Finding("git", MISSING, "runs note no commit", "Install git (on Debian: apt-get install git).")


def _java(*, used: bool) -> Finding:
    home = os.environ.get("JAVA_HOME", "")
    java = shutil.which("java", path=os.path.join(home, "bin") if home else None)
    words = _first_line(java, "-version") if java else ""
    if words:
        return Finding("Java", WORKS, f"{words} at {java}")
    where = f"in JAVA_HOME, {home}" if home else "on the PATH"
    advice = "Install Java 17 (on Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME."
    return Finding("Java", BROKEN if used else MISSING, f"not found {where}; Spark runs on it", advice)


def _r() -> Finding:
    words = _first_line("Rscript", "--version")
    if words:
        return Finding("R", WORKS, words)
    return Finding("R", MISSING, "scripts in R need it", "Install R (on Debian: apt-get install r-base-core).")


def _first_line(program: str, option: str) -> str:
    """Return what a program says of its version, '' if there is none or it says nothing."""
    try:
        done = subprocess.run(
            [program, option], capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines and not done.returncode else ""
