"""Virtual environments of steps: built once for what they hold, and found again."""

from __future__ import annotations

import json
import os
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.environments.base_interpreter import base_interpreter
from stepwell.blocks.environments.recipe import Recipe, recipe_of
from stepwell.blocks.processes.command import Command
from stepwell.blocks.processes.output import OnOutput
from stepwell.blocks.processes.runner import StopSignal, run_process
from stepwell.blocks.system.files import remove, write_atomically
from stepwell.blocks.system.locks import exclusive
from stepwell.errors import EnvironmentException, StepCancelledException
from stepwell.model.definitions import EnvironmentDefinition
from stepwell.model.digests import digest
from stepwell.model.redaction import Redactor

COMPLETE = "stepwell-environment.json"
"""Stands in an environment that was built to its end; nothing else is used."""

_FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "VIRTUAL_ENV",
    "PIP_TARGET",
    "PIP_USER",
    "UV_PROJECT_ENVIRONMENT",
)
_PAUSE_SECONDS = 0.1
_SHOWN_LINES = 12


def interpreter_of(
    environment: EnvironmentDefinition, cache: Path, on_output: OnOutput, stop: StopSignal | None = None
) -> str:
    """Return the environment's interpreter, '' for the one in use; one with packages of its own is built if need be.

    It stands in the folder `cache`. Of all who ask for it at the same time one builds it, the others wait; progress
    goes to `on_output`. What can't be built raises EnvironmentException, and so does a `stop`.
    """
    if not environment.isolated:
        return environment.interpreter
    base = base_interpreter(environment.python)
    recipe = recipe_of(environment, base)
    for warning in filter(None, (base.warning, recipe.warning)):
        on_output(f"Warning: {warning}\n")
    folder = cache / "environments" / digest("environment", [*recipe.holds, base.version, sysconfig.get_platform()])
    if not _is_complete(folder):
        stop = stop or StopSignal()
        with _build_lock(folder, on_output, stop):
            if not _is_complete(folder):
                _Build(folder, recipe, on_output, stop).run()
    return str(_python(folder))


def activated(interpreter: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process in the interpreter's environment: its programs first, no other packages."""
    folder = os.path.dirname(interpreter)
    kept = {name: value for name, value in variables.items() if name not in _FOREIGN}
    path = os.pathsep.join(filter(None, (folder, kept.get("PATH", os.defpath))))
    return {**kept, "PATH": path, "VIRTUAL_ENV": os.path.dirname(folder)}


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    return (folder / COMPLETE).exists() and _python(folder).exists()


@contextmanager
def _build_lock(folder: Path, on_output: OnOutput, stop: StopSignal) -> Iterator[None]:
    """Hold the lock of the build while the block runs; who waits asks again and again, so as to hear of a stop."""
    waits = False
    while True:
        with exclusive(folder.with_suffix(".lock"), blocking=False) as taken:
            if taken:
                yield
                return
        if not waits:
            on_output("Waiting for the environment, which another step is building\n")
            waits = True
        if stop.stopped:
            raise _stopped()
        time.sleep(_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Build:
    """One attempt to make an environment; what fails leaves nothing behind."""

    folder: Path
    recipe: Recipe
    on_output: OnOutput
    stop: StopSignal

    def run(self) -> None:
        """Build the environment in its folder."""
        remove(self.folder)
        started = time.monotonic()
        self.on_output(f"Building the environment with {self.recipe.tool}: {self.recipe.summary}\n")
        try:
            with tempfile.TemporaryDirectory(prefix=".build-", dir=self.folder.parent) as scratch:
                for argv in self.recipe.commands(self.folder):
                    self._run_command(argv, Path(scratch), started)
            description = {"holds": self.recipe.summary, "built": time.time(), "tool": self.recipe.tool}
            write_atomically(self.folder / COMPLETE, json.dumps(description).encode(), durable=True)
        except BaseException:
            remove(self.folder)
            raise
        self.on_output(f"Built the environment in {time.monotonic() - started:.1f} s\n")

    def _run_command(self, argv: tuple[str, ...], scratch: Path, started: float) -> None:
        # Packages that are built run code of their own, which has no business with Prefect's server.
        own = {name: v for name, v in os.environ.items() if name not in _FOREIGN and not name.startswith("PREFECT_")}
        variables = self.recipe.variables(own)
        command = Command(
            argv=argv,
            folder=scratch,
            variables=variables,
            marker=f"stepwell-environment-{self.folder.name[:16]}-{scratch.name}",
            stdout=scratch / "stdout",
            stderr=scratch / "stderr",
            combined=scratch / "log",
            payload=self.recipe.requirements,
        )
        redact = Redactor.of_environment(variables, self.recipe.secrets).redact
        end = run_process(command, self._timestamped(started), self.stop, redact)
        if end.cancelled:
            raise _stopped()
        if not end.ok:
            lines = [line for line in (scratch / "log").read_text(errors="replace").splitlines() if line.strip()]
            facts = {"packages": self.recipe.summary, "last lines": "\n".join(lines[-_SHOWN_LINES:])}
            raise EnvironmentException(
                f"The environment of a step could not be built with {self.recipe.tool}",
                facts,
                "Correct its packages, or try again when their index can be reached.",
            )

    def _timestamped(self, started: float) -> Callable[[str], None]:
        def emit(text: str) -> None:
            seconds = time.monotonic() - started
            self.on_output("".join(f"  {seconds:5.1f} s  {line}\n" for line in text.splitlines() if line.strip()))

        return emit


def _stopped() -> StepCancelledException:
    return StepCancelledException("The environment was not built, since the run was stopped", hint="Run it again.")
