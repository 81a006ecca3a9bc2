"""Pipeline parameters: their types, what they take, how they read from a command line, and what they keep to themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell.errors import StepwellError, UserErrorException
from stepwell.flows.parameters import PipelineParameter, as_text, assign, merge, parse
from stepwell.vocabulary import DataSource

DEFAULTS = {"count": 1, "rate": 0.5, "fast": True, "kind": "svc"}
DEFINITIONS = tuple(PipelineParameter(name, default).definition for name, default in DEFAULTS.items())
BY_NAME = {definition.name: definition for definition in DEFINITIONS}


def test_the_type_is_the_defaults_type_and_a_bool_is_no_int():
    assert [definition.type for definition in DEFINITIONS] == ["int", "float", "bool", "str"]


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "_own", None, "a.b"])
def test_names_that_no_variable_can_have_are_refused(name):
    with pytest.raises(UserErrorException, match="can't name a pipeline parameter"):
        PipelineParameter(name, 1)


@pytest.mark.parametrize("default", [None, [1], {"a": 1}, b"x", object()])
def test_defaults_that_no_script_can_be_given_are_refused(default):
    with pytest.raises(UserErrorException, match="type that can't be passed"):
        PipelineParameter("a", default)


def test_what_is_not_given_has_its_default():
    assert assign(DEFINITIONS, {"count": 2}) == {**DEFAULTS, "count": 2}


def test_a_whole_number_is_taken_for_a_float_and_becomes_one():
    value = assign(DEFINITIONS, {"rate": 2})["rate"]
    assert (value, type(value)) == (2.0, float)


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", 1.0), ("count", True), ("count", "1"), ("rate", "1"), ("rate", math.nan), ("rate", math.inf), ("rate", False),
     ("fast", 1), ("fast", "True"), ("kind", 1), ("kind", None)],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_and_named(name, value):
    with pytest.raises(UserErrorException) as caught:
        assign(DEFINITIONS, {name: value})
    assert repr(name) in caught.value.title
    assert repr(value) in caught.value.message


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(UserErrorException, match="no parameter 'rates'") as caught:
        assign(DEFINITIONS, {"rates": 1})
    assert caught.value.facts["parameters"] == "count, rate, fast, kind"


def test_one_name_with_two_meanings_is_refused():
    twice = [PipelineParameter("a", 1).definition, PipelineParameter("a", 1).definition]
    assert merge(twice) == tuple(twice[:1])
    with pytest.raises(UserErrorException, match="called 'a' but differ"):
        merge([*twice, PipelineParameter("a", 2).definition])


@given(st.sampled_from(sorted(DEFAULTS)), st.data())
def test_the_text_form_of_a_value_reads_back_as_the_value(name, data):
    kind = type(DEFAULTS[name])
    strategy = st.floats(allow_nan=False, allow_infinity=False) if kind is float else st.from_type(kind)
    value = data.draw(strategy)
    assert parse(BY_NAME[name], as_text(value)) == value


@given(st.text(max_size=8))
def test_any_text_is_either_a_value_of_the_type_or_a_users_error(text):
    for definition in DEFINITIONS:
        try:
            value = parse(definition, text)
        except StepwellError as error:
            assert definition.type != "str" and error.hint
        else:
            assert type(value) is type(DEFAULTS[definition.name])


def test_data_parameters_are_read_from_datastore_and_path():
    definition = BY_NAME["kind"].__class__("data", "data", DataSource("lake", "old"))
    assert parse(definition, "lake/new/x.csv") == DataSource("lake", "new/x.csv")
    assert as_text(DataSource("lake", "new/x.csv")) == "lake/new/x.csv"
    with pytest.raises(UserErrorException, match="must be of type data"):
        parse(definition, "lake")


@pytest.mark.parametrize(("name", "secret"), [("token", True), ("db_password", True), ("rate", False)])
def test_names_that_sound_secret_are_secret_unless_told_otherwise(name, secret):
    assert PipelineParameter(name, "hunter2").definition.secret is secret
    assert PipelineParameter(name, "hunter2", secret=not secret).definition.secret is not secret


def test_a_secret_value_is_neither_shown_nor_named_in_errors():
    secret = PipelineParameter("token", "hunter2")
    assert "hunter2" not in repr(secret)
    with pytest.raises(UserErrorException) as caught:
        assign([secret.definition], {"token": 12345})
    assert "12345" not in caught.value.message
