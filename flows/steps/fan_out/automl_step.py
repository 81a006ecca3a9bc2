"""`AutoMLStep`: a step that searches for the best model of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, ClassVar, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.consumption import DatasetConsumptionConfig
from stepwell.errors import UserErrorException
from stepwell.flows.datasets.output_datasets import PipelineOutputFileDataset, PipelineOutputTabularDataset
from stepwell.flows.steps.argument_types import Input, StepOptions
from stepwell.flows.steps.driver_options import DriverOptions
from stepwell.flows.steps.fan_out.automl_config import AutoMLSettings
from stepwell.flows.steps.outputs import PipelineData
from stepwell.flows.steps.step import Step
from stepwell.flows.steps.training_output import TrainingOutput

_MODULES = ("flaml", "lightgbm", "xgboost", "sklearn", "pandas")


class AutoMLOptions(StepOptions, total=False):
    """The keyword arguments of `Step` that an `AutoMLStep` takes, and v1's that mean nothing here."""

    runconfig: Any
    passthru_automl_config: Any


@checked
class AutoMLStep(Step):
    """A step that searches for the best model of a table. FLAML does the work, in one process.

    It writes two files: the metrics of all models that were tried, as JSON, and the best model, pickled. In `outputs/` of its
    run stand both, and the versions of the packages that the model needs.

    Args:
        name: The step's name.
        automl_config: What is searched for, and in which table.
        inputs: Further inputs, which the step waits for.
        outputs: PipelineData with a TrainingOutput of `Metrics` or `Model`.
        script_repl_params: Accepted for v1's sake; not used.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        hash_paths: Accepted for v1's sake; not used.
        enable_default_model_output: Whether the best model is an output of its own, `default_model_<name>`.
        enable_default_metrics_output: Whether the metrics are an output of their own, `default_metrics_<name>`.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: The table is none, or an output holds something else.
    """

    DEFAULT_METRIC_PREFIX: ClassVar[str] = "default_metrics_"
    DEFAULT_MODEL_PREFIX: ClassVar[str] = "default_model_"

    def __init__(
        self,
        name: str,
        automl_config: AutoMLSettings,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[PipelineData] | None = None,
        script_repl_params: Mapping[str, Any] | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        hash_paths: Sequence[str | PurePath] | None = None,
        enable_default_model_output: bool = True,
        enable_default_metrics_output: bool = True,
        **more: Unpack[AutoMLOptions],
    ) -> None:
        tables = {"training_data": automl_config.training_data, "validation_data": automl_config.validation_data}
        read = [_table(port, data) for port, data in tables.items() if data is not None]
        kept = {_kind(name, data): data for data in outputs or ()}
        if len(kept) < len(outputs or ()):
            raise UserErrorException(
                f"The step {name!r} has two outputs of one kind", hint="Leave one of them out: they would be the same."
            )
        for kind, prefix, wanted in (
            ("metrics", self.DEFAULT_METRIC_PREFIX, enable_default_metrics_output),
            ("model", self.DEFAULT_MODEL_PREFIX, enable_default_model_output),
        ):
            if wanted and kind not in kept:
                kept[kind] = PipelineData(prefix + "".join(c if c.isalnum() else "_" for c in name))
        options: dict[str, Any] = {key: value for key, value in more.items() if key != "passthru_automl_config"}
        super().__init__(
            name=name,
            driver=DriverOptions(
                "automl", {"config": automl_config.settings, **kept}, modules=_MODULES, extra="automl", language="text"
            ),
            inputs=[*read, *(one for one in inputs or () if _original(one) not in map(_original, read))],
            outputs=list(kept.values()),
            compute_target=automl_config.compute_target,
            allow_reuse=allow_reuse,
            version=version,
            **options,
        )

    _needs_source = False

    def get_default_metrics_output(self) -> PipelineData | None:
        """Return the output of the metrics.

        Returns:
            The output, None if there is none.
        """
        return self._output("metrics")

    def get_default_model_output(self) -> PipelineData | None:
        """Return the output of the best model.

        Returns:
            The output, None if there is none.
        """
        return self._output("model")

    def _output(self, kind: str) -> PipelineData | None:
        settings = self._driver.settings if self._driver else {}
        return settings.get(kind)


def _table(port: str, data: Any) -> DatasetConsumptionConfig | PipelineOutputTabularDataset:
    """Return the input under the name by which the driver finds it."""
    if isinstance(data, PipelineOutputTabularDataset):
        return data.as_named_input(port)
    if isinstance(data, PipelineOutputFileDataset | PipelineData):
        raise UserErrorException(
            f"`{port}` must be a table, not files",
            hint="Make one with `.as_dataset().parse_parquet_files()` or `parse_delimited_files()`.",
        )
    table = data.dataset if isinstance(data, DatasetConsumptionConfig) else data
    return DatasetConsumptionConfig(port, table)


def _original(item: Any) -> int:
    return id(getattr(item, "dataset", None) or getattr(item, "data", None) or item)


def _kind(step: str, data: PipelineData) -> str:
    """Return whether an output is that of the metrics or of the model."""
    training = data.training_output
    if not isinstance(training, TrainingOutput):
        raise UserErrorException(
            f"The output {data.name!r} of step {step!r} does not say what it holds",
            hint="Pass `training_output=TrainingOutput('Metrics')` or `TrainingOutput('Model')`.",
        )
    if training.type == "Model" and (training.iteration is not None or training.metric is not None):
        raise UserErrorException(
            f"The output {data.name!r} asks for another model than the best one, which alone is kept",
            hint="Leave `iteration` and `metric` out, or search by another `primary_metric`.",
        )
    return training.type.lower()
