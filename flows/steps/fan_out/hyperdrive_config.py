"""`HyperDriveConfig`: a search for the best hyperparameters of a script."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, ClassVar

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.configurations.script_run_config import ScriptRunConfig
from stepwell.flows.steps.fan_out.hyperdrive_policies import EarlyTerminationPolicy
from stepwell.flows.steps.fan_out.hyperdrive_sampling import HyperParameterSampling
from stepwell.rules import STEPWELL, Rules

_WEEK_MINUTES = 10080


@checked
class PrimaryMetricGoal(Enum):
    """Whether more or less of the primary metric is better.

    Attributes:
        MINIMIZE: Less is better.
        MAXIMIZE: More is better.
    """

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"

    @staticmethod
    def from_str(goal: str) -> PrimaryMetricGoal:
        """Return the goal of that name.

        Args:
            goal: `minimize` or `maximize`, in any case.

        Returns:
            The goal.

        Raises:
            UserErrorException: It is neither.
        """
        try:
            return PrimaryMetricGoal(goal.lower())
        except ValueError:
            title = "A goal is `minimize` or `maximize`"
            raise UserErrorException(title, {"given": repr(goal)}, "Use `PrimaryMetricGoal.MAXIMIZE`.") from None


@checked
class HyperDriveConfig:
    """A search for hyperparameters: which there may be, how many trials, which metric tells the best, what ends bad ones.

    For a HyperDriveStep, or `Experiment.submit`. Each trial is a run of its own of the script, and an earlier one's result is
    used again if nothing changed: with a larger `max_total_runs`, only the new trials run.

    Args:
        hyperparameter_sampling: A RandomParameterSampling, GridParameterSampling or BayesianParameterSampling.
        primary_metric_name: The metric that the script logs, such as `run.log("accuracy", 0.9)`.
        primary_metric_goal: Whether more or less of it is better.
        max_total_runs: The most trials; there are fewer if the space has fewer combinations.
        max_concurrent_runs: The most trials at once; None: as many as the compute target has room for.
        max_duration_minutes: When trials that still run are ended, and no others begin.
        policy: What ends bad trials early; None: nothing does.
        estimator: An Estimator, in place of `run_config`.
        run_config: A ScriptRunConfig: the script with its target and environment; its time limit is each trial's.
        resume_from: Refused: trials that were made before are used again by themselves.
        resume_child_runs: Refused, as `resume_from`.
        pipeline: Refused: a trial is a run of a script.
        debug_flag: Accepted for v1's sake; not used.
        custom_run_id: Accepted for v1's sake; not used.

    Attributes:
        hyperparameter_sampling: As the argument.
        primary_metric_name: As the argument.
        primary_metric_goal: As the argument.
        max_total_runs: As the argument.
        max_concurrent_runs: As the argument.
        max_duration_minutes: As the argument.
        policy: As the argument.
        run_config: The ScriptRunConfig, or the Estimator.
        estimator: The same.

    Raises:
        UserErrorException: There is not exactly one of `estimator` and `run_config`, a number is too small, or an argument
            is refused.
    """

    default_rules: ClassVar[Rules] = STEPWELL
    """The rules of the pipeline that a submitted configuration becomes."""

    def __init__(
        self,
        hyperparameter_sampling: HyperParameterSampling,
        primary_metric_name: str,
        primary_metric_goal: PrimaryMetricGoal,
        max_total_runs: int,
        max_concurrent_runs: int | None = None,
        max_duration_minutes: float = _WEEK_MINUTES,
        policy: EarlyTerminationPolicy | None = None,
        estimator: ScriptRunConfig | None = None,
        run_config: ScriptRunConfig | None = None,
        resume_from: Any = None,
        resume_child_runs: Any = None,
        pipeline: Any = None,
        debug_flag: Any = None,
        custom_run_id: Any = None,
    ) -> None:
        for name, value in {"resume_from": resume_from, "resume_child_runs": resume_child_runs}.items():
            if value:
                hint = f"Leave `{name}` out: trials that were made before are used again by themselves."
                raise UserErrorException(f"HyperDriveConfig takes no `{name}`", hint=hint)
        if pipeline is not None:
            hint = "Pass a ScriptRunConfig as `run_config`."
            raise UserErrorException("A trial is a run of a script, not of a pipeline", hint=hint)
        script = run_config if run_config is not None else estimator
        if script is None or (run_config is not None and estimator is not None):
            given = "both are given" if script is not None else "neither is given"
            hint = "Pass a ScriptRunConfig as `run_config`."
            raise UserErrorException(
                f"HyperDriveConfig needs either `run_config` or `estimator`, and {given}", hint=hint
            )
        if not script.script and not script.has_command:
            raise UserErrorException("The `run_config` has neither a script nor a command", hint="Pass `script=`.")
        _refuse_below(1, "max_total_runs", max_total_runs)
        _refuse_below(1, "max_concurrent_runs", 1 if max_concurrent_runs is None else max_concurrent_runs)
        if not 0 < max_duration_minutes < math.inf:
            facts = {"value": max_duration_minutes}
            raise UserErrorException("`max_duration_minutes` must be above 0, and finite", facts, "Correct it.")
        if not primary_metric_name.strip():
            hint = 'Pass the name that the script logs it by, such as "accuracy".'
            raise UserErrorException("`primary_metric_name` is empty", hint=hint)
        self.hyperparameter_sampling = hyperparameter_sampling
        self.primary_metric_name = primary_metric_name
        self.primary_metric_goal = primary_metric_goal
        self.max_total_runs = max_total_runs
        self.max_concurrent_runs = max_concurrent_runs
        self.max_duration_minutes = max_duration_minutes
        self.policy = policy
        self.run_config = self.estimator = script

    def to_plain(self) -> dict[str, Any]:
        """Return the search as plain values.

        Returns:
            The sampling, the policy and the numbers, without the script.
        """
        sampling = self.hyperparameter_sampling.to_plain()
        return {
            "hyperparameters": sampling.pop("space"),
            "sampling": sampling,
            "primary_metric": [self.primary_metric_goal.value, self.primary_metric_name],
            "max_total_runs": self.max_total_runs,
            "max_concurrent_runs": self.max_concurrent_runs,
            "max_duration_minutes": self.max_duration_minutes,
            "policy": self.policy.to_plain() if self.policy else None,
            "trial_seconds": self.run_config.max_run_duration_seconds,
        }

    def __repr__(self) -> str:
        metric = f"{self.primary_metric_goal.value} {self.primary_metric_name!r}"
        return f"{type(self).__name__}({metric}, max_total_runs={self.max_total_runs})"


@checked
class HyperDriveRunConfig(HyperDriveConfig):
    """v1's older form of HyperDriveConfig, with the estimator first.

    Args:
        estimator: An Estimator or a ScriptRunConfig.
        hyperparameter_sampling: As of HyperDriveConfig.
        primary_metric_name: As of HyperDriveConfig.
        primary_metric_goal: As of HyperDriveConfig.
        max_total_runs: As of HyperDriveConfig.
        max_concurrent_runs: As of HyperDriveConfig.
        max_duration_minutes: As of HyperDriveConfig.
        policy: As of HyperDriveConfig.
    """

    def __init__(
        self,
        estimator: ScriptRunConfig,
        hyperparameter_sampling: HyperParameterSampling,
        primary_metric_name: str,
        primary_metric_goal: PrimaryMetricGoal,
        max_total_runs: int,
        max_concurrent_runs: int | None = None,
        max_duration_minutes: float = _WEEK_MINUTES,
        policy: EarlyTerminationPolicy | None = None,
    ) -> None:
        super().__init__(
            hyperparameter_sampling,
            primary_metric_name,
            primary_metric_goal,
            max_total_runs,
            max_concurrent_runs,
            max_duration_minutes,
            policy,
            estimator,
        )


def _refuse_below(lowest: int, name: str, value: int) -> None:
    if isinstance(value, bool) or value < lowest:
        facts = {"value": value}
        raise UserErrorException(f"`{name}` must be a whole number of at least {lowest}", facts, f"Correct `{name}`.")
