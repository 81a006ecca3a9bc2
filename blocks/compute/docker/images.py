"""Images of environments: made once from a base image and requirements, named by what is in them, found again.

Packages are installed in a container that is then committed. What the installation needs and no image may keep, such as
the password of a package index, reaches it through its standard input alone.
"""

from __future__ import annotations

import io
import json
import os
import queue
import re
import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepwell.blocks.compute.docker.container import ContainerSpec, run_container
from stepwell.blocks.compute.docker.engine import NO_LABELS, Engine
from stepwell.blocks.compute.docker.recipe import Recipe
from stepwell.blocks.environments.package_index import index_variables, options_without_indexes
from stepwell.blocks.environments.requirements import without_user_info
from stepwell.blocks.processes.output import Text
from stepwell.blocks.system.home import home, make_folder
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import ComputeTargetException, StepCancelledException, StepFailedException
from stepwell.model.digests import digest

if TYPE_CHECKING:
    from stepwell.blocks.processes.output import OnOutput, Redact
    from stepwell.blocks.processes.runner import StopSignal

REPOSITORY = "stepwell-env"
"""The repository name of images in the engine that made them."""

_RECIPE = 1
_SHOWN_LINES = 12
_STOP_SECONDS = 0.2
_PROGRESS_SECONDS = 3.0
_LOCK_SECONDS = 0.1
_INDEX = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
_PROXIES = tuple(spell(f"{name}_proxy") for name in ("http", "https", "no") for spell in (str.lower, str.upper))
_PIP = {
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
}
_INSTALL = """
import json, os, subprocess, sys, tempfile
spec = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as folder:
    file = os.path.join(folder, "requirements.txt")
    with open(file, "w") as lines:
        lines.write("\\n".join(spec["requirements"]) + "\\n")
    command = [sys.executable, "-m", "pip", "install", *spec["options"], "-r", file]
    sys.exit(subprocess.call(command, env={**os.environ, **spec["variables"]}))
"""
_INSTALLER = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"]
"""What root needs to write the files of packages; it gets no other capability."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Docker takes if an image says nothing."""

_VERSION = "import platform; print(platform.python_version())"


@dataclass(frozen=True, slots=True)
class Images:
    """Images of one engine. Made ones are also kept in `repository`, by `login`; packages come through `network`."""

    engine: Engine
    on_output: OnOutput
    stop: StopSignal
    redact: Redact
    repository: str = ""
    login: Mapping[str, str] | None = None
    network: str = ""

    def image_for(self, recipe: Recipe) -> str:
        """Return the name of an image that holds what the recipe says, made now if there is none."""
        base = self._image_of_dockerfile(recipe) if recipe.dockerfile else recipe.base
        facts = self._ensure_present(base)
        if recipe.python:
            self._check_python(base, facts, recipe.python)
        if not recipe.requirements:
            return base
        asked = sorted(map(without_user_info, recipe.requirements))
        content = [_RECIPE, facts["Id"], asked, recipe.exact, without_user_info(recipe.index_url)]
        return self._find_or_make(digest("image", content), lambda tag: self._install(recipe, facts, tag))

    def path_in(self, image: str) -> str:
        """Return the PATH that the image gives to its processes."""
        facts = self._inspect(image) or {}
        own = [v.partition("=")[2] for v in (facts.get("Config") or {}).get("Env") or () if v.startswith("PATH=")]
        return str(own[-1]) if own else _PATH

    # Found or made --------------------------------------------------------------------------------------------------

    def _find_or_make(self, content: str, make: Callable[[str], None]) -> str:
        tag = content[:32]
        image = f"{REPOSITORY}:{tag}"
        if self._inspect(image):
            return image
        with self._lock(tag):
            if not self._inspect(image) and not self._fetch(tag):
                make(tag)
                self._push(tag)
        return image

    @contextmanager
    def _lock(self, tag: str) -> Iterator[None]:
        """Keep other processes of this home from making the image while the block runs."""
        path = home() / "locks" / f"image-{tag}"
        make_folder(path.parent)
        while True:
            self._check_stop()
            with exclusive(path, blocking=False) as mine:
                if mine:
                    yield
                    return
            time.sleep(_LOCK_SECONDS)

    def _image_of_dockerfile(self, recipe: Recipe) -> str:
        return self._find_or_make(
            digest("dockerfile", [_RECIPE, recipe.dockerfile]), lambda tag: self._build(recipe, tag)
        )

    def _build(self, recipe: Recipe, tag: str) -> None:
        self.on_output(f"Building image {REPOSITORY}:{tag} of its Dockerfile\n")
        file = io.BytesIO(recipe.dockerfile.encode())
        wanted = {"tag": f"{REPOSITORY}:{tag}", "rm": True, "forcerm": True, "network_mode": self.network or None}
        with self.engine.errors_translated():
            self._follow(
                self.engine.api.build(fileobj=file, decode=True, **wanted), "The image of a Dockerfile can't be built"
            )

    def _install(self, recipe: Recipe, base: Mapping[str, Any], tag: str) -> None:
        count = len(recipe.requirements)
        self.on_output(
            f"Building image {REPOSITORY}:{tag} of {recipe.base} and {count} requirement{'s' * (count > 1)}\n"
        )
        own = {name: os.environ[name] for name in (*_INDEX, *_PROXIES) if name in os.environ}
        variables = {**own, **_PIP, **index_variables(recipe.index_url, recipe.requirements, own, for_uv=False)}
        options = ["--no-deps"] if recipe.exact else []
        spec = {
            "requirements": options_without_indexes(recipe.requirements),
            "options": options,
            "variables": variables,
        }
        code, output = self._run(
            base, _INSTALL, json.dumps(spec).encode(), lambda container: self._commit(container, base, tag)
        )
        if code:
            facts = {"image": recipe.base, "requirements": ", ".join(recipe.requirements), "last lines": output}
            hint = "Correct the requirements, or see that the engine reaches the package index (`build_network`)."
            raise ComputeTargetException(
                f"The image of an environment can't be built for compute target {self.engine.target!r}",
                {name: self.redact(text) for name, text in facts.items()},
                hint,
            )

    def _commit(self, container: str, base: Mapping[str, Any], tag: str) -> None:
        config = base["Config"] or {}
        entry, words = config.get("Entrypoint"), config.get("Cmd")
        changes = [f"CMD {json.dumps(words or ([] if entry else ['python3']))}"]
        changes += [f"ENTRYPOINT {json.dumps(entry)}"] if entry else []
        changes += [f"USER {config['User']}"] if config.get("User") else []
        with self.engine.errors_translated():
            self.engine.api.commit(container, REPOSITORY, tag, changes=[*changes, NO_LABELS])

    def _run(
        self, image: Mapping[str, Any], program: str, stdin: bytes, on_success: Callable[[str], None] | None = None
    ) -> tuple[int, str]:
        """Run a Python program in a container and return its exit code and last lines; `on_success` gets its id."""
        lines: deque[str] = deque(maxlen=_SHOWN_LINES)
        text = Text((), self.redact)

        def on_chunk(_: int, data: bytes) -> None:
            collect(text.take(data))

        def collect(data: bytes) -> None:
            if data:
                lines.extend(data.decode("utf-8", "replace").splitlines())
                if on_success:
                    self.on_output(data.decode("utf-8", "replace"))

        host: dict[str, Any] = {"NetworkMode": "none"}
        if on_success:
            host = {"NetworkMode": self.network or "default", "CapAdd": _INSTALLER}
        settings = {"Image": image["Id"], "User": "0:0", "Cmd": ["python3", "-c", program], "HostConfig": host}
        if (image["Config"] or {}).get("Entrypoint"):  # else none is named: a commit would keep it
            settings |= {"Entrypoint": ["python3"], "Cmd": ["-c", program]}
        spec = ContainerSpec(f"stepwell-image-{uuid.uuid4().hex}", settings, stdin)
        end = run_container(self.engine, spec, on_chunk, self.stop, on_success)
        collect(text.finish())
        self._check_stop()
        return end.code, "\n".join(lines)

    # The image that it starts from ----------------------------------------------------------------------------------

    def _ensure_present(self, image: str) -> Mapping[str, Any]:
        """Return what the engine knows of an image, which is pulled if it isn't there."""
        facts = self._inspect(image)
        if facts is None:
            self.on_output(f"Pulling image {image}\n")
            self._pull(image)
            facts = self._inspect(image)
        if facts is None:
            raise self._missing(image, "the registry sent another image")
        return facts

    def _inspect(self, image: str) -> Mapping[str, Any] | None:
        from docker.errors import ImageNotFound

        with self.engine.errors_translated(ImageNotFound):
            try:
                facts: Mapping[str, Any] = self.engine.api.inspect_image(image)
            except ImageNotFound:
                return None
            return facts

    def _pull(self, image: str) -> None:
        from docker.errors import APIError
        from docker.utils import parse_repository_tag

        name, tag = parse_repository_tag(image)
        with self.engine.errors_translated(APIError):
            try:
                events = self.engine.api.pull(name, tag or "latest", stream=True, decode=True, auth_config=self.login)
                self._follow(events, "")
            except APIError as error:
                raise self._missing(image, str(error.explanation or error)) from error
            except _RefusedError as error:
                raise self._missing(image, str(error)) from error

    def _check_python(self, image: str, facts: Mapping[str, Any], wanted: str) -> None:
        found = self._python_of(image, facts)
        if _numbers(found)[:2] != _numbers(wanted)[:2]:
            raise ComputeTargetException(
                f"The image {image!r} has Python {found or 'not at all'}, but the step's key names Python {wanted}",
                {"target": self.engine.target, "image": image},
                "Choose an image with the same Python, or give the step an Environment with an image of its own.",
            )
        if _numbers(found) != _numbers(wanted) and (image, wanted) not in _warned:
            _warned.add((image, wanted))
            self.on_output(f"Warning: image {image} has Python {found}; the step's key names Python {wanted}\n")

    def _python_of(self, image: str, facts: Mapping[str, Any]) -> str:
        declared = [
            entry.partition("=")[2]
            for entry in (facts["Config"] or {}).get("Env") or ()
            if entry.startswith("PYTHON_VERSION=")
        ]
        if declared:
            return str(declared[0])
        identity = facts["Id"]
        if identity not in _pythons:
            try:
                code, output = self._run(facts, _VERSION, b"")
            except StepFailedException:  # there is no such program in it
                self._check_stop()
                code, output = 1, ""
            _pythons[identity] = "" if code else output
        return _pythons[identity]

    # A registry -----------------------------------------------------------------------------------------------------

    def _fetch(self, tag: str) -> bool:
        """Pull the image from the registry, and return whether it was there."""
        from docker.errors import APIError

        if not self.repository:
            return False
        with self.engine.errors_translated(APIError):
            try:
                events = self.engine.api.pull(self.repository, tag, stream=True, decode=True, auth_config=self.login)
                self._follow(events, "")
                return bool(self.engine.api.tag(f"{self.repository}:{tag}", REPOSITORY, tag))
            except (APIError, _RefusedError):
                return False

    def _push(self, tag: str) -> None:
        if not self.repository:
            return
        self.on_output(f"Pushing image {self.repository}:{tag}\n")
        with self.engine.errors_translated():
            self.engine.api.tag(f"{REPOSITORY}:{tag}", self.repository, tag)
            events = self.engine.api.push(self.repository, tag, stream=True, decode=True, auth_config=self.login)
            self._follow(events, f"The image can't be pushed to {self.repository!r}")

    def _follow(self, events: Any, problem: str) -> None:
        """Report an engine's progress now and then, and raise the error that it ends with, if any."""
        lines: deque[str] = deque(maxlen=_SHOWN_LINES)
        reported = time.monotonic()
        for event in self._until_stopped(events):
            text = self.redact(str(event.get("stream") or event.get("status") or "")).rstrip("\n")
            lines += [text] if text else []
            if "error" in event:
                reason = self.redact(str(event["error"]))
                if not problem:
                    raise _RefusedError(reason)
                facts = {"target": self.engine.target, "reason": reason, "last lines": "\n".join(lines)}
                raise ComputeTargetException(problem, facts, "Mend what the engine names, then run again.")
            if text and time.monotonic() - reported > _PROGRESS_SECONDS:
                reported = time.monotonic()
                self.on_output(f"{' '.join(filter(None, (event.get('id'), text, event.get('progress'))))}\n")

    def _until_stopped(self, events: Iterable[Any]) -> Iterator[Any]:
        """Yield the events as they come; a stop is heeded also while none comes."""
        arrived: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

        def pump() -> None:
            try:
                for event in events:
                    arrived.put(("event", event))
                arrived.put(("end", None))
            except Exception as error:  # noqa: BLE001  (it is raised where the events are read)
                arrived.put(("error", error))

        threading.Thread(target=pump, name="stepwell-docker-events", daemon=True).start()
        while True:
            self._check_stop()
            try:
                kind, what = arrived.get(timeout=_STOP_SECONDS)
            except queue.Empty:
                continue
            if kind == "error":
                raise what
            if kind == "end":
                return
            yield what

    def _check_stop(self) -> None:
        if self.stop.stopped:
            raise StepCancelledException("The step was cancelled before it began", {"signal": signal.SIGTERM.name})

    def _missing(self, image: str, reason: str) -> ComputeTargetException:
        return ComputeTargetException(
            f"The image {image!r} is neither in the Docker engine of compute target {self.engine.target!r} nor to be had",
            {"target": self.engine.target, "engine": self.engine.address, "reason": self.redact(reason)},
            "Pull or build the image first, or name another in `image`.",
        )


class _RefusedError(Exception):
    """The error that an engine ended a pull with."""


_pythons: dict[str, str] = {}
_warned: set[tuple[str, str]] = set()


def _numbers(version: str) -> list[str]:
    return re.findall(r"\d+", version)[:3]
