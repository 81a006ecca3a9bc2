"""Names of datasets' files: patterns, order, and columns that are made of paths."""

from datetime import datetime
from itertools import permutations

import pytest

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.datasets.file_names import (
    check_partition_format,
    common_root,
    files_below,
    fixed_part,
    matches,
    order_of_places,
    ordered,
    partition_columns,
    partition_values,
    quoted_value,
    unquoted,
    web_path,
)


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("a", "a/b/c.csv", "ab/c.csv"),
        ("a/*.csv", "a/b.csv", "a/b/c.csv"),
        ("a/**/*.csv", "a/b.csv", "a/b/c.txt"),
        ("a/**/*.csv", "a/b/c/d.csv", "b/a.csv"),
        ("a/**", "a/b/c", "ab/c"),
        ("**.csv", "a/b/c.csv", "c.txt"),
        ("a/?.csv", "a/b.csv", "a/bc.csv"),
        ("a/[0-9].csv", "a/3.csv", "a/b.csv"),
        ("a/[!0-9].csv", "a/b.csv", "a/3.csv"),
        ("a/data[1].csv", "a/data[1].csv", "a/data2.csv"),
        ("a/*/x.+", "a/b/x.+", "a/b/xx"),
        ("", "anything/at.all", None),
    ],
)
def test_patterns(pattern: str, fitting: str, other: str | None) -> None:
    assert matches(pattern, fitting)
    assert other is None or not matches(pattern, other)


def test_the_fixed_part_of_a_pattern_is_a_folder() -> None:
    assert [fixed_part(path) for path in ("a/b/*.csv", "a/b*/c", "*", "a/b.csv", "a/[x]/b")] == [
        "a/b",
        "a",
        "",
        "a/b.csv",
        "a",
    ]


def test_the_root_is_the_innermost_common_folder() -> None:
    assert common_root(["a/b/c", "a/b", "a/bc"]) == "a"
    assert common_root(["a/b"]) == "a/b" and common_root([]) == "" and common_root(["", "a"]) == ""


def test_files_come_as_the_places_name_them(tmp_path) -> None:
    definition = DatasetDefinition("file", (Place("d", "x/b"), Place("d", "x/a/*.csv")), root="x")
    assert ordered(definition, ["a/2.csv", "a/1.csv", "b/9.csv"]) == ["b/9.csv", "a/1.csv", "a/2.csv"]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("a/1.csv", "b/9.csv"):
        (tmp_path / name).write_text("x")
    assert [file.name for file in files_below(definition, tmp_path)] == ["b/9.csv", "a/1.csv"]
    assert [file.name for file in files_below(definition, tmp_path / "a" / "1.csv")] == ["1.csv"]


def test_partition_formats_make_columns_of_paths() -> None:
    format = "/{department}/{when:yyyy/MM/dd}/data.csv"
    assert partition_columns(format) == ["department", "when"]
    values = partition_values(format, "x/sales/2019/01/31/data.csv")
    assert values == {"department": "sales", "when": datetime(2019, 1, 31)}
    assert partition_values("{name}.csv", "x/y/a.csv") == {"name": "a"}
    assert partition_values("/{when:yyyyMMdd-HHmmss}/*.csv", "x/20190131-101112/1.csv") == {
        "when": datetime(2019, 1, 31, 10, 11, 12)
    }
    with pytest.raises(UserErrorException, match="does not fit"):
        partition_values(format, "x/sales/2019/data.csv")


@pytest.mark.parametrize("format", ["data.csv", "{when:qq}/a"])
def test_what_is_no_partition_format_is_refused(format: str) -> None:
    with pytest.raises(UserErrorException, match="no partition format"):
        check_partition_format(format)


@pytest.mark.parametrize("value", [None, "", ".", "..", "a/b", "%", "__null__", "__empty__", "ü ö", "a b", "x" * 50])
def test_any_value_can_name_a_folder(value: str | None) -> None:
    name = quoted_value(value)
    assert unquoted(name) == value and name not in ("", ".", "..") and "/" not in name


def test_addresses_have_paths() -> None:
    assert web_path("https://example.org/a/b%20c.csv?x=1") == "example.org/a/b c.csv"
    assert web_path("https://example.org") == "example.org/index"
    assert web_path("https://example.org/../a") == "example.org/a"


@pytest.mark.parametrize("root", ["", "t", "t/a"])
def test_places_tell_an_order_unless_the_files_come_by_name(root: str) -> None:
    names = ["a/x", "a/y", "a.b", "a", "b/x", "ab"]
    paths = ["a", "a.b", "b", "b/x", "ab", "a/*", "?b", "*"]
    orders: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for chosen in (list(pair) for length in (1, 2, 3) for pair in permutations(paths, length)):
        places = tuple(Place("s", f"{root}/{path}".lstrip("/")) for path in chosen)
        definition = DatasetDefinition("file", places, root=root)
        for some in (names[:3], names[2:], ["a.b", "a", "b/x"]):
            found = [name for name in some if any(matches(path, name) for path in chosen)]
            orders.setdefault((*order_of_places(definition), "|", *sorted(found)), set()).add(
                tuple(ordered(definition, found))
            )
    assert all(len(found) == 1 for found in orders.values())
    assert order_of_places(DatasetDefinition("file", (Place("s", "a"), Place("s", "b")))) == ()
