"""Runs a notebook of Jupyter or Databricks, with Spark and `dbutils`, and keeps it as it was executed in `outputs/`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from stepwell.drivers import notebook_execution
from stepwell.drivers.notebook import end_as
from stepwell.drivers.spark import kernel, settings
from stepwell.drivers.spark.notebook_files import read_notebook
from stepwell.model.records import Known

_BEGIN = "from stepwell.drivers.spark import kernel as _kernel\n_kernel.begin(get_ipython())\ndel _kernel"


def main(script: str, given: dict[str, str]) -> None:
    """Run the notebook in a kernel of its own; end the step as a script does if a cell fails.

    Args:
        script: Its path in the working directory; '' if it was not found on this machine.
        given: The settings of the step.
    """
    if not script:
        sys.exit(f"{_missing(given)[0]}. {_missing(given)[1]}")
    settings.begin(given, "nbclient", "ipykernel")
    told = {"path": os.path.abspath(script), "widgets": settings.widget_values(given)}
    os.environ[kernel.NOTEBOOK] = json.dumps(told)
    kept = f"outputs/{os.path.splitext(os.path.basename(script))[0]}.ipynb"
    import nbformat  # type: ignore[import-not-found, unused-ignore]

    notebook = nbformat.from_dict(read_notebook(script))
    try:
        notebook_execution.run(notebook, script, kept=kept, setup=_BEGIN)
    except notebook_execution.CellError as error:
        if error.name != kernel.ENDED:
            end_as(error, script)
        _note_exit(notebook, error.message)
        with open(kept, "w", encoding="utf-8") as stream:
            nbformat.write(notebook, stream)
    except ValueError as error:
        sys.exit(str(error))


def refuse(known: Known) -> None:
    """Raise UserErrorException if there is no such notebook, or the file holds none."""
    from stepwell.errors import UserErrorException

    if not known.script:
        title, hint = _missing(known.settings)
        raise UserErrorException(title, {"step": known.step}, hint)
    try:
        read_notebook(known.script)
    except SystemExit as end:
        title, _, hint = str(end.code).partition(". ")
        raise UserErrorException(title, {"step": known.step}, hint) from None


def _missing(given: Mapping[str, str]) -> tuple[str, str]:
    """Return what is said of a notebook that was not found on this machine, and what to do about it."""
    return (
        f"There is no notebook {given.get('notebook_path', '')} here",
        "Put it into the source directory, or below workspace/ of STEPWELL_DATABRICKS_FOLDER.",
    )


def _note_exit(notebook: Any, value: str) -> None:
    """Let the executed notebook and the run say how it ended, in place of the error that ends the kernel's cell."""
    from stepwell.script.run import Run

    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error" and output.ename == kernel.ENDED:
                output.clear()
                output.update(output_type="stream", name="stdout", text=f"Notebook exited: {value}\n")
    print(f"Notebook exited: {value}", flush=True)
    Run.get_context().tag("notebook_exit", value)
