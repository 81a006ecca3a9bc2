"""Bodies: valid JSON comes through as it is, all else is refused with status and field."""

from __future__ import annotations

import json
import math
import pickle
import sys

import pytest
from amounts import tries
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stepwell.deployments.access.http_errors import BadRequest
from stepwell.deployments.endpoint.strict_json import parse
from stepwell.errors import StepwellError

JSON = "application/json"
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**299), 10**299)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def refused(raw, content_type=JSON, **limits):
    """The status and field of the error."""
    with pytest.raises(BadRequest) as raised:
        parse(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"), content_type, **limits)
    assert raised.value.title and raised.value.message.encode() and "Traceback" not in raised.value.message
    return raised.value.status, raised.value.field


@given(st.dictionaries(texts, values, max_size=5), st.booleans(), st.sampled_from([None, 2]))
def test_valid_json_comes_through_equal(body, ascii_only, indent):
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(raw, JSON) == json.loads(raw) == body


@given(st.dictionaries(texts, values, max_size=5))
def test_types_and_signs_are_kept(body):
    assert repr(parse(json.dumps(body).encode(), JSON)) == repr(body)


def only_bad_requests(raw):
    try:
        body = parse(raw, JSON)
    except BadRequest as error:
        assert 400 <= error.status < 500
        assert (error.field + error.title).encode() and len(error.field) <= 1000
        return
    assert body == json.loads(raw)


@given(st.binary(max_size=200))
@settings(max_examples=tries(500))
def test_any_bytes_are_read_or_refused(raw):
    only_bad_requests(raw)


pieces = st.sampled_from(
    ["{", "}", "[", "]", ":", ",", '"', "\\", '"a"', '"b":', "1", "-", "0", "1e400", "NaN", "-Infinity", "null", "tru"]
    + ["\\u", "\\ud800", "\\udc00", "\\u0000", " ", "\n", "é", "\ufeff", "9" * 301, '{"a":1,"a":2}', '""', "/", "[[[["]
)


@given(st.lists(pieces, max_size=30).map("".join))
@example('"\\')
@settings(max_examples=tries(1000))
def test_anything_that_looks_like_json_is_read_or_refused(text):
    only_bad_requests(text.encode())
    only_bad_requests(b'{"a":' + text.encode() + b"}")


@given(st.dictionaries(texts, values, max_size=3), st.data())
def test_one_changed_byte_is_read_or_refused(body, data):
    raw = bytearray(json.dumps(body).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    only_bad_requests(bytes(raw))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", 'application/json; charset="utf-8"', "application/json;charset=UTF-8"],
)
def test_content_types_that_are_read(content_type):
    assert parse(b"{}", content_type) == {}


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/jsonp", "application/x-www-form-urlencoded", "multipart/form-data",
     "application/json; charset=utf-16", "application/json; charset=latin-1", 'application/json; charset="utf-8',
     "application/json, text/plain", "application/json\n", "application/json; profile=x"],
)  # fmt: skip
def test_content_types_that_are_refused(content_type):
    assert refused(b"{}", content_type) == (415, "Content-Type")


def test_the_length_is_limited():
    raw = b'{"a": "' + b"x" * 91 + b'"}'
    assert len(raw) == 100 and parse(raw, JSON, most_bytes=100)
    assert refused(raw, most_bytes=99) == (413, "body")
    assert refused(b"x" * 1_000_001) == (413, "body")


@pytest.mark.parametrize(("begin", "end"), [('{"a":', "}"), ("[", "]"), ('{"a":[', "]}")])
def test_the_depth_is_limited(begin, end):
    levels = 32 // (len(begin) - begin.count('"a":') * 4)
    inside = levels - 1
    assert parse(('{"x":' + begin * inside + "1" + end * inside + "}").encode(), JSON)
    assert refused('{"x":' + begin * (levels + 1) + "1" + end * (levels + 1) + "}") == (400, "body")


@pytest.mark.parametrize("raw", [b"[" * 999_999, b'{"a":' * 199_999, b"[{" * 400_000, b"[]]]]" + b"[" * 900_000])
def test_no_depth_overflows_the_stack(raw):
    assert refused(raw)[0] == 400
    assert refused(raw, deepest=min(64, sys.getrecursionlimit()))[0] == 400


@pytest.mark.parametrize("text", ["[[[[[[[[[", '"[[[[[[[[', '\\"[[[[[[[', "]]]]]]]]", '"', "\\"])
def test_brackets_in_texts_are_no_depth(text):
    assert parse(json.dumps({"a": text, text: [1]}).encode(), JSON, deepest=2) == {"a": text, text: [1]}


@pytest.mark.parametrize("raw", [b'"' + b'\\"' * 499_999, b'{"a":"' + b"\\" * 999_990, b"[]" * 499_999])
def test_nothing_takes_long(raw):
    """One of quadratic cost would take hours, and the test's timeout end it."""
    assert refused(raw)[0] == 400


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"", "line 1, column 1"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": 1,}', "line 1, column "),
        (b'{\n "a": 01}', "line 2, column 8"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b'{"a": "\n"}', "line 1, column 8"),
        (b'{"a": 0x1}', "line 1, column 8"),
        (b'{"a": .5}', "line 1, column 7"),
        (b'{"a": +5}', "line 1, column 7"),
        (b'{"a": 1} {"a": 1}', "line 1, column 10"),
        (b'\xef\xbb\xbf{"a": 1}', "line 1, column 1"),
        ('{"a": 1}'.encode("utf-16-le"), "line 1, column 2"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(raw, where):
    with pytest.raises(BadRequest, match=where) as raised:
        parse(raw, JSON)
    assert (raised.value.status, raised.value.field) == (400, "body")


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"a"', b"1", b"true", b"[{}]"])
def test_what_is_no_object_is_refused(raw):
    assert refused(raw) == (400, "body")


@pytest.mark.parametrize("raw", [b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xc0\xaf"}', b"\xff\xfe{\0}\0"])
def test_what_is_no_utf8_is_refused(raw):
    assert refused(raw) == (400, "body")


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 301, "-" + "9" * 301,
                                 "9" * 5000, "1" + "0" * 400 + ".0", r'"\ud800"', r'"a\udc00b"', r'"\u0000"', r'"a\u0000"'])  # fmt: skip
def test_values_that_no_run_could_be_given_are_named(bad):
    assert refused(f'{{"a": {bad}}}') == (400, "a")
    assert refused(f'{{"ParameterAssignments": {{"ok": 1, "rate": {bad}}}}}') == (400, "ParameterAssignments.rate")
    assert refused(f'{{"ParameterAssignments": {{"list": [1, {{"x": {bad}}}]}}}}') == (
        400,
        "ParameterAssignments.list[1].x",
    )
    assert refused(bad)[0] == 400


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"ParameterAssignments": {"rate": 1, "b": 2, "rate": 3}}', "ParameterAssignments.rate"),
        ('{"a": [{"b": 1}, {"b": 1, "b": 1}]}', "a[1].b"),
        (r'{"a": {"rate": 1, "\u0072ate": 2}}', "a.rate"),
        ('{"a": {"b": 1, "b": 2}, "a": 3}', "a"),
        ('{"": 1, "": 2}', "body"),
        ('[{"b": 1, "b": 2}]', "[0].b"),
    ],
)
def test_a_field_given_twice_is_named(raw, field):
    assert refused(raw) == (400, field)


@pytest.mark.parametrize(("name", "shown"), [(r"\ud800", r"\ud800"), (r"a\u0000b", r"a\x00b")])
def test_names_that_can_not_be_shown_are_refused_in_words_that_can(name, shown):
    assert refused(f'{{"Tags": {{"{name}": 1}}}}') == (400, f"Tags.{shown}")


def test_a_long_name_is_not_repeated_in_full():
    status, field = refused(json.dumps({"x" * 10_000: "\0"}))
    assert status == 400 and len(field) < 100


def test_the_largest_numbers_that_fit_are_kept():
    body = parse(b'{"a": %s, "b": 1.7976931348623157e308, "c": -0.0, "d": 1E5}' % (b"9" * 300), JSON)
    assert body["a"] == 10**300 - 1 and body["b"] == sys.float_info.max and body["d"] == 100000.0
    assert math.copysign(1, body["c"]) == -1


def test_a_bad_request_is_one_of_our_errors_and_can_be_sent():
    error = BadRequest(400, "Tags.owner", "No")
    assert isinstance(error, StepwellError) and "Tags.owner" in error.message
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.field, again.title) == (400, "Tags.owner", "No")
