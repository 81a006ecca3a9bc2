"""Runs a notebook in a script's place: its parameters in a cell of their own, the executed one kept."""

from __future__ import annotations

import json
import os
import shutil
import sys

from stepwell.drivers import notebook_execution
from stepwell.errors import UserErrorException

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from typing import Any

    from stepwell.model.records import Known

_VALUE = "value:"


def main(script: str, settings: dict[str, str]) -> None:
    """Run the notebook `script`.

    `kept` is the path of the executed notebook, `copy` where another one goes; `types` says, in JSON, what the texts of the
    settings `value:<name>` are read as.
    """
    kept, folder = settings["kept"], os.path.dirname(script)
    try:
        notebook = notebook_execution.read(script)
        notebook_execution.add_parameters(notebook, values_of(settings))
        setup = f"import sys\nsys.path.insert(0, {os.path.abspath(folder)!r})\ndel sys" if folder else ""
        notebook_execution.run(notebook, script, kept=kept, setup=setup)
    except notebook_execution.CellError as error:
        end_as(error, script)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    finally:
        if "copy" in settings and os.path.isfile(kept):
            shutil.copyfile(kept, settings["copy"])


def values_of(settings: dict[str, str]) -> dict[str, Any]:
    """Return the values of a notebook's parameters, each of its type."""
    return {name: _value(kind, settings.get(_VALUE + name, "")) for name, kind in json.loads(settings["types"]).items()}


def _value(kind: str, text: str) -> Any:
    if kind.startswith("secret "):
        return notebook_execution.Variable(f"AML_PARAMETER_{kind.removeprefix('secret ')}")
    if kind == "None" or (text == "None" and kind != "str"):
        return None
    if kind == "bool":
        return text == "True"
    if kind in ("int", "float"):
        return int(text) if kind == "int" else float(text)
    return json.loads(text) if kind == "json" else text


def refuse(known: Known) -> None:
    """Raise UserErrorException if the file holds no notebook."""
    try:
        notebook_execution.read(known.script)
    except ValueError as error:
        words = str(error).replace(known.script, os.path.relpath(known.script, known.source))
        raise UserErrorException(words, {"step": known.step}, "Save it anew in Jupyter.") from None


def end_as(error: notebook_execution.CellError, script: str) -> None:
    """End as the cell did: `sys.exit()` as a script that calls it, an error with its traceback."""
    if error.ends_run:
        if error.exit_code and not error.message.lstrip("-").isdigit():
            sys.stderr.write(f"{error.message}\n")
        raise SystemExit(error.exit_code)
    sys.stderr.write(f"{error.trace}\n\n" if error.trace else "")
    sys.stderr.write(f"Cell {error.cell} of {script} failed: {error}\n")
    raise SystemExit(1)
