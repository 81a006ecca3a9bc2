"""Statements of SQL, looked at before a database is asked: whether they are one query."""

from __future__ import annotations

import re

from stepwell.errors import UserErrorException

_CHANGES = [
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "COPY",
    "CREATE",
    "DELETE",
    "DETACH",
    "DROP",
    "GRANT",
    "INSERT",
    "LOCK",
    "MERGE",
    "REINDEX",
    "RELEASE",
    "RENAME",
    "REPLACE",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
    "TRUNCATE",
    "UPDATE",
    "VACUUM",
]
_TEXT = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$"""
_TEXT_OF_MYSQL = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`"""
_COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"


def check_query(query: str, dialect: str) -> None:
    """Raise UserErrorException if a text is not one query: if it is empty, several statements, or one that changes things.

    Args:
        query: The text.
        dialect: SQLAlchemy's name of the database.
    """
    text, comment = (_TEXT_OF_MYSQL, _COMMENT + r"|#[^\n]*") if dialect == "mysql" else (_TEXT, _COMMENT)

    def blank(found: re.Match[str]) -> str:
        return " " if found["comment"] else "''"

    bare = re.sub(f"(?P<comment>{comment})|{text}", blank, query, flags=re.DOTALL).strip()
    word = re.match(r"[\s(]*(\w*)", bare)
    first = word[1].upper() if word else ""
    facts = {"query": query}
    if not bare.strip("; \t\r\n"):
        raise UserErrorException("The query is empty", facts, "Write a SELECT.")
    if first in _CHANGES:
        title = f"{first} is no query: it changes the database, or what it is about to do"
        raise UserErrorException(title, facts, "Write a SELECT, and change the database by other means.")
    if dialect != "mssql" and re.search(r";\s*[^;\s]", bare):  # a batch of T-SQL may prepare what it selects
        raise UserErrorException(
            "The query is several statements", facts, "Write one SELECT, without what follows `;`."
        )
