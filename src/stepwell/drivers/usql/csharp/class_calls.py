"""Calls of what classes have: conversions, formats, rounding and regular expressions."""

from __future__ import annotations

import re
from typing import Any

from stepwell.drivers.usql.csharp.calls import Calls
from stepwell.drivers.usql.csharp.columns import Type, Value, text
from stepwell.drivers.usql.csharp.members import CONVERSIONS, OF_CLASSES, parsed
from stepwell.drivers.usql.csharp.text_forms import date_format, date_pattern, formatted, text_of
from stepwell.drivers.usql.dotnet import regexes

_REGEX = {"IsMatch": 2, "Match": 2, "Split": 2, "Replace": 3}
_OF_DOUBLES = {"ToEven": "usql_round", "AwayFromZero": "usql_round_up"}
_TOWARDS = {"ToZero": "trunc", "ToNegativeInfinity": "floor", "ToPositiveInfinity": "ceil"}


class ClassCalls(Calls):
    """Translates `Class.Method(…)`."""

    def _class_call(self, tree: Any, static: str, given: list[Value]) -> Value:
        owner, _, name = static.partition(".")
        given = [value for value in given if value.type.name != "CultureInfo"]
        if static == "Math.Round":
            return self._rounded(tree, given)
        if owner == "Regex" and name in _REGEX:
            return self._regex(tree, name, given)
        if static in ("string.Format", "string.Concat", "string.Join"):
            return {"Format": self._format, "Concat": self._concat, "Join": self._join}[name](tree, given)
        if static == "Convert.ToString" and given:
            return self._to_text(tree, given[0], []) if given[0].type.name != "string" else given[0]
        wanted = owner if name == "Parse" else CONVERSIONS.get(static, "")
        if wanted and given and given[0].type.name == "string":
            made = self._parse(tree, Type(wanted), given[0], static)
            if made is not None:
                return made
        if static == "SqlArray.Create" and len(given) == 1 and given[0].type.item is not None:
            return given[0]
        if static == "DateTime.ParseExact":
            return self._parse_exact(tree, given)
        overloads = [way for way in OF_CLASSES.get(static, []) if way[0] != "-"]
        if not overloads:
            known = [member for member, ways in OF_CLASSES.items() if ways[0][0] != "-"]
            self.unknown(tree, static, [*known, "DateTime.Parse", "int.Parse", "string.Format", "string.Join"])
        return self._chosen(tree, static, overloads, [Value("", Type("null")), *given])

    def _parse(self, tree: Any, type: Type, held: Value, static: str) -> Value | None:
        target = held.sql
        if not static.startswith("Convert."):
            target = self._some(tree, held, "Parse").sql
        elif type.name not in ("DateTime", "bool"):
            target = held.sql if held.never_null else f"COALESCE({held.sql}, '0')"  # Convert makes 0 of null
        sql = parsed(target, type)
        if sql is None:
            return None
        place = self.place(tree, f"{static} of a text that is no {type}")
        return Value(f"usql_some({sql}, {place})", type, None, True, True, held.aggregate)

    def _parse_exact(self, tree: Any, given: list[Value]) -> Value:
        form = given[1].literal if len(given) > 1 and isinstance(given[1].literal, str) else None
        words = date_format(form) if form else None
        if form is None or words is None:
            self.fail(tree, "DateTime.ParseExact has no format that is known here", 'Write one such as "yyyy-MM-dd".')
        place = self.place(tree, "DateTime.ParseExact of a text that has another format")
        target = self._some(tree, given[0], "ParseExact").sql
        exact = f"CASE WHEN regexp_full_match({target}, {text(date_pattern(form))}) THEN try_strptime({target}, {text(words)}) END"
        sql = f"usql_some({exact}, {place})"
        return Value(sql, Type("DateTime"), None, True, True, given[0].aggregate)

    def _format(self, tree: Any, given: list[Value]) -> Value:
        form = given[0].literal if given else None
        if not isinstance(form, str):
            self.fail(
                tree, "The format of string.Format is no constant", 'Write it as a text: string.Format("{0}", x).'
            )
        pieces = []
        for found in re.finditer(r"\{\{|\}\}|\{(\d+)(?:,(-?\d+))?(?::([^}]*))?\}|[^{}]+|.", form):
            if found[1] is None:
                pieces.append(text({"{{": "{", "}}": "}"}.get(found[0], found[0])))
                continue
            if int(found[1]) + 1 >= len(given):
                self.fail(tree, f"string.Format has no argument {{{found[1]}}}", "Pass it after the format.")
            held = given[int(found[1]) + 1]
            sql = formatted(held.sql, held.type, found[3] or "") if found[3] else text_of(held.sql, held.type)
            if sql is None:
                self.fail(
                    tree, f"The format {found[3]!r} of {held.type.one} is not known here", 'Write one such as "F2".'
                )
            sql = f"COALESCE({sql}, '')"
            width = int(found[2] or 0)
            if width:
                sql = f"{'usql_left' if width > 0 else 'usql_right'}({sql}, {abs(width)}, ' ')"
            pieces.append(sql)
        return self._text("(" + " || ".join(pieces or ["''"]) + ")", given)

    def _concat(self, tree: Any, given: list[Value]) -> Value:
        if len(given) == 1 and given[0].type.item is not None:
            return self._join(tree, [Value("''", Type("string")), *given])
        parts = [f"COALESCE({text_of(value.sql, value.type)}, '')" for value in given]
        return self._text("(" + " || ".join(parts or ["''"]) + ")", given)

    def _join(self, tree: Any, given: list[Value]) -> Value:
        if len(given) == 2 and given[1].type.item is not None:
            item = given[1].type.item
            each = f"list_transform({given[1].sql}, lambda x: COALESCE({text_of('x', item)}, ''))"
            return self._text(f"COALESCE(array_to_string({each}, {given[0].sql}), '')", given)
        parts = ", ".join(f"COALESCE({text_of(value.sql, value.type)}, '')" for value in given[1:])
        return self._text(f"concat_ws({given[0].sql}, {parts})" if parts else "''", given)

    def _text(self, sql: str, given: list[Value]) -> Value:
        risky, aggregate = any(value.risky for value in given), any(value.aggregate for value in given)
        return Value(sql, Type("string"), None, risky, True, aggregate)

    # Rounding -----------------------------------------------------------------------------------------------------

    def _rounded(self, tree: Any, given: list[Value]) -> Value:
        ways = [value.literal for value in given if value.type.name == "MidpointRounding"]
        numbers = [value for value in given if value.type.name != "MidpointRounding"]
        kinds = [value.type.name for value in numbers]
        types = ", ".join(str(value.type) for value in given) or "nothing"
        if not 1 <= len(numbers) <= 2 or len(ways) > 1 or kinds[1:] not in ([], ["int"]):
            takes = "(double); (double, int); (decimal); (decimal, int); a MidpointRounding after them"
            self.fail(tree, f"Math.Round can't take {types}", "Cast or convert the arguments.", takes=takes)
        kind = "double" if kinds[0] in ("double", "float") else "decimal"
        if kinds[0] not in (
            "double",
            "float",
            "decimal",
            "sbyte",
            "byte",
            "short",
            "ushort",
            "int",
            "uint",
            "long",
            "ulong",
        ):
            self.fail(tree, f"Math.Round can't take {types}", "Cast or convert the arguments.")
        held = self._argument(tree, kind, numbers[0])
        digits = self._argument(tree, "int", numbers[1]).sql if len(numbers) > 1 else "0"
        way, wrong = ways[0] if ways else "ToEven", self.place(tree, "Math.Round to so many digits")
        if kind == "decimal":
            known = f"CASE WHEN {digits} < 0 OR {digits} > 28 THEN error({wrong}) ELSE {digits} END"
            sql = f"usql_rounded({held.sql}, {known}, {text(way)})"
        elif way in _OF_DOUBLES:
            sql = f"{_OF_DOUBLES[way]}({held.sql}, {digits}, {wrong})"
        else:
            scaled = f"{_TOWARDS[way]}(usql_scaled({held.sql}, {digits}, {wrong})) / pow(10.0::DOUBLE, {digits})"
            sql = f"CASE WHEN abs({held.sql}) < 1e16 THEN {scaled} ELSE {held.sql} END"
        return Value(sql, Type(kind), None, True, True, any(value.aggregate for value in numbers))

    # Regular expressions ------------------------------------------------------------------------------------------

    def _regex(self, tree: Any, name: str, given: list[Value]) -> Value:
        options = [value for value in given if value.type.name == "RegexOptions"]
        texts = [value for value in given if value.type.name != "RegexOptions"]
        right = len(texts) == _REGEX[name] and all(value.type.name == "string" for value in texts)
        if not right or len(options) > 1 or (options and given[-1] is not options[0]):
            kinds = ", ".join(str(value.type) for value in given) or "nothing"
            takes = "(" + ", ".join(["string"] * _REGEX[name]) + "), RegexOptions after them"
            self.fail(tree, f"Regex.{name} can't take {kinds}", "Convert the arguments.", takes=takes)
        letters = options[0].literal if options else ""
        if isinstance(texts[1].literal, str):
            try:
                regexes.compiled(texts[1].literal, letters)
            except regexes.PatternError as error:
                hint = "Correct the pattern, or split the work into several calls."
                pattern = texts[1].literal
                self.fail(
                    tree.children[1].children[1],
                    f"The pattern of Regex.{name} can't be run",
                    hint,
                    pattern=pattern,
                    error=error,
                )
        held = [self._argument(tree, "string", value) for value in texts]
        place = self.place(tree, f"The pattern of Regex.{name} can't be run")
        arguments = [*(value.sql for value in held), text(letters), place]
        aggregate = any(value.aggregate for value in held)
        if name == "Match":
            return Value("NULL", Type("Match"), arguments, True, True, aggregate)
        word, type = {
            "IsMatch": ("usql_matches", Type("bool")),
            "Replace": ("usql_replaced", Type("string")),
            "Split": ("usql_parts", Type("array", item=Type("string"))),
        }[name]
        return Value(f"{word}({', '.join(arguments)})", type, None, True, True, aggregate)

    def _property(self, tree: Any, held: Value, name: str) -> Value:
        if held.type.name not in ("Match", "Group"):
            return super()._property(tree, held, name)
        *arguments, place = held.literal
        key = "'0'" if held.type.name == "Match" else arguments.pop()
        found = f"usql_group({', '.join([*arguments, key, place])})"
        made = {
            "Value": (f"COALESCE({found}, '')", "string"),
            "Success": (f"({found} IS NOT NULL)", "bool"),
            "Length": (f"usql_length(COALESCE({found}, ''))", "int"),
        }
        if held.type.name == "Match":
            made["Index"] = (f"usql_found_at({', '.join([*arguments, place])})", "int")
            if name == "Groups":
                return Value("NULL", Type("GroupCollection"), held.literal, True, True, held.aggregate)
        if name not in made:
            hint = f"Write one of {', '.join('.' + known for known in made)}."
            self.fail(tree, f"A {held.type.name} has no {name} here", hint)
        return Value(made[name][0], Type(made[name][1]), None, True, True, held.aggregate)

    def _group_of(self, tree: Any, held: Value, at: Value) -> Value:
        """Return a group of a match, by its number or name."""
        if at.type.name not in ("int", "string"):
            self.fail(tree, f"A group is named by an int or a string, not {at.type.one}", "Write .Groups[1].")
        *arguments, place = held.literal
        key = at.sql if at.type.name == "string" else f"CAST({at.sql} AS VARCHAR)"
        return Value("NULL", Type("Group"), [*arguments, key, place], True, True, held.aggregate)
