"""What an AutoMLStep runs: FLAML looks for the best model of a table, and it, its metrics and its packages are kept."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import warnings

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

_PACKAGES = ["flaml", "lightgbm", "xgboost", "xgboost-cpu", "scikit-learn", "scipy", "pandas", "numpy"]
_LOG = "automl_trials.jsonl"
_SEED = 42


def search(settings: dict[str, str]) -> None:
    """Search for the best model of the input `training_data`, and write it and the metrics of all.

    Args:
        settings: `config`, what FLAML is told, as JSON; `model` and `metrics`, where the outputs go, if they are asked for.
    """
    warnings.filterwarnings("ignore", "PySpark does not yet fully support", FutureWarning)  # FLAML imports it if it can
    try:
        from flaml import AutoML  # type: ignore[attr-defined]
    except ImportError:
        sys.exit("An AutoMLStep needs FLAML and its models: Install stepwell[automl]")
    from stepwell.drivers.automl.judging import Judge
    from stepwell.drivers.automl.tables import check_training, table
    from stepwell.script.run import Run

    chosen, run = json.loads(settings["config"]), Run.get_context()
    rows, labels, weights = table(run, "training_data", chosen)
    more = _validation(run, chosen, rows, labels)
    check_training(rows, labels, chosen, judged_by_itself=more["eval_method"] != "holdout")
    judge = Judge(chosen["task"], chosen["metric"], labels)
    found = AutoML()  # type: ignore[no-untyped-call]
    if os.path.exists(_LOG):
        os.remove(_LOG)
    try:
        found.fit(
            rows,
            labels,
            task=chosen["task"],
            metric=judge,
            estimator_list=chosen["models"],
            max_iter=chosen["max_iter"],
            time_budget=-1 if chosen["seconds"] is None else chosen["seconds"],
            train_time_limit=chosen["seconds_for_one"],
            n_jobs=chosen["n_jobs"],
            early_stop=chosen["early_stop"],
            ensemble=chosen["ensemble"],
            skip_transform=chosen["skip_transform"],
            learner_selector="roundrobin",
            log_file_name=_LOG,
            log_type="all",
            seed=_SEED,
            verbose=0,
            **({} if weights is None else {"sample_weight": weights}),
            **more,
        )
    except Exception as error:  # noqa: BLE001  (of whatever kind, it is the table or the settings that it could not use)
        reason = (str(error).strip().splitlines() or ["it gave no reason"])[0]
        sys.exit(f"FLAML can't learn from the table: {type(error).__name__}: {reason}")
    trials = _trials()
    if found.best_estimator is None or not trials:
        sys.exit("No model was trained in the time that there is: Give more by `experiment_timeout_hours`")
    best = min(trials, key=lambda one: one["validation_loss"])
    for number, trial in enumerate(trials):
        run.log_row("trials", iteration=number, model=trial["learner"], **trial["logged_metric"])
        run.log(chosen["metric"], trial["logged_metric"][chosen["metric"]])
    run.log("best_model", found.best_estimator)
    run.log("best_" + chosen["metric"], best["logged_metric"][chosen["metric"]])
    print(
        f"{len(trials)} models were tried; the best is {found.best_estimator}, "
        f"{chosen['metric']} {best['logged_metric'][chosen['metric']]:.4g}"
    )
    _keep(found, settings, {f"{run.id}_{number}": _listed(trial) for number, trial in enumerate(trials)})


def _validation(run: Any, chosen: dict[str, Any], rows: Any, labels: Any) -> dict[str, Any]:
    """Return how FLAML judges models: by another table, in folds, or by a share of the rows."""
    from stepwell.drivers.automl.tables import check_validation, table

    if "validation_data" in run.input_datasets:
        others, truth, _ = table(run, "validation_data", chosen)
        others = check_validation(rows, labels, (others, truth), chosen)
        return {"X_val": others, "y_val": truth, "eval_method": "holdout"}
    if chosen["folds"]:
        return {"eval_method": "cv", "n_splits": chosen["folds"]}
    if chosen["validation_size"]:
        return {"eval_method": "holdout", "split_ratio": chosen["validation_size"]}
    return {"eval_method": "auto"}


def _trials() -> list[dict[str, Any]]:
    if not os.path.exists(_LOG):
        return []
    with open(_LOG, encoding="utf-8") as stream:
        found = [json.loads(line) for line in stream if line.strip()]
    return [one for one in found if "logged_metric" in one and one.get("logged_metric")]


def _listed(trial: dict[str, Any]) -> dict[str, list[Any]]:
    values = sorted(trial["logged_metric"].items())
    return {name: [None if value != value else value] for name, value in values}  # noqa: PLR0124  (JSON has no NaN)


def _keep(found: Any, settings: dict[str, str], metrics: dict[str, Any]) -> None:
    """Write model, packages and metrics to `outputs/`, and to the step's outputs."""
    _forget(found)
    os.makedirs("outputs", exist_ok=True)
    with open("outputs/model.pkl", "wb") as stream:
        pickle.dump(found, stream)
    with open("outputs/metrics.json", "w", encoding="utf-8") as stream:
        json.dump(metrics, stream, indent=1)
    packages = _versions()
    with open("outputs/requirements.txt", "w", encoding="utf-8") as stream:
        stream.writelines(f"{name}=={version}\n" for name, version in packages.items())
    python = ".".join(map(str, sys.version_info[:3]))
    with open("outputs/conda_env_v_1_0_0.yml", "w", encoding="utf-8") as stream:
        lines = [f"    - {name}=={version}\n" for name, version in packages.items()]
        stream.writelines(["name: automl\n", "dependencies:\n", f"- python={python}\n", "- pip:\n", *lines])
    for name, place in (("model", "outputs/model.pkl"), ("metrics", "outputs/metrics.json")):
        if name in settings:
            shutil.copyfile(place, settings[name])


def _forget(found: Any) -> None:
    """Take what judged the models out of the one that is kept: whoever loads it needs FLAML, and nothing of ours."""
    for holder in (found, getattr(found, "_state", None)):
        for name, value in list(vars(holder).items()) if holder is not None else []:
            if type(value).__module__.startswith("stepwell."):
                setattr(holder, name, None)
            elif isinstance(value, dict):
                ours = [key for key, item in value.items() if type(item).__module__.startswith("stepwell.")]
                for key in ours:
                    value[key] = None


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
