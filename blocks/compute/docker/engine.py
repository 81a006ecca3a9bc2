"""A Docker engine: reached within seconds or an error, watched over, and cleaned of containers that dead hosts left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stepwell.blocks.compute.docker import container_watchdog
from stepwell.blocks.processes.table import read
from stepwell.errors import ComputeTargetException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

LOCAL_ENGINE = "unix:///var/run/docker.sock"
_CONNECT_SECONDS, _RESPONSE_SECONDS = 5, 900
_HOST, _PROCESS = "stepwell.host", "stepwell.process"
NO_LABELS = f'LABEL {_HOST}="" {_PROCESS}=""'
"""What an image that is made of a container has to declare, lest its containers be taken for ours."""

_LOCAL_SCHEMES = ("unix://", "tcp://", "http://")


class Engine:
    """An engine that answered. `api` is the client of Docker's own SDK, used by many threads."""

    def __init__(self, target: str, address: str, api: APIClient) -> None:
        self.target = target
        self.address = address
        self.api = api
        options = api.info().get("SecurityOptions") or ()
        self.rootless = "name=rootless" in options
        self._removers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="stepwell-docker")
        self._remove_orphans()

    @contextlib.contextmanager
    def container(self, name: str, settings: dict[str, Any]) -> Iterator[str]:
        """Make a container and remove it soon after the block: at the latest when this process ends, however it does.

        The value is the container's id. `settings` are what `create_container_from_config` takes.
        """
        _watchdog.notify(self.address, name)
        try:
            settings["Labels"] = {_HOST: _this_host(), _PROCESS: _process(os.getpid())}
            yield self.api.create_container_from_config(settings, name)["Id"]
        finally:
            self._removers.submit(self._remove, name)

    def _remove(self, name: str) -> None:
        from docker.errors import DockerException, NotFound
        from requests.exceptions import RequestException

        with contextlib.suppress(RequestException, DockerException):
            with contextlib.suppress(NotFound):
                self.api.remove_container(name, force=True, v=True)
            _watchdog.notify(self.address, name)

    def _remove_orphans(self) -> None:
        """Remove the containers of processes of this machine that are gone."""
        with self.errors_translated():
            found = self.api.containers(all=True, filters={"label": f"{_HOST}={_this_host()}"})
        for container in found:
            if not _is_alive(container["Labels"].get(_PROCESS, "")):
                self._removers.submit(self._remove, container["Id"])

    @contextlib.contextmanager
    def errors_translated(self, *foreseen: type[Exception]) -> Iterator[None]:
        """Raise an error of ours if the engine stops answering, or answers with an error that is not `foreseen`."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except foreseen:
            raise
        except APIError as error:
            facts = {"target": self.target, "engine": self.address, "reason": error.explanation or error}
            raise ComputeTargetException(
                f"The Docker engine of compute target {self.target!r} refused what a step needs",
                facts,
                "Mend what the engine names, then run again.",
            ) from error
        except (DockerException, RequestException) as error:
            raise not_reached(self.target, self.address, error) from error


def connect(target: str, address: str = "") -> Engine:
    """Return the engine at `address` (by default DOCKER_HOST's, else this machine's); each process connects once."""
    return _connect(target, address or os.environ.get("DOCKER_HOST") or LOCAL_ENGINE, os.getpid())


@lru_cache(maxsize=16)
def _connect(target: str, address: str, _process: int) -> Engine:
    if not address.startswith(_LOCAL_SCHEMES):
        raise _not_here(target, address)
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        api = docker.APIClient(base_url=address, version="auto", timeout=_CONNECT_SECONDS)
        engine = Engine(target, address, api)
    except (DockerException, RequestException, OSError, ValueError) as error:
        raise not_reached(target, address, error) from error
    api.timeout = _RESPONSE_SECONDS
    return engine


def not_reached(target: str, address: str, error: BaseException) -> ComputeTargetException:
    """Return the error for an engine that doesn't answer, or denies access."""
    text = str(error)
    title = f"The compute target {target!r} can't be reached: its Docker engine does not answer"
    hint = "Start Docker, or name the engine's address in `docker_host` or DOCKER_HOST."
    if "Permission denied" in text or "PermissionError" in text:
        title = f"The compute target {target!r} can't be used: you may not speak to its Docker engine"
        hint = "Add yourself to the group that owns the engine's socket, or use a rootless engine."
    return ComputeTargetException(title, {"target": target, "engine": address, "reason": _short(text)}, hint)


def _short(text: str) -> str:
    for known in ("No such file or directory", "Connection refused", "Permission denied", "timed out"):
        if known in text:
            return known
    return text[-300:]


def _not_here(target: str, address: str) -> ComputeTargetException:
    return ComputeTargetException(
        f"The compute target {target!r} has a Docker engine that can't see this machine's files",
        {"target": target, "engine": address},
        "Use an engine of this machine, by a `unix://` address.",
    )


# Who made a container -----------------------------------------------------------------------------------------------


def _this_host() -> str:
    """Return what tells process ids of here from those of elsewhere: the boot, and the namespace of the ids."""
    with contextlib.suppress(OSError):
        return f"{read('/proc/sys/kernel/random/boot_id').decode().strip()}/{os.readlink('/proc/self/ns/pid')}"
    return "unknown"


def _process(pid: int) -> str:
    """Return a process's id with the moment when it began; '' if there is none."""
    stat = read(f"/proc/{pid}/stat")
    return f"{pid}/{stat[stat.rindex(b')') + 2 :].split()[19].decode()}" if stat else ""


def _is_alive(process: str) -> bool:
    number = process.partition("/")[0]
    return not number.isdigit() or _process(int(number)) == process


class _Watchdog:
    """The one watchdog of this process, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = 0
        self._writer = -1

    def notify(self, address: str, name: str) -> None:
        """Tell the watchdog that there may be such a container, or, the second time, that it is gone."""
        with self._lock:
            if self._process != os.getpid():
                self._process, self._writer = os.getpid(), _start_watchdog()
            with contextlib.suppress(OSError):
                os.write(self._writer, os.fsencode(f"{address} {name}\n"))


def _start_watchdog() -> int:
    """Start the watchdog and return the descriptor on which it listens; -1 without one."""
    if not hasattr(os, "pidfd_open") or not os.path.basename(sys.executable or "").startswith("python"):
        return -1
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", container_watchdog.__file__, str(os.getpid())],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            start_new_session=True,
        )
    except OSError:
        os.close(writer)
        return -1
    finally:
        os.close(reader)
    process.returncode = 0  # it ends after this process, so nobody waits for it
    return writer


_watchdog = _Watchdog()
