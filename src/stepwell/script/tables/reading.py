"""Tables read from the local files of a dataset: the one place that makes a DataFrame of a definition.

pandas and pyarrow are loaded when a table is read, and an extra of Stepwell.
"""

from __future__ import annotations

import importlib
import itertools
import json
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, ReadOptions
from stepwell.model.datasets.file_names import LocalFile, full_path, partition_columns, partition_values
from stepwell.script.tables.column_types import converted, inferred, kind_of
from stepwell.script.tables.row_operations import after_operations, most_rows

ENCODINGS = {
    "utf8": "utf-8",
    "utf8bom": "utf-8-sig",
    "iso88591": "iso-8859-1",
    "latin1": "latin-1",
    "ascii": "ascii",
    "utf16": "utf-16",
    "utf32": "utf-32",
    "windows1252": "cp1252",
}
"""v1's encodings, as Python calls them."""

PATH_COLUMN = "Path"


def library(name: str) -> Any:
    """Return pandas or pyarrow; raise UserErrorException with what to install if it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserErrorException(
            f"Tables need {name.partition('.')[0]}, which is not installed",
            {"reason": error},
            "Install it with `pip install 'stepwell[datasets]'`; in a step, add pandas and pyarrow to its environment.",
        ) from error


def frame_of(
    definition: DatasetDefinition,
    files: Iterable[LocalFile],
    on_error: str = "null",
    out_of_range_datetime: str = "null",
) -> Any:
    """Return the table of a definition as a DataFrame, all its operations done.

    Args:
        definition: The definition of a table.
        files: Its local files, in the order of reading; no more are asked for than are needed.
        on_error: `null` for no value where a text can't be converted, `fail` to raise.
        out_of_range_datetime: The same for times that are none.

    Returns:
        A pandas DataFrame.

    Raises:
        UserErrorException: A library is missing, a file can't be read, or an operation names a column that is not there.
    """
    pd = library("pandas")
    options = definition.options
    parts, used = _parts(definition, files, texts=_needs_texts(options))
    if definition.format == "delimited" and options.infer_types and not _agree(parts):
        parts, _ = _parts(definition, used, texts=True)
    whole = [part for part in parts if len(part)] or parts[:1]
    frame = pd.concat(whole, ignore_index=True, sort=False) if whole else pd.DataFrame()
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    frame = frame.reindex(columns=names) if len(names) > len(frame.columns) else frame
    for name in frame.columns:
        wanted = options.types.get(str(name))
        if wanted is not None:
            frame[name] = converted(
                str(name),
                frame[name],
                wanted,
                strict=on_error == "fail",
                strict_times=out_of_range_datetime == "fail",
            )
        elif definition.format == "delimited" and options.infer_types and name not in _of_paths(options):
            frame[name] = inferred(frame[name])
    return after_operations(definition.operations_on_rows, frame)


def _needs_texts(options: ReadOptions) -> bool:
    """Return whether columns have to be read as texts, for which pandas takes several times as long."""
    by_place = options.types and options.headers in ("none", "first")  # no names to tell pandas which
    return bool(not options.infer_types or by_place or len(options.separator.encode()) > 1)


def _agree(parts: list[Any]) -> bool:
    """Return whether the columns that pandas found types for have the same in all files, so that none is to be read again."""
    kinds: dict[str, set[str]] = {}
    for part in parts:
        for name in part.columns if len(part) else ():
            kinds.setdefault(str(name), set()).add(kind_of(part[name]))
    alike = ({"number"}, {"number", "none"}, {"none"}, {"truth"}, {"text"})
    return all(found in alike for found in kinds.values())


def _parts(
    definition: DatasetDefinition, files: Iterable[LocalFile], *, texts: bool
) -> tuple[list[Any], list[LocalFile]]:
    """Return the tables of as many files as are needed, and these files; `texts`: nothing is made of texts yet."""
    most = most_rows(definition.operations_on_rows)
    parts: list[Any] = []
    used: list[LocalFile] = []
    rows = 0
    for file in files:
        if most is not None and rows >= most and parts:
            break
        left = None if most is None else most - rows
        parts.append(_part(definition, file, left, parts[0] if parts else None, texts=texts))
        used.append(file)
        rows += len(parts[-1])
    return parts, used


def _of_paths(options: ReadOptions) -> list[str]:
    return [PATH_COLUMN] * options.include_path + partition_columns(options.partition_format)


def _part(definition: DatasetDefinition, file: LocalFile, most: int | None, first: Any, *, texts: bool) -> Any:
    """Return the table of one file; `first` is that of the first one."""
    options = definition.options
    try:
        if definition.format in ("parquet", "sql"):
            frame = _parquet(file.path, most)
        elif definition.format == "json_lines":
            frame = _json_lines(file, options, most)
        else:
            names = None if first is None else [name for name in first.columns if name not in _of_paths(options)]
            frame = _delimited(file, options, most, names, texts=texts)
    except UserErrorException:
        raise
    except Exception as error:  # each library has errors of its own
        raise UserErrorException(
            "A file of a dataset can't be read",
            {"file": file.name, "format": definition.format, "reason": f"{type(error).__name__}: {error}"},
            "Correct the file, or read it with other options, such as `separator`, `header` or `encoding`.",
        ) from error
    path = full_path(definition, file.name)
    values = partition_values(options.partition_format, path, quoted=options.quoted) if options.partition_format else {}
    if options.include_path:
        values = {PATH_COLUMN: f"/{path}", **values}
    for place, (name, value) in enumerate((n, v) for n, v in values.items() if n not in frame.columns):
        frame.insert(place, name, value)
    return frame


def _parquet(path: str, most: int | None) -> Any:
    with library("pyarrow.parquet").ParquetFile(path) as file:
        if most is None:
            table = file.read()
        else:
            first = itertools.islice(file.iter_batches(batch_size=max(most, 1)), 1)
            table = library("pyarrow").Table.from_batches(list(first), file.schema_arrow)
        frame = table.to_pandas()
    if type(frame.index).__name__ == "RangeIndex" and frame.index.name is None:
        return frame.reset_index(drop=True)
    if None in frame.index.names:
        frame.index.names = [name or f"__index_level_{place}__" for place, name in enumerate(frame.index.names)]
    return frame.reset_index()


def _json_lines(file: LocalFile, options: ReadOptions, most: int | None) -> Any:
    with open(file.path, encoding=ENCODINGS.get(options.encoding, options.encoding)) as stream:
        rows = list(_json_rows(file, stream, options, most))
    return library("pandas").DataFrame(rows)


def _json_rows(file: LocalFile, lines: Any, options: ReadOptions, most: int | None) -> Iterator[dict[str, Any]]:
    left = most
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if left is not None and left <= 0:
            return
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            left = None if left is None else left - 1
            yield row
        elif options.invalid_lines == "error":
            raise UserErrorException(
                "A line of a file is no JSON object",
                {"file": file.name, "line": number},
                "Correct it, or pass `invalid_lines='drop'`.",
            )


def _delimited(
    file: LocalFile, options: ReadOptions, most: int | None, first_names: list[str] | None, *, texts: bool
) -> Any:
    pd = library("pandas")
    has_header = options.headers in ("all", "combined") or (options.headers == "first" and first_names is None)
    more: dict[str, Any] = {"sep": options.separator}
    if not texts:
        more |= {"float_precision": "round_trip", "low_memory": False}
    if len(options.separator.encode()) > 1:
        more = {"sep": options.separator, "engine": "python"}
    if len(options.separator) > 1:
        more = {"sep": "".join(f"[{mark}]" if mark not in "\\^" else f"\\{mark}" for mark in options.separator)}
        more["engine"] = "python"
    arguments = {
        **more,
        "header": 0 if has_header else None,
        "dtype": str if texts else dict.fromkeys(options.types, str),
        "keep_default_na": False,
        "na_values": [] if options.empty_as_string else [""],
        "encoding": ENCODINGS.get(options.encoding, options.encoding),
        "nrows": most,
        "index_col": False,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows have more values than the header
            frame = pd.read_csv(file.path, **arguments)
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=first_names or [], dtype=str)
    except pd.errors.ParserWarning:
        raise UserErrorException(
            "Rows of a file have more fields than its header",
            {"file": file.name},
            "Correct the file, or pass its `separator`.",
        ) from None
    if has_header:
        frame.columns = [
            f"Column{place}" if str(name).startswith("Unnamed: ") else str(name)
            for place, name in enumerate(frame.columns, 1)
        ]
    else:
        names = first_names or []
        frame.columns = [
            names[place] if place < len(names) else f"Column{place + 1}" for place in range(frame.shape[1])
        ]
    return frame
