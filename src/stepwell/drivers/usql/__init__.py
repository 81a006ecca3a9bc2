"""The driver of AdlaStep: U-SQL, translated to SQL and run by DuckDB."""

from __future__ import annotations

import os
import sys
import tempfile

from stepwell.drivers.usql.csharp.syntax import ScriptText
from stepwell.errors import StepwellError, UserErrorException


def main(script: str, settings: dict[str, str]) -> None:
    """Run a U-SQL script; an error is told on one line each, with line and column of the script."""
    try:
        _run(script, settings)
    except StepwellError as error:
        sys.stderr.write(f"{error.message}\n")
        raise SystemExit(1) from None


def _run(script: str, settings: dict[str, str]) -> None:
    from stepwell.drivers.usql.engine import Engine, missing_engine

    missing = missing_engine()
    if missing is not None:
        raise missing
    kinds = ("inputs", "outputs", "values")
    named = {
        kind: {name[len(kind) + 1 :]: value for name, value in settings.items() if name.startswith(kind + ".")}
        for kind in kinds
    }
    try:
        with open(script, encoding="utf-8-sig", newline="") as stream:
            original = stream.read()
    except UnicodeDecodeError as error:
        raise UserErrorException(f"{script} is not encoded as UTF-8", {"error": error}, "Save it as UTF-8.") from None
    text = ScriptText(script, original, {**named["values"], **named["inputs"], **named["outputs"]})
    threads = _threads(settings.get("degree_of_parallelism", ""))
    places = {kind: tuple(os.path.abspath(path) for path in named[kind].values()) for kind in ("inputs", "outputs")}
    with tempfile.TemporaryDirectory(prefix="usql-") as scratch:
        engine = Engine(text, places, scratch, threads, settings.get("memory", ""))
        outputs = engine.compile()
        _keep(script, engine.sql())
        for output in outputs:
            rows = engine.run(output)
            print(f"{output.path}: {rows} row{'s' * (rows != 1)}", flush=True)


def _threads(given: str) -> int:
    if given and not (given.isdecimal() and int(given)):
        title, hint = (
            "`degree_of_parallelism` must be a number of at least 1",
            "Correct the step's argument or parameter.",
        )
        raise UserErrorException(title, {"value": given}, hint)
    return int(given or 0)


def _keep(script: str, sql: str) -> None:
    """Keep the SQL that is run, among the run's files."""
    os.makedirs("outputs/usql", exist_ok=True)
    name = os.path.splitext(os.path.basename(script))[0]
    with open(f"outputs/usql/{name}.sql", "w", encoding="utf-8") as stream:
        stream.write(sql)
