"""`AutoMLSettings`: what a search for the best model is told, in v1's words."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.errors import UserErrorException
from stepwell.flows.steps.argument_types import Target

PRIMARY = {
    "classification": (
        "accuracy",
        "AUC_weighted",
        "average_precision_score_weighted",
        "norm_macro_recall",
        "precision_score_weighted",
    ),
    "regression": (
        "normalized_root_mean_squared_error",
        "normalized_mean_absolute_error",
        "r2_score",
        "spearman_correlation",
    ),
}
"""The metrics that can be searched by, for each task; the first is that of who names none."""

STEP = "automl"
"""The name of the step of a search that is submitted by itself."""

_TREES = {"LightGBM": "lgbm", "RandomForest": "rf", "ExtremeRandomTrees": "extra_tree"}
MODELS = {
    "classification": {
        **_TREES,
        "XGBoostClassifier": "xgboost",
        "LogisticRegression": "lrl1",
        "SGD": "sgd",
        "KNN": "kneighbor",
        "LinearSVM": "svc",
    },
    "regression": {
        **_TREES,
        "XGBoostRegressor": "xgboost",
        "ElasticNet": "enet",
        "LassoLars": "lassolars",
        "SGD": "sgd",
        "KNN": "kneighbor",
    },
}
"""v1's names of models, and FLAML's, for each task."""

_USUAL = ("lgbm", "rf", "xgboost", "extra_tree", "lrl1", "enet")
_LEAST_ITERATIONS = 2  # FLAML judges no model if it is to try one
_MOST_ITERATIONS, _MOST_SECONDS = 1000, 3600.0


@checked
class AutoMLSettings:
    """What a search for the best model is told, in the words of Azure ML SDK v1; FLAML searches.

    Args:
        task: `classification` or `regression`, of tables.
        path: Accepted for v1's sake; not used.
        iterations: The most models that are tried, at least 2; None: 1000.
        primary_metric: What is searched by; None: `accuracy`, or `normalized_root_mean_squared_error`.
        positive_label: Accepted for v1's sake; not used.
        compute_target: Where it runs.
        spark_context: Accepted for v1's sake; not used.
        X: Refused: pass a table as `training_data`.
        y: Refused: pass a table as `training_data`.
        sample_weight: Refused: name a column as `weight_column_name`.
        X_valid: Refused: pass a table as `validation_data`.
        y_valid: Refused: pass a table as `validation_data`.
        sample_weight_valid: Refused.
        cv_splits_indices: Refused.
        validation_size: The share of the rows that models are judged by, if not by other data or in folds.
        n_cross_validations: In how many folds models are judged; `auto` and None: as the number of rows suggests.
        y_min: Accepted for v1's sake; not used.
        y_max: Accepted for v1's sake; not used.
        num_classes: Accepted for v1's sake; not used.
        featurization: `auto`, or `off` for tables of numbers.
        max_cores_per_iteration: The processors that a model may use; -1 for all.
        max_concurrent_iterations: Accepted for v1's sake: models are tried one after the other.
        iteration_timeout_minutes: The longest that a model may be trained.
        mem_in_mb: Accepted for v1's sake; not used.
        enforce_time_on_windows: Accepted for v1's sake; not used.
        experiment_timeout_hours: How long it may search; None: without `iterations` an hour, else as long as these take.
        experiment_exit_score: Accepted for v1's sake; not used.
        enable_early_stopping: Whether it ends when nothing gets better.
        blocked_models: v1's names of models that are not tried.
        blacklist_models: An older name of `blocked_models`.
        exclude_nan_labels: Whether rows without a label are left out, instead of being an error.
        verbosity: Accepted for v1's sake; not used.
        enable_tf: Accepted for v1's sake; not used.
        model_explainability: Accepted for v1's sake; not used.
        allowed_models: v1's names of the models that are tried; None: trees, boosted trees and a linear model.
        whitelist_models: An older name of `allowed_models`.
        enable_onnx_compatible_models: Accepted for v1's sake; not used.
        enable_voting_ensemble: Accepted for v1's sake; not used.
        enable_stack_ensemble: Whether the best models are put together at the end.
        debug_log: Accepted for v1's sake; not used.
        training_data: The table, or what will be one.
        validation_data: Another table, by which models are judged.
        test_data: Refused: test the model in a step after it.
        test_size: Refused, as `test_data`.
        label_column_name: The column that is predicted.
        weight_column_name: The column of the rows' weights.
        cv_split_column_names: Refused.
        enable_dnn: Refused, if true.
        forecasting_parameters: Refused: there is no forecasting.
        **kwargs: `experiment_timeout_minutes`; others of v1 are accepted and not used.

    Attributes:
        task: As the argument.
        training_data: As the argument.
        validation_data: As the argument.
        compute_target: As the argument.
        settings: What FLAML is told.

    Raises:
        UserErrorException: The task, or an argument, is one that nothing here can do.
    """

    def __init__(
        self,
        task: str,
        path: Any = None,
        iterations: int | None = None,
        primary_metric: str | None = None,
        positive_label: Any = None,
        compute_target: Target | None = None,
        spark_context: Any = None,
        X: Any = None,  # noqa: N803  (v1's name)
        y: Any = None,
        sample_weight: Any = None,
        X_valid: Any = None,  # noqa: N803  (v1's name)
        y_valid: Any = None,
        sample_weight_valid: Any = None,
        cv_splits_indices: Any = None,
        validation_size: float | None = None,
        n_cross_validations: int | str | None = None,
        y_min: float | None = None,
        y_max: float | None = None,
        num_classes: int | None = None,
        featurization: Any = "auto",
        max_cores_per_iteration: int = 1,
        max_concurrent_iterations: int = 1,
        iteration_timeout_minutes: float | None = None,
        mem_in_mb: int | None = None,
        enforce_time_on_windows: bool = True,
        experiment_timeout_hours: float | None = None,
        experiment_exit_score: float | None = None,
        enable_early_stopping: bool = True,
        blocked_models: Sequence[str] | None = None,
        blacklist_models: Sequence[str] | None = None,
        exclude_nan_labels: bool = True,
        verbosity: int = 20,
        enable_tf: bool = False,
        model_explainability: bool = True,
        allowed_models: Sequence[str] | None = None,
        whitelist_models: Sequence[str] | None = None,
        enable_onnx_compatible_models: bool = False,
        enable_voting_ensemble: bool = True,
        enable_stack_ensemble: bool | None = None,
        debug_log: str = "automl.log",
        training_data: Any = None,
        validation_data: Any = None,
        test_data: Any = None,
        test_size: float | None = None,
        label_column_name: str | None = None,
        weight_column_name: str | None = None,
        cv_split_column_names: Sequence[str] | None = None,
        enable_local_managed: bool = False,
        enable_dnn: bool | None = None,
        forecasting_parameters: Any = None,
        **kwargs: Any,
    ) -> None:
        self.task = _task(task)
        _refuse(
            {
                "X": (X, "Pass a table as `training_data`, with the column `label_column_name`."),
                "y": (y, "Name the column as `label_column_name` of `training_data`."),
                "X_valid": (X_valid, "Pass a table as `validation_data`."),
                "y_valid": (y_valid, "Pass a table as `validation_data`."),
                "sample_weight": (sample_weight, "Name a column as `weight_column_name`."),
                "sample_weight_valid": (sample_weight_valid, "Name a column as `weight_column_name`."),
                "cv_splits_indices": (cv_splits_indices, "Use `n_cross_validations` or `validation_data`."),
                "cv_split_column_names": (cv_split_column_names, "Use `n_cross_validations` or `validation_data`."),
                "test_data": (test_data, "Test the model in a step that has it as input."),
                "test_size": (test_size, "Test the model in a step that has it as input."),
                "enable_dnn": (enable_dnn or None, "Leave it out: FLAML's models of tables are trees and linear ones."),
                "forecasting_parameters": (forecasting_parameters, "Leave it out: there is no forecasting."),
            }
        )
        for name in kwargs:
            _refuse_typing_error(name)
        if training_data is None or not label_column_name:
            raise UserErrorException(
                "An AutoMLConfig needs a table and the column that is predicted",
                hint="Pass `training_data` and `label_column_name`.",
            )
        if featurization not in ("auto", "off"):
            raise UserErrorException(
                "Only the featurization `auto` or `off` is there",
                {"featurization": repr(featurization)[:80]},
                "Prepare the columns in a step before this one.",
            )
        if label_column_name == weight_column_name:
            raise UserErrorException(
                "The label can't be the weight", {"column": label_column_name}, "Name another `weight_column_name`."
            )
        _check_numbers(
            {
                "iterations": (iterations, 1, None),
                "experiment_timeout_hours": (experiment_timeout_hours, 0, None),
                "experiment_timeout_minutes": (kwargs.get("experiment_timeout_minutes"), 0, None),
                "iteration_timeout_minutes": (iteration_timeout_minutes, 0, None),
                "validation_size": (validation_size, 0, 1),
            }
        )
        if max_cores_per_iteration != -1 and max_cores_per_iteration < 1:
            raise UserErrorException(
                "`max_cores_per_iteration` must be at least 1, or -1 for all",
                {"value": max_cores_per_iteration},
                "Correct it.",
            )
        primary = primary_metric or PRIMARY[self.task][0]
        if primary not in PRIMARY[self.task]:
            raise UserErrorException(
                f"The primary metric {primary!r} is none of {self.task}",
                {"metrics": ", ".join(PRIMARY[self.task])},
                "Choose one of these.",
            )
        self.training_data, self.validation_data = training_data, validation_data
        self.compute_target = compute_target
        self.settings: dict[str, Any] = {
            "task": self.task,
            "label": label_column_name,
            "weight": weight_column_name,
            "metric": primary,
            "models": _models(self.task, allowed_models or whitelist_models, blocked_models or blacklist_models),
            "max_iter": max(iterations or _MOST_ITERATIONS, _LEAST_ITERATIONS),
            "seconds": _seconds(experiment_timeout_hours, kwargs.get("experiment_timeout_minutes"), iterations),
            "seconds_for_one": None if iteration_timeout_minutes is None else 60 * iteration_timeout_minutes,
            "folds": _folds(n_cross_validations),
            "validation_size": validation_size,
            "skip_transform": featurization == "off",
            "n_jobs": max_cores_per_iteration,
            "early_stop": enable_early_stopping,
            "ensemble": bool(enable_stack_ensemble),
            "drop_unlabelled": exclude_nan_labels,
        }


def _task(task: str) -> str:
    if task in PRIMARY:
        return task
    why = {
        "forecasting": "Forecasting needs models of time series, which are not there",
        "image": "Tasks on images need deep networks, which are not there",
        "text": "Tasks on text need deep networks, which are not there",
    }
    kind = task.partition("-")[0]
    raise UserErrorException(
        why.get(kind, f"There is no AutoML task {task!r}"),
        {"task": task, "tasks": ", ".join(PRIMARY)},
        "Train such a model in a PythonScriptStep, or search its settings by a HyperDriveStep.",
    )


def _refuse(given: Mapping[str, tuple[Any, str]]) -> None:
    for name, (value, hint) in given.items():
        if value is not None:
            raise UserErrorException(f"AutoMLConfig can't use `{name}` here", hint=hint)


def _refuse_typing_error(name: str) -> None:
    """Raise UserErrorException if an argument of no version of v1 looks like one that there is; others are v1's older ones."""
    known = [one for one in inspect.signature(AutoMLSettings.__init__).parameters if one not in ("self", "kwargs")]
    near = get_close_matches(name, [*known, *_OLDER], 1, 0.85)
    if near and name not in _OLDER:
        raise UserErrorException(f"AutoMLConfig has no argument {name!r}", hint=f"Write `{near[0]}`.")


_OLDER = ("experiment_timeout_minutes", "blacklist_algos", "whitelist_algos", "drop_column_names", "time_column_name")


def _check_numbers(given: Mapping[str, tuple[Any, int, int | None]]) -> None:
    """Raise UserErrorException for a number that is not above 0 (of whole ones: at least 1), or not below its other bound."""
    for name, (value, low, high) in given.items():
        if value is None:
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < low or value == 0 or (high is not None and value >= high):
            words = f"between {low} and {high}" if high is not None else f"at least {low}" if low else "above 0"
            raise UserErrorException(
                f"`{name}` must be a number {words}", {"value": repr(value)}, "Correct it, or leave it out."
            )


def _seconds(hours: float | None, minutes: float | None, iterations: int | None) -> float | None:
    if hours is not None:
        return 3600 * float(hours)
    if minutes is not None:
        return 60 * float(minutes)
    return None if iterations else _MOST_SECONDS


def _folds(number: int | str | None) -> int | None:
    if number in (None, "auto"):
        return None
    if isinstance(number, int) and number >= 2 and not isinstance(number, bool):
        return number
    raise UserErrorException(
        "`n_cross_validations` must be at least 2, or 'auto'", {"value": repr(number)}, "Correct it."
    )


def _models(task: str, allowed: Sequence[str] | None, blocked: Sequence[str] | None) -> list[str]:
    known = {name.lower(): model for name, model in MODELS[task].items()}
    names = [str(getattr(name, "value", name)).lower() for name in allowed or ()]
    wanted = [known[name] for name in names if name in known]
    if allowed and not wanted:
        raise UserErrorException(
            "None of the allowed models is there",
            {"allowed": ", ".join(map(str, allowed)), "models": ", ".join(MODELS[task])},
            "Allow some of these.",
        )
    wanted = wanted or [model for model in _USUAL if model in known.values()]
    left_out = {known.get(str(getattr(name, "value", name)).lower()) for name in blocked or ()}
    found = [model for model in wanted if model not in left_out]
    if not found:
        raise UserErrorException("All models are blocked", {"models": ", ".join(MODELS[task])}, "Allow some of these.")
    return list(dict.fromkeys(found))
