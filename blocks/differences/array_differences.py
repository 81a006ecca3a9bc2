"""Differences between NumPy's files, by array element, read without NumPy."""

from __future__ import annotations

import ast
import math
import re
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

MAGIC = b"\x93NUMPY"
_CHUNK = 1 << 20
_CODES = {"f2": "e", "f4": "f", "f8": "d", "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q"}
_CODES |= {f"u{size}": code.upper() for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))}


def array_difference(left: BinaryIO, right: BinaryIO) -> str:
    """Return the first element in which two arrays differ; '' if that can't be told."""
    one, two = _header(left), _header(right)
    for fact, word in (("descr", "type"), ("shape", "shape"), ("fortran_order", "order in memory")):
        if one[fact] != two[fact]:
            return f"{word} {one[fact]} and {two[fact]}"
    kind = re.fullmatch(r"([<>|=])([a-zA-Z])(\d+)(\[\w+\])?", str(one["descr"]))
    if not kind or kind[2] == "O":
        return ""
    size = int(kind[3]) * (4 if kind[2] == "U" else 1)
    if not 0 < size <= _CHUNK:
        return ""
    number, step = 0, _CHUNK // size * size
    while True:
        chunks = left.read(step), right.read(step)
        if chunks[0] != chunks[1]:
            break
        if not chunks[0]:
            return ""
        number += len(chunks[0]) // size
    at = next(at for at in range(0, len(chunks[0]), size) if chunks[0][at : at + size] != chunks[1][at : at + size])
    shown = [_value(kind, chunk[at : at + size]) for chunk in chunks]
    index = _index(number + at // size, one["shape"], fortran=bool(one["fortran_order"]))
    return f"element [{', '.join(map(str, index))}]: {shown[0]} and {shown[1]}"


def _header(stream: BinaryIO) -> dict[str, Any]:
    """Read the header of a `.npy` file; what is none raises an error of some kind."""
    if stream.read(6) != MAGIC:
        raise ValueError("no array")
    large = stream.read(2)[0] > 1
    (length,) = struct.unpack("<I" if large else "<H", stream.read(4 if large else 2))
    if length > _CHUNK:
        raise ValueError("no header")
    found = ast.literal_eval(stream.read(length).decode("latin-1"))
    return {name: found[name] for name in ("descr", "shape", "fortran_order")}


def _index(number: int, shape: Sequence[int], *, fortran: bool) -> list[int]:
    sizes = list(shape if fortran else reversed(shape))
    index = []
    for size in sizes:
        number, rest = divmod(number, size)
        index.append(rest)
    return index if fortran else index[::-1]


def _value(kind: re.Match[str], data: bytes) -> str:
    order, letter, digits, _ = kind.groups()
    order = "<" if order in "|=" else order
    code = _CODES.get(letter + digits)
    if code:
        value = struct.unpack(order + code, data)[0]
        return "nan" if isinstance(value, float) and math.isnan(value) else repr(value)
    if letter == "c":
        half = len(data) // 2
        real, imaginary = struct.unpack(order + _CODES[f"f{half}"] * 2, data)
        return repr(complex(real, imaginary))
    if letter == "U":
        return repr(data.decode("utf-32-be" if order == ">" else "utf-32-le").rstrip("\0"))
    return repr(data.rstrip(b"\0")) if letter == "S" else f"0x{data.hex()}"
