"""What the drivers of step types add to the tools that they run, beside what every executed step costs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from place import Place
from rows import Row

from stepwell.model.datasets.definition import DatasetDefinition
from stepwell.model.datasets.definition import Place as FilePlace

_DRIVE = "import json, sys; from importlib import import_module as i; d, *sys.argv = sys.argv[1:]; s = json.loads(sys.argv.pop()); i(f'stepwell.drivers.{d}').main(sys.argv[0], s)"  # fmt: skip
_NBCLIENT = "import nbformat, nbclient; b = nbformat.read('a.ipynb', 4); nbclient.NotebookClient(b).execute(); nbformat.write(b, 'b.ipynb')"  # fmt: skip
_MPIRUN = ("mpirun", "--allow-run-as-root", "--map-by", ":OVERSUBSCRIBE", "-n", "2", sys.executable, "a.py")


_USQL = """
@rows = EXTRACT region string, amount int FROM "@@rows@@" USING Extractors.Tsv();
@sums = SELECT region, SUM(amount) AS total FROM @rows GROUP BY region;
OUTPUT @sums TO "@@sums@@" ORDER BY region USING Outputters.Csv();
"""
_DUCKDB = """
import duckdb
read = "read_csv('a.tsv', delim='\t', header=false, columns={'region': 'VARCHAR', 'amount': 'INTEGER'})"
duckdb.sql(f"COPY (SELECT region, SUM(amount) AS total FROM {read} GROUP BY region ORDER BY region) TO 'b.csv' (HEADER false)")
"""
_SEARCH = {
    "models": ["lgbm"],
    "max_iter": 4,
    "n_jobs": 1,
    "early_stop": True,
    "ensemble": False,
    "skip_transform": False,
}
_FLAML = f"""
import pickle
import pandas
from flaml import AutoML
table, found = pandas.read_csv("a.csv"), AutoML()
found.fit(
    table[["a", "b"]], table["y"], task="regression", metric="r2", estimator_list=["lgbm"], time_budget=-1, eval_method="cv",
    n_splits=3, learner_selector="roundrobin", log_file_name="log", log_type="all", seed=42, verbose=0,
    **{ {name: value for name, value in _SEARCH.items() if name != "models"} },
)
pickle.dump(found, open("model.pkl", "wb"))
"""  # fmt: skip


def over_their_tools(place: Place) -> Iterator[Row]:
    """Yield the overhead of steps of the types whose driver runs a tool over that tool."""
    cell = {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": [], "source": "1"}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (place.project / "a.ipynb").write_text(json.dumps(notebook))
    (place.project / "a.py").write_text("print(1)\n")
    (place.project / "a.R").write_text("cat(1)\n")
    python = (sys.executable, "-c")
    kept = {"kept": "outputs/a.ipynb", "types": "{}"}
    yield _row(place, "notebook step: over nbclient", [*python, _NBCLIENT], "notebook", "a.ipynb", kept)
    if shutil.which("mpirun"):
        counts = {"nodes": "1", "processes": "2"}
        yield _row(place, "step of 2 ranks: over mpirun", _MPIRUN, "mpi", "a.py", counts)
    if shutil.which("Rscript"):
        yield _row(place, "step in R: over Rscript", ["Rscript", "a.R"], "r", "a.R", {})
    (place.project / "a.usql").write_text(_USQL)
    (place.project / "a.tsv").write_text("".join(f"{number % 7}\t{number}\n" for number in range(20_000)))
    paths = {"inputs.rows": "a.tsv", "outputs.sums": "sums.csv"}
    yield _row(place, "step in U-SQL: over DuckDB", [*python, _DUCKDB], "usql", "a.usql", paths)
    yield _row(place, "search of AutoML: over FLAML", [*python, _FLAML], "automl", "", *_search(place))


def _search(place: Place) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings of a search over a table, and the variables by which its driver finds that."""
    rows = [f"{number},{number % 5},{3 * number + number % 5}\n" for number in range(300)]
    (place.project / "a.csv").write_text("a,b,y\n" + "".join(rows))
    control = place.folder / "control"
    control.mkdir(exist_ok=True)
    table = DatasetDefinition("tabular", (FilePlace("", "a.csv"),), "delimited")
    facts = {"mode": "direct", "document": json.dumps(table.to_json())}
    told = {"input_datasets": {"training_data": str(place.project / "a.csv")}, "datasets": {"training_data": facts}}
    (control / "context.json").write_text(json.dumps(told))
    more = {"task": "regression", "label": "y", "weight": None, "metric": "r2_score", "seconds": None, "folds": 3}
    config = {**_SEARCH, **more, "seconds_for_one": None, "validation_size": None, "drop_unlabelled": True}
    settings = {"config": json.dumps(config), "model": "m.pkl", "metrics": "m.json"}
    return settings, {"AZUREML_RUN_ID": "search", "STEPWELL_CONTROL": str(control)}


def _row(
    place: Place,
    name: str,
    bare: Sequence[str],
    driver: str,
    script: str,
    settings: dict[str, str],
    variables: Mapping[str, str] | None = None,
) -> Row:
    ours = [sys.executable, "-c", _DRIVE, driver, script, json.dumps(settings)]
    pairs = [(place.command(*bare), place.command(*ours, **(variables or {}))) for _ in range(place.repeat + 1)][1:]
    sides = [*zip(*pairs, strict=True)]
    alone, driven = (1000 * median(taken.cpu for taken in side) for side in sides)
    clock = " - ".join(f"{1000 * median(taken.seconds for taken in side):.0f}" for side in reversed(sides))
    return Row(name, driven - alone, 250, "ms", f"CPU {driven:.0f} - {alone:.0f}; by the clock {clock} ms")
