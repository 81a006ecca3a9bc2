"""The types of U-SQL, what DuckDB holds of them, and rowsets as lists of typed columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_HELD = {
    "bool": "BOOLEAN",
    "sbyte": "TINYINT",
    "byte": "UTINYINT",
    "short": "SMALLINT",
    "ushort": "USMALLINT",
    "int": "INTEGER",
    "uint": "UINTEGER",
    "long": "BIGINT",
    "ulong": "UBIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "decimal": "DECIMAL(38,10)",
    "char": "VARCHAR",
    "string": "VARCHAR",
    "DateTime": "TIMESTAMP",
    "Guid": "UUID",
    "TimeSpan": "BIGINT",
    "DayOfWeek": "INTEGER",
    "null": "INTEGER",
}
_OTHER_NAMES = {
    "String": "string",
    "Char": "char",
    "SByte": "sbyte",
    "Byte": "byte",
    "UInt16": "ushort",
    "UInt32": "uint",
    "UInt64": "ulong",
    "Int16": "short",
    "Int32": "int",
    "Int64": "long",
    "Boolean": "bool",
    "Double": "double",
    "Single": "float",
    "Decimal": "decimal",
}
WHOLE = ("sbyte", "byte", "short", "ushort", "int", "uint", "long", "ulong")
NUMBERS = (*WHOLE, "float", "double", "decimal")
_NO_NULL = {*NUMBERS, "bool", "char", "DateTime", "Guid", "TimeSpan", "DayOfWeek"}


class Type:
    """A type of U-SQL.

    Attributes:
        name: C#'s keyword or name, `array` for SQL.ARRAY, `null` for what only `null` has.
        nullable: Whether a value may be null; texts and arrays always may.
        item: What an array holds.
    """

    def __init__(self, name: str, nullable: bool = False, item: Type | None = None) -> None:
        self.name = _OTHER_NAMES.get(name, name)
        self.nullable = nullable or self.name not in _NO_NULL
        self.item = item

    @property
    def held(self) -> str:
        """The type that DuckDB holds it in."""
        return f"{self.item.held}[]" if self.item else _HELD[self.name]

    @property
    def one(self) -> str:
        """The type with its article, for sentences."""
        return f"{'an' if self.name == 'int' else 'a'} {self}"

    @property
    def first(self) -> str:
        """The type with its article, for sentences that begin with it."""
        return f"A{self.one[1:]}"

    def or_null(self) -> Type:
        """Return the same type with null."""
        return Type(self.name, True, self.item)

    def without_null(self) -> Type:
        """Return the same type without null, if it is one that can be without."""
        return Type(self.name, False, self.item)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self.item:
            return f"SQL.ARRAY<{self.item}>"
        return self.name + ("?" if self.nullable and self.name in _NO_NULL else "")


def promoted(left: Type, right: Type) -> Type | None:
    """Return the type in which C# computes with two numbers; None if it can't."""
    names = {left.name, right.name}
    null = left.nullable or right.nullable
    names.discard("null")
    if not names <= {*NUMBERS, "char"}:
        return None
    if "decimal" in names:
        return None if names & {"float", "double"} else Type("decimal", null)
    for name in ("double", "float"):
        if name in names:
            return Type(name, null)
    if "ulong" in names:
        return Type("ulong", null)
    if "long" in names or ("uint" in names and names - {"uint", "byte", "ushort", "char"}):
        return Type("long", null)
    return Type("uint" if "uint" in names else "int", null)


_WIDER = {
    "sbyte": "short int long float double decimal",
    "byte": "short ushort int uint long ulong float double decimal",
    "short": "int long float double decimal",
    "ushort": "int uint long ulong float double decimal",
    "int": "long float double decimal",
    "uint": "long ulong float double decimal",
    "long": "float double decimal",
    "ulong": "float double decimal",
    "char": "ushort int uint long ulong float double decimal",
    "float": "double",
}


def fits(given: Type, wanted: Type) -> bool:
    """Return whether C# turns one type into the other by itself."""
    if given.name == "null":
        return wanted.nullable
    if given.nullable and not wanted.nullable:
        return False
    return given.name == wanted.name or wanted.name in _WIDER.get(given.name, "").split()


def common(types: list[Type]) -> Type | None:
    """Return the type that holds the values of all; None if there is none."""
    found = types[0]
    for other in types[1:]:
        null = found.nullable or other.nullable
        if other.name in ("null", found.name):
            found = found.or_null() if null else found
        elif found.name == "null":
            found = other.or_null()
        else:
            both = promoted(found, other)
            if both is None or "char" in (found.name, other.name):
                return None
            found = both.or_null() if null else both
    return found


class Value:
    """An expression, translated.

    Attributes:
        sql: What DuckDB computes.
        type: Its type in C#.
        literal: What stands in the script, if it is a text or number there.
        risky: Whether computing it can fail, so that C#'s order has to be kept.
        never_null: Whether it is known to be no null, although its type allows for one.
        aggregate: Whether it has an aggregate of its group in it.
    """

    def __init__(
        self,
        sql: str,
        type: Type,
        literal: Any = None,
        risky: bool = False,
        never_null: bool = False,
        aggregate: bool = False,
    ) -> None:
        self.sql, self.type, self.literal = sql, type, literal
        self.risky, self.aggregate = risky, aggregate
        self.never_null = never_null or not type.nullable


class Column:
    """A column of a rowset: its name in the script, how DuckDB calls it, and its type."""

    def __init__(self, name: str, sql: str, type: Type) -> None:
        self.name, self.sql, self.type = name, sql, type


def named(columns: list[tuple[str, Type]]) -> list[Column]:
    """Return columns; names that differ in capitals alone are two for U-SQL, so DuckDB gets two names."""
    taken: set[str] = set()
    made = []
    for name, type in columns:
        own = name
        while own.lower() in taken:
            own += "_"
        taken.add(own.lower())
        made.append(Column(name, quoted(own), type))
    return made


class Files:
    """The files that a rowset is read from.

    Attributes:
        paths: Where they are.
        columns: What a rowset has of a file's path: names, SQL over `filename`, and types.
        of: Returns the SQL of the rowset, read from some of them.
    """

    def __init__(self, paths: list[str], columns: list[tuple[str, str, Type]], of: Callable[[list[str]], str]) -> None:
        self.paths, self.columns, self.of = paths, columns, of


class Rowset:
    """A query, translated, with the columns of its rows, and the files that it reads if it reads them itself."""

    def __init__(self, sql: str, columns: list[Column], files: Files | None = None) -> None:
        self.sql, self.columns, self.files = sql, columns, files


def quoted(name: str) -> str:
    """Return a name as DuckDB takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as DuckDB takes it, whatever it holds."""
    return "'" + value.replace("'", "''") + "'"
