"""Where files differ is told in the terms of their format, and nothing in them is executed."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy
import pytest

from stepwell.blocks.differences.differences import content_difference, differences


def place(one: bytes, two: bytes) -> str:
    return content_difference(io.BytesIO(one), io.BytesIO(two))


def array(values: object, **more: object) -> bytes:
    stream = io.BytesIO()
    numpy.save(stream, numpy.array(values, **more))
    return stream.getvalue()


def npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    numpy.savez(stream, **arrays)
    return stream.getvalue()


def test_files_are_named_with_what_differs(tmp_path: Path) -> None:
    for folder, text in (("a", "one\n"), ("b", "two\n")):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "same").write_text("same")
        (tmp_path / folder / "sub" / "text").write_text(text)
        (tmp_path / folder / f"only-{folder}").write_text("")
        (tmp_path / folder / "link").symlink_to(f"only-{folder}")
    (tmp_path / "b" / "same").chmod(0o755)
    assert differences(tmp_path / "a", tmp_path / "b") == [
        "link: links to 'only-a' and to 'only-b'",
        "only-a: only the first has it",
        "only-b: only the second has it",
        "same: executable in one of them only",
        "sub/text: line 1: 'one' and 'two'",
    ]
    assert differences(tmp_path / "a", tmp_path / "a") == []
    assert differences(tmp_path / "a" / "sub" / "text", tmp_path / "b" / "sub" / "text") == [
        "the file: line 1: 'one' and 'two'"
    ]


def test_text_is_told_by_line() -> None:
    assert place(b"a\nb\nc\n", b"a\nb\nd\n") == "line 3: 'c' and 'd'"
    assert place(b"a\n", b"a\nb\n") == "line 2: its end and 'b'"
    assert place(b"", b"a") == "line 1: its end and 'a'"
    long = b"x" * 100
    assert place(long + b"1", long + b"2").startswith("line 1: …'xxx") and place(long + b"1", long + b"2").endswith(
        "x2'"
    )
    many = b"line\n" * 500_000
    assert place(many + b"a", many + b"b") == "line 500001: 'a' and 'b'"
    assert place(b"\x00\x01\x02", b"\x00\x01\x03") == "byte 2: 0x02 and 0x03"
    assert place(b"\x00\x01", b"\x00") == "byte 1: 0x01 and its end"


def test_arrays_are_told_by_element() -> None:
    assert place(array([[1.0, 2.0], [3.0, 4.0]]), array([[1.0, 2.0], [3.5, 4.0]])) == "element [1, 0]: 3.0 and 3.5"
    fortran = {"order": "F"}
    assert place(array([[1, 2], [3, 4]], **fortran), array([[1, 2], [3, 5]], **fortran)) == "element [1, 1]: 4 and 5"
    assert place(array([1, 2]), array([1, 2, 3])) == "shape (2,) and (3,)"
    assert place(array([1]), array([1.0])) == "type <i8 and <f8"
    assert place(array(["a", "b"]), array(["a", "c"])) == "element [1]: 'b' and 'c'"
    assert place(array([1j, 2j]), array([1j, 3j])) == "element [1]: 2j and 3j"
    assert (
        place(array(numpy.zeros(3_000_000)), array([*numpy.zeros(2_999_999), 1.0])) == "element [2999999]: 0.0 and 1.0"
    )
    structured = [("a", "i4"), ("b", "f8")]
    assert place(array([(1, 2.0)], dtype=structured), array([(1, 3.0)], dtype=structured)).startswith("byte ")


def test_members_of_an_archive_are_named() -> None:
    assert place(npz(x=[1, 2], y=[3]), npz(x=[1, 2], y=[4])) == "array 'y', element [0]: 3 and 4"
    assert place(npz(x=[1]), npz(x=[1], z=[1])) == "only the second has its member 'z.npy'"
    archives = []
    for year in (2000, 2001):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(zipfile.ZipInfo("a.txt", (year, 1, 1, 0, 0, 0)), "text")
        archives.append(stream.getvalue())
    assert place(*archives) == "its members are the same, but not their times, order or compression"


def test_what_is_compressed_is_looked_into(tmp_path: Path) -> None:
    for name, content, when in (("a", b"1\n", 1), ("b", b"2\n", 1), ("c", b"1\n", 2)):
        (tmp_path / name).write_bytes(gzip.compress(content, mtime=when))
    assert differences(tmp_path / "a", tmp_path / "b") == ["the file: line 1: '1' and '2'"]
    assert differences(tmp_path / "a", tmp_path / "c") == [
        "the file: the same content, but another time or name in its header"
    ]


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (1,)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_is_compared_and_never_loaded(protocol: int) -> None:
    one, two = ({"names": ["a", name], "bomb": Bomb()} for name in ("b", "c"))
    found = place(pickle.dumps(one, protocol), pickle.dumps(two, protocol))
    assert found.startswith("pickled value at byte ") and found.endswith(": 'b' and 'c'")
    assert place(pickle.dumps([1], protocol), pickle.dumps([1, 2], protocol)).startswith("pickled value at byte ")


def test_what_only_begins_like_a_format_is_bytes() -> None:
    for magic in (b"PK\x03\x04", b"\x93NUMPY", b"PAR1", b"\x1f\x8b", b"\x80\x04"):
        assert place(magic + b"\x00\x01", magic + b"\x00\x02").startswith(f"byte {len(magic) + 1}: 0x01 and 0x02")


def test_a_table_is_told_by_column_and_row(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for name, last in (("a", 2.0), ("b", 3.0)):
        parquet.write_table(pyarrow.table({"x": [1, 2], "y": [float("nan"), last]}), tmp_path / name)
    parquet.write_table(pyarrow.table({"x": [1, 2], "y": [float("nan"), 2.0]}), tmp_path / "c", compression="gzip")
    assert differences(tmp_path / "a", tmp_path / "b") == ["the file: column 'y', row 1: 2.0 and 3.0"]
    assert differences(tmp_path / "a", tmp_path / "c") == ["the file: the same values, written in another way"]


def test_without_pyarrow_a_table_is_told_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert place(b"PAR1\x00\x01PAR1", b"PAR1\x00\x02PAR1") == "byte 5: 0x01 and 0x02 (install pyarrow to see the row)"
