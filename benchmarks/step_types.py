"""What the drivers of step types add to the tools that they run, beside what every executed step costs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from place import Place
from rows import Row

_DRIVE = "import json, sys; from importlib import import_module as i; d, *sys.argv = sys.argv[1:]; s = json.loads(sys.argv.pop()); i(f'stepwell.drivers.{d}').main(sys.argv[0], s)"  # fmt: skip
_NBCLIENT = "import nbformat, nbclient; b = nbformat.read('a.ipynb', 4); nbclient.NotebookClient(b).execute(); nbformat.write(b, 'b.ipynb')"  # fmt: skip
_MPIRUN = ("mpirun", "--allow-run-as-root", "--map-by", ":OVERSUBSCRIBE", "-n", "2", sys.executable, "a.py")


def over_their_tools(place: Place) -> Iterator[Row]:
    """Yield the overhead of a notebook, of two ranks and of a script in R over nbclient, mpirun and Rscript."""
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


def _row(place: Place, name: str, bare: Sequence[str], driver: str, script: str, settings: dict[str, str]) -> Row:
    ours = [sys.executable, "-c", _DRIVE, driver, script, json.dumps(settings)]
    pairs = [(place.command(*bare), place.command(*ours)) for _ in range(place.repeat + 1)][1:]
    sides = [*zip(*pairs, strict=True)]
    alone, driven = (1000 * median(taken.cpu for taken in side) for side in sides)
    clock = " - ".join(f"{1000 * median(taken.seconds for taken in side):.0f}" for side in reversed(sides))
    return Row(name, driven - alone, 250, "ms", f"CPU {driven:.0f} - {alone:.0f}; by the clock {clock} ms")
