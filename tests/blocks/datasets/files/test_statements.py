"""What is one query, and what is not."""

from __future__ import annotations

import pytest

from stepwell.blocks.datasets.files.statements import check_query
from stepwell.errors import UserErrorException


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1;",
        " -- DROP\n/* a; b */ (SELECT ';' AS \"a;b\") ; -- end",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT 'it''s; fine'",
        "VALUES (1)",
        "EXEC dbo.c",
        "PRAGMA table_info(flats)",
        "SELECT $$a; b$$, updated FROM t",
    ],
)
def test_one_query_is_taken(query):
    check_query(query, "postgresql")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "is empty"),
        (" ; -- nothing", "is empty"),
        ("drop table flats", "DROP is no query"),
        ("/* x */ INSERT INTO a SELECT 1", "INSERT is no query"),
        ("Update a SET b = 1", "UPDATE is no query"),
        ("SELECT 1; DROP TABLE a", "several statements"),
        ("SELECT ';'; SELECT 2", "several statements"),
    ],
)
def test_what_is_none_is_told(query, told):
    with pytest.raises(UserErrorException, match=told):
        check_query(query, "sqlite")


def test_databases_differ():
    check_query("SELECT 'it\\'s; fine' # ; a remark", "mysql")
    check_query("SET NOCOUNT ON; SELECT 1", "mssql")
