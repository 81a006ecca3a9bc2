"""DuckDB, with the macros and functions that U-SQL's translation names, each made when a statement needs it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stepwell.drivers.usql.csharp.members import MACROS as MEMBERS
from stepwell.drivers.usql.csharp.text_forms import MACROS as TEXT_FORMS
from stepwell.drivers.usql.dotnet.functions import FUNCTIONS
from stepwell.drivers.usql.extracting import MACROS as EXTRACTING

_MACROS = {macro.partition("(")[0]: macro for macro in (*MEMBERS, *TEXT_FORMS, *EXTRACTING)}
_NAMES = re.compile(r"\busql_\w+(?=\()")


class Database:
    """A database in memory.

    Args:
        settings: DuckDB's.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        import duckdb

        self.error = duckdb.Error
        self._connection = duckdb.connect(":memory:", config=settings)
        self._functions: Any = self._connection.cursor()  # a connection with a result that is being read takes none
        self._made: set[str] = set()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement, with values for its `?`; return its rows, as DuckDB gives them."""
        needed = _needed([sql]) - self._made
        for name in FUNCTIONS.keys() & needed:  # the first one takes a while: DuckDB imports NumPy
            function, given, made = FUNCTIONS[name]
            self._functions.create_function(name, _of_values(function), given, made, null_handling="special")
        for name, macro in _MACROS.items():
            if name in needed:
                self._connection.execute(f"CREATE TEMP MACRO {macro}")
        self._made |= needed
        return self._connection.execute(sql, values)


def macros_of(statements: Iterable[str]) -> list[str]:
    """Return the statements that make the macros which others need."""
    needed = _needed(statements)
    return [f"CREATE TEMP MACRO {macro};" for name, macro in _MACROS.items() if name in needed]


def _needed(statements: Iterable[str]) -> set[str]:
    """Return the names of macros and functions in statements, and in the macros that these need."""
    needed: set[str] = set()
    left = {name for statement in statements for name in _NAMES.findall(statement)}
    while left:
        needed |= left
        left = {name for macro in left for name in _NAMES.findall(_MACROS.get(macro, ""))} - needed
    return needed


def _of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function for DuckDB: of null, it makes null."""

    @functools.wraps(function)
    def called(*given: Any) -> Any:
        return None if any(value is None for value in given) else function(*given)

    return called
