"""`ScriptRunConfig`: what v1's users hand to a CommandStep, or to `Experiment.submit`."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from stepwell.blocks.environments.environment import Environment
from stepwell.flows.steps.run_configuration import DockerConfiguration, RunConfiguration

_MONTH_SECONDS = 2592000


class ScriptRunConfig:
    """A script or command with its source, and the `run_config` that it runs with; the one that was passed stays as it is."""

    def __init__(
        self,
        source_directory: Any = None,
        script: str | None = None,
        arguments: Iterable[Any] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: Any = None,
        compute_target: Any = None,
        environment: Environment | None = None,
        distributed_job_config: Any = None,
        resume_from: Any = None,
        max_run_duration_seconds: float | None = _MONTH_SECONDS,
        command: Any = None,
        docker_runtime_config: DockerConfiguration | None = None,
    ) -> None:
        self.source_directory = source_directory
        self.run_config = copy.copy(run_config) if run_config is not None else RunConfiguration()
        self.script = script or self.run_config.script
        self.arguments = list(arguments if arguments is not None else self.run_config.arguments)
        self._command = command
        self.distributed_job_config = distributed_job_config
        if compute_target is not None:
            self.run_config.target = compute_target
        if environment is not None:
            self.run_config.environment = environment
        if docker_runtime_config is not None:
            self.run_config.docker = docker_runtime_config
        if max_run_duration_seconds != _MONTH_SECONDS or self.run_config.max_run_duration_seconds is None:
            self.run_config.max_run_duration_seconds = max_run_duration_seconds

    @property
    def command(self) -> Any:
        """The command; that of the script if none was given, None without either."""
        given = self._command or self.run_config.command
        return given or (["python", self.script, *self.arguments] if self.script else None)

    @property
    def target(self) -> Any:
        """The compute target."""
        return self.run_config.target

    @property
    def environment(self) -> Environment:
        """What it runs in."""
        return self.run_config.environment

    @property
    def environment_variables(self) -> dict[str, str]:
        """The variables that the run configuration adds."""
        return self.run_config.environment_variables

    @property
    def max_run_duration_seconds(self) -> float | None:
        """How long it may take."""
        return self.run_config.max_run_duration_seconds

    @property
    def shm_size(self) -> str:
        """The shared memory of containers."""
        return self.run_config.shm_size
