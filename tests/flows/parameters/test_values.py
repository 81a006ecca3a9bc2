"""Values of pipeline parameters: which are allowed, how they read from a command line, and what a script is given."""

from __future__ import annotations

import json
from enum import Enum

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter, as_text, check, parse
from stepwell.model.definitions import DataSource, ParameterDefinition

DATA = ParameterDefinition("data", "data", DataSource("lake", "old"))


def made(*given, **more):
    return PipelineParameter("a", *given, **more).definition


@given(strategies.parameter_definitions(), st.data())
def test_the_text_form_of_a_value_reads_back_as_the_value(definition, data):
    value = data.draw(strategies.parameter_values(definition))
    read = parse(definition, as_text(value))
    if definition.nullable and str(value).strip().lower() in ("null", "none") and value not in definition.choices:
        assert read is None or read == ("",)
    else:
        assert (read, type(read)) == (value, type(value))
    assert check(definition, list(value) if isinstance(value, tuple) else value) == value


@given(strategies.parameter_definitions(), st.text(max_size=8) | strategies.json_values.map(json.dumps))
def test_any_text_is_either_a_value_or_a_users_error(definition, text):
    try:
        value = parse(definition, text)
    except UserErrorException as error:
        assert "'p'" in error.title and error.hint.startswith("Pass ")
    else:
        assert check(definition, value) == value


@given(strategies.parameter_definitions(), strategies.json_values | st.floats() | st.binary())
def test_any_value_is_allowed_or_a_users_error(definition, value):
    try:
        found = check(definition, value)
    except UserErrorException as error:
        assert "'p'" in error.title and error.hint.startswith("Pass ")
    else:
        assert found == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("definition", "text", "value"),
    [(made(None, type=int), "null", None), (made(None, type=int), "None", None), (made(None, type=int), "5", 5),
     (made(None), "none", None), (made("none"), "none", "none"), (made("none", choices=["none", "l2"], nullable=True), "none", "none"),
     (made("none", choices=["none", "l2"], nullable=True), "null", None),
     (made([1]), "1,2", (1, 2)), (made([1]), " 1 , 2 ", (1, 2)), (made([1]), "[1, 2]", (1, 2)), (made([1]), "7", (7,)),
     (made([1]), "", ()), (made([1]), "[]", ()), (made([1], nullable=True), "null", None),
     (made(["x"]), "a,b c", ("a", "b c")), (made(["x"]), '["a,b", "[c"]', ("a,b", "[c")),
     (made([True]), "yes,0", (True, False)), (made([0.5]), "1,2.5", (1.0, 2.5)), (made([0.5]), "[1, 2.5]", (1.0, 2.5))],
)  # fmt: skip
def test_a_text_of_the_command_line_means(definition, text, value):
    found = parse(definition, text)
    assert (found, repr(found)) == (value, repr(value))


@pytest.mark.parametrize(
    ("definition", "text", "title", "hint"),
    [(made(1), "null", "must be of type int", "Pass a whole number."),
     (made(1, minimum=1, maximum=9), "10", "must be from 1 to 9", "Pass a whole number from 1 to 9."),
     (made(1.0, minimum=0), "-1", "must be at least 0.0", "Pass a finite number, at least 0.0."),
     (made(None, type=int, maximum=9), "10", "must be at most 9", "Pass a whole number, at most 9, or None."),
     (made("a", choices=["a", "b"]), "c", "must be one of its choices", "Pass one of 'a', 'b'."),
     (made([1]), "[1, 2", "must be of type list[int]", "Pass a list, each item a whole number."),
     (made([1]), "[1, [2]]", "must be of type list[int]", ""), (made([1]), "1,,2", "must be of type list[int]", ""),
     (made([1]), "[true]", "must be of type list[int]", ""), (made([1]), "[null]", "must be of type list[int]", ""),
     (made([0.5]), "[NaN]", "must be of type list[float]", ""), (made([0.5]), "[1e400]", "must be of type list[float]", ""),
     (made([1]), "[" * 100_000, "must be of type list[int]", ""), (made([1]), "9" * 5000, "must be of type list[int]", ""),
     (made(1), "٣", "must be of type int", ""), (made(0.5), "٣.5", "must be of type float", ""),
     (made([1]), "1,２", "must be of type list[int]", ""), (made([1]), "[２]", "must be of type list[int]", ""),
     (made([1], minimum=1), "1,0", "must be at least 1", "Pass a list, each item a whole number, at least 1."),
     (made("a"), "a\0", "must be a text that a program can be given", "Pass a text."),
     (made(["a"]), "a,\udcff", "must be a text that a program can be given", ""),
     (DATA, "lake", "must be of type data", "Pass <datastore>/<path>."),
     (DATA, "lake/../x", "must stay inside of its datastore", "Pass a DataPath.")],
)  # fmt: skip
def test_a_text_that_is_refused_is_told_with_what_is_allowed(definition, text, title, hint):
    with pytest.raises(UserErrorException) as caught:
        parse(definition, text)
    assert repr(definition.name) in caught.value.title and title in caught.value.title
    assert caught.value.hint.startswith(hint) and len(caught.value.message) < 1000


def test_values_too_large_or_too_deep_to_show_are_refused_too():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for definition, value in ((made(1), 10**5000), (made(0.5), 10**400), (made([1]), [10**5000]), (made([1]), deep)):
        with pytest.raises(UserErrorException, match="must be of type"):
            check(definition, value)


def test_no_error_shows_a_secret():
    secret = made(5000, secret=True, maximum=9000)
    for text in ("1234567", "hunter2"):
        with pytest.raises(UserErrorException) as caught:
            parse(secret, text)
        assert text not in caught.value.message and "***" in caught.value.message


@pytest.mark.parametrize("value", ["a", "abc", " ab ", 12, 0.5])
def test_secrets_too_short_to_be_masked_are_refused_with_the_reason(value):
    definition = made("" if isinstance(value, str) else value * 10000, secret=True)
    with pytest.raises(
        UserErrorException, match="at least 4 characters, since a shorter secret can't be masked"
    ) as caught:
        check(definition, value)
    assert "***" in caught.value.message
    assert check(made("" if isinstance(value, str) else value), value) == value


def test_secrets_may_be_empty_or_only_sound_like_one():
    assert check(made("", secret=True), "") == ""
    assert PipelineParameter("token", "x").default_value == "x"
    with pytest.raises(UserErrorException, match="at least 4 characters"):
        PipelineParameter("token", "x", secret=True)
    assert check(PipelineParameter("max_tokens", 50).definition, 8) == 8
    assert check(PipelineParameter("use_token", True).definition, False) is False


def test_members_of_enumerations_stand_for_their_values():
    color = Enum("Color", {"RED": "red"})
    assert check(made("red"), color.RED) == "red"
    assert check(made(["red"]), [color.RED, "blue"]) == ("red", "blue")
    with pytest.raises(UserErrorException, match="must be of type int"):
        check(made(1), color.RED)


def test_data_are_read_from_datastore_and_path():
    assert parse(DATA, "lake/new/x.csv") == DataSource("lake", "new/x.csv")
    assert as_text(DataSource("lake", "new/x.csv")) == "lake/new/x.csv"


def test_a_script_is_given_these_texts():
    values = [None, True, 0.25, (1, 2), ("ü", 'a"b\n'), (True,), ()]
    assert list(map(as_text, values)) == ["None", "True", "0.25", "[1, 2]", '["ü", "a\\"b\\n"]', "[true]", "[]"]
