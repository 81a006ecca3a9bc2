"""Runs a Python script on Spark: with `spark`, `dbutils` and the like where it names them, as Databricks' clusters do."""

from __future__ import annotations

import symtable
import sys
from collections.abc import Callable, Mapping
from typing import Any

from stepwell.drivers.spark import dbutils, session, settings, showing
from stepwell.errors import UserErrorException
from stepwell.model.records import Known


def main(script: str, given: dict[str, str]) -> None:
    """Run the script; what it raises passes through.

    Args:
        script: Its path in the working directory; '' if it was not found on this machine.
        given: The settings of the step.
    """
    settings.begin(given)
    if not script:
        sys.exit(f"{_missing(given)[0]}. {_missing(given)[1]}")
    with open(script, "rb") as stream:
        source = stream.read()
    text = source.decode(errors="replace")
    if "python_script_name" in given or "python_script_path" in given:
        sys.argv += settings.named_arguments(text, given)
    module = sys.modules["__main__"].__dict__
    code = compile(source, str(module.get("__file__", script)), "exec", dont_inherit=True)
    module.update(_offered(asked_for(text), settings.widget_values(given)))
    try:
        exec(code, module)  # noqa: S102
    except dbutils.NotebookExit as end:
        print(end.value)
    finally:
        session.stop()


def refuse(known: Known) -> None:
    """Raise UserErrorException if there is no such script."""
    if not known.script:
        title, hint = _missing(known.settings)
        raise UserErrorException(title, {"step": known.step}, hint)


def _missing(given: Mapping[str, str]) -> tuple[str, str]:
    """Return what is said of a script that was not found on this machine, and what to do about it."""
    return (
        f"There is no script {given.get('python_script_path', '')} here",
        "Put it below dbfs/ of STEPWELL_DATABRICKS_FOLDER, or into the source directory.",
    )


def asked_for(text: str) -> set[str]:
    """Return the names that a script uses and does not make itself."""
    table = symtable.symtable(text, "script", "exec")
    made = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    return {name for name in _used(table) if name not in made}


def _used(table: symtable.SymbolTable) -> set[str]:
    top = table.get_type() == "module"
    found = {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced() and (top or symbol.is_global())
    }
    return found.union(*map(_used, table.get_children()))


def _offered(names: set[str], values: dict[str, str]) -> dict[str, Any]:
    """Return what Databricks gives a script, as far as it names it: to start Spark takes seconds."""
    utils = dbutils.give(values)
    offers: dict[str, Callable[[], Any]] = {
        "spark": session.session,
        "sc": lambda: session.session().sparkContext,
        "sqlContext": session.sql_context,
        "dbutils": lambda: utils,
        "display": lambda: showing.display,
        "displayHTML": lambda: showing.displayHTML,
        "getArgument": lambda: dbutils.get_argument(utils),
    }
    return {name: offers[name]() for name in sorted(names & set(offers))}
