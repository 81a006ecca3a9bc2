"""Expressions of C# and U-SQL, translated to DuckDB's SQL with C#'s types, nulls and order."""

from __future__ import annotations

import re
from typing import Any

from stepwell.drivers.usql.csharp.class_calls import ClassCalls
from stepwell.drivers.usql.csharp.columns import NUMBERS, WHOLE, Type, Value, common, fits, promoted, text
from stepwell.drivers.usql.csharp.literals import number_of, text_in
from stepwell.drivers.usql.csharp.members import DAYS, moved_bits
from stepwell.drivers.usql.csharp.objects import Objects
from stepwell.drivers.usql.csharp.scope import Scope, group_key
from stepwell.drivers.usql.csharp.syntax import UsqlError
from stepwell.drivers.usql.csharp.text_forms import text_of
from stepwell.drivers.usql.csharp.windows import Windows

_LEAVES = {"string", "verbatim", "character", "integer", "real", "true", "false", "null", "variable"}
_BOOL = Type("bool")


class Expressions(Windows, Objects, ClassCalls):
    """Translates the trees of expressions; a method `_<rule>` for each rule of the grammar."""

    def value(self, tree: Any, scope: Scope) -> Value:
        """Return an expression, translated.

        Raises:
            UsqlError: It names what is not there, or what C# has no meaning for.
        """
        if scope.groups is not None and tree.data not in _LEAVES:
            grouped = self._as_group(tree, scope)
            if grouped is not None:
                return grouped
        found: Value = getattr(self, "_" + tree.data.rstrip("_"))(tree, scope)
        return found

    def condition(self, tree: Any, scope: Scope, where: str) -> Value:
        """Return an expression that has to be true or false."""
        found = self.value(tree, scope)
        if found.type != _BOOL:
            hint = (
                "Compare with `== true`, or write `?? false`." if found.type.name == "bool" else "Write a comparison."
            )
            self.fail(tree, f"{where} is {found.type.one}, and has to be a bool", hint)
        return found

    def _as_group(self, tree: Any, scope: Scope) -> Value | None:
        assert scope.groups is not None
        try:
            raw = self.value(tree, scope.of_rows())
        except UsqlError:
            return None
        return scope.groups.get(group_key(raw.sql))

    # Leaves -------------------------------------------------------------------------------------------------------

    def _string(self, tree: Any, scope: Scope) -> Value:
        return _literal(text_in(self.script, tree.children[0], str(tree.children[0])[1:-1]))

    def _verbatim(self, tree: Any, scope: Scope) -> Value:
        return _literal(str(tree.children[0])[2:-1].replace('""', '"'))

    def _character(self, tree: Any, scope: Scope) -> Value:
        held = text_in(self.script, tree.children[0], str(tree.children[0])[1:-1])
        if len(held) != 1:
            hint = 'Write texts in double quotes: "text".'
            self.fail(tree, "A character in single quotes has more than one character", hint)
        return Value(text(held), Type("char"), literal=held)

    def _integer(self, tree: Any, scope: Scope) -> Value:
        return number_of(self.script, tree.children[0])

    def _real(self, tree: Any, scope: Scope) -> Value:
        return number_of(self.script, tree.children[0])

    def _true(self, tree: Any, scope: Scope) -> Value:
        return Value("TRUE", _BOOL, literal=True)

    def _false(self, tree: Any, scope: Scope) -> Value:
        return Value("FALSE", _BOOL, literal=False)

    def _null(self, tree: Any, scope: Scope) -> Value:
        return Value("NULL", Type("null", True))

    def _variable(self, tree: Any, scope: Scope) -> Value:
        name = str(tree.children[0])
        if name not in self.variables:
            known = ", ".join(sorted(self.variables)) or "none"
            self.fail(tree, f"There is no variable {name}", f"Write DECLARE {name} … before.", variables=known)
        return self.variables[name]

    def _column_name(self, tree: Any, scope: Scope) -> Value:
        return self.column(tree, scope, self.name(tree.children[0]))

    # Operators ----------------------------------------------------------------------------------------------------

    def _or(self, tree: Any, scope: Scope) -> Value:
        left, right = self._both(tree, scope, "||")
        if left.risky or right.risky:
            return _made(f"CASE WHEN {left.sql} THEN TRUE ELSE {right.sql} END", _bool(left, right), left, right)
        return _made(f"({left.sql} OR {right.sql})", _bool(left, right), left, right)

    def _and(self, tree: Any, scope: Scope) -> Value:
        left, right = self._both(tree, scope, "&&")
        if left.risky or right.risky:
            return _made(f"CASE WHEN {left.sql} THEN {right.sql} ELSE FALSE END", _bool(left, right), left, right)
        return _made(f"({left.sql} AND {right.sql})", _bool(left, right), left, right)

    def _both(self, tree: Any, scope: Scope, operator: str) -> tuple[Value, Value]:
        sides = [self.condition(child, scope, f"A side of {operator}") for child in tree.children]
        return sides[0], sides[1]

    def _not(self, tree: Any, scope: Scope) -> Value:
        held = self.value(tree.children[0], scope)
        if held.type.name != "bool":
            self.fail(tree, f"`!` needs a bool, not {held.type.one}", "Compare it with something.")
        return _made(f"(NOT {held.sql})", held.type, held)

    def _conditional(self, tree: Any, scope: Scope) -> Value:
        condition = self.condition(tree.children[0], scope, "What stands before `?`")
        sides = self._alike(tree, [self.value(child, scope) for child in tree.children[1:]], "The two results of `?:`")
        sql = f"CASE WHEN {condition.sql} THEN {sides[0].sql} ELSE {sides[1].sql} END"
        return _made(sql, sides[0].type, condition, *sides)

    def _coalesce(self, tree: Any, scope: Scope) -> Value:
        left, right = (self.value(child, scope) for child in tree.children)
        if not left.type.nullable:
            self.fail(
                tree, f"`??` needs what may be null before it, not {left.type.one}", "Leave out `??` and what follows."
            )
        nullable = right.type.nullable
        left, right = self._alike(tree, [left, right], "The two sides of `??`")
        type = left.type if nullable else left.type.without_null()
        made = _made(f"COALESCE({left.sql}, {right.sql})", type, left, right)
        made.never_null = right.never_null
        return made

    def _alike(self, tree: Any, values: list[Value], what: str) -> list[Value]:
        type = common([value.type for value in values])
        if type is None or type.name == "null":
            kinds = " and ".join(str(value.type) for value in values)
            self.fail(tree, f"{what} are {kinds}", "Cast one of them, such as (double) x or (int?) null.")
        return [self.held_as(value, type) for value in values]

    def _compare(self, tree: Any, scope: Scope) -> Value:
        left, operator, right = tree.children
        return self._compared(tree, self.value(left, scope), str(operator), self.value(right, scope))

    def _less(self, tree: Any, scope: Scope) -> Value:
        return self._compared(tree, self.value(tree.children[0], scope), "<", self.value(tree.children[1], scope))

    def _greater(self, tree: Any, scope: Scope) -> Value:
        return self._compared(tree, self.value(tree.children[0], scope), ">", self.value(tree.children[1], scope))

    def _compared(self, tree: Any, left: Value, operator: str, right: Value) -> Value:
        if common([left.type, right.type]) is None and promoted(left.type, right.type) is None:
            self.fail(
                tree,
                f"`{operator}` can't compare {left.type.one} with {right.type.one}",
                "Cast or convert one of them.",
            )
        if "char" in (left.type.name, right.type.name) and left.type.name != right.type.name:
            left, right = self._number(tree, left, operator), self._number(tree, right, operator)
        if operator in ("==", "!="):
            if left.never_null and right.never_null:
                return _made(f"({left.sql} {'=' if operator == '==' else '<>'} {right.sql})", _BOOL, left, right)
            words = "IS NOT DISTINCT FROM" if operator == "==" else "IS DISTINCT FROM"
            return _made(f"({left.sql} {words} {right.sql})", _BOOL, left, right)
        if left.type.name in ("string", "bool", "array", "Guid"):
            hint = f"Write string.Compare(a, b) {operator} 0." if left.type.name == "string" else "Compare with `==`."
            self.fail(tree, f"`{operator}` can't compare {left.type.one}", hint)
        sql = f"({left.sql} {operator} {right.sql})"
        if not (left.never_null and right.never_null):
            sql = f"COALESCE({sql}, FALSE)"
        return _made(sql, _BOOL, left, right)

    def _in(self, tree: Any, scope: Scope) -> Value:
        left, negated, *others = tree.children
        held = self.value(left, scope)
        tests = [self._compared(tree, held, "==", self.value(other, scope)) for other in others]
        sql = "(" + " OR ".join(test.sql for test in tests) + ")"
        if (
            all(re.fullmatch(r"\(.* (=|IS NOT DISTINCT FROM) ('[^']*'|-?\d+)\)", test.sql) for test in tests)
            and len(tests) > 1
        ):
            sql = f"COALESCE({held.sql} IN ({', '.join(self.value(other, scope).sql for other in others)}), FALSE)"
        return _made(f"(NOT {sql})" if negated else sql, _BOOL, *tests)

    def _between(self, tree: Any, scope: Scope) -> Value:
        left, negated, low, high = tree.children
        held = self.value(left, scope)
        if held.type.name == "string":
            ends = [self.value(end, scope) for end in (low, high)]
            sql = f"COALESCE({held.sql} BETWEEN {ends[0].sql} AND {ends[1].sql}, FALSE)"
            return _made(f"(NOT {sql})" if negated else sql, _BOOL, held, *ends)
        first = self._compared(tree, held, ">=", self.value(low, scope))
        last = self._compared(tree, held, "<=", self.value(high, scope))
        sql = f"({first.sql} AND {last.sql})"
        return _made(f"(NOT {sql})" if negated else sql, _BOOL, first, last)

    def _like(self, tree: Any, scope: Scope) -> Value:
        left, negated, pattern = tree.children
        held, form = self.value(left, scope), self.value(pattern, scope)
        if held.type.name != "string" or form.type.name != "string":
            self.fail(tree, f"LIKE compares texts, not {held.type.one} with {form.type.one}", "Call .ToString() of it.")
        sql = f"COALESCE({held.sql} LIKE {form.sql}, FALSE)"
        return _made(f"(NOT {sql})" if negated else sql, _BOOL, held, form)

    def _is_null(self, tree: Any, scope: Scope) -> Value:
        held = self.value(tree.children[0], scope)
        return _made(f"({held.sql} IS {'NOT ' if tree.children[1] else ''}NULL)", _BOOL, held)

    def _times(self, tree: Any, scope: Scope) -> Value:
        return self._computed(tree, "*", *(self.value(child, scope) for child in tree.children))

    def _bits(self, tree: Any, scope: Scope) -> Value:
        left, right = (self.value(child, scope) for child in tree.children)
        if left.type.name == right.type.name == "RegexOptions":
            letters = left.literal + right.literal
            return Value(text(letters), left.type, letters, never_null=True)
        return self._computed(tree, "|", left, right)

    def _binary(self, tree: Any, scope: Scope) -> Value:
        left, operator, right = tree.children
        return self._computed(tree, str(operator), self.value(left, scope), self.value(right, scope))

    def _computed(self, tree: Any, operator: str, left: Value, right: Value) -> Value:
        names = (left.type.name, right.type.name)
        if operator == "+" and "string" in names:
            sides = [_joined(value) for value in (left, right)]
            literal = (
                left.literal + right.literal
                if isinstance(left.literal, str) and isinstance(right.literal, str)
                else None
            )
            made = _made(f"({sides[0]} || {sides[1]})", Type("string"), left, right)
            made.never_null, made.literal = True, literal
            return made
        if "DateTime" in names or "TimeSpan" in names:
            return self._dated(tree, operator, left, right)
        if operator in ("&", "|", "^") and names == ("bool", "bool"):
            word = {"&": "AND", "|": "OR", "^": "IS DISTINCT FROM"}[operator]
            return _made(f"({left.sql} {word} {right.sql})", _bool(left, right), left, right)
        type = promoted(left.type, right.type)
        if type is None or (operator in ("&", "|", "^", "<<", ">>") and type.name not in WHOLE):
            self.fail(
                tree, f"`{operator}` can't take {left.type.one} and {right.type.one}", "Cast or convert one of them."
            )
        if operator in ("<<", ">>"):
            type = promoted(left.type, left.type) or type
            a = self.held_as(self._number(tree, left, operator), type).sql
            return _made(moved_bits(a, self._number(tree, right, operator).sql, operator, type), type, left, right)
        a, b = (self.held_as(self._number(tree, value, operator), type).sql for value in (left, right))
        if operator == "^":
            sql = f"xor({a}, {b})"
        elif operator in ("/", "%") and type.name in (*WHOLE, "decimal"):
            return self._divided(tree, operator, type, (a, b), left, right)
        elif operator == "*" and type.name == "decimal":
            sql = f"usql_product_of({a}, {b})"
        else:
            sql = f"({a} {operator} {b})"
        if type.name == "decimal":
            sql = f"CAST({sql} AS {type.held})"
        return _made(sql, type, left, right)

    def _divided(
        self, tree: Any, operator: str, type: Type, sides: tuple[str, str], left: Value, right: Value
    ) -> Value:
        a, b = sides
        if not right.literal:
            b = f"usql_divisor({b}, {a}, {self.place(tree, 'Division by zero')})"
        sql = f"({a} {'//' if operator == '/' else '%'} {b})"
        if type.name == "decimal":
            sql = f"usql_quotient({a}, {b})" if operator == "/" else f"CAST({sql} AS {type.held})"
        return _made(sql, type, left, right, risky=not right.literal)

    def _dated(self, tree: Any, operator: str, left: Value, right: Value) -> Value:
        null = left.type.nullable or right.type.nullable
        names = (left.type.name, operator, right.type.name)
        if names == ("DateTime", "-", "DateTime"):
            return _made(f"(epoch_us({left.sql}) - epoch_us({right.sql}))", Type("TimeSpan", null), left, right)
        if names in (("DateTime", "+", "TimeSpan"), ("DateTime", "-", "TimeSpan")):
            sql = f"({left.sql} {operator} to_microseconds({right.sql}))"
            wrong = self.place(tree, "A date before the year 1 or after 9999")
            return _made(f"usql_in_years({sql}, {wrong})", Type("DateTime", null), left, right, risky=True)
        if names in (("TimeSpan", "+", "TimeSpan"), ("TimeSpan", "-", "TimeSpan")):
            return _made(f"({left.sql} {operator} {right.sql})", Type("TimeSpan", null), left, right)
        self.fail(
            tree,
            f"`{operator}` can't take {left.type.one} and {right.type.one}",
            "Use AddDays, AddHours … of the DateTime.",
        )

    def _number(self, tree: Any, value: Value, operator: str) -> Value:
        if value.type.name == "char":
            return _made(f"unicode({value.sql})", Type("int", value.type.nullable), value)
        if value.type.name not in (*NUMBERS, "null"):
            self.fail(tree, f"`{operator}` needs numbers, not {value.type.one}", "Cast or convert it.")
        return value

    def _sign(self, tree: Any, scope: Scope) -> Value:
        sign, operand = tree.children
        if sign == "-" and operand.data in ("integer", "real"):
            return number_of(self.script, operand.children[0], "-")
        held = self._number(tree, self.value(operand, scope), str(sign))
        type = promoted(held.type, held.type) or held.type
        return _made(f"({sign}{self.held_as(held, type).sql})", type, held)

    def _complement(self, tree: Any, scope: Scope) -> Value:
        held = self.value(tree.children[0], scope)
        type = promoted(held.type, held.type)
        if type is None or type.name not in WHOLE:
            self.fail(tree, f"`~` needs a whole number, not {held.type.one}", "Cast it to int.")
        return _made(f"(~{self.held_as(held, type).sql})", type, held)

    def _case(self, tree: Any, scope: Scope) -> Value:
        subject, *rest = tree.children
        branches = [child for child in rest if child is not None and child.data == "when"]
        otherwise = next((child for child in rest if child is not None and child.data != "when"), None)
        results = [self.value(branch.children[1], scope) for branch in branches]
        results.append(self.value(otherwise, scope) if otherwise is not None else Value("NULL", Type("null", True)))
        results = self._alike(tree, results, "The results of CASE")
        held = None if subject is None else self.value(subject, scope)
        tests = []
        for branch in branches:
            test = branch.children[0]
            given = (
                self.value(test, scope) if held is not None else self.condition(test, scope, "What stands after WHEN")
            )
            tests.append(given if held is None else self._compared(test, held, "==", given))
        lines = " ".join(f"WHEN {test.sql} THEN {result.sql}" for test, result in zip(tests, results))
        return _made(f"CASE {lines} ELSE {results[-1].sql} END", results[0].type, *tests, *results)

    def _cast(self, tree: Any, scope: Scope) -> Value:
        wanted = self.type(tree.children[0])
        held = self.value(tree.children[1], scope)
        if fits(held.type, wanted) or held.type.name == wanted.name:
            made = self.held_as(held, wanted)
            if held.type.nullable and not wanted.nullable and not held.never_null:
                place = self.place(tree, f"The cast to {wanted} of null")
                made = _made(f"usql_some({made.sql}, {place})", wanted, held, risky=True)
            return made
        names = {held.type.name, wanted.name}
        if not names <= {*NUMBERS, "char", "DayOfWeek"}:
            hint = f"Write {wanted}.Parse(…)." if held.type.name == "string" else "Use Convert, or .ToString()."
            self.fail(tree, f"{held.type.first} can't be cast to {wanted}", hint)
        return self._to_number(tree, held, wanted)

    def _to_number(self, tree: Any, held: Value, wanted: Type) -> Value:
        sql = f"unicode({held.sql})" if held.type.name == "char" else held.sql
        if held.type.name in ("float", "double") and wanted.name in WHOLE:
            sql = f"usql_whole({sql}, {self.place(tree, 'The cast to a whole number')})"
        elif held.type.name == "decimal" and wanted.name in WHOLE:
            sql = f"trunc({sql})"
        if wanted.name == "char":
            return _made(f"chr(CAST({sql} AS INTEGER))", wanted, held, risky=True)
        if held.type.nullable and not wanted.nullable and not held.never_null:
            sql = f"usql_some({sql}, {self.place(tree, f'The cast to {wanted} of null')})"
        place = self.place(tree, f"The cast to {wanted} of a number that is too large")
        beyond = "sign(it) * CAST('inf' AS FLOAT)" if wanted.name == "float" else f"error({place})"
        known = f"CASE WHEN it IS NOT NULL THEN COALESCE(TRY_CAST(it AS {wanted.held}), {beyond}) END"
        return _made(f"list_transform([{sql}], lambda it: {known})[1]", wanted, held, risky=True)

    def _index(self, tree: Any, scope: Scope) -> Value:
        held, at = self.value(tree.children[0], scope), self.value(tree.children[1], scope)
        if held.type.name == "GroupCollection":
            return self._group_of(tree.children[1], held, at)
        if at.type.name != "int":
            self.fail(tree.children[1], f"A place in brackets is an int, not {at.type.one}", "Cast it: (int) x.")
        place = self.place(tree, "A place in brackets that is not there, or of a text or array that is null,")
        target = held.sql if held.never_null else f"usql_some({held.sql}, {place})"
        if held.type.item is not None:
            return _made(f"usql_item({target}, {at.sql}, {place})", held.type.item, held, at, risky=True)
        if held.type.name != "string":
            self.fail(tree, f"{held.type.first} has no places", "Write brackets after a text or an array.")
        return _made(f"usql_part({target}, {at.sql}, 1, {place})", Type("char"), held, at, risky=True)

    def _day(self, name: str) -> Value | None:
        return Value(str(DAYS.index(name)), Type("DayOfWeek"), literal=DAYS.index(name)) if name in DAYS else None


def _literal(held: str) -> Value:
    return Value(text(held), Type("string"), literal=held, never_null=True)


def _joined(value: Value) -> str:
    held = text_of(value.sql, value.type) if value.type.name != "null" else "NULL"
    return held if value.never_null else f"COALESCE({held}, '')"


def _bool(*values: Value) -> Type:
    return Type("bool", any(value.type.nullable for value in values))


def _made(sql: str, type: Type, *parts: Value, risky: bool = False) -> Value:
    return Value(
        sql, type, risky=risky or any(part.risky for part in parts), aggregate=any(part.aggregate for part in parts)
    )
