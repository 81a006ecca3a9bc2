"""What files and tables of datasets can be told to do before anything is read: the same on the host and in scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import TO_FILES, DatasetDefinition
from stepwell.model.datasets.expressions import Expression, column, metadata, names_in
from stepwell.model.datasets.file_names import partition_columns
from stepwell.script.tables.operation_arguments import count_of, names_of, seed_of, share_of

FACTS = ("Size", "LastModifiedTime", "CreationTime", "Extension", "CanSeek")
"""What files can be chosen by."""


class LazyDataset:
    """A dataset by its definition; each operation returns another one."""

    checked_by_heirs = True

    def __init__(self, definition: DatasetDefinition) -> None:
        self._definition = definition

    def _like(self, definition: DatasetDefinition) -> Self:
        """Return a dataset of another definition that reaches its bytes in the same way."""
        raise NotImplementedError

    def _then(self, name: str, **arguments: Any) -> Self:
        return self._like(self._definition.then(name, **arguments))

    @property
    def partition_keys(self) -> list[str]:
        """The columns that are made of the files' paths."""
        return partition_columns(self._definition.options.partition_format)

    def get_partition_key_values(self, partition_keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the values of the partition keys that there are, each combination once.

        Args:
            partition_keys: Some of the keys; by default all.

        Returns:
            A dictionary for each combination, in the order of the files.

        Raises:
            UserErrorException: The dataset has no such key.
        """
        keys = self.partition_keys if partition_keys is None else list(partition_keys)
        missing = [key for key in keys if key not in self.partition_keys]
        if missing or not keys:
            raise UserErrorException(
                f"The dataset has no partition key {missing[0]!r}" if missing else "The dataset has no partition keys",
                {"partition keys": ", ".join(self.partition_keys) or "none"},
                "Make them with `partition_by`, or read the files with `partition_format=`.",
            )
        rows = self._partitions()
        return list({repr(values): values for values in ({key: row[key] for key in keys} for row in rows)}.values())

    def _partitions(self) -> list[Mapping[str, Any]]:
        """Return the values of the partition keys for each file."""
        raise NotImplementedError

    def take(self, count: int) -> Self:
        """Return the first rows, or files.

        Args:
            count: How many, at most.

        Returns:
            A dataset of them.

        Raises:
            UserErrorException: The count is negative.
        """
        return self._then("take", count=count_of(count))

    def skip(self, count: int) -> Self:
        """Return all but the first rows, or files.

        Args:
            count: How many are left out.

        Returns:
            A dataset of the others.

        Raises:
            UserErrorException: The count is negative.
        """
        return self._then("skip", count=count_of(count))

    def take_sample(self, probability: float, seed: int | None = None) -> Self:
        """Return rows, or files, by chance.

        Args:
            probability: How likely each is to be taken, from 0 to 1.
            seed: What decides; None for another choice with each call. With a seed the choice stays the same, and a
                step that reads it can be reused.

        Returns:
            A dataset of them, which stays the same however often it is read.

        Raises:
            UserErrorException: The probability is none.
        """
        return self._then("sample", probability=share_of("probability", probability), seed=seed_of(seed))

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[Self, Self]:
        """Return two datasets that have each row, or file, in one of them.

        Args:
            percentage: About how much of it the first one has, from 0 to 1.
            seed: What decides; None for another split with each call.

        Returns:
            The two datasets.

        Raises:
            UserErrorException: The percentage is none.
        """
        arguments = {"percentage": share_of("percentage", percentage), "seed": seed_of(seed)}
        return self._then("split", **arguments, second=False), self._then("split", **arguments, second=True)

    def _filtered(self, expression: Any) -> Self:
        if not isinstance(expression, Expression):
            raise UserErrorException(
                f"A filter must be an expression, not {type(expression).__name__}",
                hint="Write it as in `dataset.filter(dataset['age'] > 30)`.",
            )
        return self._then("filter", expression=expression.tree)


class LazyFiles(LazyDataset):
    """Files of a dataset."""

    checked_by_heirs = True

    def filter(self, expression: Any) -> Self:
        """Return the files for which an expression is true.

        Args:
            expression: What is asked of each file, as in `dataset.file_metadata('Size') > 1000`.

        Returns:
            A dataset of these files.

        Raises:
            UserErrorException: It is no expression.
        """
        return self._filtered(expression)

    def file_metadata(self, col: str) -> Expression:
        """Return a fact of each file, for `filter`.

        Args:
            col: `Size`, `LastModifiedTime`, `CreationTime`, `Extension` or `CanSeek`.

        Returns:
            An expression, to be compared.

        Raises:
            UserErrorException: Files have no such fact.
        """
        if col not in FACTS:
            raise UserErrorException(
                f"Files have no fact {col!r}", {"facts": ", ".join(FACTS)}, "Choose one of these facts."
            )
        return metadata(col)


class LazyTable(LazyDataset):
    """A table of a dataset."""

    checked_by_heirs = True

    def __getitem__(self, key: str | Sequence[str]) -> Any:
        """Return a column for an expression, or with a list of names, a dataset of these columns."""
        return column(key) if isinstance(key, str) else self.keep_columns(list(key))

    def filter(self, expression: Any) -> Self:
        """Return the rows for which an expression is true.

        Args:
            expression: What is asked of each row, as in `(dataset['age'] > 30) & (dataset['town'] == 'Ulm')`. Columns are
                compared with values or with each other, combined by `&`, `|` and `~`, and asked by `is_null()`,
                `is_in([...])`, `starts_with(...)`, `ends_with(...)` and `contains(...)`.

        Returns:
            A dataset of these rows.

        Raises:
            UserErrorException: It is no expression on columns.
        """
        if isinstance(expression, Expression) and names_in(expression.tree, "metadata"):
            raise UserErrorException(
                "Rows of a table are chosen by columns, not by facts of files", hint="Filter the FileDataset."
            )
        return self._filtered(expression)

    def _files(self, form: str, **more: Any) -> DatasetDefinition:
        """Return the definition of the files of one format that the table is written to."""
        table = self._definition
        return replace(table, kind="file").then(TO_FILES, format=form, **more)

    def keep_columns(self, columns: str | Sequence[str], validate: bool = False) -> Self:
        """Return some columns, in the order in which the table has them.

        Args:
            columns: The name of the column, or a list of names.
            validate: Whether to read the table at once, and refuse names that it lacks; else that comes with the data.

        Returns:
            A dataset of these columns.

        Raises:
            UserErrorException: With `validate`, the table has no such column.
        """
        names = names_of(columns)
        options = self._definition.options
        kept = {name: getattr(options, name) for name in ("timestamp", "partition_timestamp")}
        kept = {name: value if value in names else "" for name, value in kept.items()}
        found = self._like(self._definition.with_options(**kept).then("keep", columns=names))
        if validate:
            found.take(1).to_pandas_dataframe()
        return found

    def drop_columns(self, columns: str | Sequence[str]) -> Self:
        """Return all columns but some.

        Args:
            columns: The name of the column that is left out, or a list of names.

        Returns:
            A dataset of the other columns.
        """
        return self._then("drop", columns=names_of(columns))

    # Times ----------------------------------------------------------------------------------------------------------

    @property
    def timestamp_columns(self) -> tuple[str | None, str | None]:
        """The columns that `with_timestamp_columns` was given: of rows, and of partitions."""
        options = self._definition.options
        return options.timestamp or None, options.partition_timestamp or None

    def with_timestamp_columns(
        self,
        timestamp: str | None = None,
        partition_timestamp: str | None = None,
        validate: bool = False,
        fine_grain_timestamp: str | None = None,
        coarse_grain_timestamp: str | None = None,
    ) -> Self:
        """Return the table as one whose rows can be chosen by time.

        Args:
            timestamp: The column with the time of each row.
            partition_timestamp: The column with the time of each part, made of the files' paths.
            validate: Whether to read rows at once, and refuse columns that hold no times.
            fine_grain_timestamp: v1's earlier name of `timestamp`.
            coarse_grain_timestamp: v1's earlier name of `partition_timestamp`.

        Returns:
            A dataset with `time_before`, `time_after`, `time_between` and `time_recent`.

        Raises:
            UserErrorException: With `validate`, a column is missing or holds no times.
        """
        fine = timestamp or fine_grain_timestamp
        coarse = partition_timestamp or coarse_grain_timestamp
        found = self._like(self._definition.with_options(timestamp=fine or "", partition_timestamp=coarse or ""))
        for name in filter(None, (fine, coarse)) if validate else ():
            found.take(200)._between(name, after=datetime(1, 1, 1, tzinfo=UTC)).to_pandas_dataframe()  # noqa: SLF001
        return found

    def time_before(self, end_time: datetime, include_boundary: bool = True, validate: bool = True) -> Self:
        """Return the rows up to a time.

        Args:
            end_time: The time; without a zone it is UTC.
            include_boundary: Whether rows of exactly this time belong to them.
            validate: Accepted for v1's sake; not used.

        Returns:
            A dataset of these rows.

        Raises:
            UserErrorException: No column tells the rows' times.
        """
        return self._between(before=end_time, boundary=include_boundary)

    def time_after(self, start_time: datetime, include_boundary: bool = True, validate: bool = True) -> Self:
        """Return the rows from a time on.

        Args:
            start_time: The time; without a zone it is UTC.
            include_boundary: Whether rows of exactly this time belong to them.
            validate: Accepted for v1's sake; not used.

        Returns:
            A dataset of these rows.

        Raises:
            UserErrorException: No column tells the rows' times.
        """
        return self._between(after=start_time, boundary=include_boundary)

    def time_between(
        self, start_time: datetime, end_time: datetime, include_boundary: bool = True, validate: bool = True
    ) -> Self:
        """Return the rows from a time to a time.

        Args:
            start_time: The time where they begin; without a zone it is UTC.
            end_time: The time where they end.
            include_boundary: Whether rows of exactly these times belong to them.
            validate: Accepted for v1's sake; not used.

        Returns:
            A dataset of these rows.

        Raises:
            UserErrorException: No column tells the rows' times.
        """
        return self._between(after=start_time, before=end_time, boundary=include_boundary)

    def time_recent(self, time_delta: timedelta, include_boundary: bool = True, validate: bool = True) -> Self:
        """Return the rows of the last days or hours, counted back from this call.

        Args:
            time_delta: How far back.
            include_boundary: Whether rows of exactly that time belong to them.
            validate: Accepted for v1's sake; not used.

        Returns:
            A dataset of these rows.

        Raises:
            UserErrorException: No column tells the rows' times.
        """
        return self._between(after=datetime.now(UTC) - time_delta, boundary=include_boundary)

    def _between(
        self,
        name: str | None = None,
        *,
        after: datetime | None = None,
        before: datetime | None = None,
        boundary: bool = True,
    ) -> Self:
        options = self._definition.options
        wanted = name or options.timestamp or options.partition_timestamp
        if not wanted:
            raise UserErrorException(
                "No column tells the times of the rows", hint="Name it first, with `with_timestamp_columns`."
            )
        return self._then(
            "time",
            column=wanted,
            after=after and after.isoformat(),
            before=before and before.isoformat(),
            boundary=boundary,
        )

    # Its data -------------------------------------------------------------------------------------------------------

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null") -> Any:
        """Read the table.

        Args:
            on_error: `null` for no value where a value is not of the type that its column was given, `fail` to raise.
            out_of_range_datetime: The same for times.

        Returns:
            A pandas DataFrame.

        Raises:
            UserErrorException: pandas or pyarrow is not installed, or a file can't be read as the definition says.
        """
        for name, value in {"on_error": on_error, "out_of_range_datetime": out_of_range_datetime}.items():
            if value not in ("null", "fail"):
                raise UserErrorException(f"`{name}` can't be {value!r}", hint="Pass 'null' or 'fail'.")
        return self._frame(on_error, out_of_range_datetime)

    def _frame(self, on_error: str, out_of_range_datetime: str) -> Any:
        raise NotImplementedError
