"""Runs a notebook of Jupyter or Databricks, with Spark and `dbutils`, and keeps it as it was executed in `outputs/`."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from typing import Any

from stepwell.drivers.spark import kernel, settings
from stepwell.drivers.spark.notebook_files import read_notebook

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ENDED = "NotebookExit"


def main(script: str, given: dict[str, str]) -> None:
    """Run the notebook in a kernel of its own; end the step with exit code 1 if a cell fails.

    Args:
        script: Its path in the working directory; '' if it was not found on this machine.
        given: The settings of the step.
    """
    if not script:
        path = given.get("notebook_path", "")
        sys.exit(
            f"There is no notebook {path} here. Put it into the source directory, or below workspace/ of "
            "STEPWELL_DATABRICKS_FOLDER."
        )
    settings.begin(given, "nbclient", "ipykernel")
    told = {"path": os.path.abspath(script), "widgets": settings.widget_values(given)}
    kept = f"outputs/{os.path.splitext(os.path.basename(script))[0]}.ipynb"
    os.environ[kernel.NOTEBOOK] = json.dumps(told)
    failed = execute(read_notebook(script), kept)
    if failed:
        print(failed, file=sys.stderr)
        sys.exit(1)


def execute(notebook: dict[str, Any], kept: str) -> str:
    """Run a notebook's cells, pass on what they print, write the executed notebook, and return the error that ended it."""
    import nbformat  # type: ignore[import-not-found, unused-ignore]
    from nbclient.exceptions import CellExecutionError, DeadKernelError  # type: ignore[import-not-found, unused-ignore]

    node, failed = nbformat.from_dict(notebook), ""
    try:
        with tempfile.TemporaryFile() as unheard:  # what the kernel captures, it would print again
            _client(node).execute(stdout=unheard, stderr=unheard)
    except CellExecutionError as error:
        failed = "" if error.ename == _ENDED else _ANSI.sub("", error.traceback).strip()
        if error.ename == _ENDED:
            _note_exit(node, error.evalue)
    except DeadKernelError:
        failed = "The kernel of the notebook died, perhaps for want of memory."
    finally:
        with open(kept, "w", encoding="utf-8") as stream:
            nbformat.write(node, stream)
    return failed


def _note_exit(node: Any, value: str) -> None:
    """Let the executed notebook say how it ended, in place of the error that ends the kernel's cell."""
    for cell in node.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error" and output.ename == _ENDED:
                text = f"Notebook exited: {value}\n"
                output.clear()
                output.update(output_type="stream", name="stdout", text=text)
                print(text, end="", flush=True)
    from stepwell.script.run import Run

    Run.get_context().tag("notebook_exit", value)


def _client(node: Any) -> Any:
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager  # type: ignore[import-not-found, unused-ignore]
    from jupyter_client.manager import AsyncKernelManager  # type: ignore[import-not-found, unused-ignore]
    from nbclient import NotebookClient

    start = f"import sys; sys.path.extend(p for p in {sys.path!r} if p not in sys.path); "
    start += "from stepwell.drivers.spark import kernel as _kernel; _kernel.begin(get_ipython()); del _kernel"
    options = [f"--IPKernelApp.exec_lines={start}", "--IPKernelApp.log_level=40", "--HistoryManager.enabled=False"]
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", *options]

    class Specs(KernelSpecManager):  # type: ignore[misc, unused-ignore]
        """The interpreter in use is the kernel, whatever is installed under its name."""

        def get_kernel_spec(self, kernel_name: str) -> Any:
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    class Client(NotebookClient):  # type: ignore[misc, unused-ignore]
        """Passes on what cells print, as they do."""

        def output(self, outs: Any, msg: Any, display_id: str, cell_index: int) -> Any:
            found = super().output(outs, msg, display_id, cell_index)
            _pass_on(msg["header"]["msg_type"], msg["content"])
            return found

    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=Specs())
    return Client(node, km=manager, timeout=None, allow_errors=False, resources={"metadata": {"path": os.getcwd()}})


def _pass_on(kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        stream = sys.stderr if content["name"] == "stderr" else sys.stdout
        print(content["text"], end="", file=stream, flush=True)
    elif kind in ("display_data", "execute_result"):
        print(content["data"].get("text/plain", ""), flush=True)
