"""What an AutoMLStep runs: FLAML on small tables, its choices as v1's metrics and files, what can't be learnt in one sentence."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stepwell.drivers import automl
from stepwell.flows.steps.fan_out.automl_config import AutoMLSettings
from stepwell.script.run import Run

CLASSES = "AUC_weighted accuracy average_precision_score_weighted balanced_accuracy f1_score_weighted log_loss norm_macro_recall precision_score_weighted recall_score_weighted"


class Logged:
    """A run that keeps what is logged, over these tables."""

    def __init__(self, **tables: pd.DataFrame) -> None:
        self.id = "run"
        self.input_datasets = {
            name: SimpleNamespace(to_pandas_dataframe=lambda table=table: table) for name, table in tables.items()
        }
        self.values: list[tuple[str, Any]] = []
        self.rows: list[dict[str, Any]] = []

    def log(self, name: str, value: Any) -> None:
        self.values.append((name, value))

    def log_row(self, name: str, **values: Any) -> None:
        self.rows.append(values)


def flats(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    size, part = random.uniform(20, 120, rows), random.choice(["north", "south"], rows)
    rent = 9 * size + np.where(part == "north", 200, 0)
    return pd.DataFrame({"size": size, "part": part, "rent": rent, "dear": np.where(rent > 800, "yes", "no")})


def search(monkeypatch, tmp_path, run: Logged, **settings: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, "get_context", lambda: run)
    config = AutoMLSettings(training_data="any", **settings)
    automl.main("", {"config": json.dumps(config.settings), "model": "the_model", "metrics": "the_metrics"})


def test_the_best_classifier_its_metrics_and_its_packages_are_kept(monkeypatch, tmp_path, capsys) -> None:
    run = Logged(training_data=flats().drop(columns="rent"))
    search(
        monkeypatch,
        tmp_path,
        run,
        task="classification",
        label_column_name="dear",
        primary_metric="AUC_weighted",
        allowed_models=["LightGBM", "RandomForest", "SVM"],
        iterations=4,
        n_cross_validations=3,
    )
    metrics = json.loads(Path("the_metrics").read_text())
    assert list(metrics) == [f"run_{number}" for number in range(4)]
    assert sorted(metrics["run_0"]) == CLASSES.split()
    assert {row["model"] for row in run.rows} == {"lgbm", "rf"} and len(run.rows) == 4
    best = dict(run.values)["best_AUC_weighted"]
    assert best == max(trial["AUC_weighted"][0] for trial in metrics.values()) and best > 0.9
    assert "4 models were tried" in capsys.readouterr().out
    assert b"stepwell" not in Path("the_model").read_bytes()
    with open("the_model", "rb") as stream:
        model = pickle.load(stream)
    fresh = flats(seed=1).drop(columns="rent")
    assert (model.predict(fresh.drop(columns="dear")) == fresh["dear"]).mean() > 0.9
    packages = dict(line.split("==") for line in Path("outputs/requirements.txt").read_text().splitlines())
    assert {"flaml", "lightgbm", "scikit-learn", "numpy"} <= set(packages) and packages["numpy"] == np.__version__
    assert "- pip:" in Path("outputs/conda_env_v_1_0_0.yml").read_text()


def test_a_regression_is_judged_by_another_table(monkeypatch, tmp_path) -> None:
    table = flats().drop(columns="dear").assign(weight=1.0)
    table.loc[0, "rent"] = None
    run = Logged(training_data=table, validation_data=flats(40, seed=2).drop(columns="dear").assign(weight=1.0))
    search(
        monkeypatch,
        tmp_path,
        run,
        task="regression",
        label_column_name="rent",
        weight_column_name="weight",
        blocked_models=["XGBoostRegressor", "ExtremeRandomTrees", "ElasticNet"],
        iterations=3,
    )
    metrics = json.loads(Path("the_metrics").read_text())
    found = {name: value[0] for name, value in metrics["run_2"].items()}
    assert found["normalized_root_mean_squared_error"] == pytest.approx(
        found["root_mean_squared_error"] / (table["rent"].max() - table["rent"].min())
    )
    best = dict(run.values)["best_normalized_root_mean_squared_error"]
    assert best == min(trial["normalized_root_mean_squared_error"][0] for trial in metrics.values())


def test_what_can_t_be_learnt_is_said_in_a_sentence(monkeypatch, tmp_path) -> None:
    run = Logged(training_data=flats())
    with pytest.raises(SystemExit, match="has no column 'price': its columns are size, part, rent, dear"):
        search(monkeypatch, tmp_path, run, task="regression", label_column_name="price")
    empty = Logged(training_data=flats().assign(rent=None))
    with pytest.raises(SystemExit, match="no rows with a label"):
        search(monkeypatch, tmp_path, empty, task="regression", label_column_name="rent")
    with pytest.raises(SystemExit, match="120 rows of 'training_data' have no label"):
        search(monkeypatch, tmp_path, empty, task="regression", label_column_name="rent", exclude_nan_labels=False)
    monkeypatch.setitem(sys.modules, "flaml", None)
    with pytest.raises(SystemExit, match=r"Install stepwell\[automl\]"):
        search(monkeypatch, tmp_path, run, task="regression", label_column_name="rent")


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (
            {},
            {"label_column_name": "part"},
            "'part' of 'training_data', the label of a regression, holds no numbers but '",
        ),
        ({"rent": pd.NaT}, {}, "no rows with a label"),
        ({"rent": pd.Timestamp("2020-01-01")}, {}, "holds no numbers but Timestamp"),
        ({"rent": np.inf}, {}, "the label of a regression, holds NaN or infinity"),
        ({"size": np.inf}, {}, "'size' of 'training_data' holds infinity"),
        ({"size": 1, "part": "a", "dear": "no"}, {}, "has one value in all rows"),
        ({"dear": "no"}, {"task": "classification", "label_column_name": "dear"}, "is 'no' in all rows"),
        ({"weight": "a"}, {"weight_column_name": "weight"}, "the weight, holds no numbers but 'a'"),
        ({"weight": -1}, {"weight_column_name": "weight"}, "are not all at least 0"),
        ({}, {"featurization": "off"}, "'part' of 'training_data' holds no numbers: Leave out `featurization='off'`"),
        ({}, {"n_cross_validations": 500}, "has 120 rows with a label, too few to judge models in 500 folds"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_of_it(monkeypatch, tmp_path, change, settings, said) -> None:
    run = Logged(training_data=flats().assign(**change))
    with pytest.raises(SystemExit) as ended:
        search(monkeypatch, tmp_path, run, **{"task": "regression", "label_column_name": "rent", **settings})
    assert said in str(ended.value) and "\n" not in str(ended.value)


def test_a_table_of_the_label_alone_or_of_few_rows_and_one_of_lists_are_told(monkeypatch, tmp_path) -> None:
    asked = {"task": "regression", "label_column_name": "rent"}
    with pytest.raises(SystemExit, match="has no column beside the label 'rent'"):
        search(monkeypatch, tmp_path, Logged(training_data=flats()[["rent"]]), **asked)
    with pytest.raises(SystemExit, match="has 4 rows with a label, too few to judge models in 5 folds"):
        search(monkeypatch, tmp_path, Logged(training_data=flats(4)), **asked)
    lists = flats().assign(part=[[1, 2]] * 120)
    with pytest.raises(SystemExit, match="'part' of 'training_data' holds lists"):
        search(monkeypatch, tmp_path, Logged(training_data=lists), **asked)
    other = Logged(training_data=flats(), validation_data=flats().drop(columns=["size", "part"]))
    with pytest.raises(SystemExit, match="'validation_data' lacks columns of 'training_data': size, part"):
        search(monkeypatch, tmp_path, other, **asked)
    unseen = Logged(training_data=flats(), validation_data=flats().assign(dear="perhaps"))
    with pytest.raises(SystemExit, match="has labels that no row of 'training_data' has: 'perhaps'"):
        search(monkeypatch, tmp_path, unseen, task="classification", label_column_name="dear")


def test_whatever_flaml_meets_is_one_sentence(monkeypatch, tmp_path) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise AssertionError("first\nsecond")

    monkeypatch.setattr("flaml.AutoML.fit", fails)
    with pytest.raises(SystemExit, match="^FLAML can't learn from the table: AssertionError: first$"):
        search(monkeypatch, tmp_path, Logged(training_data=flats()), task="regression", label_column_name="rent")


def test_labels_that_are_true_or_false_or_decimals_are_numbers() -> None:
    from decimal import Decimal

    from stepwell.drivers.automl.tables import table

    chosen = {"task": "regression", "label": "y", "weight": None, "drop_unlabelled": True, "skip_transform": False}
    for values, found in (([True, False], [1.0, 0.0]), ([Decimal("1.5"), Decimal(2)], [1.5, 2.0])):
        run = Logged(training_data=pd.DataFrame({"x": [1, 2], "y": values}))
        assert list(table(run, "training_data", chosen)[1]) == found
