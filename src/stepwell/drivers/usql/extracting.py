"""EXTRACT, translated: rows of files, split and typed as U-SQL's extractors do."""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn

from stepwell.drivers.usql.csharp.columns import Files, Rowset, Type, named, quoted, text
from stepwell.drivers.usql.csharp.members import parsed
from stepwell.drivers.usql.csharp.scope import Scope, Source
from stepwell.drivers.usql.csharp.syntax import UsqlError, start_of
from stepwell.drivers.usql.file_sets import CODECS, FileSet, codec_of, guessed, rewritten
from stepwell.drivers.usql.queries import Queries
from stepwell.drivers.usql.udo_arguments import EXTRACTORS, UdoArguments

MACROS = (
    "usql_line(x) AS rtrim(COALESCE(x, ''), chr(13))",
    "usql_fields(x, mark, form) AS CASE WHEN contains(x, '\"') THEN regexp_extract_all(mark || x, form, 1) ELSE string_split(x, mark) END",
    "usql_joined(f, x, mark) AS NOT contains(x, '\"') OR array_to_string(f, mark) = x",
    "usql_bare(r) AS CASE WHEN starts_with(r, '\"') THEN replace(r[2:length(r) - 1], '\"\"', '\"') ELSE r END",
    "usql_typed(made, u, missing, place) AS CASE WHEN missing THEN NULL WHEN made IS NULL THEN error(place || u) ELSE made END",
    "usql_present(made, u, missing, place) AS CASE WHEN missing OR made IS NULL THEN error(place || COALESCE(u, 'null')) ELSE made END",
)
_LONGEST_LINE = 1 << 22
_PARTS = ("y", "M", "d", "H", "m", "s")


class Extracting(Queries, UdoArguments):
    """Translates EXTRACT; the engine says which files a path of the script means."""

    scratch: str
    read_as_utf8: list[tuple[str, Any]]

    def input_path(self, tree: Any, path: str) -> str:
        """Return the path on this machine that the script means."""
        raise NotImplementedError

    def listed(self, tree: Any, query: str) -> list[int]:
        """Return the numbers that a query makes."""
        raise NotImplementedError

    def may_read(self, path: str) -> bool:
        """Return whether a file is the step's to read."""
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
        names = named([(name, type) for name, type, _ in declared])
        place = {name: number + 1 for number, (name, _) in enumerate(own)}
        items, known = [], []
        for (name, type, child), column in zip(declared, names):
            if name in virtual:
                sql = self._virtual(child, name, type, *virtual[name])
                known.append((name, sql, type))
            else:
                sql = self._typed(child, name, type, place[name], options)
            items.append(f"{sql} AS {column.sql}")
        fields, whole = self._fields(tree, len(own), options)

        def of(paths: list[str]) -> str:
            if not paths:
                return f"SELECT {', '.join(f'CAST(NULL AS {column.type.held}) AS {column.sql}' for column in names)} WHERE FALSE"
            lines = f"SELECT usql_line(line) AS x, filename FROM {self._lines(paths, options)}"
            rows = f"SELECT {whole} AS f, filename FROM (SELECT {fields} AS f, x, filename FROM ({lines}))"
            silent = " WHERE f IS NOT NULL" if options["silent"] else ""
            return f"SELECT {', '.join(items)} FROM ({rows}){silent}"

        paths = self._readable(tree, [file for files in sets for file in files.files], options)
        return Rowset(of(paths), names, Files(paths, known, of))

    def kept_files(self, rows: Rowset, name: str, tree: Any) -> str:
        """Return the SQL of a rowset without the files that a condition on their paths leaves out."""
        files = rows.files
        if files is None or not files.columns:
            return rows.sql
        columns = named([(column, type) for column, _, type in files.columns])
        scope = Scope([Source(name, '"files"', columns)])
        conditions = []
        for part in _conjuncts(tree):
            try:
                conditions.append(self.condition(part, scope, "WHERE").sql)
            except UsqlError:  # it is about other columns, too
                continue
        if not conditions:
            return rows.sql
        values = ", ".join(f"{sql} AS {column.sql}" for (_, sql, _), column in zip(files.columns, columns))
        paths = ", ".join(f"({number}, {text(path)})" for number, path in enumerate(files.paths))
        query = f"SELECT number FROM (SELECT number, {values} FROM (VALUES {paths}) AS v(number, filename)) AS files"
        kept = self.listed(tree, f"{query} WHERE {' AND '.join(conditions)} ORDER BY number")
        return rows.sql if len(kept) == len(files.paths) else f"({files.of([files.paths[number] for number in kept])})"

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
            above = path.partition("/{")[0]
            if os.path.isfile(above):
                self.fail(tree, "What the path has as a folder is a file", "Leave out what follows it.", file=above)
            hint = "Correct the path, or write it as an input of the step."
            hint = "Write {*} in place of *: so U-SQL names any characters." if re.search(r"(?<!\{)\*", path) else hint
            self.fail(tree, "There is no file of that path", hint, path=path)
        for file in files.files:
            if not self.may_read(file):
                hint = "Add the data to the step's `inputs`, and write @@name@@."
                self.fail(tree, "A link of EXTRACT's path leads out of what the step has", hint, file=file)
            try:
                self.note_read(file)
            except OSError as error:
                self.fail(tree, "A file of EXTRACT can't be read", "Make it readable.", file=file, error=error.strerror)
        return files

    def _readable(self, tree: Any, paths: list[str], options: dict[str, Any]) -> list[str]:
        codec, rows = codec_of(options["encoding"]), options["rowDelimiter"] or ""
        self.read_as_utf8 += [(path, tree) for path in paths if codec == "utf-8"]
        if codec == "utf-8" and rows in ("", "\n", "\r\n"):
            return paths
        return [self._as_utf8(tree, path, codec, rows) for path in paths]

    @staticmethod
    def _lines(paths: list[str], options: dict[str, Any]) -> str:
        return (
            f"read_csv([{', '.join(map(text, paths))}], auto_detect=false, header=false, columns={{'line': 'VARCHAR'}}, "
            f"delim='\x01\x02\x03', quote='', escape='', skip={options['skipFirstNRows']}, max_line_size={_LONGEST_LINE}, "
            "filename=true)"
        )

    def _as_utf8(self, tree: Any, path: str, codec: str, rows: str) -> str:
        to = f"{self.scratch}/utf8/{start_of(tree)}/{os.path.abspath(path).lstrip('/')}".removesuffix(".gz")
        try:
            rewritten(path, to, codec, rows)
        except (UnicodeDecodeError, UnicodeError) as error:
            self.not_encoded(tree, path, codec, str(error))
        return to

    def not_encoded(self, tree: Any, path: str, codec: str, error: str) -> NoReturn:
        """Raise UsqlError about a file that has another encoding than the script says."""
        found = guessed(path)
        name = "UTF8" if found is None else found[1]
        word = f"Encoding.{name}" if name in CODECS else f'Encoding.GetEncoding("{name}")'
        hint = f"Write encoding: {word}, if that is its encoding, or save the file as UTF-8."
        facts = {"file": path, "error": error or f"byte {(found or (0, ''))[0]} begins no character"}
        self.fail(tree, f"The file is not encoded as {codec}", hint, **facts)

    def _fields(self, tree: Any, count: int, options: dict[str, Any]) -> tuple[str, str]:
        """Return the SQL of a line's fields, a list of texts, still in their quotes; and that which checks them."""
        mark, whole = text(options["delimiter"]), f"len(f) = {count}"
        if options["escapeCharacter"]:
            fields = f"usql_split(x, {mark}, {text(options['escapeCharacter'])}, {options['quoting']})"
        elif options["quoting"]:
            other = _in_class(options["delimiter"])
            form = f'{re.escape(options["delimiter"])}("(?:[^"]|"")*"|[^"{other}][^{other}]*|)'
            fields = f"usql_fields(x, {mark}, {text(form)})"
            whole += f" AND usql_joined(f, x, {mark})"
        else:
            fields = f"string_split(x, {mark})"
        if options["silent"]:
            return fields, f"CASE WHEN {whole} THEN f END"
        place = self.place(tree, f"A row has not {count} columns as EXTRACT says (silent: true would skip it)@")
        return fields, f"CASE WHEN {whole} THEN f ELSE error({place} || filename || ': ' || left(x, 200)) END"

    def _typed(self, child: Any, name: str, type: Type, number: int, options: dict[str, Any]) -> str:
        raw, null = f"f[{number}]", options["nullEscape"]
        bare = f"usql_bare({raw})" if options["quoting"] else raw
        if type.item is not None:
            self.fail(
                child, f"EXTRACT can't read {type.one}", "Read a string, and write .Split(';') of it in a SELECT."
            )
        made = parsed(bare, type)
        if type.name == "char" and options["charFormat"] != "string":
            made = f"chr(CASE WHEN NOT regexp_matches({bare}, '[^0-9]') THEN TRY_CAST({bare} AS INTEGER) END)"
        if made is None:
            self.fail(child, f"EXTRACT can't read {type.one}", "Read a string or a number.")
        if type.name == "string":
            return self._text_field(raw, bare, null, bool(options["quoting"]))
        missing = f"{raw} = ''" + (f" OR {bare} = {text(null)}" if null is not None else "")
        place = self.place(child, f"The column {name!r} is {type.one}, and can't hold what a row has@")
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
            self.fail(child, f"A path can't hold {type.one}", f"Write {name} string.")
        if type.name == "string":
            return made
        place = self.place(child, f"The column {name!r} is {type.one}, and can't hold what a path has@")
        return f"usql_present({made}, {raw}, FALSE, {place} || filename || ': ')"

    def view(self, name: str, rows: Rowset) -> Rowset:
        """Return a rowset as later queries name it: by a view."""
        taken = {other.sql.lower() for other in self.rowsets.values()}
        own = name.lstrip("@")
        while quoted(own).lower() in taken:
            own += "_"
        return Rowset(quoted(own), rows.columns, rows.files)


def _conjuncts(tree: Any) -> list[Any]:
    """Return the conditions that have to hold together."""
    return [part for child in tree.children for part in _conjuncts(child)] if tree.data == "and_" else [tree]


def _in_class(delimiter: str) -> str:
    return "\\" + delimiter if delimiter in "\\]^-" else delimiter
