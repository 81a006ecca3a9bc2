"""`ScriptRunConfig`: a script or command with its configuration, for a CommandStep or `Experiment.submit`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, ClassVar

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.environments.environment import Environment
from stepwell.flows.configurations.run_configuration import DockerConfiguration, RunConfiguration
from stepwell.rules import STEPWELL, Rules

_MONTH_SECONDS = 2592000


@checked
class ScriptRunConfig:
    """A script or command with its source and its run configuration, as in Azure ML SDK v1.

    Pass it to `Experiment.submit`, or to a CommandStep as its `runconfig`. The `run_config` that was passed stays as it
    is.

    Args:
        source_directory: The folder whose snapshot is the working directory; None: the current directory.
        script: The script's path in that folder; None: that of `run_config`.
        arguments: The script's arguments; None: those of `run_config`.
        run_config: The configuration to start from; None: `RunConfiguration()`.
        compute_target: A compute target or its name; None: that of `run_config`.
        environment: What it runs in; None: that of `run_config`.
        distributed_job_config: An MpiConfiguration, PyTorchConfiguration or TensorflowConfiguration, for several processes of
            the script; None: one process.
        resume_from: Accepted for v1's sake; not used.
        max_run_duration_seconds: The limit in seconds, 30 days by default; a limit of `run_config` wins over the
            default.
        command: A command instead of a script, as a list or as text; None: that of `run_config`.
        docker_runtime_config: Settings of containers; None: those of `run_config`.

    Attributes:
        source_directory: As the argument.
        script: As the argument.
        arguments: As the argument.
        run_config: The configuration that it runs with, a copy of its own.
        distributed_job_config: As the argument.
    """

    default_rules: ClassVar[Rules] = STEPWELL
    """The rules of the pipeline that a submitted configuration becomes."""

    def __init__(
        self,
        source_directory: str | PurePath | None = None,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: Any = None,
        compute_target: Compute | str | None = None,
        environment: Environment | None = None,
        distributed_job_config: Any = None,
        resume_from: Any = None,
        max_run_duration_seconds: float | None = _MONTH_SECONDS,
        command: str | Sequence[Any] | None = None,
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
    def data(self) -> list[Any]:
        """The data that it reads, beside datasets among its arguments, of which a step knows by itself."""
        return []

    @property
    def has_command(self) -> bool:
        """Whether a command was given, instead of a script or beside one."""
        return bool(self._command or self.run_config.command)

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
        """The environment that it runs in."""
        return self.run_config.environment

    @property
    def environment_variables(self) -> dict[str, str]:
        """The variables that the run configuration adds."""
        return self.run_config.environment_variables

    @property
    def max_run_duration_seconds(self) -> float | None:
        """The limit of one attempt, in seconds; None is no limit."""
        return self.run_config.max_run_duration_seconds

    @property
    def shm_size(self) -> str:
        """The shared memory of containers, '' for what their compute target gives."""
        return self.run_config.shm_size
