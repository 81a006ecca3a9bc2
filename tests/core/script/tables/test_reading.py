"""Tables read from files: what pandas gives, whatever is done with them before."""

from __future__ import annotations

import json
import random
import string
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from stepwell.errors import UserErrorException
from stepwell.model.datasets.definition import ColumnType, DatasetDefinition, Place, ReadOptions
from stepwell.model.datasets.expressions import column
from stepwell.model.datasets.file_names import files_below
from stepwell.script.tables import reading


def table(form: str = "delimited", path: str = "", root: str = "", **options) -> DatasetDefinition:
    return DatasetDefinition("tabular", (Place("d", path),), form, ReadOptions(**options), root=root)


def read(folder: Path, definition: DatasetDefinition | None = None, **rules) -> pd.DataFrame:
    wanted = definition or table()
    return reading.frame_of(wanted, files_below(wanted, folder), **rules)


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


# Random tables -----------------------------------------------------------------------------------------------------------

WORDS = st.text(string.ascii_letters + " ,\"'üß\n", min_size=1, max_size=8).filter(lambda text: text.strip() == text)
TEXTS = WORDS.map(lambda text: f"_{text}")  # no number, time or truth value
COLUMNS = {
    "whole": st.integers(-(2**53), 2**53),
    "share": st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0),
    "text": TEXTS,
    "truth": st.booleans(),
    "time": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda time: time.replace(microsecond=0)),
}
ROWS = st.lists(st.fixed_dictionaries(COLUMNS), min_size=1, max_size=12)
BOUNDED = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def frame_of(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*COLUMNS])
    return frame.astype({"whole": "int64", "share": "float64", "truth": bool, "time": "datetime64[us]"})


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    assert_frame_equal(found, wanted.reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("form", ["delimited", "parquet"])
@given(
    parts=st.lists(ROWS, min_size=1, max_size=3),
    seed=st.integers(0, 9),
    share=st.floats(0, 1),
    count=st.integers(0, 40),
)
@BOUNDED
def test_random_tables_are_what_pandas_has(tmp_path_factory, form, parts, seed, share, count) -> None:
    folder = tmp_path_factory.mktemp("table")
    frames = [frame_of(rows) for rows in parts]
    for number, frame in enumerate(frames):
        if form == "parquet":
            frame.to_parquet(folder / f"{number}.parquet")
        else:
            frame.to_csv(folder / f"{number}.csv", index=False)
    whole = pd.concat(frames, ignore_index=True)
    definition = table(form)
    same(read(folder, definition), whole)
    same(read(folder, definition.then("take", count=count)), whole.head(count))
    same(read(folder, definition.then("skip", count=count)), whole.iloc[count:])
    bound = whole["whole"].iloc[0]
    expression = ((column("whole") >= int(bound)) & ~(column("truth") == True)) | column("text").contains("a")  # noqa: E712
    mask = ((whole["whole"] >= bound) & ~whole["truth"]) | whole["text"].str.contains("a")
    filtered = definition.then("filter", expression=expression.tree)
    same(read(folder, filtered), whole[mask])
    same(read(folder, filtered.then("keep", columns=["time", "whole"])), whole[mask][["whole", "time"]])
    same(read(folder, definition.then("drop", columns=["text"])), whole.drop(columns=["text"]))
    first, second = (
        read(folder, definition.then("split", percentage=share, seed=seed, second=part)) for part in (False, True)
    )
    draws = random.Random(seed)
    in_first = pd.Series([draws.random() < share for _ in range(len(whole))], dtype=bool)
    same(first, whole[in_first])
    same(second, whole[~in_first])
    same(read(folder, definition.then("sample", probability=share, seed=seed)), first)
    time = whole["time"].iloc[-1].to_pydatetime().isoformat()
    recent = definition.then("time", column="time", after=time, before=None, boundary=False)
    same(read(folder, recent), whole[whole["time"] > whole["time"].iloc[-1]])


@given(rows=ROWS)
@BOUNDED
def test_random_json_lines_are_what_pandas_has(tmp_path_factory, rows) -> None:
    folder = tmp_path_factory.mktemp("lines")
    frame = frame_of(rows).drop(columns=["time"])
    lines = [json.dumps({name: value for name, value in row.items() if name != "time"}) for row in rows]
    (folder / "a.jsonl").write_text("\n".join(lines))
    same(read(folder, table("json_lines"))[frame.columns], frame)


# Delimited text ----------------------------------------------------------------------------------------------------------


def test_types_are_found_from_all_files_at_once(tmp_path) -> None:
    frame = read(write(tmp_path, a="n,t\n1,2020-01-01\n", b="n,t\n1.5,2020-01-02T03:04:05Z\n,\n"))
    assert frame["n"].tolist()[:2] == [1.0, 1.5] and pd.isna(frame["n"][2])
    assert frame["t"].tolist()[:2] == [pd.Timestamp(2020, 1, 1), pd.Timestamp(2020, 1, 2, 3, 4, 5)]
    mixed = read(write(tmp_path, b="n,t\nNA,null\n"))
    assert mixed["n"].tolist() == ["1", "NA"] and mixed["t"].tolist() == ["2020-01-01", "null"]


def test_numbers_are_exact_and_times_unambiguous(tmp_path) -> None:
    text = "share,day,us\n0.1234567890123456789,1/2/2020,1/2/2020\n8.41e-3,3/4/2020,1/31/2020\n"
    frame = read(write(tmp_path, a=text))
    assert frame["share"].tolist() == [0.1234567890123456789, 8.41e-3]
    assert frame["day"].tolist() == ["1/2/2020", "3/4/2020"]
    assert frame["us"].tolist() == [pd.Timestamp(2020, 1, 2), pd.Timestamp(2020, 1, 31)]


def test_types_can_be_left_or_set(tmp_path) -> None:
    folder = write(tmp_path, a='id,flag,amount,day\n007,yes,"1.234,5",31.01.2020\n008,no,2,x\n')
    plain = read(folder, table(infer_types=False))
    assert plain.iloc[0].tolist() == ["007", "yes", "1.234,5", "31.01.2020"]
    types = {
        "id": ColumnType("string"),
        "flag": ColumnType("bool"),
        "amount": ColumnType("float", decimal_mark=","),
        "day": ColumnType("datetime", formats=("%Y-%m-%d", "%d.%m.%Y")),
    }
    frame = read(folder, table(types=types))
    assert frame["id"].tolist() == ["007", "008"] and frame["flag"].tolist() == [True, False]
    assert frame["amount"].tolist() == [1234.5, 2.0]
    assert frame["day"][0] == pd.Timestamp(2020, 1, 31) and pd.isna(frame["day"][1])
    with pytest.raises(UserErrorException, match="'day' is no datetime") as caught:
        read(folder, table(types=types), out_of_range_datetime="fail")
    assert "'x'" in caught.value.facts["value"]
    whole = read(folder, table(types={"id": ColumnType("long"), "flag": ColumnType("long")}))
    assert whole["id"].tolist() == [7, 8] and whole["flag"].isna().all()


def test_headers_are_where_they_are_said_to_be(tmp_path) -> None:
    folder = write(tmp_path, a="x,y\n1,2\n", b="y,x\n4,3\n")
    assert read(folder).to_dict("list") == {"x": [1, 3], "y": [2, 4]}
    assert read(folder, table(headers="none")).columns.tolist() == ["Column1", "Column2"]
    write(tmp_path, b="3,4\n")
    assert read(folder, table(headers="first")).to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test_empty_values_files_and_names(tmp_path) -> None:
    folder = write(tmp_path, a="", b=",x\n1,\n2,b\n")
    frame = read(folder)
    assert frame.columns.tolist() == ["Column1", "x"] and pd.isna(frame["x"][0])
    assert read(folder, table(empty_as_string=True))["x"].tolist() == ["", "b"]


def test_a_separator_of_several_marks_and_another_encoding(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes("a||b\nü||1\n".encode("utf-16"))
    assert read(tmp_path, table(separator="||", encoding="utf16")).to_dict("list") == {"a": ["ü"], "b": [1]}
    (tmp_path / "a.txt").write_text("a¦b\nü¦1\n")
    assert read(tmp_path, table(separator="¦")).to_dict("list") == {"a": ["ü"], "b": [1]}
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(UserErrorException, match="can't be read") as caught:
        read(tmp_path, table())
    assert caught.value.facts["file"] == "a.txt" and "encoding" in caught.value.hint


def test_rows_with_more_fields_than_the_header_are_not_shifted(tmp_path) -> None:
    assert read(write(tmp_path, a="x,y\n1,2,\n3,4,\n")).to_dict("list") == {"x": [1, 3], "y": [2, 4]}
    for rows in ("0,2,3\n1,4,5\n", "1,2,3\n3,4\n", "1,2,\n3,4,5\n"):
        with pytest.raises(UserErrorException, match="more fields"):
            read(write(tmp_path, a=f"x,y\n{rows}"))


def test_compressed_files_are_read(tmp_path) -> None:
    pd.DataFrame({"x": [1, 2]}).to_csv(tmp_path / "a.csv.gz", index=False)
    assert read(tmp_path)["x"].tolist() == [1, 2]


def test_columns_are_made_of_paths(tmp_path) -> None:
    for year in ("2019", "2020"):
        (tmp_path / year / "01").mkdir(parents=True)
        (tmp_path / year / "01" / "data.csv").write_text("x\n1\n")
    definition = table(path="sales", root="sales", include_path=True, partition_format="/{when:yyyy/MM}/data.csv")
    frame = read(tmp_path, definition)
    assert frame.columns.tolist() == ["Path", "when", "x"]
    assert frame["Path"].tolist() == ["/sales/2019/01/data.csv", "/sales/2020/01/data.csv"]
    assert frame["when"].tolist() == [pd.Timestamp(2019, 1, 1), pd.Timestamp(2020, 1, 1)]


def test_files_that_are_not_needed_are_not_read(tmp_path) -> None:
    write(tmp_path, a="x\n" + "1\n2\n" * 100)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe")
    assert read(tmp_path, table().then("take", count=2))["x"].tolist() == [1, 2]


# Others ------------------------------------------------------------------------------------------------------------------


def test_a_folder_with_a_name_of_hives_adds_no_column_to_parquet(tmp_path) -> None:
    (tmp_path / "k=1").mkdir()
    pd.DataFrame({"x": [1]}, index=pd.Index(["r"], name="row")).to_parquet(tmp_path / "k=1" / "a.parquet")
    assert read(tmp_path, table("parquet")).to_dict("list") == {"row": ["r"], "x": [1]}


def test_lines_that_are_no_objects_are_refused_or_dropped(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n\n[1]\noops\n{"x": 2, "y": "b"}\n')
    with pytest.raises(UserErrorException, match="no JSON object") as caught:
        read(tmp_path, table("json_lines"))
    assert caught.value.facts["line"] == "3"
    assert read(tmp_path, table("json_lines", invalid_lines="drop"))["x"].tolist() == [1, 2]


def test_missing_columns_are_told(tmp_path) -> None:
    write(tmp_path, a="x\n1\n")
    for definition in (table().then("keep", columns=["z"]), table().then("filter", expression=(column("z") > 1).tree)):
        with pytest.raises(UserErrorException, match="no column 'z'") as caught:
            read(tmp_path, definition)
        assert caught.value.facts == {"columns": "x"}


def test_without_pandas_the_extra_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserErrorException, match="need pandas") as caught:
        read(tmp_path)
    assert "stepwell[datasets]" in caught.value.hint


@pytest.mark.parametrize(
    "texts",
    [
        ["007", "x"],
        ["1", "true"],
        ["", "x"],
        ["", "1"],
        ["true", ""],
        ["1.5", "2", ""],
        ["2020-01-01", ""],
        ["99999999999999999999", "1"],
        ["nan", "1"],
    ],
)
def test_types_do_not_depend_on_how_rows_are_spread_over_files(tmp_path, texts) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    one.mkdir()
    several.mkdir()
    (one / "a.csv").write_text("".join(f"{line}\n" for line in ["x,y", *(f"{text},1" for text in texts)]))
    for number, text in enumerate(texts):
        (several / f"{number}.csv").write_text(f"x,y\n{text},1\n")
    assert_frame_equal(read(several), read(one))
