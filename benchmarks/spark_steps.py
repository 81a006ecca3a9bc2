"""What a step on Spark costs over the bare tool: `python benchmarks/spark_steps.py [ROUNDS]`.

The same script by `spark-submit` and as a step, the same notebook by nbclient and as a step, in turns, on two cores of Spark.
The smallest of the rounds; a step's seconds are those of a whole pipeline run of it, less those of the same run with a script
that does nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("counted", spark.range(1000).selectExpr("sum(id)").first()[0])
"""
NOTHING = "print('nothing')\n"
BARE = """
import sys
import nbformat
from nbclient import NotebookClient
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(open(sys.argv[1]).read())])
NotebookClient(book).execute()
nbformat.write(book, "done.ipynb")
"""
STEPS = """
import sys
from stepwell import DatabricksStep, Pipeline, PythonScriptStep, Workspace
ws = Workspace.create("spark-bench", exist_ok=True)
kind, folder = sys.argv[1:]
more = {"compute_target": "spark", "source_directory": folder, "allow_reuse": False}
steps = {
    "script": lambda: DatabricksStep("script", python_script_name="script.py", **more),
    "notebook": lambda: DatabricksStep("notebook", notebook_path="script.py", **more),
    "nothing": lambda: PythonScriptStep("nothing.py", **more),
}
Pipeline(ws, [steps[kind]()])()
"""


def measured(command: list[str], folder: Path, variables: dict[str, str]) -> float:
    """Return the seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Measure each side once a round, and print the table."""
    import pyspark

    home = os.path.dirname(pyspark.__file__)
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as stepwell_home:
        folder = Path(place)
        for name, text in {"script.py": SCRIPT, "nothing.py": NOTHING, "bare.py": BARE, "steps.py": STEPS}.items():
            (folder / name).write_text(text)
        variables = {
            **os.environ,
            "STEPWELL_HOME": stepwell_home,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
        }
        variables["PREFECT_LOGGING_LEVEL"] = "ERROR"
        submit = [f"{home}/bin/spark-submit", "--master", "local[*]", "--conf", "spark.ui.enabled=false", "script.py"]
        sides: dict[str, list[str]] = {
            "spark-submit": submit,
            "nbclient": [sys.executable, "bare.py", "script.py"],
            **{kind: [sys.executable, "steps.py", kind, place] for kind in ("nothing", "script", "notebook")},
        }
        try:
            measured(sides["nothing"], folder, variables)  # which starts Prefect's server
            turns = [{name: measured(words, folder, variables) for name, words in sides.items()} for _ in range(rounds)]
        finally:
            stop = [sys.executable, "-m", "stepwell.deployments.cli.main", "server", "stop"]
            subprocess.run(stop, env=variables, check=False, capture_output=True)
    least = {name: min(turn[name] for turn in turns) for name in sides}
    print("| the same work | bare tool | step | over |\n|---|--:|--:|--:|")
    for kind, tool in (("script", "spark-submit"), ("notebook", "nbclient")):
        own = least[kind] - least["nothing"]
        print(f"| {kind} ({tool}) | {least[tool]:.1f} s | {own:.1f} s | {own - least[tool]:+.1f} s |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3)
