"""Names of a dataset's files: patterns of paths, the order of the files, and columns that are made of their paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import ColumnType, DatasetDefinition, Place, ReadOptions
from stepwell.model.datasets.on_disk import in_order

NULL, EMPTY = "__null__", "__empty__"
"""The folders of rows that have no value, or no text, for a key of their partition."""

_WILD = re.compile(r"[*?]|\[[^\]/]+\]")
_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|[^*?\[]+|\[")
_TIME_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_DIGITS = {"yyyy": r"\d{4}"}
_COLUMN = re.compile(r"\{([^{}:]+)(?::([^{}]+))?\}")


class LocalFile(NamedTuple):
    """A file of a dataset: its name, which is relative, and the path where its bytes are."""

    name: str
    path: str


# Patterns -----------------------------------------------------------------------------------------------------------


def is_pattern(path: str) -> bool:
    """Return whether the path has a wildcard: `*` and `?` in one part, `**` through folders, `[…]` one of some marks."""
    return _WILD.search(path) is not None


def fixed_part(path: str) -> str:
    """Return the folder before the first wildcard; of a path without one, the path."""
    if not is_pattern(path):
        return path
    parts = path.split("/")
    return "/".join(parts[: next(number for number, part in enumerate(parts) if is_pattern(part))])


def matches(pattern: str, path: str) -> bool:
    """Return whether a file at `path` belongs to the path or pattern: it is there, below it, or fits it."""
    if not is_pattern(pattern):
        return not pattern or path == pattern or path.startswith(f"{pattern}/")
    return _expression(pattern).fullmatch(path) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(map(_token, _TOKENS.findall(pattern))), re.DOTALL)


def _token(token: str) -> str:
    fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in fixed:
        return fixed[token]
    if token.startswith("[") and len(token) > 2:  # or it is the file's name
        inner = token[1:-1].replace("\\", r"\\")
        negated = f"^{inner[1:]}" if inner[0] == "!" else inner.replace("^", r"\^", 1) if inner[0] == "^" else inner
        return f"(?:[{negated}]|{re.escape(token)})"
    return re.escape(token)


# Names and paths ----------------------------------------------------------------------------------------------------


def web_path(address: str) -> str:
    """Return the path of an address on the web as files have it: the host, then its parts, without what is asked of it."""
    parts = urlsplit(address)
    names = [part for part in unquote(parts.path).split("/") if part not in ("", ".", "..")]
    return "/".join((parts.hostname or "", *(names or ["index"])))


def full_path(definition: DatasetDefinition, name: str) -> str:
    """Return a file's path on its datastore, from its name; of files on several ones, with the datastore's name before."""
    return "/".join(filter(None, (definition.root, name)))


def ordered(definition: DatasetDefinition, names: Iterable[str]) -> list[str]:
    """Return the names in the order in which the files are read: as its places name them, then by name."""
    return list(_ordered(definition, names))


def _ordered(definition: DatasetDefinition, names: Iterable[str]) -> Iterator[str]:
    patterns = [_whole(definition, place) for place in definition.places]

    def position(name: str) -> int:
        path = full_path(definition, name)
        found = (number for number, pattern in enumerate(patterns) if matches(pattern, path))
        return next(found, len(patterns))

    if len(patterns) < 2:
        return in_order(names)
    return (name for _, name in in_order((position(name), name) for name in names))


def order_of_places(definition: DatasetDefinition) -> tuple[str, ...]:
    """Return the places, from the root on, if they decide the order of the files; () if these come by name anyway."""
    paths = [_whole(definition, place) for place in definition.places]
    by_name = paths == sorted(paths) == sorted(paths, key=lambda path: f"{path}/")
    if len(paths) < 2 or (by_name and not any(map(is_pattern, paths))):
        return ()
    start = f"{definition.root}/" if definition.root else ""
    return tuple(path.removeprefix(start) if path.startswith(start) else f"/{path}" for path in paths)


def _whole(definition: DatasetDefinition, place: Place) -> str:
    """Return the path or pattern of a place as `full_path` has the paths of its files."""
    several = len({place.datastore for place in definition.places}) > 1
    path = place.path if place.datastore else web_path(place.path)
    return f"{place.datastore or 'web'}/{path}".rstrip("/") if several else path


def files_below(definition: DatasetDefinition, folder: str | os.PathLike[str]) -> Iterator[LocalFile]:
    """Yield the files of a definition that stand in a folder, or are the file at this path, in the order of reading."""
    top = os.fspath(folder)
    if not os.path.isdir(top):
        yield LocalFile(os.path.basename(top), top)
        return
    top = os.path.join(top, "")
    names = _names_below(top)
    for name in _ordered(definition, names) if len(definition.places) > 1 else names:
        yield LocalFile(name, top + name)


def _names_below(top: str) -> Iterator[str]:
    """Yield the names of the files below a folder, whose path ends with '/', sorted; links to folders are followed."""
    above = [("", _children(top))]
    while above:
        prefix, children = above[-1]
        for child in children:
            if child[-1] == "/":
                above.append((prefix + child, _children(top + prefix + child)))
                break
            yield prefix + child
        else:
            above.pop()


def _children(folder: str) -> Iterator[str]:
    """Return the names in a folder, in the order of the paths of what they hold: those of folders end with '/'."""
    try:
        with os.scandir(folder) as found:
            return in_order(child.name + "/" if _is_folder(child) else child.name for child in found)
    except OSError:
        return iter(())


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:
        return False


# Columns made of paths ----------------------------------------------------------------------------------------------


def partition_columns(partition_format: str) -> list[str]:
    """Return the columns that a partition format makes, in their order."""
    return list(dict.fromkeys(name.strip() for name, _ in _COLUMN.findall(partition_format)))


def partition_values(partition_format: str, path: str, *, quoted: bool = False) -> dict[str, Any]:
    """Return the values of the columns that a partition format makes of a path: texts, and times in UTC without a zone.

    Raises:
        UserErrorException: The path does not end as the format says.
    """
    found = _format(partition_format).search(f"/{path}")
    if found is None:
        raise UserErrorException(
            "The path of a file does not fit the partition format",
            {"path": path, "partition_format": partition_format},
            "Correct `partition_format`, or choose files that have such paths.",
        )
    values: dict[str, Any] = {}
    times: dict[str, dict[str, str]] = {}
    for number, (column, part) in enumerate(_columns(partition_format)):
        text = found[f"p{number}"]
        if part:
            times.setdefault(column, {})[part] = text
        else:
            values[column] = unquoted(text) if quoted else text
    for column, parts in times.items():
        values[column] = _time(column, parts, path)
    return {name: values[name] for name in partition_columns(partition_format)}


def typed_partition_values(options: ReadOptions, path: str) -> dict[str, Any]:
    """Return `partition_values` as the types of columns want them; a text that can't be of its type stays a text."""
    values = partition_values(options.partition_format, path, quoted=options.quoted)
    return {name: _typed(value, options.types.get(name)) for name, value in values.items()}


def _typed(value: Any, wanted: ColumnType | None) -> Any:
    if wanted is None or not isinstance(value, str):
        return value
    try:
        if wanted.type == "bool":
            return {"true": True, "false": False}.get(value.lower(), value)
        kinds = {"long": int, "float": float, "datetime": datetime.fromisoformat}
        return kinds[wanted.type](value) if wanted.type in kinds else value  # type: ignore[operator]
    except ValueError:
        return value


def quoted_value(value: str | None) -> str:
    """Return the name of the folder of rows with this value for a key of their partition."""
    if value is None:
        return NULL
    if value in (NULL, EMPTY):
        return f"%5F{value[1:]}"
    return quote(value, safe=" ,+=@()") if value.strip(".") else value.replace(".", "%2E") or EMPTY


def unquoted(text: str) -> str | None:
    """Return the value whose folder has this name."""
    return None if text == NULL else "" if text == EMPTY else unquote(text)


def _time(column: str, parts: dict[str, str], path: str) -> datetime:
    try:
        text = " ".join(parts.get(part, "01" if part in ("MM", "dd") else "00") for part in _TIME_PARTS)
        return datetime.strptime(text, " ".join(_TIME_PARTS.values())).replace(tzinfo=UTC).replace(tzinfo=None)
    except ValueError as error:
        raise UserErrorException(
            f"The path of a file has no time for {column!r}",
            {"path": path, "reason": error},
            "Correct `partition_format`.",
        ) from None


def _columns(partition_format: str) -> list[tuple[str, str]]:
    """Return each group of the format's expression: its column, and the part of a time, or ''."""
    found: list[tuple[str, str]] = []
    for name, time_format in _COLUMN.findall(partition_format):
        parts = re.findall("|".join(_TIME_PARTS), time_format) if time_format else [""]
        found += [(name.strip(), part) for part in parts]
    return found


@cache
def _format(partition_format: str) -> re.Pattern[str]:
    """Return the expression of a partition format, which fits the end of a path that begins with '/'."""
    text, number, end = "", 0, 0
    for match in _COLUMN.finditer(partition_format):
        text += _wild(partition_format[end : match.start()])
        end = match.end()
        if match[2] is None:
            text += f"(?P<p{number}>[^/]+?)"
            number += 1
            continue
        inner = 0
        for part in re.finditer("|".join(_TIME_PARTS), match[2]):
            text += re.escape(match[2][inner : part.start()]) + f"(?P<p{number}>{_DIGITS.get(part[0], r'[0-9]{2}')})"
            number, inner = number + 1, part.end()
        text += re.escape(match[2][inner:])
    text += _wild(partition_format[end:])
    try:
        return re.compile(f"(?:^|(?<=/)|(?=/)){text}$" if not text.startswith("/") else f"{text}$", re.DOTALL)
    except re.error as error:
        raise _no_format(partition_format, str(error)) from None


def _wild(text: str) -> str:
    return "".join(map(_token, _TOKENS.findall(text)))


def check_partition_format(partition_format: str) -> None:
    """Raise UserErrorException if it names no column, or a time by parts that are none."""
    if not _COLUMN.search(partition_format):
        raise _no_format(partition_format, "it names no column in braces")
    for _, time_format in _COLUMN.findall(partition_format):
        if time_format and not re.findall("|".join(_TIME_PARTS), time_format):
            raise _no_format(partition_format, f"{time_format!r} is no format of times")
    _format(partition_format)


def _no_format(partition_format: str, reason: str) -> UserErrorException:
    return UserErrorException(
        f"{partition_format!r} is no partition format",
        {"reason": reason},
        "Write it as in '/{department}/{date:yyyy/MM/dd}/data.csv'.",
    )


def common_root(roots: Sequence[str]) -> str:
    """Return the innermost folder that holds all the folders; '' if that is the top."""
    parts = [root.split("/") if root else [] for root in roots]
    shortest = min(parts, key=len, default=[])
    for number, part in enumerate(shortest):
        if any(other[number] != part for other in parts):
            return "/".join(shortest[:number])
    return "/".join(shortest)
