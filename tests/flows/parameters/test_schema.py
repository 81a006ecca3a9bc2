"""Parameters as Prefect knows them: the schema takes what the parameter takes, in the shape of Prefect's own."""

from __future__ import annotations

import inspect
import math
from enum import Enum

import pytest
import strategies
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prefect.exceptions import ParameterTypeError
from prefect.flows import Flow
from prefect.utilities.schema_tools import ValidationError, is_valid_schema, validate
from pydantic import SecretStr
from stepwell import DataPath
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.schema import docstring, flow_parameter, flow_values, for_prefect, from_prefect, schema
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter, check
from stepwell.model.definitions import DataSource, ParameterDefinition

Color = Enum("Color", {"RED": "red", "BLUE": "blue"})
KINDS = tuple(
    PipelineParameter(name, default, **more).definition
    for name, default, more in [
        ("count", 1, {"description": "How many:\n  trees."}), ("depth", 3, {"minimum": 1, "maximum": 9}),
        ("rate", 0.5, {}), ("share", 0.5, {"minimum": 0}), ("step", 0.5, {"choices": [0.5, 1]}), ("kind", "svc", {}),
        ("fast", True, {}), ("color", Color.RED, {}), ("color_or_none", Color.RED, {"nullable": True}),
        ("limit", None, {"type": int}), ("cap", None, {"type": float, "maximum": 1}), ("sizes", [1, 2], {"minimum": 0}),
        ("colors", [Color.RED], {}), ("names", None, {"type": list[str]}), ("copy", 1, {}),
    ]
)  # fmt: skip
PATH = ParameterDefinition("path", "data", DataSource("lake", "old.csv"))
DATASTORES = ["lake", "store_2", "größe"]


def allows(definition, value, datastores=DATASTORES):
    """Return whether the schema takes the value, as Prefect's server asks it."""
    whole = schema([definition], datastores)
    try:
        validate({definition.name: value}, whole, raise_on_error=True)
    except ValidationError:
        return False
    return True


def flow_of(definitions):
    def body(**given):
        return given

    body.__signature__ = inspect.Signature([flow_parameter(definition) for definition in definitions])
    body.__annotations__ = {name: p.annotation for name, p in body.__signature__.parameters.items()}
    body.__doc__ = docstring("Trains.", body.__signature__)
    return Flow(body, name="flow")


@pytest.mark.filterwarnings("ignore:Field name")
def test_the_schema_has_the_shape_of_prefects_own():
    theirs, ours = flow_of(KINDS).parameters.model_dump(), schema(KINDS, DATASTORES)
    strict = {"maxLength", "maxItems", "pattern", "not"}

    def lax(value):
        if isinstance(value, dict):
            return {name: lax(inner) for name, inner in value.items() if name not in strict}
        return [lax(inner) for inner in value] if isinstance(value, list) else value

    assert ours.pop("additionalProperties") is False
    for properties in (ours["properties"], theirs["properties"]):
        properties["count"]["description"] = " ".join(properties["count"]["description"].split())
    assert lax(ours) == theirs
    assert ours["properties"]["count"]["description"] == "How many: trees."


@given(st.lists(strategies.parameter_definitions(), max_size=1))
def test_the_schema_is_one_and_takes_the_defaults(definitions):
    found = schema(definitions, DATASTORES)
    Draft202012Validator.check_schema(found)
    is_valid_schema(found)
    validate({name: part["default"] for name, part in found["properties"].items()}, found, raise_on_error=True)
    validate({}, found, raise_on_error=True)


@given(strategies.parameter_definitions(), st.data())
def test_every_value_that_is_allowed_validates(definition, data):
    value = data.draw(strategies.parameter_values(definition))
    assert allows(definition, for_prefect(definition, check(definition, value)))


ODD = (
    st.floats()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["5", "1.5", "true", "a\0", "\ud800", "a\n", 10**400])
)


@given(strategies.parameter_definitions(), strategies.json_values | ODD | st.lists(ODD, max_size=3))
@example(KINDS[2], math.nan)
@example(KINDS[2], math.inf)
@example(KINDS[10], -math.inf)
@example(KINDS[0], True)
@example(KINDS[0], "5")
@example(KINDS[0], 1.5)
@example(KINDS[2], False)
@example(KINDS[6], 1)
@example(KINDS[4], 0.7)
def test_no_value_validates_that_is_not_allowed_and_none_is_refused_that_is(definition, value):
    kind = definition.item_type or definition.type
    items = value if isinstance(value, list) else [value]
    # JSON tells no 1.0 from 1
    assume(kind != "int" or not any(isinstance(item, float) and item.is_integer() for item in items))
    try:
        check(definition, value)
    except UserErrorException:
        assert not allows(definition, value)
    else:
        assert allows(definition, value)


def test_names_that_there_are_not_do_not_validate():
    with pytest.raises(ValidationError, match="'counts' was unexpected"):
        validate({"counts": 1}, schema(KINDS, []), raise_on_error=True)


def test_secret_parameters_are_left_out():
    secret = PipelineParameter("token", "hunter2").definition
    found = schema([secret, *KINDS], DATASTORES)
    assert "hunter2" not in repr(found) and "token" not in found["properties"]
    assert [part["position"] for part in found["properties"].values()] == list(range(len(KINDS)))
    with pytest.raises(ValidationError, match="'token' was unexpected"):
        validate({"token": "x"}, found, raise_on_error=True)
    assert "hunter2" not in repr(flow_of([secret]).parameters)


# Data ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["lake/a", "lake/a/b.csv", "store_2/..a/b..", "größe/ü b/%2e%2e/...", "lake/.hidden"])
def test_data_on_a_registered_datastore_validate(value):
    assert allows(PATH, value)


@pytest.mark.parametrize(
    "value",
    ["", "lake", "lake/", "/a", "/lake/a", "lake//a", "lake/a//b", "lake/a/", "lake/..", "lake/../a", "lake/a/..",
     "lake/a/../b", "lake/.", "lake/./a", "lake/a\\b", "lake\\a", "lake/\\..", "lake/a\n", "lake/a\0", "lake/\x1f", "lake/\x7f",
     "lake/\x85", "lake/..\n", "lake\n/a", "pond/a", "LAKE/a", "lake2/a", " lake/a", "lake/.stepwell", "lake/.stepwell/x",
     "file:///etc/passwd", "lake/\ud800", None, 5, ["lake/a"], {"datastore": "lake", "path": "a"}],
)  # fmt: skip
def test_other_data_do_not_validate(value):
    assert not allows(PATH, value)


@given(
    st.text(max_size=12)
    | st.lists(st.sampled_from(["lake", "..", ".", "", "a", "/", "\\", "\n", ".stepwell"])).map("/".join)
)
def test_data_that_validate_stay_inside_and_there_is_no_way_without_datastores(workspace_free, value):
    if allows(PATH, value):
        name, _, path = value.partition("/")
        assert name in DATASTORES and check(PATH, DataSource(name, path))
        assert workspace_free.inside(path) == path
    assert not allows(PATH, value, [])


@pytest.fixture(scope="module")
def workspace_free(server):
    """Return a datastore to ask which paths lead out of it."""
    from stepwell import Workspace

    return Workspace.create("schema_paths", exist_ok=True).get_default_datastore()


@pytest.mark.parametrize("path", ["old.csv", "a//b", "./a", "a\\b", "a/", "", None])
def test_the_default_data_validate_however_they_are_written(workspace, path):
    definition = PipelineParameter("path", DataPath(workspace.get_default_datastore(), path)).definition
    names = list(workspace.datastores)
    default = schema([definition], names)["properties"]["path"]["default"]
    assert allows(definition, default, names)
    assert allows(definition, f"{names[0]}/other", names) and not allows(definition, f"{names[0]}/..", names)


# A flow's values ----------------------------------------------------------------------------------------------------


@given(strategies.parameter_definitions(), st.data())
def test_what_prefect_is_given_comes_back_as_the_value(definition, data):
    value = data.draw(strategies.parameter_values(definition))
    flow = flow_of([definition])
    found = flow.validate_parameters({"p": for_prefect(definition, value)})["p"]
    assert from_prefect(definition, found) == value


@pytest.mark.parametrize("value", [5, True, 0.25, "none", " abcd", ""])
def test_secrets_go_redacted_and_come_back(value):
    for nullable in (False, True):
        definition = PipelineParameter("pin", None if nullable else value, type=type(value), secret=True).definition
        redacted = for_prefect(definition, value)
        assert isinstance(redacted, SecretStr)
        found = flow_of([definition]).validate_parameters({"pin": redacted})["pin"]
        assert (from_prefect(definition, found), type(from_prefect(definition, found))) == (value, type(value))
        assert from_prefect(definition, None) == definition.default


def test_a_flow_refuses_what_its_types_do_not_take():
    flow = flow_of([definition for definition in KINDS if definition.name != "copy"])
    given = {
        definition.name: for_prefect(definition, definition.default)
        for definition in KINDS
        if definition.name != "copy"
    }
    for name, value in {
        "depth": 10,
        "rate": math.nan,
        "color": "green",
        "sizes": [-1],
        "count": None,
        "cap": 2,
    }.items():
        with pytest.raises(ParameterTypeError, match=name):
            flow.validate_parameters({**given, name: value})


def test_a_key_of_a_file_has_a_name_in_prefect_that_python_allows():
    key = ParameterDefinition("train.learning-rate", "float", 0.1)
    secret = ParameterDefinition("token", "str", "hunter22", secret=True)
    assert flow_values([key, secret], {"train.learning-rate": 0.3, "token": "x" * 8}) == {"train_learning_rate": 0.3}
    whole = schema([key], DATASTORES)["properties"]
    assert list(whole) == ["train_learning_rate"] and whole["train_learning_rate"]["title"] == "train.learning-rate"
    assert flow_of([key])(train_learning_rate=0.3) == {"train_learning_rate": 0.3}
