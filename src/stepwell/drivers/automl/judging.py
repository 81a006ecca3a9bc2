"""v1's metrics of classification and regression, computed for each model that a search tries."""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

_ERRORS = {
    "normalized_root_mean_squared_error",
    "normalized_mean_absolute_error",
}
"""The metrics that are better when they are less; the others are at most 1."""


class Judge:
    """A metric as FLAML calls it: it returns what is to be made less, and all metrics.

    Args:
        task: `classification` or `regression`.
        primary: The name of the metric that is searched by.
        labels: The labels of the training table, whose range errors are divided by.
    """

    def __init__(self, task: str, primary: str, labels: Any) -> None:
        self._task, self._primary = task, primary
        self._range = 1.0 if task == "classification" else float(labels.max() - labels.min()) or 1.0

    def __call__(
        self, rows: Any, truth: Any, estimator: Any, labels: Any, *_: Any, **__: Any
    ) -> tuple[float, dict[str, float]]:
        """Return the loss and the metrics of a model on the rows that judge it."""
        found = (
            _classification(rows, truth, estimator, labels)
            if self._task == "classification"
            else _regression(truth, estimator.predict(rows), self._range)
        )
        value = found[self._primary]
        if value != value:  # noqa: PLR0124  (not a number)
            return float("inf"), found
        return (value if self._primary in _ERRORS else 1 - value), found


def _classification(rows: Any, truth: Any, estimator: Any, labels: Any) -> dict[str, float]:
    import numpy as np
    from sklearn import metrics

    truth, told = np.asarray(truth), np.asarray(estimator.predict(rows))
    classes = np.asarray(labels) if labels is not None else np.unique(truth)
    recall = metrics.recall_score(truth, told, average="macro", zero_division=0)
    chance = 1 / max(len(classes), 2)
    found = {
        "accuracy": metrics.accuracy_score(truth, told),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, told) if len(np.unique(truth)) > 1 else recall,
        "f1_score_weighted": metrics.f1_score(truth, told, average="weighted", zero_division=0),
        "precision_score_weighted": metrics.precision_score(truth, told, average="weighted", zero_division=0),
        "recall_score_weighted": metrics.recall_score(truth, told, average="weighted", zero_division=0),
        "norm_macro_recall": max(0.0, (recall - chance) / (1 - chance)),
        **_of_chances(rows, truth, estimator, classes),
    }
    return {name: float(value) for name, value in found.items()}


def _of_chances(rows: Any, truth: Any, estimator: Any, classes: Any) -> dict[str, float]:
    """Return the metrics of what a model holds likely; no numbers if it can't tell, or a class has no row."""
    import numpy as np
    from sklearn import metrics
    from sklearn.preprocessing import label_binarize

    names = ("AUC_weighted", "average_precision_score_weighted", "log_loss")
    try:
        chances = np.asarray(estimator.predict_proba(rows))
        if len(classes) == 2:
            area = metrics.roc_auc_score(truth, chances[:, 1])
            truths = np.column_stack([truth == classes[0], truth == classes[1]]).astype(int)
        else:
            area = metrics.roc_auc_score(truth, chances, multi_class="ovr", average="weighted", labels=classes)
            truths = label_binarize(truth, classes=classes)
        average = metrics.average_precision_score(truths, chances, average="weighted")
        return dict(zip(names, (area, average, metrics.log_loss(truth, chances, labels=classes)), strict=True))
    except (AttributeError, NotImplementedError, ValueError, IndexError):
        return dict.fromkeys(names, float("nan"))


def _regression(truth: Any, told: Any, scale: float) -> dict[str, float]:
    import numpy as np
    from scipy.stats import spearmanr
    from sklearn import metrics

    truth, told = np.asarray(truth, dtype=float), np.asarray(told, dtype=float)
    absolute = metrics.mean_absolute_error(truth, told)
    root = metrics.mean_squared_error(truth, told) ** 0.5
    several = len(truth) > 1 and len(np.unique(truth)) > 1 and len(np.unique(told)) > 1
    found = {
        "mean_absolute_error": absolute,
        "normalized_mean_absolute_error": absolute / scale,
        "root_mean_squared_error": root,
        "normalized_root_mean_squared_error": root / scale,
        "median_absolute_error": metrics.median_absolute_error(truth, told),
        "r2_score": metrics.r2_score(truth, told) if len(truth) > 1 else float("nan"),
        "explained_variance": metrics.explained_variance_score(truth, told),
        "spearman_correlation": spearmanr(truth, told).statistic if several else 0.0,
    }
    return {name: float(value) for name, value in found.items()}
