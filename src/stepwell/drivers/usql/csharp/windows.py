"""Aggregates of groups, and functions over windows."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from stepwell.drivers.usql.csharp.calls import Calls
from stepwell.drivers.usql.csharp.columns import NUMBERS, WHOLE, Type, Value, common
from stepwell.drivers.usql.csharp.scope import Scope
from stepwell.drivers.usql.grammar.words import OF_SQL


def _sum(type: Type) -> Type | None:
    if type.name == "ulong" or type.name in ("float", "double"):
        return Type("double", True)
    if type.name in WHOLE:
        return Type("long", True)
    return Type("decimal", True) if type.name == "decimal" else None


def _average(type: Type) -> Type | None:
    if type.name == "decimal":
        return Type("decimal", True)
    return Type("double", True) if type.name in NUMBERS else None


def _spread(type: Type) -> Type | None:
    return Type("double", True) if type.name in NUMBERS else None


def _same(type: Type) -> Type | None:
    return None if type.name in ("array", "null") else type.or_null()


AGGREGATES: dict[str, tuple[str, Callable[[Type], Type | None]]] = {
    "COUNT": ("count", lambda _: Type("long", True)),
    "SUM": ("sum", _sum),
    "AVG": ("avg", _average),
    "MIN": ("min", _same),
    "MAX": ("max", _same),
    "STDEV": ("stddev_samp", _spread),
    "STDEVP": ("stddev_pop", _spread),
    "VAR": ("var_samp", _spread),
    "VARP": ("var_pop", _spread),
    "ANY_VALUE": ("any_value", _same),
    "FIRST": ("first", _same),
    "LAST": ("last", _same),
    "ARRAY_AGG": ("list", lambda held: Type("array", item=held)),
    "PERCENTILE_CONT": ("quantile_cont", _spread),
    "PERCENTILE_DISC": ("quantile_disc", _spread),
}

RANKS = {
    "ROW_NUMBER": ("row_number", "long"),
    "RANK": ("rank", "long"),
    "DENSE_RANK": ("dense_rank", "long"),
    "NTILE": ("ntile", "long"),
    "PERCENT_RANK": ("percent_rank", "double"),
    "CUME_DIST": ("cume_dist", "double"),
}

SHIFTS = {"LEAD": "lead", "LAG": "lag", "FIRST_VALUE": "first_value", "LAST_VALUE": "last_value"}


class Windows(Calls):
    """Functions without a class: aggregates, ranks, and what looks at other rows."""

    def _function(self, tree: Any, name: str, given: list[Any], within: Any, over: Any, scope: Scope) -> Value:
        if name in RANKS or name in SHIFTS or over is not None:
            if not scope.windows:
                self.fail(tree, f"{name} … OVER stands where it can't", "Write it in the SELECT list.")
        elif name in AGGREGATES and not scope.aggregates:
            self.fail(tree, f"The aggregate {name} stands where it can't", "Write it in the SELECT list, or in HAVING.")
        inner = scope if over is not None and scope.groups is not None else scope.of_rows()
        if name in AGGREGATES:
            made = self._aggregate(tree, name, given, within, inner)
        elif name in RANKS:
            if over is None:
                self.fail(tree, f"{name} needs OVER", f"Write {name}() OVER (ORDER BY …).")
            values = [self.value(argument, inner) for argument in given]
            made = Value(f"{RANKS[name][0]}({', '.join(value.sql for value in values)})", Type(RANKS[name][1]))
        elif name in SHIFTS:
            made = self._shifted(tree, name, given, inner)
        else:
            near = difflib.get_close_matches(name.upper(), [*AGGREGATES, *RANKS, *SHIFTS], 1, 0.75)
            hint = f"Write {near[0]}." if near else "Write a method of C#, such as Math.Abs(x)."
            hint = OF_SQL.get(name.upper(), hint)
            self.fail(tree, f"There is no function {name}", hint)
        if over is not None:
            made.sql = self._wrapped(
                made, f"{made.sql} OVER ({self._window(over, inner, name in AGGREGATES or name.endswith('_VALUE'))})"
            )
            made.sql, made.aggregate = made.sql, scope.groups is not None
        else:
            made.sql = self._wrapped(made, made.sql)
        return made

    @staticmethod
    def _wrapped(made: Value, sql: str) -> str:
        return f"CAST({sql} AS {made.type.held})" if made.type.name != "array" else sql

    def _aggregate(self, tree: Any, name: str, given: list[Any], within: Any, scope: Scope) -> Value:
        distinct, argument = "", given[0] if given else None
        if argument is not None and argument.data == "distinct":
            distinct, argument = "DISTINCT ", argument.children[-1]
        if name == "COUNT" and (argument is None or argument.data == "every_row"):
            return Value("count(*)", Type("long", True), aggregate=True, never_null=True)
        if argument is None or argument.data == "every_row":
            self.fail(tree, f"{name} needs a column or an expression", f"Write {name}(x).")
        held = self.value(argument, scope)
        word, result = AGGREGATES[name]
        type = result(held.type)
        if type is None:
            self.fail(
                tree,
                f"{name} can't take {held.type.one}",
                "Pass a number." if held.type.name != "null" else "Pass a column.",
            )
        if within is not None or name.startswith("PERCENTILE"):
            if within is None:
                self.fail(tree, f"{name} needs WITHIN GROUP", f"Write {name}(0.5) WITHIN GROUP (ORDER BY x).")
            order = within.children[0].children[0]
            sorted_by = self.value(order.children[0], scope)
            part = f"1 - {held.sql}" if order.children[1] == "DESC" else held.sql
            made = f"{word}({sorted_by.sql}, {part})"
            return Value(
                made, Type("double", True) if name.endswith("CONT") else sorted_by.type.or_null(), aggregate=True
            )
        sql = f"{word}({distinct}{held.sql})"
        return Value(sql, type, None, held.risky, name in ("COUNT", "ARRAY_AGG"), True)

    def _shifted(self, tree: Any, name: str, given: list[Any], scope: Scope) -> Value:
        values = [self.value(argument, scope) for argument in given]
        if not values:
            self.fail(tree, f"{name} needs a column", f"Write {name}(x) OVER (ORDER BY …).")
        default = values[2] if len(values) > 2 else None
        type = common([values[0].type, default.type]) if default is not None else values[0].type
        type = (type or values[0].type) if default is not None else values[0].type.or_null()
        return Value(f"{SHIFTS[name]}({', '.join(value.sql for value in values)})", type)

    def _window(self, over: Any, scope: Scope, framed: bool) -> str:
        partition, order, frame = over.children
        parts = []
        if partition is not None:
            parts.append("PARTITION BY " + ", ".join(self.value(child, scope).sql for child in partition.children))
        if order is not None:
            parts.append("ORDER BY " + self.sorted_by(order, scope))
        if frame is not None:
            kind, *edges = frame.children
            ends = [" ".join(str(part) for part in edge.children) for edge in edges]
            word = kind.data.upper()
            parts.append(f"{word} BETWEEN {ends[0]} AND {ends[1]}" if len(ends) > 1 else f"{word} {ends[0]}")
        elif order is not None and framed:
            parts.append("ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW")  # U-SQL's own default
        return " ".join(parts)

    def sorted_by(self, order: Any, scope: Scope) -> str:
        """Return the items of an ORDER BY; null comes before everything, as C# compares."""
        items = []
        for item in order.children:
            held = self.value(item.children[0], scope)
            falling = item.children[1] == "DESC"
            items.append(f"{held.sql} {'DESC NULLS LAST' if falling else 'ASC NULLS FIRST'}")
        return ", ".join(items)
