"""`TrainingOutput`: what an output holds that a step makes of the runs that it has made."""

from __future__ import annotations

from typing import Literal

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException


@checked
class TrainingOutput:
    """What PipelineData hold that a step with runs of its own makes: the metrics of all, or the files of the best one.

    Args:
        type: `Metrics`: a JSON file of the metrics of every run. `Model`: what the best run kept.
        iteration: Only for AutoML: which iteration's model; None: the best one's.
        metric: Only for AutoML: the metric by which the best model is chosen; None: the primary one.
        model_file: Which file, or folder, of those that the best run kept, such as `outputs/model.pkl`; None: all of
            `outputs/`.

    Attributes:
        type: As the argument.
        iteration: As the argument.
        metric: As the argument.
        model_file: As the argument.

    Raises:
        UserErrorException: Metrics are asked for with what is said of a model.
    """

    def __init__(
        self,
        type: Literal["Metrics", "Model"],
        iteration: int | None = None,
        metric: str | None = None,
        model_file: str | None = None,
    ) -> None:
        if type == "Metrics" and not (iteration is None and metric is None and model_file is None):
            title = "A TrainingOutput of metrics has those of all runs"
            raise UserErrorException(title, {}, "Leave `iteration`, `metric` and `model_file` out, or ask for a model.")
        if iteration is not None and metric is not None:
            raise UserErrorException("A TrainingOutput has either an iteration or a metric", {}, "Leave one out.")
        self.type = type
        self.iteration, self.metric, self.model_file = iteration, metric, model_file

    def __repr__(self) -> str:
        return f"TrainingOutput(type={self.type!r}, model_file={self.model_file!r})"
