"""A U-SQL script, run: its statements translated one after the other, executed by DuckDB, and kept as SQL."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stepwell.drivers.usql.csharp.columns import Rowset, Value, fits, text
from stepwell.drivers.usql.csharp.scope import NOTHING
from stepwell.drivers.usql.csharp.syntax import DEEPEST, ScriptText, UsqlError, fail, parse
from stepwell.drivers.usql.database import Database, macros_of
from stepwell.drivers.usql.deep_calls import deeply
from stepwell.drivers.usql.file_sets import guessed
from stepwell.drivers.usql.outputting import OutputFile, Outputting
from stepwell.drivers.usql.paths import Paths, plain
from stepwell.errors import UserErrorException

_TO_READ = "Add the data to the step's `inputs`, and write @@name@@; or put the file into the source directory."
_FAILED = re.compile(r"usql@(\d+)@([^@]*)(?:@(.*))?", re.DOTALL)


class Engine(Outputting):
    """Runs a script with DuckDB.

    Args:
        script: The script.
        places: The paths of the step's inputs and outputs.
        scratch: A folder for what does not fit into memory.
        threads: How many threads DuckDB may use; 0 is as many as it likes.
        memory: The most memory that it takes, such as `4GB`; '' is its own choice.
    """

    def __init__(
        self,
        script: ScriptText,
        places: Mapping[str, tuple[str, ...]],
        scratch: str,
        threads: int = 0,
        memory: str = "",
    ) -> None:
        super().__init__(script, datetime.now().strftime("%Y-%m-%d %H:%M:%S.%f"))  # noqa: DTZ005  (local, as C#'s)
        self.rowsets: dict[str, Rowset] = {}
        self.scratch = scratch
        self.statements: list[str] = []
        self.read_as_utf8: list[tuple[str, Any]] = []
        self._paths = Paths(places["inputs"], places["outputs"])
        settings: dict[str, Any] = {"temp_directory": f"{scratch}/duckdb", "autoinstall_known_extensions": False}
        settings.update({"threads": threads} if threads else {})
        settings["max_expression_depth"] = 20 * DEEPEST
        settings.update({"memory_limit": memory} if memory else {})
        self.database = Database(settings)

    def compile(self) -> list[OutputFile]:
        """Return what the script's OUTPUT statements write.

        Raises:
            UsqlError: The script can't be run, with line and column.
        """
        return deeply(self._compiled)

    def _compiled(self) -> list[OutputFile]:
        outputs: list[OutputFile] = []
        for statement in parse(self.script).children:
            if statement.data == "declare":
                self._declare(statement)
            elif statement.data == "assign":
                self._assign(statement)
            elif statement.data == "output":
                outputs.append(self._only(self.output(statement), outputs))
                self.statements.append(f"-- to {outputs[-1].path}\n{outputs[-1].sql};")
            elif [self.name(name) for name in statement.children] not in (["master"], ["dbo"], ["master", "dbo"]):
                hint = "Leave it out: there is no catalog here; rows are read with EXTRACT."
                self.fail(statement, "USE, which chooses a database or schema of the catalog, can't be run here", hint)
        if not outputs:
            raise self.script.error(
                len(self.script.text.rstrip()), "The script has no OUTPUT", "Write OUTPUT @rows TO …;"
            )
        return outputs

    def sql(self) -> str:
        """Return all that is run, with the macros that it needs."""
        macros = macros_of(self.statements)
        return "\n\n".join(["\n".join(macros), *self.statements] if macros else self.statements) + "\n"

    def _only(self, output: OutputFile, others: list[OutputFile]) -> OutputFile:
        if any(os.path.abspath(output.path) == os.path.abspath(other.path) for other in others):
            self.fail(output.tree, "Two OUTPUTs write the same file", "Write another path.", path=output.path)
        return output

    def run(self, output: OutputFile) -> int:
        """Write the file of an OUTPUT statement; return how many rows it has.

        Raises:
            UsqlError: A row can't be computed or read; with line and column of what it is about.
        """
        try:
            return deeply(lambda: output.write(self.database))
        except self.database.error as error:
            raise self._explained(output.tree, error) from None
        except OSError as error:
            hint = "Correct the path; a folder of files and a file can't have the same one."
            what = "The file of OUTPUT can't be written"
            raise self.script.error(
                output.tree.meta.start_pos, what, hint, path=output.path, error=error.strerror
            ) from None
        except UnicodeEncodeError as error:
            raise self.script.error(
                output.tree.meta.start_pos,
                f"A row can't be written as {output.codec}",
                "Choose Encoding.UTF8.",
                error=error,
            ) from None

    def _declare(self, tree: Any) -> None:
        kind, name, type_tree, expression = tree.children
        if str(name) in self.variables:
            if kind != "EXTERNAL":
                self.fail(
                    name, f"{name} is declared already", "Choose another name, or write DECLARE EXTERNAL for a default."
                )
            return
        held = self.value(expression, NOTHING)
        if type_tree is not None:
            type = self.type(type_tree)
            if not fits(held.type, type) and not (held.literal is not None and held.type.name == "int" and type.held):
                self.fail(
                    expression,
                    f"{name} is {type.one}, and gets {held.type.one}",
                    f"Cast it: ({type}) …, or change the type.",
                )
            held = self.held_as(held, type)
        elif held.type.name == "null":
            self.fail(expression, f"{name} has no type", f"Write DECLARE {name} string = null;")
        self.variables[str(name)] = self._fixed(expression, held)

    def _fixed(self, tree: Any, held: Value) -> Value:
        """Return a value that is computed once, here, not for each row."""
        if held.literal is not None or held.type.item is not None:
            return held
        result = self.evaluated(tree, held)
        if result is None:
            return Value(f"CAST(NULL AS {held.type.held})", held.type)
        literal = result if isinstance(result, (str, bool, int, float)) else None
        return Value(f"CAST({text(str(result))} AS {held.type.held})", held.type, literal, never_null=True)

    def evaluated(self, tree: Any, held: Value) -> Any:
        """Return what DuckDB makes of an expression without columns."""
        try:
            return self.database.execute(f"SELECT {held.sql}").fetchone()[0]
        except self.database.error as error:
            raise self._explained(tree, error) from None

    def listed(self, tree: Any, query: str) -> list[int]:
        """Return the numbers that a query makes."""
        try:
            return [number for (number,) in self.database.execute(query).fetchall()]
        except self.database.error as error:
            raise self._explained(tree, error) from None

    def _assign(self, tree: Any) -> None:
        name = str(tree.children[0])
        rows = self.query(tree.children[1])
        view = self.view(name, rows)
        statement = f"CREATE TEMP VIEW {view.sql} AS {rows.sql}"
        self.statements.append(statement + ";")
        try:
            self.database.execute(statement)
        except self.database.error as error:
            raise self._explained(tree, error) from None
        self.rowsets[name] = view

    def _explained(self, tree: Any, error: Exception) -> UsqlError:
        found = _FAILED.search(str(error))
        if found:
            detail = (found[3] or "").replace(f"{self.scratch}/utf8/", "").strip()
            facts = {"row": detail[:500]} if detail else {}
            hint = "Correct the data, or let the script handle such rows."
            what = found[2] if found[3] else f"{found[2]} can't be computed"
            return self.script.error(int(found[1]), what, hint, **facts)
        first = str(error).split("\n", 1)[0]
        if re.search("utf-?8|unicode", str(error), re.IGNORECASE):
            for path, about in self.read_as_utf8:
                if guessed(path) is not None:
                    try:
                        self.not_encoded(about, path, "utf-8", "")
                    except UsqlError as known:
                        return known
        hint = "Correct the expression, or the data that it gets."
        return self.script.error(tree.meta.start_pos, "DuckDB can't run that", hint, error=first)

    # Paths --------------------------------------------------------------------------------------------------------

    def input_path(self, tree: Any, path: str) -> str:
        """Return the path on this machine that the script means."""
        hint = "Copy the data by a DataTransferStep, add them to `inputs`, and write @@name@@."
        self._refuse_remote(tree, path, hint)
        found = plain(path)
        if not self.may_read(found.partition("{")[0]):
            self.fail(tree, "The path of EXTRACT leads out of what the step has", _TO_READ, path=path)
        return found

    def may_read(self, path: str) -> bool:
        """Return whether a file is the step's to read."""
        return self._paths.may_read(path)

    def output_path(self, tree: Any, path: str) -> str:
        """Return the path on this machine that the script means."""
        self._refuse_remote(tree, path, "Add an output to the step, and write @@name@@.")
        found = plain(path)
        if not self._paths.may_write(found):
            hint = 'Add an output to the step\'s `outputs`, and write "@@name@@".'
            self.fail(tree, "The path of OUTPUT is in no output of the step", hint, path=path)
        return found

    def note_read(self, path: str) -> None:
        """Open the file once in Python, where reads are watched; DuckDB's own are not."""
        with open(path, "rb"):
            pass

    def _refuse_remote(self, tree: Any, path: str, hint: str) -> None:
        if "\0" in path:
            fail(
                self.script, tree, "A path has a character in it that no path has", "Correct the path.", path=repr(path)
            )
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
            fail(self.script, tree, "A script reads and writes no store by itself", hint, path=path)


def missing_engine() -> UserErrorException | None:
    """Return the error that names the extra, if DuckDB or Lark is not installed."""
    import importlib.util

    for module in ("duckdb", "lark", "regex"):
        if importlib.util.find_spec(module) is None:
            title = f"U-SQL needs {module}, which is not installed where the step runs"
            return UserErrorException(title, hint="Install stepwell[usql].")
    return None
