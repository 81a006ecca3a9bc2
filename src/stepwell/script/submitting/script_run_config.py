"""`ScriptRunConfig` and `RunConfiguration` as a script of a step has them: what `run.submit_child` takes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class RunConfiguration:
    """Settings of a child run: its `target` counts; the environment is that of the step, whatever stands here."""

    def __init__(
        self,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: object = None,
        _history_enabled: object = None,
        _path: object = None,
        _name: object = None,
        command: str | Sequence[Any] | None = None,
        **_: object,
    ) -> None:
        self.script = script
        self.arguments = list(arguments or ())
        self.target: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = RunConfiguration()
        setattr(self, name, made)
        return made


class ScriptRunConfig:
    """A script or command with its folder, as a run of its own; it runs in the environment of the step that submits it."""

    def __init__(
        self,
        source_directory: str | None = None,
        script: str | None = None,
        arguments: Sequence[Any] | None = None,
        run_config: Any = None,
        _telemetry_values: object = None,
        compute_target: Any = None,
        environment: object = None,
        distributed_job_config: object = None,
        resume_from: object = None,
        max_run_duration_seconds: float | None = 2592000,
        command: str | Sequence[Any] | None = None,
        docker_runtime_config: object = None,
    ) -> None:
        self.run_config = run_config if run_config is not None else RunConfiguration()
        self.source_directory = source_directory
        self.script = script or self.run_config.script
        self.arguments = list(arguments if arguments is not None else self.run_config.arguments)
        self.command = command
        self.target = compute_target if compute_target is not None else self.run_config.target
        self.max_run_duration_seconds = max_run_duration_seconds
