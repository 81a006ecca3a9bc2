"""EXTRACT, translated: rows of files, split and typed as U-SQL's extractors do."""

from __future__ import annotations

import os
import re
from typing import Any

from stepwell.drivers.usql.csharp.columns import Rowset, Type, named, quoted, text
from stepwell.drivers.usql.csharp.members import parsed
from stepwell.drivers.usql.csharp.syntax import start_of
from stepwell.drivers.usql.file_sets import CODECS, FileSet, rewritten
from stepwell.drivers.usql.queries import Queries
from stepwell.drivers.usql.udo_arguments import EXTRACTORS, UdoArguments

MACROS = (
    "usql_bare(r) AS CASE WHEN starts_with(r, '\"') THEN replace(r[2:length(r) - 1], '\"\"', '\"') ELSE r END",
    "usql_typed(made, u, missing, place) AS CASE WHEN missing THEN NULL WHEN made IS NULL THEN error(place || u) ELSE made END",
    "usql_present(made, u, missing, place) AS CASE WHEN missing OR made IS NULL THEN error(place || COALESCE(u, 'null')) ELSE made END",
)
_LONGEST_LINE = 1 << 22
_PARTS = ("y", "M", "d", "H", "m", "s")


class Extracting(Queries, UdoArguments):
    """Translates EXTRACT; the engine says which files a path of the script means."""

    scratch: str

    def input_path(self, tree: Any, path: str) -> str:
        """Return the path on this machine that the script means."""
        raise NotImplementedError

    def note_read(self, path: str) -> None:
        """Let it be known that a file is read."""
        raise NotImplementedError

    def _extract(self, tree: Any) -> Rowset:
        using = tree.children[-1]
        declared = [
            (self.name(child.children[0]), self.type(child.children[1]), child)
            for child in tree.children
            if child.data == "column"
        ]
        paths = [child for child in tree.children[:-1] if child.data != "column"]
        options = self.udo(using, EXTRACTORS, "Extractors")
        sets = [self._files(path) for path in paths]
        virtual = {name: (files, parts) for files in sets for name, parts in files.columns.items()}
        self._check(tree, declared, virtual, paths)
        own = [(name, type) for name, type, _ in declared if name not in virtual]
        if not own:
            self.fail(tree, "EXTRACT has no column of the files", "Write the columns that the files have.")
        source, names = self._lines(tree, sets, options), named([(name, type) for name, type, _ in declared])
        fields = self._fields(tree, len(own), options)
        place = {name: number + 1 for number, (name, _) in enumerate(own)}
        items = []
        for (name, type, child), column in zip(declared, names):
            if name in virtual:
                sql = self._virtual(child, name, type, *virtual[name])
            else:
                sql = self._typed(child, name, type, place[name], options)
            items.append(f"{sql} AS {column.sql}")
        silent = " WHERE f IS NOT NULL" if options["silent"] else ""
        rows = f"SELECT {fields} AS f, filename FROM {source}"
        return Rowset(f"SELECT {', '.join(items)} FROM ({rows}) AS split{silent}", names)

    def _check(self, tree: Any, declared: list[Any], virtual: dict[str, Any], paths: list[Any]) -> None:
        names = [name for name, _, _ in declared]
        for number, (name, _, child) in enumerate(declared):
            if name in names[:number]:
                self.fail(child, f"Two columns of EXTRACT are called {name!r}", "Rename one of them.")
        for name in virtual:
            if name not in names:
                hint = f"Write {name} string among the columns, or {{*}} in the path."
                self.fail(paths[0], f"The path has {{{name}}}, and EXTRACT no column {name!r}", hint)

    def _files(self, tree: Any) -> FileSet:
        path = self.constant(tree, "The path of EXTRACT")
        if not isinstance(path, str):
            self.fail(tree, "The path of EXTRACT is no text", "Write a text, or a variable with one.")
        files = FileSet(self.input_path(tree, path))
        if files.wrong:
            hint = "Write one of {*}, {name}, {name:yyyy}, {name:MM}, {name:dd}, {name:HH}, {name:mm}, {name:ss}."
            self.fail(tree, f"{files.wrong} is no pattern of a path", hint)
        if not files.files:
            if os.path.isdir(self.input_path(tree, path)):
                hint = "Write the folder's files: " + '"' + path.rstrip("/") + '/{*}".'
                self.fail(tree, "The path of EXTRACT is a folder", hint, path=path)
            self.fail(
                tree,
                "There is no file of that path",
                "Correct the path, or write it as an input of the step.",
                path=path,
            )
        for file in files.files:
            self.note_read(file)
        return files

    def _lines(self, tree: Any, sets: list[FileSet], options: dict[str, Any]) -> str:
        paths = [file for files in sets for file in files.files]
        codec, rows = CODECS[options["encoding"]], options["rowDelimiter"] or ""
        if codec != "utf-8" or rows not in ("", "\n", "\r\n"):
            paths = [self._as_utf8(tree, path, codec, rows) for path in paths]
        listed = ", ".join(map(text, paths))
        return (
            f"read_csv([{listed}], auto_detect=false, header=false, columns={{'line': 'VARCHAR'}}, delim='\x01\x02\x03', "
            f"quote='', escape='', skip={options['skipFirstNRows']}, max_line_size={_LONGEST_LINE}, filename=true)"
        )

    def _as_utf8(self, tree: Any, path: str, codec: str, rows: str) -> str:
        to = f"{self.scratch}/utf8/{start_of(tree)}/{os.path.abspath(path).lstrip('/')}".removesuffix(".gz")
        try:
            rewritten(path, to, codec, rows)
        except (UnicodeDecodeError, UnicodeError) as error:
            hint = "Write the encoding that it has, such as encoding: Encoding.Unicode."
            self.fail(tree, f"The file is not encoded as {codec}", hint, file=path, error=str(error))
        return to

    def _fields(self, tree: Any, count: int, options: dict[str, Any]) -> str:
        """Return the SQL of a line's fields: a list of texts, still in their quotes."""
        delimiter, line = options["delimiter"], "rtrim(COALESCE(line, ''), chr(13))"
        simple = f"string_split({line}, {text(delimiter)})"
        if options["escapeCharacter"]:
            simple = f"usql_split({line}, {text(delimiter)}, {text(options['escapeCharacter'])}, {options['quoting']})"
        elif options["quoting"]:
            mark = re.escape(delimiter)
            form = f'{mark}("(?:[^"]|"")*"|[^"{_in_class(delimiter)}][^{_in_class(delimiter)}]*|)'
            simple = (
                f"CASE WHEN contains({line}, '\"') THEN regexp_extract_all({text(delimiter)} || {line}, {text(form)}, 1) "
                f"ELSE {simple} END"
            )
        whole = f"len({simple}) = {count}"
        if options["quoting"] and not options["escapeCharacter"]:
            whole += f" AND (NOT contains({line}, '\"') OR array_to_string({simple}, {text(delimiter)}) = {line})"
        if options["silent"]:
            return f"CASE WHEN {whole} THEN {simple} END"
        place = self.place(tree, f"A row has not {count} columns as EXTRACT says (silent: true would skip it)@")
        return f"CASE WHEN {whole} THEN {simple} ELSE error({place} || filename || ': ' || left({line}, 200)) END"

    def _typed(self, child: Any, name: str, type: Type, number: int, options: dict[str, Any]) -> str:
        raw, null = f"f[{number}]", options["nullEscape"]
        bare = f"usql_bare({raw})" if options["quoting"] else raw
        if type.item is not None:
            self.fail(child, f"EXTRACT can't read a {type}", "Read a string, and write .Split(';') of it in a SELECT.")
        made = parsed(bare, type)
        if type.name == "char" and options["charFormat"] != "string":
            made = f"chr(CASE WHEN NOT regexp_matches({bare}, '[^0-9]') THEN TRY_CAST({bare} AS INTEGER) END)"
        if made is None:
            self.fail(child, f"EXTRACT can't read a {type}", "Read a string or a number.")
        if type.name == "string":
            return self._text_field(raw, bare, null, bool(options["quoting"]))
        missing = f"{raw} = ''" + (f" OR {bare} = {text(null)}" if null is not None else "")
        place = self.place(child, f"The column {name!r} is a {type}, and can't hold what a row has@")
        if options["silent"] and type.nullable:
            return f"CASE WHEN NOT ({missing}) THEN {made} END"
        word = "usql_typed" if type.nullable else "usql_present"
        return f"{word}({made}, {bare}, {missing}, {place} || filename || ': ')"

    @staticmethod
    def _text_field(raw: str, bare: str, null: str | None, quoting: bool) -> str:
        if null is None:
            return f"CASE WHEN {raw} <> '' THEN {bare} END"
        if null == "" and quoting:  # as documented: the empty text in quotes is null then, and the one without is not
            return f"CASE WHEN {raw} <> '\"\"' THEN {bare} END"
        return f"NULLIF({bare}, {text(null)})"

    def _virtual(self, child: Any, name: str, type: Type, files: FileSet, parts: list[tuple[str, int]]) -> str:
        pattern = text(files.pattern + "$")
        dated = [(part, group) for part, group in parts if part]
        if dated:
            if type.name != "DateTime":
                self.fail(child, f"{{{name}:{dated[0][0]}}} of the path makes a DateTime", f"Write {name} DateTime.")
            held = {part[0]: f"CAST(regexp_extract(filename, {pattern}, {group}) AS BIGINT)" for part, group in dated}
            numbers = [held.get(part, "1" if part in "yMd" else "0") for part in _PARTS]
            return f"make_timestamp({', '.join(numbers)})"
        raw = f"regexp_extract(filename, {pattern}, {parts[0][1]})"
        made = parsed(raw, type)
        if made is None:
            self.fail(child, f"A path can't hold a {type}", f"Write {name} string.")
        if type.name == "string":
            return made
        place = self.place(child, f"The column {name!r} is a {type}, and can't hold what a path has@")
        return f"usql_present({made}, {raw}, FALSE, {place} || filename || ': ')"

    def view(self, name: str, rows: Rowset) -> Rowset:
        """Return a rowset as later queries name it: by a view."""
        taken = {other.sql.lower() for other in self.rowsets.values()}
        own = name.lstrip("@")
        while quoted(own).lower() in taken:
            own += "_"
        return Rowset(quoted(own), rows.columns)


def _in_class(delimiter: str) -> str:
    return "\\" + delimiter if delimiter in "\\]^-" else delimiter
