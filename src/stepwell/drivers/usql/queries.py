"""Queries, translated: SELECT, joins, sets of rows, and constant rows."""

from __future__ import annotations

import re
from typing import Any

from stepwell.drivers.usql.csharp.calls import CHOICES
from stepwell.drivers.usql.csharp.columns import Rowset, Type, Value, common, named
from stepwell.drivers.usql.csharp.expressions import Expressions
from stepwell.drivers.usql.csharp.scope import NOTHING, Scope, Source, group_key, source_names
from stepwell.drivers.usql.csharp.windows import AGGREGATES

_CATALOG = "Write the rows to a file with OUTPUT, and read them with EXTRACT; there is no catalog here."


class Queries(Expressions):
    """Translates queries to rowsets; what is read from files is in `Extracting`."""

    rowsets: dict[str, Rowset]

    def kept_files(self, rows: Rowset, name: str, tree: Any) -> str:
        """Return the SQL of a rowset without the files that a condition on their paths leaves out."""
        raise NotImplementedError

    def query(self, tree: Any) -> Rowset:
        """Return a query, translated, with its order and the rows that it keeps."""
        body, order, offset, fetch = tree.children
        limits = self.limits(offset, fetch)
        if order is None and not limits:
            return self._body(body)
        if order is not None and fetch is None and offset is None:
            self.fail(
                order, "ORDER BY in a query needs FETCH: rowsets have no order", "Add FETCH n ROWS, or sort in OUTPUT."
            )
        if body.data == "select":
            return self._select(body, order, limits)
        rows = self._body(body)
        return Rowset(self.sorted_rows(rows, order, limits), rows.columns)

    def sorted_rows(self, rows: Rowset, order: Any, limits: str) -> str:
        """Return the SQL of a rowset in an order, cut off."""
        scope = Scope([Source("", '"rows"', rows.columns)])
        by = f" ORDER BY {self.sorted_by(order, scope)}" if order is not None else ""
        return f'SELECT * FROM ({rows.sql}) AS "rows"{by}{limits}'

    def limits(self, offset: Any, fetch: Any) -> str:
        """Return LIMIT and OFFSET as DuckDB has them."""
        found = ""
        for word, tree in (("LIMIT", fetch), ("OFFSET", offset)):
            if tree is not None:
                held = self.value(tree.children[0], NOTHING)
                if held.type.name not in ("int", "long"):
                    self.fail(tree, f"The number of rows is {held.type.one}", "Write a whole number.")
                found += f" {word} {held.sql}"
        return found

    def _body(self, tree: Any) -> Rowset:
        if tree.data == "query":
            return self.query(tree)
        found: Rowset = getattr(self, "_" + tree.data)(tree)
        return found

    def _rowset(self, tree: Any) -> Rowset:
        rows = self.rowset(tree, str(tree.children[0]))
        return Rowset(f"SELECT * FROM {rows.sql}", rows.columns)

    def rowset(self, tree: Any, name: str) -> Rowset:
        """Return the rowset of a variable: the name of its view, and its columns."""
        if name not in self.rowsets:
            known = ", ".join(self.rowsets) or "none"
            what = "is a value, not a rowset" if name in self.variables else "is not assigned before"
            self.fail(tree, f"The rowset {name} {what}", f"Write {name} = SELECT …; before.", rowsets=known)
        return self.rowsets[name]

    # SELECT -------------------------------------------------------------------------------------------------------

    def _select(self, tree: Any, order: Any = None, limits: str = "") -> Rowset:
        distinct, *parts = tree.children
        items = [part for part in parts if part is not None and part.data in ("item", "star", "star_of")]
        clauses: dict[str, Any] = {part.data: part for part in parts if part is not None and part.data in _CLAUSES}
        joined = next(part for part in parts if part is not None and part not in items and part.data not in _CLAUSES)
        source, sources = self._joined(joined)
        if "where" in clauses and joined.data == "rowset_source":
            rows = self.rowset(joined, str(joined.children[0]))
            source = f"{self.kept_files(rows, sources[0].name, clauses['where'].children[0])} AS {sources[0].sql}"
        sql = ""
        if "where" in clauses:
            sql += f" WHERE {self.condition(clauses['where'].children[0], Scope(sources), 'WHERE').sql}"
        grouped = "group_by" in clauses or any(map(_aggregates, items))
        groups: dict[str, Value] | None = None
        if grouped:
            groups, aliases = self._groups(clauses.get("group_by"), sources)
            plain = [group.sql for group in groups.values() if group.literal is None]
            sql += f" GROUP BY {', '.join(plain)}" if plain else ""
        else:
            aliases = {}
        scope = Scope(sources, groups, aggregates=grouped, windows=True, aliases=aliases)
        chosen = self._items(items, scope)
        made = Rowset("", named([(name, value.type) for name, value in chosen]))
        scope.aliases = {**aliases, **dict(chosen)}
        if "having" in clauses:
            sql += f" HAVING {self.condition(clauses['having'].children[0], scope, 'HAVING').sql}"
        if order is not None:
            scope.aliases_first = True
            sql += f" ORDER BY {self.sorted_by(order, scope)}"
        columns = ", ".join(f"{value.sql} AS {column.sql}" for (_, value), column in zip(chosen, made.columns))
        made.sql = f"SELECT {'DISTINCT ' if distinct else ''}{columns} FROM {source}{sql}{limits}"
        return made

    def _groups(self, tree: Any, sources: list[Source]) -> tuple[dict[str, Value], dict[str, Value]]:
        groups: dict[str, Value] = {}
        aliases: dict[str, Value] = {}
        for item in tree.children if tree is not None else ():
            held = self.value(item.children[0], Scope(sources))
            groups[group_key(held.sql)] = held
            if item.children[1] is not None:
                aliases[self.name(item.children[1])] = held
        return groups, aliases

    def _items(self, items: list[Any], scope: Scope) -> list[tuple[str, Value]]:
        chosen: list[tuple[str, Value]] = []
        for item in items:
            found = self._star(item, scope) if item.data != "item" else [self._item(item, scope)]
            for name, value in found:
                if any(name == other for other, _ in chosen):
                    self.fail(item, f"Two columns of the SELECT are called {name!r}", "Write … AS another_name.")
                chosen.append((name, value))
        return chosen

    def _item(self, item: Any, scope: Scope) -> tuple[str, Value]:
        tree, alias = item.children
        value = self.value(tree, scope)
        if value.type.name == "null":
            self.fail(tree, "null alone has no type", "Write one, such as (int?) null or (string) null.")
        if value.type.name in NO_COLUMNS:
            hint = "Write .Value of it." if value.type.name in ("Match", "Group") else "Use it as an argument."
            self.fail(tree, f"{value.type} is no type of a column", hint)
        if alias is not None:
            return self.name(alias), value
        if tree.data == "column_name":
            return self.name(tree.children[0]), value
        if tree.data in ("member", "static_member"):
            return self.name(tree.children[1]), value
        self.fail(tree, "The column has no name", "Write … AS name.")

    def _star(self, item: Any, scope: Scope) -> list[tuple[str, Value]]:
        if scope.groups is not None:
            self.fail(item, "`*` can't stand beside aggregates", "Write the columns of GROUP BY.")
        wanted = ""
        if item.data == "star_of":
            left = item.children[0]
            wanted = str(left.children[0]) if left.data == "variable" else ""
            wanted = self.name(left.children[0]) if left.data == "column_name" else wanted
        if item.data != "star" and not scope.has_source(wanted):
            known = ", ".join(rows.name for rows in scope.sources)
            self.fail(
                item,
                f"There is no rowset {wanted or 'of that kind'} in FROM",
                "Write the name after AS.",
                rowsets=known,
            )
        return [
            (column.name, Value(f"{rows.sql}.{column.sql}", column.type))
            for rows in scope.sources
            if item.data == "star" or rows.name == wanted
            for column in rows.columns
        ]

    # FROM ---------------------------------------------------------------------------------------------------------

    def _joined(self, tree: Any) -> tuple[str, list[Source]]:
        if tree.data == "join":
            return self._join_of(tree)
        if tree.data == "cross_join":
            left, sources = self._joined(tree.children[0])
            right = self._source(tree.children[2], sources)
            return f"{left} CROSS JOIN {right[0]}", [*sources, right[1]]
        if tree.data == "apply":
            return self._apply(tree)
        sql, source = self._source(tree, [])
        return sql, [source]

    def _join_of(self, tree: Any) -> tuple[str, list[Source]]:
        left, words, right_tree, condition = tree.children
        sql, sources = self._joined(left)
        right, source = self._source(right_tree, sources)
        on = self.condition(condition, Scope([*sources, source]), "ON").sql
        words = re.sub(r"\b(PAIR|HASH|BROADCAST\w*|MERGE|LOOP)\b", "", str(words)).split()
        side = words[0] if words[0] in ("LEFT", "RIGHT", "FULL") else ("LEFT" if words[0] == "OUTER" else "INNER")
        if words[-1] in ("SEMIJOIN", "ANTISEMIJOIN"):
            kind = "SEMI" if words[-1] == "SEMIJOIN" else "ANTI"
            if side == "RIGHT":
                left_sql = f"({sql})" if len(sources) > 1 else sql
                return f"{right} {kind} JOIN {left_sql} ON {on}", [source]
            return f"{sql} {kind} JOIN {right} ON {on}", sources
        if side in ("RIGHT", "FULL"):
            sources = [rows.with_null() for rows in sources]
        if side in ("LEFT", "FULL"):
            source = source.with_null()
        return f"{sql} {side} JOIN {right} ON {on}", [*sources, source]

    def _apply(self, tree: Any) -> tuple[str, list[Source]]:
        left, words, explode = tree.children
        sql, sources = self._joined(left)
        items, name, *columns = explode.children
        held = self.value(items, Scope(sources))
        if held.type.item is None:
            self.fail(items, f"EXPLODE takes an array, not {held.type.one}", "Write EXPLODE(text.Split(';')).")
        columns = [column for column in columns if column is not None]
        if len(columns) > 1:
            self.fail(explode, "EXPLODE of an array makes one column", "Write one name in the brackets.")
        own = self.name(name)
        outer = str(words).split()[0] == "OUTER"
        type = held.type.item.or_null() if outer else held.type.item
        column = named([(self.name(columns[0]) if columns else own, type)])[0]
        source = Source(own, source_names(own, sources), [column])
        rows = f"UNNEST({held.sql}) AS {source.sql}({column.sql})"
        return f"{sql} LEFT JOIN {rows} ON TRUE" if outer else f"{sql} CROSS JOIN {rows}", [*sources, source]

    def _source(self, tree: Any, taken: list[Source]) -> tuple[str, Source]:
        if tree.data == "catalog_source":
            names = [self.name(part) for part in tree.children if part is not None]
            hint = f"Write @{names[0]}, if that is meant." if "@" + names[0] in self.rowsets else _CATALOG
            self.fail(tree, f"{names[0]} is a table or function of the catalog, or no rowset", hint)
        if tree.data == "rowset_source":
            variable, alias = tree.children
            rows = self.rowset(tree, str(variable))
            name, sql, columns = str(variable) if alias is None else self.name(alias), rows.sql, rows.columns
        else:
            query, alias, names = tree.children
            rows = self.query(query)
            if alias is None and query.children[0].data == "values":
                self.fail(tree, "The rows of VALUES have no name", "Write (VALUES …) AS t(a, b).")
            name, sql, columns = self.name(alias) if alias is not None else "", f"({rows.sql})", rows.columns
            columns = self._renamed(tree, columns, names)
        if any(name == other.name for other in taken):
            self.fail(tree, f"Two rowsets of FROM are called {name}", "Write … AS another_name.")
        own = source_names(name or "rows", taken)
        names_of = f"({', '.join(column.sql for column in columns)})" if tree.data == "query_source" else ""
        return f"{sql} AS {own}{names_of}", Source(name, own, columns)

    def _renamed(self, tree: Any, columns: list[Any], names: Any) -> list[Any]:
        if names is None:
            return columns
        if len(names.children) != len(columns):
            what = f"The rows have {len(columns)} columns, and {len(names.children)} names"
            self.fail(names, what, "Write a name for each column.")
        return named([(self.name(name), column.type) for name, column in zip(names.children, columns)])

    def _values(self, tree: Any) -> Rowset:
        rows = [[self.value(cell, NOTHING) for cell in row.children] for row in tree.children]
        for row, cells in zip(tree.children, rows):
            if len(cells) != len(rows[0]):
                what = f"The row has {len(cells)} values, and the first one {len(rows[0])}"
                self.fail(row, what, "Write as many values in each row.")
        types: list[Type] = []
        for number, column in enumerate(zip(*rows)):
            type = common([cell.type for cell in column])
            if type is None or type.name == "null":
                what = f"The values of column {number + 1} have no type in common"
                self.fail(tree.children[0].children[number], what, "Cast them, such as (int?) null.")
            types.append(type)
        sql = ", ".join(
            "(" + ", ".join(f"CAST({cell.sql} AS {type.held})" for cell, type in zip(cells, types)) + ")"
            for cells in rows
        )
        columns = named([(f"Column_{number}", type) for number, type in enumerate(types)])
        return Rowset(f"SELECT * FROM (VALUES {sql}) AS v({', '.join(column.sql for column in columns)})", columns)

    # Sets ---------------------------------------------------------------------------------------------------------

    def _set_query(self, tree: Any) -> Rowset:
        left_tree, operator, option, by_name, right_tree = tree.children
        left, right = self._body(left_tree), self._body(right_tree)
        words = str(operator).split()
        if by_name is not None or words[0] == "OUTER":
            left, right = self._by_name(
                tree, left, right, str(by_name.children[0]) if by_name else "", words[0] == "OUTER"
            )
        if len(left.columns) != len(right.columns):
            what = f"The rowsets of {words[-1]} have {len(left.columns)} and {len(right.columns)} columns"
            self.fail(tree, what, "Select as many columns from both.")
        types = []
        for one, other in zip(left.columns, right.columns):
            type = common([one.type, other.type])
            if type is None or (one.type.name != other.type.name):
                what = f"The columns {one.name!r} and {other.name!r} of {words[-1]} are {one.type} and {other.type}"
                self.fail(tree, what, f"Cast one of them: ({one.type}) {other.name} AS {other.name}.")
            types.append(type)
        columns = named([(column.name, type) for column, type in zip(left.columns, types)])
        names = ", ".join(column.sql for column in columns)
        both = (
            f"(SELECT * FROM ({left.sql})) {words[-1]} {'ALL ' if option == 'ALL' else ''}(SELECT * FROM ({right.sql}))"
        )
        return Rowset(f'SELECT * FROM ({both}) AS "rows"({names})', columns)

    def _by_name(self, tree: Any, left: Rowset, right: Rowset, words: str, outer: bool) -> tuple[Rowset, Rowset]:
        names = [column.name for column in left.columns]
        others = [column.name for column in right.columns]
        listed = re.search(r"\(([^)]*)\)", words)
        only = [name.strip().strip("[]") for name in listed[1].split(",")] if listed else ["*"]
        if outer:
            names += [name for name in others if name not in names]
        elif "*" not in only:
            names = only
        types = {column.name: column.type for column in [*right.columns, *left.columns]}
        made = []
        for rows in (left, right):
            known = {column.name: column for column in rows.columns}
            missing = [name for name in names if name not in known]
            if missing and not outer:
                self.fail(
                    tree, f"One rowset has no column {missing[0]!r}", "Write OUTER UNION BY NAME, or add the column."
                )
            columns = named(
                [(name, types[name].or_null() if outer and name not in known else types[name]) for name in names]
            )
            sql = ", ".join(
                f"{known[column.name].sql if column.name in known else f'CAST(NULL AS {column.type.held})'} AS {column.sql}"
                for column in columns
            )
            made.append(Rowset(f"SELECT {sql} FROM ({rows.sql})", columns))
        return made[0], made[1]


NO_COLUMNS = {*CHOICES, "Match", "Group", "GroupCollection"}
_CLAUSES = ("where", "group_by", "having")


def _aggregates(tree: Any) -> bool:
    """Return whether a part of a SELECT list has an aggregate of its rows, not one over a window."""
    parts = [tree]
    while parts:
        part = parts.pop()
        plain = part.data == "call" and part.children[0].data == "column_name" and part.children[3] is None
        if plain and str(part.children[0].children[0].children[0]) in AGGREGATES:
            return True
        parts += [child for child in part.children if hasattr(child, "data")]
    return False
