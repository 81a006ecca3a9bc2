"""Metrics of several runs as one picture: curves of series, points over a parameter, or bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepwell.conditions import is_series
from stepwell.deployments.reports.run_comparisons import bare
from stepwell.errors import UserErrorException
from stepwell.flows.runs.comparing.run_facts import all_metrics, is_number
from stepwell.flows.runs.comparing.run_table import METRIC, PARAMETER, column_names
from stepwell.flows.runs.summary import RunSummary

_MOST_PANELS = 12
_MOST_RUNS_NAMED = 12


def check_plot(target: Path) -> None:
    """Raise UserErrorException if no picture can be written there: matplotlib is missing, or does not know the format."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserErrorException(
            "A plot is drawn by matplotlib, which is not installed", hint="Install it: `pip install matplotlib`."
        ) from None
    known = FigureCanvasAgg(Figure()).get_supported_filetypes()
    if target.suffix.lower().lstrip(".") not in known:
        raise UserErrorException(
            f"{str(target)!r} names no format of pictures", {"formats": ", ".join(sorted(known))}, "Name it `runs.png`."
        )
    if not target.resolve().parent.is_dir():
        raise UserErrorException(f"There is no folder {target.parent}", hint="Make it first.")


def plot(rows: Sequence[dict[str, Any]], runs: Sequence[RunSummary], target: Path) -> int:
    """Draw each metric of the rows, whose runs are `runs`, in a panel of its own, and return how many there are.

    A metric that is a series in any run is drawn as curves; else over the parameter, if a single one varies and is a number;
    else as bars.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in rows[0] if name.startswith(METRIC)] if rows else []
    numeric = [name for name in names if any(_is_finite(row[name]) for row in rows)][:_MOST_PANELS]
    if not numeric:
        raise UserErrorException(
            "The runs have no metric that is a number", hint="Log one: `run.log('accuracy', 0.9)`."
        )
    summaries = {run.run_id: run for run in runs}
    metrics = {row["id"]: all_metrics(summaries[row["id"]]) for row in rows}
    labels = column_names(name for found in metrics.values() for name in found)
    series = {
        row["id"]: {METRIC + labels[name]: value for name, value in metrics[row["id"]].items() if is_series(value)}
        for row in rows
    }
    across = min(len(numeric), 3)
    down = -(-len(numeric) // across)
    figure = Figure(figsize=(4.8 * across, 3.6 * down), layout="constrained")
    FigureCanvasAgg(figure)
    over = _varying_number(rows)
    for number, name in enumerate(numeric):
        axes = figure.add_subplot(down, across, number + 1)
        axes.set_title(_plain(bare(name)))
        axes.grid(visible=True, alpha=0.3)
        if any(name in series[row["id"]] for row in rows):
            _curves(axes, rows, series, name)
        elif over:
            _points(axes, rows, over, name)
        else:
            _bars(axes, rows, name)
    figure.savefig(target)
    return len(numeric)


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _varying_number(rows: Sequence[dict[str, Any]]) -> str:
    """Return the one parameter that varies, if it is a number in every run; '' if there is none."""
    varying = [name for name in rows[0] if name.startswith(PARAMETER) and len({repr(row[name]) for row in rows}) > 1]
    return varying[0] if len(varying) == 1 and all(_is_finite(row[varying[0]]) for row in rows) else ""


def _curves(axes: Any, rows: Sequence[dict[str, Any]], series: dict[str, dict[str, Any]], name: str) -> None:
    for row in rows:
        values = series[row["id"]].get(name)
        if values is None and _is_finite(row[name]):
            values = [row[name]]
        if values:
            axes.plot(
                range(1, len(values) + 1), values, marker="." if len(values) < 30 else "", label=_plain(row["run"])
            )
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(rows) <= _MOST_RUNS_NAMED:
        axes.legend(fontsize="small")


def _points(axes: Any, rows: Sequence[dict[str, Any]], over: str, name: str) -> None:
    found = sorted((row[over], row[name]) for row in rows if _is_finite(row[name]))
    axes.plot([x for x, _ in found], [y for _, y in found], marker="o")
    axes.set_xlabel(_plain(bare(over)))


def _bars(axes: Any, rows: Sequence[dict[str, Any]], name: str) -> None:
    found = [(_plain(row["run"]), row[name]) for row in rows if _is_finite(row[name])]
    axes.barh(range(len(found)), [value for _, value in found])
    axes.set_yticks(range(len(found)), [label for label, _ in found])
    axes.invert_yaxis()


def _plain(text: str) -> str:
    """Return a name in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
