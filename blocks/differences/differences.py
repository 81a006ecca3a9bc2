"""Differences between two files or folders: which files differ, and where. Their content is read, never executed."""

from __future__ import annotations

import gzip
import os
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from stepwell.blocks.differences.array_differences import MAGIC, array_difference
from stepwell.model.tree import Tree, scan
from stepwell.model.trees.entries import Entry

_CHUNK = 1 << 20
_LARGEST_READ = 256 << 20
"""Bytes up to which a pickle or compressed file is looked into; in a larger one the byte is named."""

_SHOWN = 60
_FRAMING = ("PROTO", "FRAME")


def differences(first: Path, second: Path) -> list[str]:
    """Return a sentence for each file that differs between two files or folders, in order; none if they are the same."""
    before, after = (_by_path(scan(path)) for path in (first, second))
    found = []
    for path in sorted(before.keys() | after.keys()):
        one, two = before.get(path), after.get(path)
        if one != two:
            name = path.encode("utf-8", "backslashreplace").decode() or "the file"
            found.append(f"{name}: {_difference(first / path, second / path, one, two)}")
    return found


def _by_path(tree: Tree) -> dict[str, Entry]:
    return {entry.path: entry for entry in tree.entries}


def _difference(first: Path, second: Path, one: Entry | None, two: Entry | None) -> str:
    if one is None or two is None:
        return f"only the {'first' if two is None else 'second'} has it"
    if one.kind != two.kind:
        return f"a {one.kind} and a {two.kind}"
    if one.kind == "link":
        return f"links to {one.digest!r} and to {two.digest!r}"
    if one.digest == two.digest:
        return "executable in one of them only"
    with open(first, "rb") as left, open(second, "rb") as right:
        return content_difference(left, right)


def content_difference(left: BinaryIO, right: BinaryIO) -> str:
    """Return where the contents of two files differ, in the terms of their format."""
    heads = left.read(8), right.read(8)
    for magic, compare in _FORMATS.items():
        if all(head.startswith(magic) for head in heads):
            with suppress(Exception):  # whatever is not quite of the format that it begins like is bytes
                place = compare(_at_start(left), _at_start(right))
                if place:
                    return place
    return _text_or_bytes(left, right)


def _at_start(stream: BinaryIO) -> BinaryIO:
    stream.seek(0)
    return stream


# Text and bytes ---------------------------------------------------------------------------------------------------------


def _text_or_bytes(left: BinaryIO, right: BinaryIO) -> str:
    offset, line, line_start = 0, 1, 0
    for one, two in _chunks(_at_start(left), _at_start(right)):
        if one != two:
            within = next(
                (n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
            )
            break
        line += one.count(b"\n")
        line_start = offset + one.rindex(b"\n") + 1 if b"\n" in one else line_start
        offset += len(one)
    else:
        return "the same content"
    line += one[:within].count(b"\n")
    line_start = offset + one.rindex(b"\n", 0, within) + 1 if b"\n" in one[:within] else line_start
    place = offset + within
    lines = [_line(stream, line_start) for stream in (left, right)]
    if None in lines:
        shown = [_byte(stream, place) for stream in (left, right)]
        return f"byte {place}: {shown[0]} and {shown[1]}"
    texts = [_around(str(text), place - line_start) for text in lines]
    return f"line {line}: {texts[0]} and {texts[1]}"


def _chunks(left: BinaryIO, right: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while True:
        one, two = left.read(_CHUNK), right.read(_CHUNK)
        if not (one or two):
            return
        yield one, two


def _line(stream: BinaryIO, start: int) -> str | None:
    """Return the line of text that begins there, None if it is none."""
    stream.seek(start)
    line = stream.readline(_CHUNK)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    return None if any(ord(character) < 32 and character not in "\t\r\n\f\x1b" for character in text) else text


def _around(text: str, place: int) -> str:
    """Return the line, or where it is long the part of it around the place, as Python writes it; `its end` if it is over."""
    start = max(0, place - _SHOWN // 2) if len(text) > _SHOWN else 0
    part = text.rstrip("\r\n")[start : start + _SHOWN]
    return f"{'…' if start else ''}{part!r}" if text else "its end"


def _byte(stream: BinaryIO, place: int) -> str:
    stream.seek(place)
    found = stream.read(1)
    return f"0x{found.hex()}" if found else "its end"


# Formats ----------------------------------------------------------------------------------------------------------------


def _archive(left: BinaryIO, right: BinaryIO) -> str:
    """Compare zip archives: npz, models, spreadsheets."""
    with zipfile.ZipFile(left) as one, zipfile.ZipFile(right) as two:
        for mine, other in ((one, two), (two, one)):
            lonely = [name for name in mine.namelist() if name not in other.namelist()]
            if lonely:
                return f"only the {'first' if mine is one else 'second'} has its member {lonely[0]!r}"
        for name in one.namelist():
            facts = [(info.CRC, info.file_size) for info in (one.getinfo(name), two.getinfo(name))]
            if facts[0] != facts[1]:
                with one.open(name) as mine_stream, two.open(name) as other_stream:
                    place = content_difference(mine_stream, other_stream)  # type: ignore[arg-type]
                word = f"array {name.removesuffix('.npy')!r}" if name.endswith(".npy") else f"member {name!r}"
                return f"{word}, {place}"
    return "its members are the same, but not their times, order or compression"


def _gzipped(left: BinaryIO, right: BinaryIO) -> str:
    if max(os.fstat(stream.fileno()).st_size for stream in (left, right)) > _LARGEST_READ:
        return ""
    with gzip.open(left) as one, gzip.open(right) as two:
        place = content_difference(one, two)  # type: ignore[arg-type]
    return "the same content, but another time or name in its header" if place == "the same content" else place


def _pickle(left: BinaryIO, right: BinaryIO) -> str:
    """Compare pickles by their opcodes, without loading them."""
    datas = [stream.read(_LARGEST_READ + 1) for stream in (left, right)]
    if max(map(len, datas)) > _LARGEST_READ:
        return ""
    steps = [
        ((code.name, argument, at or 0) for code, argument, at in pickletools.genops(data) if code.name not in _FRAMING)
        for data in datas
    ]
    for one, two in zip_longest(*steps):
        if one is None or two is None or one[:2] != two[:2]:
            words = [_opcode(step) for step in (one, two)]
            return f"pickled value at byte {(one or two)[2]}: {words[0]} and {words[1]}"
    return ""


def _opcode(step: tuple[str, object, int] | None) -> str:
    if step is None:
        return "its end"
    name, argument, _ = step
    if argument is None or "PUT" in name or "GET" in name:
        return name
    text = repr(argument)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _table(left: BinaryIO, right: BinaryIO) -> str:
    """Compare Parquet files, with pyarrow where there is one."""
    try:
        from pyarrow import parquet  # type: ignore[import-not-found]
    except ImportError:
        return f"{_text_or_bytes(left, right)} (install pyarrow to see the row)"
    one, two = parquet.read_table(left), parquet.read_table(right)
    if one.schema != two.schema:
        return "its columns or their types differ"
    if one.num_rows != two.num_rows:
        return f"{one.num_rows} and {two.num_rows} rows"
    for name in one.column_names:
        for start in range(0, one.num_rows, _CHUNK):
            parts = [table.column(name).slice(start, _CHUNK) for table in (one, two)]
            if not parts[0].equals(parts[1]):
                for row, (mine, other) in enumerate(zip(*(part.to_pylist() for part in parts), strict=True), start):
                    if repr(mine) != repr(other):  # NaN is NaN
                        return f"column {name!r}, row {row}: {mine!r} and {other!r}"
    return "the same values, written in another way"


_FORMATS = {
    b"PK\x03\x04": _archive,
    MAGIC: array_difference,
    b"PAR1": _table,
    b"\x1f\x8b": _gzipped,
    **{bytes([0x80, protocol]): _pickle for protocol in range(2, 6)},
}
