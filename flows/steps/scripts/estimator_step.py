"""`EstimatorStep`: a step that runs the script of an estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.estimator import MMLBaseEstimator
from stepwell.flows.steps.argument_types import Argument, CommandOptions, Input, Output, Target
from stepwell.flows.steps.scripts.distribution import driver_of
from stepwell.flows.steps.step import Step


@checked
class EstimatorStep(Step):
    """A step that runs the script of an estimator, in its environment, as in Azure ML SDK v1.

    Everything else is as of a PythonScriptStep.

    Args:
        name: The step's name; None: that of the script.
        estimator: The Estimator, SKLearn, PyTorch, TensorFlow or Chainer, without arguments and inputs of its own.
        estimator_entry_script_arguments: The script's arguments, a list: texts and numbers, parameters, and inputs and outputs,
            which become paths.
        runconfig_pipeline_params: Accepted for v1's sake; not used.
        inputs: What it reads, as of every step.
        outputs: What it writes, as of every step.
        compute_target: A compute target, its name, or `(name, type)` as in v1; None: that of the estimator.
        allow_reuse: Whether an earlier result may be used again.
        version: Any text; another text means another result.
        **more: Further keyword arguments of `Step`.

    Raises:
        UserErrorException: There is no estimator or no list of arguments, or the estimator has arguments or inputs.
    """

    def __init__(
        self,
        name: str | None = None,
        estimator: MMLBaseEstimator | None = None,
        estimator_entry_script_arguments: Sequence[Argument] | None = None,
        runconfig_pipeline_params: Any = None,
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        compute_target: Target | None = None,
        allow_reuse: bool = True,
        version: str | float | None = None,
        **more: Unpack[CommandOptions],
    ) -> None:
        if estimator is None or not estimator.script:
            raise UserErrorException("An EstimatorStep needs an estimator with a script", hint="Pass `estimator=`.")
        if estimator_entry_script_arguments is None:
            raise UserErrorException(
                "An EstimatorStep needs the arguments of its script",
                hint="Pass `estimator_entry_script_arguments=` as a list, `[]` for none.",
            )
        own = [
            word for word, value in (("script_params", estimator.script_params), ("inputs", estimator.inputs)) if value
        ]
        if own:
            raise UserErrorException(
                f"The estimator of a step has no `{own[0]}` of its own",
                {"step": name or estimator.script},
                "Pass them as `estimator_entry_script_arguments=` and `inputs=` of the step.",
            )
        super().__init__(
            name=name or estimator.script,
            script=estimator.script,
            arguments=estimator_entry_script_arguments,
            compute_target=compute_target,
            runconfig=estimator,
            inputs=inputs,
            outputs=outputs,
            source_directory=estimator.source_directory,
            allow_reuse=allow_reuse,
            version=version,
            driver=driver_of(estimator),
            **more,
        )
