"""The driver of AdlaStep: U-SQL, translated to SQL and run by DuckDB."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping

from stepwell.drivers.usql.csharp.syntax import ScriptText
from stepwell.errors import StepwellError, UserErrorException
from stepwell.model.records import Known


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
    named = _named(settings)
    text = _text(script, script, named)
    threads = _threads(settings.get("degree_of_parallelism", ""))
    places = {kind: tuple(os.path.abspath(path) for path in named[kind].values()) for kind in ("inputs", "outputs")}
    with tempfile.TemporaryDirectory(prefix="usql-") as scratch:
        engine = Engine(text, places, scratch, threads, settings.get("memory", ""))
        outputs = engine.compile()
        _keep(script, engine.sql())
        for output in outputs:
            rows = engine.run(output)
            print(f"{output.path}: {rows} row{'s' * (rows != 1)}", flush=True)


def refuse(known: Known) -> None:
    """Raise UserErrorException for a script that is no U-SQL, or names what the step does not have."""
    from stepwell.drivers.usql.csharp.syntax import parse
    from stepwell.drivers.usql.deep_calls import deeply

    named = _named(known.settings)
    for kind in ("inputs", "outputs"):
        named[kind] = {name: f"/{kind}/{name}" for name in named[kind]}
    script = os.path.relpath(known.script, known.source)
    _threads(known.settings.get("degree_of_parallelism", ""))
    text = _text(script, known.script, named)
    deeply(lambda: parse(text))


def _named(settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the inputs, outputs and values by name."""
    return {
        kind: {name[len(kind) + 1 :]: value for name, value in settings.items() if name.startswith(kind + ".")}
        for kind in ("inputs", "outputs", "values")
    }


def _text(script: str, path: str, named: Mapping[str, Mapping[str, str]]) -> ScriptText:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            original = stream.read()
    except UnicodeDecodeError as error:
        raise UserErrorException(f"{script} is not encoded as UTF-8", {"error": error}, "Save it as UTF-8.") from None
    return ScriptText(script, original, {**named["values"], **named["inputs"], **named["outputs"]})


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
