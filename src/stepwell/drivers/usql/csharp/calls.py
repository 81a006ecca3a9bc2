"""Calls in expressions: methods and properties of values and classes, aggregates, and functions over windows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NoReturn

from stepwell.drivers.usql.csharp.columns import NUMBERS, Type, Value, fits, text
from stepwell.drivers.usql.csharp.members import DAYS, OF_CLASSES, OF_VALUES, Overload
from stepwell.drivers.usql.csharp.scope import Scope, group_key
from stepwell.drivers.usql.csharp.syntax import ScriptText, fail, start_of
from stepwell.drivers.usql.csharp.text_forms import INVARIANT, formatted
from stepwell.drivers.usql.dotnet.functions import ROUNDINGS
from stepwell.drivers.usql.dotnet.regexes import OPTIONS

CHOICES: dict[str, dict[str, str]] = {
    "StringComparison": {
        "Ordinal": "ordinal",
        "OrdinalIgnoreCase": "ordinal_small",
        **{f"{culture}Culture": "words" for culture in ("Invariant", "Current")},
        **{f"{culture}CultureIgnoreCase": "words_small" for culture in ("Invariant", "Current")},
    },
    "StringSplitOptions": {name: name for name in ("None", "RemoveEmptyEntries")},
    "DateTimeKind": {name: name for name in ("Unspecified", "Utc", "Local")},
    "MidpointRounding": {name: name for name in ROUNDINGS},
    "RegexOptions": OPTIONS,
    "CultureInfo": {name: name for name in ("InvariantCulture", "CurrentCulture", "CurrentUICulture")},
}
"""What methods are told by a word: the words of each class, and what they are here."""

_CLASSES = {name.partition(".")[0] for name in OF_CLASSES} | {"DayOfWeek", "SqlArray", *NUMBERS, "bool", *CHOICES}
_INSTEAD = "Compute it in a PythonScriptStep, or by the members that there are."


class Calls:
    """What has a name in an expression; `Expressions` adds the operators."""

    def __init__(self, script: ScriptText, now: str) -> None:
        self.script = script
        self.now = f"TIMESTAMP '{now}'"
        self.utc = f"TIMESTAMP '{datetime.fromisoformat(now).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
        self.variables: dict[str, Value] = {}

    def value(self, tree: Any, scope: Scope) -> Value:
        """Return an expression, translated."""
        raise NotImplementedError

    def _class_call(self, tree: Any, static: str, given: list[Value]) -> Value:
        raise NotImplementedError

    def _day(self, name: str) -> Value | None:
        raise NotImplementedError

    def _function(self, tree: Any, name: str, given: list[Any], within: Any, over: Any, scope: Scope) -> Value:
        raise NotImplementedError

    def fail(self, node: Any, what: str, hint: str, **facts: object) -> NoReturn:
        """Raise UsqlError about a part of the script."""
        fail(self.script, node, what, hint, **facts)

    def place(self, tree: Any, what: str) -> str:
        """Return the SQL of an error's text, which tells the engine where in the script it belongs."""
        return text(f"usql@{start_of(tree)}@{what}")

    def name(self, tree: Any) -> str:
        """Return a name of the script, without brackets."""
        written = str(tree.children[0])
        return written.partition("<")[0].strip() if "<" in written and written[0] != "[" else written.strip("[]")

    def type(self, tree: Any) -> Type:
        """Return a type that the script names."""
        if tree.data == "array_type":
            item = tree.children[0]
            return Type("array", item=self.type(item) if hasattr(item, "data") else Type(str(item)))
        if tree.data != "type":
            self.fail(tree, "SQL.MAP can't be run here", "Keep the pairs as a text, or as rows.")
        written = str(tree.children[0])
        if written == "object":
            self.fail(tree, "object is no type of a column", "Write the type that it has.")
        return Type(written, tree.children[1] is not None)

    def column(self, tree: Any, scope: Scope, name: str, source: str = "") -> Value:
        """Return the column of that name; in grouped rows it has to be one of the groups."""
        found = scope.found(name, source)
        if name in scope.aliases and not source and (scope.aliases_first or not found or scope.groups is not None):
            return scope.aliases[name]
        if not found:
            where = f" in {source}" if source else ""
            near = difflib.get_close_matches(name, scope.names(), 1)
            hint = f"Write {near[0]}." if near else "Write one of the columns."
            if not scope.sources:
                self.fail(
                    tree, f"There is no column {name!r}: there are no rows here", "Write a constant or a variable."
                )
            self.fail(tree, f"There is no column {name!r}{where}", hint, columns=", ".join(scope.names()))
        if len(found) > 1:
            sources = [rows.name for rows in scope.sources if any(column.name == name for column in rows.columns)]
            self.fail(
                tree,
                f"Several rowsets have a column {name!r}",
                f"Write {sources[0]}.{name}.",
                rowsets=", ".join(sources),
            )
        if scope.groups is not None:
            key = group_key(found[0].sql)
            if key not in scope.groups:
                hint = f"Add it to GROUP BY, or write an aggregate such as ANY_VALUE({name})."
                self.fail(tree, f"The column {name!r} is in no GROUP BY and in no aggregate", hint)
            return scope.groups[key]
        return found[0]

    # Names with points --------------------------------------------------------------------------------------------

    def _path(self, tree: Any, scope: Scope) -> list[str]:
        """Return the names of a class and its member, such as `["Math", "PI"]`; [] if it begins with a value."""
        if tree.data == "static_member":
            return [Type(str(tree.children[0])).name, self.name(tree.children[1])]
        if tree.data == "column_name":
            name = self.name(tree.children[0])
            return [] if scope.found(name) or scope.has_source(name) or name in scope.aliases else [name]
        if tree.data == "member":
            before = self._path(tree.children[0], scope)
            return [*before, self.name(tree.children[1])] if before else []
        return []

    def _static(self, tree: Any, scope: Scope) -> str:
        path = self._path(tree, scope)
        while path and path[0] in ("System", "Text", "RegularExpressions", "Globalization"):
            path = path[1:]
        return f"{Type(path[0]).name}.{path[1]}" if len(path) == 2 else ""

    def _member(self, tree: Any, scope: Scope) -> Value:
        left, name = tree.children[0], self.name(tree.children[1])
        source = str(left.children[0]) if left.data == "variable" else ""
        if left.data == "column_name":
            source = self.name(left.children[0])
        if source and scope.has_source(source) and (scope.found(name, source) or not scope.found(source)):
            return self.column(tree, scope, name, source)
        static = self._static(tree, scope)
        if static:
            self._check_class(tree, static, scope)
            return self._constant(tree, static)
        return self._property(tree, self.value(left, scope), name)

    def _static_member(self, tree: Any, scope: Scope) -> Value:
        return self._constant(tree, self._static(tree, scope))

    def _constant(self, tree: Any, static: str) -> Value:
        owner, _, name = static.partition(".")
        if owner == "DayOfWeek" and name in DAYS:
            found = self._day(name)
            assert found is not None
            return found
        if owner in CHOICES:
            word = CHOICES[owner].get(name)
            if word is None:
                self.unknown(tree, static, [f"{owner}.{known}" for known in CHOICES[owner]])
            return Value(text(word) if owner == "RegexOptions" else word, Type(owner), literal=word, never_null=True)
        for arguments, sql, result in OF_CLASSES.get(static, []):
            if arguments == "-":
                return Value(sql.format(now=self.now, utc=self.utc), Type(result), never_null=True)
        self.unknown(tree, static, [name for name, ways in OF_CLASSES.items() if ways[0][0] == "-"])

    def _check_class(self, tree: Any, static: str, scope: Scope) -> None:
        """Raise UsqlError if what stands before the point is neither a class nor a column."""
        owner = static.partition(".")[0]
        if tree.data == "member" and owner not in _CLASSES:
            near = difflib.get_close_matches(owner, scope.names(), 1)
            hint = (
                f"Write {near[0]}." if near else "Write a column; C# code of your own belongs into a PythonScriptStep."
            )
            self.fail(tree, f"{owner} is no column, and no class that is known here", hint)

    def unknown(self, tree: Any, static: str, known: Iterable[str]) -> NoReturn:
        """Raise UsqlError about a member that a class has not."""
        owner, _, name = static.partition(".")
        near = difflib.get_close_matches(static, list(known), 1, 0.75)
        hint = f"Write {near[0]}." if near else _INSTEAD
        self.fail(tree, f"{owner} has no {name} here", hint)

    def _property(self, tree: Any, held: Value, name: str) -> Value:
        kind = held.type.name
        if name == "HasValue" and held.type.nullable and kind not in ("string", "array"):
            return Value(f"({held.sql} IS NOT NULL)", Type("bool"), risky=held.risky, aggregate=held.aggregate)
        if name == "Value" and held.type.nullable and kind not in ("string", "array"):
            return self._some(tree, held, "Value")
        for arguments, sql, result in OF_VALUES.get(f"{kind}.{name}", []):
            if arguments == "-":
                target = self._some(tree, held, name)
                return Value(sql.format(target.sql), Type(result), None, target.risky, True, held.aggregate)
        if held.type.nullable and f"{kind}.{name}" in OF_VALUES and kind != "string":
            self.fail(tree, f"{held.type.first} has no {name}", f"Write .Value.{name}, where it is not null.")
        members = [member.partition(".")[2] for member in OF_VALUES if member.startswith(f"{kind}.")]
        near = difflib.get_close_matches(name, members, 1)
        self.fail(tree, f"{held.type.first} has no property {name!r} here", f"Write .{near[0]}." if near else _INSTEAD)

    def _some(self, tree: Any, held: Value, name: str) -> Value:
        """Return the value, which fails where it is null, as C# does."""
        if held.never_null:
            return Value(held.sql, held.type.without_null(), held.literal, held.risky, True, held.aggregate)
        place = self.place(tree, f"{name if ' ' in name else '.' + name} of null")
        return Value(f"usql_some({held.sql}, {place})", held.type.without_null(), None, True, True, held.aggregate)

    # Calls --------------------------------------------------------------------------------------------------------

    def _call(self, tree: Any, scope: Scope) -> Value:
        callee, arguments, within, over = tree.children
        given = [] if arguments is None else list(arguments.children)
        if callee.data == "column_name":
            return self._function(tree, self.name(callee.children[0]), given, within, over, scope)
        if over is not None or within is not None:
            self.fail(
                over or within, "OVER stands after a method", "Write OVER after an aggregate or a ranking function."
            )
        for argument in given:
            if argument.data in ("named", "distinct", "every_row"):
                self.fail(argument, "That is no argument of a method", "Pass a value.")
        static = self._static(callee, scope)
        if static:
            self._check_class(callee, static, scope)
            return self._class_call(tree, static, [self.value(argument, scope) for argument in given])
        if callee.data != "member":
            self.fail(callee, "That can't be called", "Call a method of a value or a class.")
        target = self.value(callee.children[0], scope)
        name = self.name(callee.children[1])
        return self._method(tree, target, name, [self.value(argument, scope) for argument in given])

    def _method(self, tree: Any, held: Value, name: str, given: list[Value]) -> Value:
        kind = held.type.name
        cultures = [value.literal for value in given if value.type.name == "CultureInfo"]
        given = [value for value in given if value.type.name != "CultureInfo"]
        if name == "GetValueOrDefault" and kind != "string":
            zero = {"bool": "FALSE", "DateTime": "TIMESTAMP '0001-01-01'"}.get(kind, "0")
            sql = f"COALESCE({held.sql}, {given[0].sql if given else zero})"
            return Value(sql, held.type.without_null(), None, held.risky, True, held.aggregate)
        if name == "ToString" and kind not in ("string", "array"):
            return self._to_text(tree, held, given, invariant=cultures == ["InvariantCulture"])
        if name == "Split" and kind == "string":
            return self._split(tree, held, given)
        if name == "Equals" and kind not in ("string", "array") and len(given) == 1 and fits(given[0].type, held.type):
            sql = f"{held.sql} IS NOT DISTINCT FROM {given[0].sql}"
            return Value(f"({sql})", Type("bool"), None, held.risky or given[0].risky, True, held.aggregate)
        if held.type.item is not None and (f"{name}({'i' * len(given)})" in _OF_ARRAYS):
            return self._of_array(tree, held, held.type.item, name, given)
        if name in ("Trim", "TrimStart", "TrimEnd") and kind == "string" and given:
            marks = " || ".join(
                text("".join(value.literal)) if isinstance(value.literal, list) else value.sql for value in given
            )
            word = {"Trim": "trim", "TrimStart": "ltrim", "TrimEnd": "rtrim"}[name]
            target = self._some(tree, held, name)
            return Value(f"{word}({target.sql}, {marks})", Type("string"), None, target.risky, True, held.aggregate)
        overloads = [way for way in OF_VALUES.get(f"{kind}.{name}", []) if way[0] != "-"]
        if not overloads:
            members = [member.partition(".")[2] for member in OF_VALUES if member.startswith(f"{kind}.")]
            near = difflib.get_close_matches(name, members, 1, 0.7)
            hint = (
                f"Write .Value.{name}(…), where it is not null."
                if held.type.nullable and kind == "DateTime"
                else _INSTEAD
            )
            self.fail(tree, f"{held.type.first} has no method {name!r} here", f"Write .{near[0]}(…)." if near else hint)
        return self._chosen(tree, f".{name}", overloads, [self._some(tree, held, name), *given])

    def _of_array(self, tree: Any, held: Value, item: Type, name: str, given: list[Value]) -> Value:
        target = self._some(tree, held, name)
        if given:
            wanted = item if name == "Contains" else Type("int")
            if not fits(given[0].type, wanted):
                takes = f"({wanted})"
                self.fail(tree, f".{name} can't take {given[0].type}", "Cast or convert the argument.", takes=takes)
            given = [self.held_as(given[0], wanted)]
        place = self.place(tree, f".{name} of what an array has not")
        sql = _OF_ARRAYS[f"{name}({'i' * len(given)})"].format(target.sql, *(value.sql for value in given), place=place)
        type = {"Contains": Type("bool"), "ToArray": held.type, "ToList": held.type}.get(name, item)
        return Value(sql, type, None, True, type is not item, held.aggregate)

    def _to_text(self, tree: Any, held: Value, given: list[Value], *, invariant: bool = False) -> Value:
        form = next((value.literal for value in given if isinstance(value.literal, str)), "") if given else ""
        if given and not isinstance(given[0].literal, str):
            self.fail(tree, "The format of ToString is no constant", 'Write it as a text: .ToString("yyyy-MM-dd").')
        never_null = held.never_null
        if held.type.name == "DateTime" and invariant:
            form = INVARIANT.get(form, form)
        sql = formatted(held.sql, held.type, form)
        if sql is None:
            hint = 'Write one such as "yyyy-MM-dd", "F2", "N0", "D5" or "0.00".'
            self.fail(tree, f"The format {form!r} of {held.type.one} is not known here", hint)
        if not never_null:  # of a nullable value, ToString() of null is an empty text
            sql = f"COALESCE({sql}, '')"
        return Value(sql, Type("string"), None, held.risky, True, held.aggregate)

    def _split(self, tree: Any, held: Value, given: list[Value]) -> Value:
        options = [value.literal for value in given if value.type.name == "StringSplitOptions"]
        marks = [value for value in given if value.type.name != "StringSplitOptions"]
        if len(marks) == 1 and marks[0].type.item is not None and isinstance(marks[0].literal, list):
            marks = [Value(text(mark), Type("string"), literal=mark) for mark in marks[0].literal]
        if not all(isinstance(mark.literal, str) for mark in marks):
            self.fail(
                tree, "Split takes characters or texts that are constants", "Write .Split(';'), or several of them."
            )
        target = self._some(tree, held, "Split")
        if len(marks) == 1:
            sql = f"string_split({target.sql}, {marks[0].sql})" if marks[0].literal else f"[{target.sql}]"
        else:
            either = "|".join(re.escape(mark.literal) for mark in marks if mark.literal)
            either = either or r"[\t-\r\x{85}\p{Z}]"  # what .NET takes for white space
            sql = f"string_split_regex({target.sql}, {text(either)})"
        if "RemoveEmptyEntries" in options:
            sql = f"list_filter({sql}, lambda part: part <> '')"
        return Value(sql, Type("array", item=Type("string")), None, target.risky, True, held.aggregate)

    def _chosen(self, tree: Any, name: str, overloads: list[Overload], given: list[Value]) -> Value:
        """Return the call of the first overload that takes the arguments; `given[0]` is the value that it is a method of."""
        for arguments, sql, result in overloads:
            wanted = arguments.split()
            if len(wanted) == len(given) - 1 and all(map(_takes, wanted, given[1:])):
                held = [self._argument(tree, kind, value) for kind, value in zip(wanted, given[1:])]
                place = self.place(tree, f"{name} beyond the ends of a text, or of a number that is too large,")
                wrong = self.place(tree, f"{name} of what it does not take")
                made = sql.format(given[0].sql, *(value.sql for value in held), place=place, wrong=wrong, now=self.now)
                parts = [given[0], *held]
                risky = "{place}" in sql or "{wrong}" in sql or any(value.risky for value in parts)
                kind = Type("array", item=Type(result[:-2])) if result.endswith("[]") else Type(result)
                return Value(made, kind, None, risky, True, any(value.aggregate for value in parts))
        kinds = ", ".join(str(value.type) for value in given[1:]) or "nothing"
        ways = "; ".join(f"({', '.join(way[0].split()).replace('text', 'string')})" for way in overloads)
        self.fail(tree, f"{name} can't take {kinds}", "Cast or convert the arguments.", takes=ways)

    def _argument(self, tree: Any, kind: str, value: Value) -> Value:
        if kind.endswith("?") or value.never_null:
            return self.held_as(value, Type(kind.rstrip("?"), True)) if kind.rstrip("?") in _PLAIN else value
        return self._some(tree, value, "An argument")

    def held_as(self, value: Value, type: Type) -> Value:
        """Return the value in another type, into which C# turns it by itself."""
        if value.type.name == type.name or type.held == value.type.held:
            return Value(value.sql, type, value.literal, value.risky, value.never_null, value.aggregate)
        sql = f"unicode({value.sql})" if value.type.name == "char" else value.sql
        return Value(f"CAST({sql} AS {type.held})", type, value.literal, value.risky, value.never_null, value.aggregate)


_OF_ARRAYS = {
    "ToArray()": "{0}",
    "ToList()": "{0}",
    "First()": "usql_item({0}, 0, {place})",
    "Last()": "usql_item({0}, CAST(len({0}) AS INTEGER) - 1, {place})",
    "ElementAt(i)": "usql_item({0}, {1}, {place})",
    "Contains(i)": "COALESCE(list_contains({0}, {1}), FALSE)",
}
_PLAIN = ("int", "long", "float", "double", "decimal")


def _takes(wanted: str, given: Value) -> bool:
    if wanted.startswith("text"):
        return given.type.name in ("string", "char") or (wanted == "text?" and given.type.name == "null")
    if wanted in ("string", "string?"):
        return given.type.name == "string" or (wanted == "string?" and given.type.name == "null")
    return fits(given.type.without_null() if given.type.name != "null" else given.type, Type(wanted))
