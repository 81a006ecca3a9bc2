"""`SqlDataReference`: a table, a query or a stored procedure of a database, as the source of a transfer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

from sqlalchemy.engine import Dialect, make_url

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datasets.factories import TabularDatasetFactory
from stepwell.blocks.datasets.file_dataset import FileDataset
from stepwell.blocks.workspace.datastore import Datastore
from stepwell.blocks.workspace.references import check_port_name
from stepwell.errors import UserErrorException


class StoredProcedureParameterType(Enum):
    """The types of what a stored procedure is given."""

    String = "String"
    Int = "Int"
    Decimal = "Decimal"
    Guid = "Guid"
    Boolean = "Boolean"
    Date = "Date"


@checked
class StoredProcedureParameter:
    """What a stored procedure is given.

    Args:
        name: The parameter's name.
        value: Its value.
        type: Its type; None: that of a text.

    Attributes:
        name: As the argument.
        value: As the argument.
        type: As the argument.
    """

    def __init__(self, name: str, value: Any, type: StoredProcedureParameterType | None = None) -> None:
        self.name = name
        self.value = value
        self.type = type or StoredProcedureParameterType.String

    def literal(self, dialect: str) -> str:
        """Return the value as SQL has it.

        Args:
            dialect: SQLAlchemy's name of the database.

        Returns:
            A number, a truth value or a quoted text.

        Raises:
            UserErrorException: The value is none of its type.
        """
        text = str(self.value)
        kinds = StoredProcedureParameterType
        if self.type is kinds.Boolean:
            truth = text.lower() in ("true", "1")
            return str(truth).lower() if dialect == "postgresql" else str(int(truth))
        if self.type in (kinds.Int, kinds.Decimal):
            if not re.fullmatch(r"[+-]?\d+(\.\d+)?" if self.type is kinds.Decimal else r"[+-]?\d+", text):
                raise UserErrorException(
                    f"The value of the parameter {self.name!r} is no {self.type.value}", {"value": text}, "Correct it."
                )
            return text
        return ("N" if dialect == "mssql" else "") + "'" + text.replace("'", "''") + "'"


@checked
class SqlDataReference:
    """A table, a query or a stored procedure of a database, as the source of a `DataTransferStep`.

    It is asked whenever its content has to be known, in a transaction that is undone: what a procedure changes does not
    stay.

    Args:
        datastore: A datastore that holds tables.
        data_reference_name: The step's input name; by default the datastore's.
        sql_table: The name of a table or view, with its schema perhaps.
        sql_query: A query, in place of a table.
        sql_stored_procedure: The name of a stored procedure that answers rows, in place of both; of PostgreSQL, a function.
        sql_stored_procedure_params: What it is given.

    Attributes:
        datastore: As the argument.
        name: The step's input name.
        query: What the database is asked.

    Raises:
        UserErrorException: Not one of the three is given, or the database has no stored procedures.
        DatastoreException: The datastore holds no tables.
    """

    def __init__(
        self,
        datastore: Datastore,
        data_reference_name: str | None = None,
        sql_table: str | None = None,
        sql_query: str | None = None,
        sql_stored_procedure: str | None = None,
        sql_stored_procedure_params: Sequence[StoredProcedureParameter] | None = None,
    ) -> None:
        given = [text for text in (sql_table, sql_query, sql_stored_procedure) if text]
        if len(given) != 1:
            raise UserErrorException(
                "A SqlDataReference is a table, a query or a stored procedure",
                {"given": len(given)},
                "Pass one of `sql_table`, `sql_query` and `sql_stored_procedure`.",
            )
        self.datastore = datastore
        self.name = check_port_name(data_reference_name or datastore.name)
        dialect = make_url(datastore.connection_url).get_dialect()()
        if sql_table:
            self.query = f"SELECT * FROM {_quoted(sql_table, dialect)}"  # noqa: S608
        elif sql_query:
            self.query = sql_query
        else:
            self.query = _call(str(sql_stored_procedure), sql_stored_procedure_params or (), dialect)

    @property
    def data_reference_name(self) -> str:
        """The step's input name."""
        return self.name

    def files(self, form: str) -> FileDataset:
        """Return the rows as a dataset of files, which are made when they are asked for.

        Args:
            form: `csv`, `tsv` or `parquet`.

        Returns:
            The dataset.
        """
        table = TabularDatasetFactory.from_sql_query((self.datastore, self.query), validate=False)
        if form in ("csv", "tsv"):
            return table.to_csv_files("\t" if form == "tsv" else ",")
        return table.to_parquet_files()

    def __repr__(self) -> str:
        return f"SqlDataReference({self.datastore.name!r}, {self.query!r})"


_PART = r'"((?:[^"]|"")+)"|\[((?:[^\]]|\]\])+)\]|`((?:[^`]|``)+)`|([^."`\[][^.]*)'


def _quoted(name: str, dialect: Dialect) -> str:
    """Return the name of a table or procedure, with its schema perhaps, as the database takes it, whatever it holds."""
    if not re.fullmatch(rf"(?:{_PART})(?:\.(?:{_PART}))*", name.strip()):
        hint = 'Write table, schema.table, or "a name with . in it".'
        raise UserErrorException(f"{name!r} is no name of a table or procedure", hint=hint)
    parts = [
        double.replace('""', '"') or brackets.replace("]]", "]") or back.replace("``", "`") or bare.strip()
        for double, brackets, back, bare in re.findall(_PART, name.strip())
    ]
    preparer = dialect.identifier_preparer
    preparer._double_percents = False  # noqa: SLF001  (the query has no parameters)
    return ".".join(map(preparer.quote, parts))


def _call(name: str, params: Sequence[StoredProcedureParameter], dialect: Dialect) -> str:
    kind, called = dialect.name, _quoted(name, dialect)
    if kind == "mssql":
        values = ", ".join(f"@{one.name.lstrip('@')} = {one.literal(kind)}" for one in params)
        return f"EXEC {called} {values}".rstrip()
    if kind == "mysql":
        return f"CALL {called}({', '.join(one.literal(kind) for one in params)})"
    if kind == "postgresql":
        return f"SELECT * FROM {called}({', '.join(f'{one.name} => {one.literal(kind)}' for one in params)})"  # noqa: S608
    raise UserErrorException(
        f"A database of the kind {kind!r} has no stored procedures", hint="Pass its query as `sql_query`."
    )
