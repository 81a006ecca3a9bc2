"""v1's settings of a search as FLAML's, and what of v1 is refused, with the reason."""

from __future__ import annotations

import pytest

from stepwell import AutoMLConfig
from stepwell.errors import UserErrorException


def settings(task: str = "classification", **given):
    return AutoMLConfig(task, training_data="table", label_column_name="label", **given).settings


def test_limits_models_and_folds_are_those_of_v1() -> None:
    usual = settings()
    assert (usual["metric"], usual["max_iter"], usual["seconds"], usual["folds"]) == ("accuracy", 1000, 3600.0, None)
    assert usual["models"] == ["lgbm", "rf", "xgboost", "extra_tree", "lrl1"]
    assert settings("regression")["models"][-1] == "enet"
    assert settings("regression")["metric"] == "normalized_root_mean_squared_error"
    assert settings(iterations=1)["max_iter"] == 2 and settings(iterations=7)["max_iter"] == 7
    assert settings(iterations=5)["seconds"] is None and settings(experiment_timeout_hours=0.5)["seconds"] == 1800
    assert settings(preprocess=True, blacklist_algos=["a"], time_column_name="day")  # v1's older ones
    assert settings(experiment_timeout_minutes=15, iterations=3, verbosity=10)["seconds"] == 900
    assert settings(whitelist_models=["KNN", "lightgbm"])["models"] == ["kneighbor", "lgbm"]
    assert settings(blocked_models=["LightGBM", "XGBoostClassifier"])["models"] == ["rf", "extra_tree", "lrl1"]
    assert settings(n_cross_validations="auto")["folds"] is None and settings(n_cross_validations=5)["folds"] == 5
    assert settings(featurization="off", enable_stack_ensemble=True)["skip_transform"]


@pytest.mark.parametrize(
    ("task", "given", "reason"),
    [
        ("forecasting", {}, "models of time series"),
        ("image-classification", {}, "deep networks"),
        ("text-ner", {}, "deep networks"),
        ("clustering", {}, "no AutoML task 'clustering'"),
        ("classification", {"primary_metric": "r2_score"}, "none of classification"),
        ("classification", {"allowed_models": ["TensorFlowDNN"]}, "None of the allowed models"),
        ("classification", {"X": [[1]]}, "can't use `X`"),
        ("classification", {"test_size": 0.2}, "can't use `test_size`"),
        ("regression", {"featurization": object()}, "`auto` or `off`"),
        ("regression", {"n_cross_validations": 1}, "at least 2"),
        ("regression", {"iterations": 0}, "`iterations` must be a number at least 1"),
        ("regression", {"iterations": -3}, "`iterations` must be"),
        ("regression", {"primary_metric": "acuracy"}, "none of regression"),
        ("regression", {"experiment_timeout_hours": 0}, "`experiment_timeout_hours` must be a number above 0"),
        ("regression", {"experiment_timeout_minutes": "ten"}, "`experiment_timeout_minutes` must be"),
        ("regression", {"iteration_timeout_minutes": -1.0}, "`iteration_timeout_minutes` must be"),
        ("regression", {"validation_size": 1.5}, "`validation_size` must be a number between 0 and 1"),
        ("regression", {"max_cores_per_iteration": 0}, "`max_cores_per_iteration` must be"),
        ("regression", {"weight_column_name": "label"}, "The label can't be the weight"),
        ("regression", {"n_cross_validation": 5}, "has no argument 'n_cross_validation'"),
    ],
)
def test_what_is_not_there_is_refused_with_the_reason(task, given, reason) -> None:
    with pytest.raises(UserErrorException, match=reason):
        settings(task, **given)


def test_a_table_and_its_label_are_needed() -> None:
    with pytest.raises(UserErrorException, match="needs a table"):
        AutoMLConfig("classification", training_data="table")
