"""The types of what steps are made with: for type checkers, and for the check of what they are called with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Annotated, Any, Protocol, TypedDict
from uuid import UUID

from stepwell.blocks.arguments.hints import Words
from stepwell.blocks.compute.base import Compute
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.blocks.environments.environment import Environment
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.blocks.workspace.references import DataPathComputeBinding, DataReference
from stepwell.flows.configurations.run_configuration import RunConfiguration
from stepwell.flows.configurations.script_run_config import ScriptRunConfig
from stepwell.flows.datasets.output_datasets import PipelineOutputFileDataset, PipelineOutputTabularDataset
from stepwell.flows.datasets.output_tables import OutputTabularDatasetConfig
from stepwell.flows.dynamic.step_values import StepCondition
from stepwell.flows.parameters.parameter_file import ParameterFile
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter
from stepwell.flows.steps.outputs import OutputFileDatasetConfig, OutputInput, PipelineData
from stepwell.model.definitions import EnvironmentDefinition, Resources
from stepwell.script.tables.lazy_datasets import LazyDataset


class ArrayScalar(Protocol):
    """A number of NumPy, or of a library like it."""

    @property
    def ndim(self) -> int:
        """How many dimensions it has: none."""
        ...

    def item(self) -> Any:
        """Return it as Python's own number."""
        ...


Plain = Annotated[
    str
    | int
    | float
    | bool
    | Decimal
    | Fraction
    | os.PathLike[str]
    | Enum
    | date
    | time
    | timedelta
    | UUID
    | ArrayScalar,
    Words("a text or a number"),
]
"""What has one text that tells its value. Other objects have their address in memory there, or more than one value."""

PipelineDataset = PipelineOutputFileDataset | PipelineOutputTabularDataset
Input = Annotated[
    DataReference
    | LazyDataset
    | DatasetConsumptionConfig
    | PipelineData
    | PipelineDataset
    | OutputFileDatasetConfig
    | OutputInput
    | tuple[PipelineParameter, DataPathComputeBinding],
    Words(
        "a DataReference, a dataset, PipelineData, OutputFileDatasetConfig or (PipelineParameter, DataPathComputeBinding)"
    ),
]
Output = Annotated[
    PipelineData | PipelineDataset | OutputFileDatasetConfig | OutputTabularDatasetConfig | DataReference,
    Words("PipelineData, an OutputFileDatasetConfig or a DataReference"),
]
Value = Annotated[Plain | PipelineParameter, Words("a text, a number or a PipelineParameter")]
Params = Mapping[str, Value] | Sequence[str | PipelineParameter | ParameterFile | Mapping[str, Value]]
"""Values by name, or keys of files of parameters."""

Argument = Annotated[
    Plain | PipelineParameter | Input | OutputTabularDatasetConfig,
    Words("a text, a number, a PipelineParameter, or an input or output of the step"),
]
Target = Annotated[
    Compute | str | tuple[str, str], Words("a compute target, its name, or a tuple of its name and type")
]
Configuration = RunConfiguration | ScriptRunConfig
Conditions = Annotated[
    str | StepCondition | Sequence[str | StepCondition],
    Words("a condition such as 'train/accuracy > 0.9', or a list of them"),
]
Requirements = Environment | EnvironmentDefinition | Sequence[str]


class BaseOptions(TypedDict, total=False):
    """The keyword arguments of `Step` that every step type takes, whatever it has of its own."""

    target: Target | None
    environment_variables: Mapping[str, Plain] | None
    retries: int
    retry_delay_seconds: float
    strict: bool
    workspace: BaseWorkspace | None
    resources: Resources | Mapping[str, Any] | None
    run_if: Conditions | None
    run_after_skipped: bool


class EngineOptions(BaseOptions, total=False):
    """The keyword arguments of `Step` that a step type with a time limit of its own takes."""

    environment: Requirements | None


class SparkOptions(BaseOptions, total=False):
    """The keyword arguments of `Step` that a step type with an environment of its own takes."""

    timeout_seconds: float | None


class StepOptions(EngineOptions, total=False):
    """The keyword arguments of `Step` that every step type takes."""

    timeout_seconds: float | None


class CommandOptions(StepOptions, total=False):
    """The keyword arguments of `Step` that a `CommandStep` takes beside its own."""

    hash_paths: Sequence[str | PurePath] | None
