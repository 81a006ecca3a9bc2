"""What the names in an expression mean: the rowsets of FROM, and the groups of GROUP BY."""

from __future__ import annotations

import re

from stepwell.drivers.usql.csharp.columns import Column, Value, quoted


class Source:
    """A rowset of FROM: its name in the script, how DuckDB calls it, and its columns."""

    def __init__(self, name: str, sql: str, columns: list[Column]) -> None:
        self.name, self.sql, self.columns = name, sql, columns

    def with_null(self) -> Source:
        """Return the same rowset as the side of an outer join that may lack rows."""
        columns = [Column(column.name, column.sql, column.type.or_null()) for column in self.columns]
        return Source(self.name, self.sql, columns)


class Scope:
    """What an expression may name.

    Attributes:
        sources: The rowsets of FROM, in their order.
        groups: For the key of each expression of GROUP BY, its value; None where rows are not grouped.
        aggregates: Whether aggregates may stand there.
        windows: Whether functions with OVER may stand there.
        aliases: What names of the SELECT list mean, where they may be used.
        aliases_first: Whether they win over columns of the same name, as in ORDER BY.
    """

    def __init__(
        self,
        sources: list[Source],
        groups: dict[str, Value] | None = None,
        aggregates: bool = False,
        windows: bool = False,
        aliases: dict[str, Value] | None = None,
        aliases_first: bool = False,
    ) -> None:
        self.sources, self.groups = sources, groups
        self.aggregates, self.windows = aggregates, windows
        self.aliases, self.aliases_first = aliases or {}, aliases_first

    def of_rows(self) -> Scope:
        """Return what may be named of the rows themselves: inside an aggregate, for one."""
        return Scope(self.sources)

    def found(self, name: str, source: str = "") -> list[Value]:
        """Return each column of that name, of all rowsets or of one."""
        return [
            Value(f"{rows.sql}.{column.sql}", column.type)
            for rows in self.sources
            if not source or rows.name == source
            for column in rows.columns
            if column.name == name
        ]

    def names(self) -> list[str]:
        """Return the names of all columns."""
        return [column.name for rows in self.sources for column in rows.columns]

    def has_source(self, name: str) -> bool:
        """Return whether a rowset of FROM has that name."""
        return any(rows.name == name for rows in self.sources)


def source_names(name: str, taken: list[Source]) -> str:
    """Return how DuckDB calls a rowset that the script calls `name`."""
    own = name.lstrip("@")
    while any(rows.sql.lower() == quoted(own).lower() for rows in taken):
        own += "_"
    return quoted(own)


def group_key(sql: str) -> str:
    """Return what is the same for equal expressions, wherever in the script they stand."""
    return re.sub(r"usql@\d+@", "usql@", sql)


NOTHING = Scope([])
"""What constants may name: no column."""
