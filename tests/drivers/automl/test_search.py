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
