"""How v1's users say how files are read: types of columns, headers, encodings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from typing import Any, Literal

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import ColumnType, Headers
from stepwell.model.datasets.file_names import check_partition_format
from stepwell.script.tables.reading import ENCODINGS


class PromoteHeadersBehavior(IntEnum):
    """Which files begin with the names of the columns."""

    NO_HEADERS = 0
    ONLY_FIRST_FILE_HAS_HEADERS = 1
    COMBINE_ALL_FILES_HEADERS = 2
    ALL_FILES_HAVE_SAME_HEADERS = 3


class FileEncoding(Enum):
    """How the texts of files are encoded."""

    UTF8 = "utf8"
    ISO88591 = "iso88591"
    LATIN1 = "latin1"
    ASCII = "ascii"
    UTF16 = "utf16"
    UTF32 = "utf32"
    UTF8BOM = "utf8bom"
    WINDOWS1252 = "windows1252"


class DataType:
    """Types of columns, for `set_column_types`."""

    checked_by_heirs = True

    @staticmethod
    def to_string() -> ColumnType:
        """Return the type of texts, which are taken as they stand in the file.

        Returns:
            The type.
        """
        return ColumnType("string")

    @staticmethod
    def to_long() -> ColumnType:
        """Return the type of whole numbers.

        Returns:
            The type.
        """
        return ColumnType("long")

    @staticmethod
    def to_float(decimal_mark: str = ".") -> ColumnType:
        """Return the type of numbers.

        Args:
            decimal_mark: What stands before their fractions, `.` or `,`.

        Returns:
            The type.
        """
        return ColumnType("float", decimal_mark=decimal_mark)

    @staticmethod
    def to_bool(
        true_values: Sequence[str] | None = None,
        false_values: Sequence[str] | None = None,
        mismatch_as: Literal["error", "true", "false"] = "error",
    ) -> ColumnType:
        """Return the type of truth values.

        Args:
            true_values: The texts that are true; by default true, 1 and yes, in any case.
            false_values: The texts that are false; by default false, 0 and no.
            mismatch_as: What any other text is.

        Returns:
            The type.
        """
        texts = [tuple(map(str, values or ())) for values in (true_values, false_values)]
        return ColumnType("bool", true_values=texts[0], false_values=texts[1], mismatch_as=mismatch_as)

    @staticmethod
    def to_datetime(formats: str | Sequence[str] | None = None) -> ColumnType:
        """Return the type of times.

        Args:
            formats: How they are written, as in '%d.%m.%Y', the first that fits; by default that is found out.

        Returns:
            The type.
        """
        return ColumnType("datetime", formats=(formats,) if isinstance(formats, str) else tuple(formats or ()))

    @staticmethod
    def to_stream(workspace: object = None, escaped: bool = False) -> ColumnType:
        """Return the type of paths of files, which are taken as texts.

        Args:
            workspace: Accepted for v1's sake; not used.
            escaped: Accepted for v1's sake; not used.

        Returns:
            The type.
        """
        return ColumnType("stream")


_HEADERS: dict[int, Headers] = {0: "none", 1: "first", 2: "combined", 3: "all"}


def headers_of(header: bool | PromoteHeadersBehavior | int) -> Headers:
    """Return which files have headers; raise UserErrorException if that is not what `header` says."""
    if isinstance(header, bool):
        return "all" if header else "none"
    if int(header) not in _HEADERS:
        raise UserErrorException(
            f"`header` can't be {header!r}", hint="Pass True, False or a member of PromoteHeadersBehavior."
        )
    return _HEADERS[int(header)]


def encoding_of(encoding: str | FileEncoding) -> str:
    """Return the name of the encoding; raise UserErrorException if there is no such one."""
    name = encoding.value if isinstance(encoding, FileEncoding) else encoding.lower().replace("-", "").replace("_", "")
    if name not in ENCODINGS:
        raise UserErrorException(
            f"The encoding {encoding!r} is not known", {"encodings": ", ".join(ENCODINGS)}, "Choose one of these."
        )
    return str(name)


def types_of(types: Mapping[str, Any] | None) -> dict[str, ColumnType]:
    """Return the types of columns; raise UserErrorException if one is none."""
    for name, wanted in (types or {}).items():
        if not isinstance(wanted, ColumnType):
            raise UserErrorException(
                f"The type of the column {name!r} is none",
                hint="Pass one that DataType makes, as `DataType.to_long()`.",
            )
    return dict(types or {})


def partition_format_of(partition_format: str | None) -> str:
    """Return the format, '' for None; raise UserErrorException if it is none."""
    if partition_format:
        check_partition_format(partition_format)
    return partition_format or ""
