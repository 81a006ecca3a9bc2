"""`ParallelRunConfig`: how a ParallelRunStep splits its inputs, which script it runs, and how many items may fail."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.compute.compute_target import name_of
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.drivers.parallel_run.settings import APPEND_ROW, SUMMARY_ONLY, bytes_of
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.argument_types import Plain, Requirements

_ACTIONS = (APPEND_ROW, SUMMARY_ONLY)
_LEVELS = ("WARNING", "INFO", "DEBUG", "WARN", "ERROR", "CRITICAL")
_SETTINGS = (
    *("error_threshold", "output_action", "append_row_file_name", "allowed_failed_count", "allowed_failed_percent"),
    *("node_count", "process_count_per_node", "mini_batch_size", "partition_keys"),
    *("run_invocation_timeout", "run_max_try", "logging_level"),
)
_PLAIN = ("entry_script", "source_directory", "description", *_SETTINGS, "environment_variables")


@checked
class ParallelRunConfig:
    """The settings of a ParallelRunStep, as in Azure ML SDK v1.

    Args:
        environment: An Environment, or a list of requirements for pip; None: the packages in use.
        entry_script: The script, a path in the source directory: it has a function `run(mini_batch)` or
            `run(mini_batch, context)`, and may have a function `init()`.
        error_threshold: How many files, or rows of tables, may fail in all; -1: all of them.
        output_action: `append_row`: what `run` returns becomes the lines of one file; `summary_only`: it is only counted.
        compute_target: A compute target or its name; None: `local`.
        node_count: How many nodes; here a multiple of the worker processes.
        process_count_per_node: How many worker processes for each node; None: as many as there are processors, in all.
        mini_batch_size: How many files `run` gets at once (10), or how much of a table's files, such as `1MB`.
        source_directory: The folder whose snapshot is the working directory; None: that of the script if it is given by an
            absolute path, else as of every step.
        description: For people.
        logging_level: The level of `EntryScript().logger`: `WARNING`, `INFO` or `DEBUG`.
        run_invocation_timeout: How many seconds `run` may take for a mini-batch.
        run_max_try: How often a mini-batch is tried.
        append_row_file_name: The name of the file of `append_row`; None: `parallel_run_step.txt`.
        allowed_failed_count: How many mini-batches may fail; None: all.
        allowed_failed_percent: How many of 100 mini-batches may fail; None: all.
        partition_keys: Keys of the inputs' partition format: each combination of their values is a mini-batch.
        environment_variables: Variables of the worker processes; they win over the environment's.

    Attributes:
        environment: As the argument.
        entry_script: As the argument.
        error_threshold: As the argument.
        output_action: As the argument.
        compute_target: As the argument.
        node_count: As the argument.
        process_count_per_node: As the argument.
        mini_batch_size: As the argument.
        source_directory: As the argument.
        description: As the argument.
        logging_level: As the argument.
        run_invocation_timeout: As the argument.
        run_max_try: As the argument.
        append_row_file_name: As the argument.
        allowed_failed_count: As the argument.
        allowed_failed_percent: As the argument.
        partition_keys: As the argument.
        environment_variables: As the argument.

    Raises:
        UserErrorException: A value can't be used.
    """

    def __init__(
        self,
        environment: Requirements | None,
        entry_script: str,
        error_threshold: int,
        output_action: str,
        compute_target: Compute | str | None,
        node_count: int | PipelineParameter,
        process_count_per_node: int | PipelineParameter | None = None,
        mini_batch_size: str | int | PipelineParameter | None = None,
        source_directory: str | PurePath | None = None,
        description: str | None = None,
        logging_level: str | PipelineParameter = "INFO",
        run_invocation_timeout: int | PipelineParameter | None = 60,
        run_max_try: int | PipelineParameter | None = 3,
        append_row_file_name: str | None = None,
        allowed_failed_count: int | None = None,
        allowed_failed_percent: float | None = None,
        partition_keys: Sequence[str] | PipelineParameter | None = None,
        environment_variables: Mapping[str, Plain] | None = None,
    ) -> None:
        self.environment = environment
        self.entry_script = entry_script
        self.error_threshold = _least("error_threshold", error_threshold, -1)
        self.output_action = _one_of("output_action", output_action, _ACTIONS, output_action.lower())
        self.compute_target = compute_target
        self.node_count = _least("node_count", node_count, 1)
        self.process_count_per_node = _least("process_count_per_node", process_count_per_node, 1)
        self.mini_batch_size = mini_batch_size
        self.source_directory = source_directory
        self.description = description
        self.logging_level = logging_level
        self.run_invocation_timeout = _least("run_invocation_timeout", run_invocation_timeout, 1)
        self.run_max_try = _least("run_max_try", run_max_try, 1)
        self.append_row_file_name = append_row_file_name
        self.allowed_failed_count = _least("allowed_failed_count", allowed_failed_count, 0)
        self.allowed_failed_percent = _least("allowed_failed_percent", allowed_failed_percent, 0)
        self.partition_keys = list(partition_keys) if isinstance(partition_keys, Sequence) else partition_keys
        self.environment_variables = dict(environment_variables or {})
        if not entry_script.strip():
            raise UserErrorException(
                "`entry_script` must name a script", {"value": repr(entry_script)}, "Pass its path."
            )
        if allowed_failed_percent is not None and allowed_failed_percent > 100:
            raise UserErrorException(
                "`allowed_failed_percent` must be at most 100", {"value": allowed_failed_percent}, "Correct it."
            )
        _check_keys(partition_keys)
        if isinstance(logging_level, str):
            _one_of("logging_level", logging_level, _LEVELS, logging_level.upper())
        if isinstance(mini_batch_size, (str, int)):
            bytes_of(str(mini_batch_size))
        if partition_keys is not None and mini_batch_size is not None:
            raise UserErrorException(
                "`mini_batch_size` and `partition_keys` exclude each other: a mini-batch is a size, or a partition",
                {"mini_batch_size": mini_batch_size, "partition_keys": partition_keys},
                "Leave one of them out.",
            )
        if append_row_file_name is not None and not re.fullmatch(r"[^/\\\0]+", append_row_file_name):
            raise UserErrorException(
                "`append_row_file_name` must be the name of a file",
                {"value": repr(append_row_file_name)},
                "Leave the folders out: the file stands in the step's output.",
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What the driver of the step is told."""
        found = {name: getattr(self, name) for name in _SETTINGS}
        found["output_action"] = str(self.output_action).lower()
        return {name: value for name, value in found.items() if value is not None}

    @property
    def script_and_folder(self) -> tuple[str, str | PurePath | None]:
        """The script's path in its source directory, and that directory, None if nothing names it."""
        if self.source_directory is None and os.path.isabs(self.entry_script):
            return os.path.basename(self.entry_script), os.path.dirname(self.entry_script)
        return self.entry_script, self.source_directory

    def save_to_yaml(self, path: str | PurePath) -> None:
        """Write the configuration to a YAML file; of a parameter its default is written.

        Args:
            path: The file.
        """
        values = {name: _default(getattr(self, name)) for name in _PLAIN}
        values["source_directory"] = None if self.source_directory is None else str(self.source_directory)
        target = self.compute_target
        values["compute_target"] = None if target is None else name_of(target)
        environment = self.environment
        if isinstance(environment, Environment):
            values["environment"] = {"name": environment.name, "version": environment.version}
        elif environment is not None:
            values["environment"] = list(environment) if isinstance(environment, Sequence) else environment.to_json()
        kept = {name: value for name, value in values.items() if value not in (None, {})}
        Path(path).write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")

    @staticmethod
    def load_yaml(workspace: BaseWorkspace, path: str | PurePath) -> ParallelRunConfig:
        """Read a configuration from a YAML file, whose keys are the arguments.

        Args:
            workspace: The workspace that has the environment, if that is named.
            path: The file.

        Returns:
            The configuration.

        Raises:
            UserErrorException: The file can't be read, or has a key that is no argument.
        """
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UserErrorException(
                "The configuration can't be read", {"file": path, "reason": error}, "Correct the file."
            ) from None
        known = {*_PLAIN, "environment", "compute_target"}
        needed = ("entry_script", "error_threshold", "output_action", "node_count")
        unknown = sorted(set(values) - known) if isinstance(values, dict) else [type(values).__name__]
        missing = [name for name in needed if not isinstance(values, dict) or name not in values]
        if unknown or missing:
            what = f"has a key {unknown[0]!r} that is no setting" if unknown else f"lacks {missing[0]!r}"
            raise UserErrorException(
                f"The configuration {what}", {"file": path, "settings": ", ".join(sorted(known))}, "Correct the file."
            )
        environment = values.get("environment")
        if isinstance(environment, (str, dict)):
            named = {"name": environment} if isinstance(environment, str) else environment
            version = named.get("version")
            environment = Environment.get(workspace, str(named.get("name")), None if version is None else str(version))
        return ParallelRunConfig(**{"compute_target": None, **values, "environment": environment})

    def __repr__(self) -> str:
        return f"ParallelRunConfig(entry_script={self.entry_script!r})"


def _default(value: Any) -> Any:
    return value.default_value if isinstance(value, PipelineParameter) else value


def _least(name: str, value: Any, least: int) -> Any:
    """Return a number, or a parameter, or None; raise UserErrorException if the number is less than it may be."""
    if isinstance(value, (int, float)) and not value >= least:
        raise UserErrorException(f"`{name}` must be at least {least}", {"value": value}, f"Correct `{name}`.")
    return value


def _check_keys(keys: Any) -> None:
    if isinstance(keys, Sequence) and (not keys or len(set(keys)) < len(keys)):
        raise UserErrorException(
            "`partition_keys` must name at least one key, and each once", {"partition_keys": keys}, "Correct them."
        )


def _one_of(name: str, value: str, words: Sequence[str], meant: str) -> str:
    if meant not in words:
        raise UserErrorException(
            f"`{name}` must be one of {', '.join(map(repr, words))}", {"value": repr(value)}, f"Correct `{name}`."
        )
    return meant
