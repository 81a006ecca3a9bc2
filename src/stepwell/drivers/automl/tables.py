"""What a search can learn from: rows, labels and weights of a table, checked, so that what is wrong is said of the table."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from stepwell.model.records import Known

_USUAL_FOLDS = 5
"""In how many folds FLAML judges models of a small table, unless it is told."""

_NUMBERS = ("decimal", "integer", "floating", "mixed-integer-float")


def refuse(known: Known) -> None:
    """Raise UserErrorException if a table that stands on this machine lacks the columns of labels or weights."""
    import json

    from stepwell.errors import UserErrorException
    from stepwell.model.datasets.definition import DatasetDefinition
    from stepwell.script.tables.local_dataset import TabularDataset

    chosen = json.loads(known.settings["config"])
    for name in ("training_data", "validation_data"):
        held = known.inputs.get(name)
        if held is None or not (held.path and held.document):
            continue
        table = TabularDataset(DatasetDefinition.from_json(json.loads(held.document)), held.path, {})
        columns = list(map(str, table.take(1).to_pandas_dataframe().columns))
        for column in filter(None, (chosen["label"], chosen["weight"])):
            if column not in columns:
                raise UserErrorException(
                    f"The table {name!r} has no column {column!r}",
                    {"step": known.step, "columns": ", ".join(columns)},
                    "Name one of them as `label_column_name` or `weight_column_name`.",
                )


def table(run: Any, name: str, chosen: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the rows, labels and weights (None for none) of a table; end the step if nothing can be learnt from it."""
    frame = run.input_datasets[name].to_pandas_dataframe()
    for column in filter(None, (chosen["label"], chosen["weight"])):
        if column not in frame.columns:
            _end(f"The table {name!r} has no column {column!r}: its columns are {', '.join(map(str, frame.columns))}")
    unlabelled = int(frame[chosen["label"]].isna().sum())
    if unlabelled and not chosen["drop_unlabelled"]:
        _end(f"{unlabelled} rows of {name!r} have no label: Leave them out with `exclude_nan_labels=True`")
    frame = frame[frame[chosen["label"]].notna()].reset_index(drop=True)
    if frame.empty:
        _end(f"The table {name!r} has no rows with a label")
    labels = frame[chosen["label"]]
    if chosen["task"] == "regression":
        labels = _numbers(
            name, labels, "label of a regression", "Choose the task `classification`, or make numbers of them"
        )
    weights = None
    if chosen["weight"]:
        weights = _numbers(name, frame[chosen["weight"]], "weight", "Give each row a number of at least 0").to_numpy()
        if not (weights >= 0).all():
            _end(f"The weights {chosen['weight']!r} of {name!r} are not all at least 0: Give each row such a number")
    rows = frame.drop(columns=[column for column in (chosen["label"], chosen["weight"]) if column])
    _check_columns(name, rows, numbers_only=chosen["skip_transform"])
    return rows, labels, weights


def check_training(rows: Any, labels: Any, chosen: dict[str, Any], *, judged_by_itself: bool) -> None:
    """End the step if a model can't be made of the table, or not judged by it."""
    label = chosen["label"]
    if rows.columns.empty:
        _end(f"The table 'training_data' has no column beside the label {label!r}: Give it some to learn from")
    if not any(rows[column].nunique(dropna=False) > 1 for column in rows.columns):
        _end("Each column of 'training_data' has one value in all rows: Give it some that tell rows apart")
    if chosen["task"] == "classification" and labels.nunique() < 2:
        _end(f"The label {label!r} of 'training_data' is {labels.iloc[0]!r} in all rows: Give it rows of another class")
    folds = chosen["folds"] or (_USUAL_FOLDS if chosen["task"] == "regression" else 0)
    if judged_by_itself and len(rows) < folds:
        _end(
            f"The table 'training_data' has {len(rows)} rows with a label, too few to judge models in {folds} folds: "
            "Give it more rows, or pass fewer `n_cross_validations`"
        )


def check_validation(rows: Any, labels: Any, judging: tuple[Any, Any], chosen: dict[str, Any]) -> Any:
    """Return the rows that judge models, their columns in the order of those that train them; end the step if they lack any."""
    other, truth = judging
    missing = [str(column) for column in rows.columns if column not in other.columns]
    if missing:
        _end(f"The table 'validation_data' lacks columns of 'training_data': {', '.join(missing)}")
    if chosen["task"] == "classification":
        unseen = sorted(map(repr, set(truth.unique()) - set(labels.unique())))
        if unseen:
            _end(f"The table 'validation_data' has labels that no row of 'training_data' has: {', '.join(unseen[:5])}")
    return other[list(rows.columns)]


def _numbers(name: str, values: Any, what: str, hint: str) -> Any:
    from pandas.api import types

    if types.is_bool_dtype(values) or types.infer_dtype(values, skipna=True) in _NUMBERS:
        values = values.astype(float)
    if not types.is_numeric_dtype(values) or types.is_complex_dtype(values):
        _end(f"The column {values.name!r} of {name!r}, the {what}, holds no numbers but {values.iloc[0]!r}: {hint}")
    if not values.astype(float).abs().lt(float("inf")).all():
        _end(f"The column {values.name!r} of {name!r}, the {what}, holds NaN or infinity: Leave those rows out")
    return values


def _check_columns(name: str, rows: Any, *, numbers_only: bool) -> None:
    from pandas.api import types

    for column in rows.columns:
        values = rows[column]
        held = values.dropna()
        if values.dtype == object and len(held) and isinstance(held.iloc[0], (list, dict, tuple, set)):
            _end(f"The column {column!r} of {name!r} holds lists or the like: Make a column of each of their items")
        if types.is_float_dtype(values) and held.abs().eq(float("inf")).any():
            _end(f"The column {column!r} of {name!r} holds infinity: Replace it, or leave the column out")
        if numbers_only and not (types.is_numeric_dtype(values) or types.is_bool_dtype(values)):
            _end(f"The column {column!r} of {name!r} holds no numbers: Leave out `featurization='off'`, or the column")


def _end(words: str) -> NoReturn:
    sys.exit(words)
