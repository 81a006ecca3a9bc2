"""Digests: fixed for ever, one text for one value, and tags that never meet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import strategies
from hypothesis import given

from stepwell.model.digests import bytes_digest, digest, encode, file_digest

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_encoding_is_fixed() -> None:
    value = {"b": [1, 2.5, True, None], "a": 'é\udce9 "\n', "": {}}
    assert encode(value) == b'{"":{},"a":"\\u00e9\\udce9 \\"\\n","b":[1,2.5,true,null]}'


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        ("tree", [], "d938ca3f6f259eabbc7c895166e33273c0544d3dbcdf8d42b1aa8c5018db396e"),
        (
            "step-key",
            [["script", "train.py", "sha256:00"]],
            "69119f1b52915e9745eebf6c3d97bc5d732058dc82c771637f520541b44cc8c7",
        ),
        ("record", {"b": 1.5, "a": ["é", None]}, "2a3848ae0d0d6489737f36746b2ffece09bbc0a98dd0532e2acf55d1c460cc5c"),
    ],
)
def test_digests_are_those_of_the_first_release(tag: str, value: object, expected: str) -> None:
    assert digest(tag, value) == expected


def test_the_digest_of_bytes_is_what_sha256sum_prints() -> None:
    assert bytes_digest(b"") == EMPTY
    assert bytes_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_is_digested_from_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"xxabc")
    with open(tmp_path / "file", "rb") as stream:
        stream.seek(2)
        assert file_digest(stream) == bytes_digest(b"abc")


def test_a_large_file_is_digested_in_constant_memory(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(200 << 20)
    code = (
        "import resource, sys; from stepwell.model.digests import file_digest; "
        "resource.setrlimit(resource.RLIMIT_DATA, (100 << 20,) * 2); print(file_digest(open(sys.argv[1], 'rb', buffering=0)))"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "big"], capture_output=True, text=True, check=False)
    assert (run.returncode, len(run.stdout.strip()), run.stderr) == (0, 64, "")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_is_no_number_has_no_encoding(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(value)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object()])
def test_what_is_no_json_has_no_encoding(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)


def test_the_same_value_under_another_tag_has_another_digest() -> None:
    assert digest("a", "b") != digest("b", "b")
    assert digest("a", "b") != digest("", "ab")


@given(strategies.json_values)
def test_the_encoding_can_be_read_back_and_is_ascii(value: object) -> None:
    assert json.loads(encode(value)) == value
    assert encode(value).isascii()


@given(strategies.json_values, strategies.json_values)
def test_equal_texts_and_equal_digests_go_together(one: object, other: object) -> None:
    assert (encode(one) == encode(other)) == (digest("t", one) == digest("t", other))


def test_the_order_of_names_does_not_count_but_the_order_of_items_does() -> None:
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})
    assert encode([1, 2]) != encode([2, 1])
