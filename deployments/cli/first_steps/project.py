"""The project that `stepwell init` makes: its files, and how they come into a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from stepwell.blocks.system.config_file import config_text
from stepwell.errors import UserErrorException

PREPARE = """\
import argparse
import csv

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
parser.add_argument("--out")
args = parser.parse_args()

with open(args.out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["x", "y"])
    writer.writerows([x, 3 * x + 1] for x in range(args.rows))
"""

TRAIN = """\
import argparse
import csv
import json

from stepwell import Run

parser = argparse.ArgumentParser()
parser.add_argument("--table")
parser.add_argument("--rate", type=float)
parser.add_argument("--out")
args = parser.parse_args()

with open(args.table, newline="") as file:
    points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]

slope = 0.0
for x, y in points:
    slope += args.rate * (y - slope * x) * x / len(points)

print(f"{len(points)} points, slope {slope:.3f}")
Run.get_context().log("slope", round(slope, 3))
with open(args.out, "w") as file:
    json.dump({"slope": slope}, file)
"""

PIPELINE = """\
from stepwell import Pipeline, PipelineData, PipelineParameter, PythonScriptStep, Workspace

ws = Workspace.create("WORKSPACE", exist_ok=True)
rows = PipelineParameter("rows", 10)
rate = PipelineParameter("rate", 0.01)
table, model = PipelineData("table"), PipelineData("model")

prepare = PythonScriptStep("prepare.py", arguments=["--rows", rows, "--out", table], outputs=[table])
train = PythonScriptStep(
    "train.py",
    arguments=["--table", table, "--rate", rate, "--out", model],
    inputs=[table],
    outputs=[model],
)
pipeline = Pipeline(ws, steps=[train])  # brings `prepare` along: train reads what it writes
"""

TESTS = """\
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(script, *arguments):
    subprocess.run([sys.executable, HERE / script, *map(str, arguments)], check=True)


def test_the_scripts_fit_a_line(tmp_path):
    table, model = tmp_path / "table", tmp_path / "model"
    run("prepare.py", "--rows", 20, "--out", table)
    run("train.py", "--table", table, "--rate", 0.01, "--out", model)
    assert 2 < json.loads(model.read_text())["slope"] < 4
"""

IGNORED = """\
# Files that steps never need, in the patterns of .gitignore: they are in no snapshot.
.venv/
results/
test_*.py
"""

WHAT = {
    "prepare.py": "a script that writes a table",
    "train.py": "a script that fits a line to it",
    "pipeline.py": "the pipeline: what reads what, and its parameters",
    "test_scripts.py": "a test of the scripts: `pip install pytest`, then `python -m pytest`",
    ".amlignore": "what snapshots leave out",
    ".azureml/config.json": "the workspace that commands in this folder mean",
}
"""The files of a project, and what each is for."""

_SHORTEST, _LONGEST = 2, 33


def workspace_name(folder: Path) -> str:
    """Return the name of a folder as a workspace can have it."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-_")[:_LONGEST]
    return name if len(name) >= _SHORTEST else "demo"


def files_of(workspace: str) -> Mapping[str, str]:
    """Return the text of each file of a project, by its path."""
    texts = (PREPARE, TRAIN, PIPELINE.replace("WORKSPACE", workspace), TESTS, IGNORED)
    return dict(zip(WHAT, (*texts, config_text(workspace)), strict=True))


def make(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files into the folder, which is made if need be.

    Raises:
        UserErrorException: One of them is there already, or the folder can't be written. No file was changed; in the first case
            none was written.
    """
    taken = [name for name in files if os.path.lexists(folder / name)]
    if taken:
        raise _taken(folder, taken)
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / name, "x", encoding="utf-8") as file:  # whatever came meanwhile stays
                file.write(text)
    except FileExistsError as error:
        raise _taken(folder, [os.path.relpath(error.filename or folder, folder)]) from None
    except OSError as error:
        raise UserErrorException(
            "The project can't be written",
            {"folder": folder, "reason": error.strerror},
            "Name a folder that you can write to.",
        ) from error


def _taken(folder: Path, names: list[str]) -> UserErrorException:
    return UserErrorException(
        "There are files where the project's would go, and none is overwritten",
        {"folder": folder.absolute(), "files": ", ".join(names)},
        "Name another folder: `stepwell init FOLDER`.",
    )
