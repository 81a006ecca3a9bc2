"""Statements that insert many rows: the same rows as SQLAlchemy's own way, from one short statement."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, Engine, String, create_engine, event, func, literal, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from stepwell.blocks.server.guard.bulk_inserts import insert_by_rows


class Base(DeclarativeBase):
    pass


class Step(Base):
    """A table as Prefect's: a column whose name in Python is another one, a default made here, one made there, JSON."""

    __tablename__ = "step"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column("type", String)
    note: Mapped[str | None] = mapped_column(default=lambda: "made here")
    more: Mapped[str | None] = mapped_column(server_default="made there")
    tags: Mapped[dict[str, Any] | None] = mapped_column(JSON)


def engine_of(*, by_rows: bool) -> tuple[Engine, list[bool]]:
    """Return an engine with the table, and whether each of its inserts was sent with many rows."""
    engine, sent = create_engine("sqlite://"), []
    Base.metadata.create_all(engine)
    if by_rows:
        insert_by_rows(engine)
    event.listen(engine, "before_cursor_execute", lambda *told: sent.append(told[5]) if "INSERT" in told[2] else None)
    return engine, sent


def table(engine: Engine) -> list[Any]:
    """Return all rows."""
    with engine.connect() as connection:
        return list(connection.execute(select(Step.__table__).order_by(Step.id)))


def statement(rows: list[dict[str, Any]], upsert: str) -> Any:
    """Return what inserts the rows; a row that is there is kept, replaced where it was written earlier, or an error."""
    plain = insert(Step).values(rows)
    if upsert == "nothing":
        return plain.on_conflict_do_nothing(index_elements=["id"])
    if upsert == "update":
        changed = {"note": func.coalesce(plain.excluded.note, Step.note), "tags": plain.excluded.tags}
        return plain.on_conflict_do_update(index_elements=["id"], set_=changed, where=Step.kind <= plain.excluded.type)
    return plain


words = st.text(max_size=5)
values = st.fixed_dictionaries(
    {"id": st.integers(0, 5), "kind": words, "tags": st.none() | st.dictionaries(words, words)}
)


@given(st.lists(values, min_size=1, max_size=6), st.booleans(), st.sampled_from(["nothing", "update"]))
def test_the_table_is_the_same_as_without(rows: list[dict[str, Any]], noted: bool, upsert: str) -> None:
    rows = [{**row, **({"note": row["kind"] or None} if noted else {})} for row in rows]
    tables = []
    for by_rows in (False, True):
        engine, sent = engine_of(by_rows=by_rows)
        for some in (rows, rows[::-1]):
            with Session(engine) as session, session.begin():
                session.execute(statement(some, upsert))
        assert sent == [by_rows and len(rows) > 1] * 2
        tables.append(table(engine))
        engine.dispose()
    assert tables[0] == tables[1]


def test_a_row_that_is_refused_leaves_none_of_them() -> None:
    engine, _ = engine_of(by_rows=True)
    with pytest.raises(Exception, match="UNIQUE"), Session(engine) as session, session.begin():
        session.execute(statement([{"id": 1, "kind": "a"}, {"id": 2, "kind": "b"}, {"id": 1, "kind": "c"}], ""))
    assert table(engine) == []


def test_what_is_more_than_plain_rows_is_left_as_it_is() -> None:
    engine, sent = engine_of(by_rows=True)
    with Session(engine) as session, session.begin():
        computed = [{"id": 1, "kind": func.lower("A")}, {"id": 2, "kind": literal("b")}]
        session.execute(insert(Step).values(computed))
        both = [{"id": 3, "kind": "c"}, {"id": 4, "kind": "d"}]
        assert list(session.execute(insert(Step).values(both).returning(Step.id))) == [(3,), (4,)]
        session.execute(insert(Step.__table__).values([(5, "e", "n", "m", None), (6, "f", "n", "m", None)]))
        session.execute(insert(Step), [{"id": 7, "kind": "g"}, {"id": 8, "kind": "h"}])
        session.execute(insert(Step).values(id=9, kind="i"))
    assert sent == [False, False, False, True, False]
    assert [(row.id, row.type) for row in table(engine)] == list(enumerate("abcdefghi", 1))
