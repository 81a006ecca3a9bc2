"""OUTPUT, translated: rows as lines of a file, as U-SQL's outputters write them."""

from __future__ import annotations

import os
from typing import Any

from stepwell.drivers.usql.csharp.columns import Column, Rowset, text
from stepwell.drivers.usql.csharp.text_forms import dated, text_of
from stepwell.drivers.usql.extracting import Extracting
from stepwell.drivers.usql.file_sets import codec_of
from stepwell.drivers.usql.udo_arguments import OUTPUTTERS

_ROWS_AT_ONCE = 10_000


class OutputFile:
    """What an OUTPUT statement writes: one text for each row."""

    def __init__(self, tree: Any, path: str, sql: str, options: dict[str, Any], header: str) -> None:
        self.tree, self.path, self.sql = tree, path, sql
        self.header, self.codec = header, codec_of(options["encoding"])
        self.end = options["rowDelimiter"] or "\r\n"

    def write(self, database: Any) -> int:
        """Run the query and write its rows as they come; return how many there are."""
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        if os.path.isdir(self.path) and not os.listdir(self.path):
            os.rmdir(self.path)
        rows = database.execute(self.sql)
        count = 0
        with open(self.path, "w", encoding=self.codec, newline="") as target:
            if self.header:
                target.write(self.header + self.end)
            while True:
                block = rows.fetchmany(_ROWS_AT_ONCE)
                if not block:
                    return count
                target.write(self.end.join([line for (line,) in block]) + self.end)
                count += len(block)


class Outputting(Extracting):
    """Translates OUTPUT; the engine says which file a path of the script means."""

    def output_path(self, tree: Any, path: str) -> str:
        """Return the path on this machine that the script means."""
        raise NotImplementedError

    def output(self, tree: Any) -> OutputFile:
        """Return an OUTPUT statement, translated."""
        source, path_tree, order, offset, fetch, using = tree.children
        rows = self._body(source)
        options = self.udo(using, OUTPUTTERS, "Outputters")
        path = self.constant(path_tree, "The path of OUTPUT")
        if not isinstance(path, str):
            self.fail(path_tree, "The path of OUTPUT is no text", "Write a text, or a variable with one.")
        if "{" in path:
            self.fail(path_tree, "OUTPUT writes one file, no set of files", "Write a path without braces.")
        limits = self.limits(offset, fetch)
        sql = self.sorted_rows(rows, order, limits) if order is not None or limits else rows.sql
        line = self._line(rows, options, tree)
        header = options["delimiter"].join(self._named(column, options) for column in rows.columns)
        query = f'SELECT {line} AS line FROM ({sql}) AS "rows"'
        return OutputFile(
            tree, self.output_path(path_tree, path), query, options, header if options["outputHeader"] else ""
        )

    @staticmethod
    def _named(column: Column, options: dict[str, Any]) -> str:
        name = column.name
        return '"' + name.replace('"', '""') + '"' if options["quoting"] else name

    def _line(self, rows: Rowset, options: dict[str, Any], tree: Any) -> str:
        delimiter = f" || {text(options['delimiter'])} || "
        return delimiter.join(self._field(column, options, tree) for column in rows.columns)

    def _field(self, column: Column, options: dict[str, Any], tree: Any) -> str:
        kind, held = column.type.name, f'"rows".{column.sql}'
        if column.type.item is not None:
            hint = f'Write string.Join(";", {column.name}) AS {column.name} in a SELECT.'
            self.fail(tree, f"The column {column.name!r} is {column.type.one}, which no outputter writes", hint)
        written = text_of(held, column.type)
        if kind == "DateTime":
            in_form = dated(held, options["dateTimeFormat"])
            if in_form is None:
                self.fail(tree, "The dateTimeFormat is not known here", 'Write one such as "yyyy-MM-dd HH:mm:ss".')
            written = in_form
        if kind == "char" and options["charFormat"] != "string":
            written = f"CAST(unicode({held}) AS VARCHAR)"
        elif kind in ("string", "char"):
            written = self._quoted(held, options)
        elif kind == "DayOfWeek":
            written = f"CAST({held} AS VARCHAR)"
        null = text(options["nullEscape"] or "")
        return f"COALESCE({written}, {null})"

    @staticmethod
    def _quoted(held: str, options: dict[str, Any]) -> str:
        mark = options["escapeCharacter"]
        if mark:
            for special in dict.fromkeys((mark, options["delimiter"], "\r", "\n", options["rowDelimiter"] or "\n")):
                if len(special) == 1:
                    held = f"replace({held}, {_character(special)}, {text(mark)} || {_character(special)})"
        return f"'\"' || replace({held}, '\"', '\"\"') || '\"'" if options["quoting"] else held


def _character(mark: str) -> str:
    return text(mark) if mark.isprintable() else f"chr({ord(mark)})"
