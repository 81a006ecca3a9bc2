"""`AutoMLConfig`, which can be submitted by itself; `AutoMLRun` and `AutoMLStepRun`: searches as their submitters see them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline import Pipeline
from stepwell.flows.public.pipeline_run import PipelineRun
from stepwell.flows.public.port_data_reference import PortDataReference
from stepwell.flows.public.step_run import StepRun
from stepwell.flows.steps.fan_out.automl_config import STEP, AutoMLSettings
from stepwell.flows.steps.fan_out.automl_step import AutoMLStep


@checked
class AutoMLStepRun(StepRun):
    """A step that searched for the best model.

    Args:
        step_run: The step run, as `PipelineRun.find_step_run` returns it.

    Raises:
        UserErrorException: The step is no AutoMLStep.
    """

    def __init__(self, step_run: StepRun) -> None:
        super().__init__(step_run._run, step_run._summary)  # noqa: SLF001  (it is that run)

    def get_output(  # type: ignore[override]  # (v1's)
        self,
        iteration: int | None = None,
        metric: str | None = None,
        return_onnx_model: bool = False,
        return_split_onnx_model: Any = None,
    ) -> tuple[AutoMLStepRun, Any]:
        """Return the best model.

        Args:
            iteration: Refused: the best model alone is kept.
            metric: Refused, as `iteration`.
            return_onnx_model: Refused, if true: there is no such model.
            return_split_onnx_model: Accepted for v1's sake; not used.

        Returns:
            This run, and the fitted model.

        Raises:
            UserErrorException: Another model is asked for, or there is none.
        """
        if iteration is not None or metric is not None or return_onnx_model:
            raise UserErrorException(
                "Only the best model by the primary metric is kept, as a pickle",
                hint="Leave `iteration`, `metric` and `return_onnx_model` out, or search by another `primary_metric`.",
            )
        with self.get_default_model_output().local_path.open("rb") as stream:
            return self, pickle.load(stream)  # noqa: S301  (what the user's own step wrote, checked by the store)

    def get_default_model_output(self) -> PortDataReference:
        """Return the output that holds the best model.

        Returns:
            The output.

        Raises:
            UserErrorException: The step has no such output.
        """
        return self._holding("Model", b"\x80")

    def get_default_metrics_output(self) -> PortDataReference:
        """Return the output that holds the metrics of all models.

        Returns:
            The output.

        Raises:
            UserErrorException: The step has no such output.
        """
        return self._holding("Metrics", b"{")

    def get_children_metrics(self) -> dict[str, dict[str, list[Any]]]:
        """Return the metrics of every model that was tried.

        Returns:
            Metrics by name, for each model.
        """
        found: dict[str, dict[str, list[Any]]] = json.loads(self.get_default_metrics_output().local_path.read_text())
        return found

    def _holding(self, kind: str, begin: bytes) -> PortDataReference:
        outputs = self.get_outputs()
        for output in outputs.values():
            if output.local_path.is_file():
                with output.local_path.open("rb") as stream:
                    if stream.read(1) == begin:
                        return output
        raise UserErrorException(
            f"The step {self.name!r} kept no {kind.lower()} of a search",
            {"outputs": ", ".join(outputs) or "none"},
            "Name an AutoMLStep, and leave its default outputs enabled.",
        )


@checked
class AutoMLRun(PipelineRun):
    """A search for the best model that was submitted by itself: `experiment.submit(AutoMLConfig(...))`."""

    def get_output(
        self,
        iteration: int | None = None,
        metric: str | None = None,
        return_onnx_model: bool = False,
        return_split_onnx_model: Any = None,
    ) -> tuple[AutoMLStepRun, Any]:
        """Return the best model, as `AutoMLStepRun.get_output` does.

        Args:
            iteration: Refused: the best model alone is kept.
            metric: Refused, as `iteration`.
            return_onnx_model: Refused, if true: there is no such model.
            return_split_onnx_model: Accepted for v1's sake; not used.

        Returns:
            The run of the search's step, and the fitted model.

        Raises:
            UserErrorException: Another model is asked for, or there is none.
        """
        return AutoMLStepRun(self.find_step_run(STEP)[0]).get_output(iteration, metric, return_onnx_model)


@checked
class AutoMLConfig(AutoMLSettings):
    """What a search for the best model is told, for an `AutoMLStep`, or to be submitted by itself."""

    @property
    def id(self) -> str:
        """The name of the pipeline that it becomes when it is submitted by itself."""
        return STEP

    def submit(
        self,
        *,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
        continue_on_step_failure: bool | None = None,
        tags: Mapping[str, Any] | None = None,
        regenerate_outputs: bool = False,
    ) -> AutoMLRun:
        """Start the search by itself, as `Experiment.submit` does.

        Args:
            experiment_name: The experiment's name.
            pipeline_parameters: Not used: a search has none.
            parent_run_id: The run that this one belongs to.
            continue_on_step_failure: Not used: it is one step.
            tags: Labels of the run.
            regenerate_outputs: Whether it searches anew, whatever earlier runs found.

        Returns:
            The run, at work.

        Raises:
            UserErrorException: The table is in no workspace.
            ExperimentExecutionException: The run's process ended before it began.
        """
        step = AutoMLStep(STEP, self)
        if step.workspace is None:
            raise UserErrorException(
                "The table of the search is in no workspace", hint="Register it, or run an AutoMLStep in a pipeline."
            )
        run = Pipeline(step.workspace, [step], name=STEP).submit(
            experiment_name, regenerate_outputs=regenerate_outputs, parent_run_id=parent_run_id, tags=tags
        )
        return AutoMLRun(run.experiment, run.id)
