"""Pipeline parameters as their authors write them: types, choices and limits, what is refused, what stays secret."""

from __future__ import annotations

import json
import math
import uuid
from enum import Enum, IntEnum

import pytest
import strategies
from hypothesis import given
from prefect.exceptions import ParameterTypeError
from stepwell import DataPath, Experiment, PipelineData
from stepwell.blocks.server.documents import client
from stepwell.deployments.lookup.pipelines import read_parameters
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.pipeline_parameter import PipelineParameter, assign, merge
from stepwell.model.definitions import ParameterDefinition

Color = Enum("Color", {"RED": "red", "BLUE": "blue"})
Level = IntEnum("Level", {"LOW": 1, "HIGH": 3})
Mixed = Enum("Mixed", {"A": 1, "B": "b"})
Odd = Enum("Odd", {"A": b"a"})

DEFAULTS = {"count": 1, "rate": 0.5, "fast": True, "kind": "svc"}
DEFINITIONS = tuple(PipelineParameter(name, default).definition for name, default in DEFAULTS.items())


def test_the_type_is_the_defaults_type_and_a_bool_is_no_int():
    assert [definition.type for definition in DEFINITIONS] == ["int", "float", "bool", "str"]


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "_own", "a.b"])
def test_names_that_no_variable_can_have_are_refused(name):
    with pytest.raises(UserErrorException, match="can't name a pipeline parameter"):
        PipelineParameter(name, 1)


@pytest.mark.parametrize("default", [{"a": 1}, b"x", object(), [b"x"], [1, "a"], [[1]], [None], 1j, {1, 2}])
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
    [("count", 1.0), ("count", True), ("count", "1"), ("count", None), ("count", [1]), ("rate", 10**400), ("rate", "1"), ("rate", math.nan), ("rate", math.inf), ("rate", False),
     ("fast", 1), ("fast", "True"), ("kind", 1), ("kind", None), ("kind", "a\0"), ("kind", "\ud800")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_and_named(name, value):
    with pytest.raises(UserErrorException) as caught:
        assign(DEFINITIONS, {name: value})
    assert repr(name) in caught.value.title and caught.value.hint
    assert repr(value)[:200] in caught.value.message


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(UserErrorException, match="no parameter 'rates'") as caught:
        assign(DEFINITIONS, {"rates": 1})
    assert caught.value.facts["parameters"] == "count, rate, fast, kind"


def test_one_name_with_two_meanings_is_refused():
    twice = [PipelineParameter("a", 1).definition, PipelineParameter("a", 1).definition]
    assert merge(twice) == tuple(twice[:1])
    with pytest.raises(UserErrorException, match="called 'a' but differ"):
        merge([*twice, PipelineParameter("a", 2).definition])


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


def shape(*given, **more):
    """Return what the definition of a parameter says beyond the first release's fields, and its type and default."""
    made = PipelineParameter("a", *given, **more).definition
    plain = ParameterDefinition("a", made.type, made.default)
    different = {name for name in made.__slots__ if getattr(made, name) != getattr(plain, name)}
    return made.type, made.default, {name: getattr(made, name) for name in different}


def test_parameters_of_the_first_release_gained_nothing():
    for name, default in DEFAULTS.items():
        assert PipelineParameter(name, default).definition == ParameterDefinition(name, type(default).__name__, default)


def test_none_needs_a_type_and_makes_a_parameter_nullable():
    assert shape(None) == ("str", None, {"nullable": True})
    assert shape(None, type=int) == ("int", None, {"nullable": True})
    assert shape(None, type=list[float]) == ("list", None, {"nullable": True, "item_type": "float"})
    assert shape(3, nullable=True) == ("int", 3, {"nullable": True})
    assert shape(None, type=Color) == ("str", None, {"nullable": True, "choices": ("red", "blue")})


def test_a_member_of_an_enumeration_makes_its_values_the_choices():
    assert shape(Color.RED) == ("str", "red", {"choices": ("red", "blue")})
    assert shape(Level.HIGH) == ("int", 3, {"choices": (1, 3)}) and type(shape(Level.HIGH)[1]) is int
    assert shape([Color.RED]) == ("list", ("red",), {"item_type": "str", "choices": ("red", "blue")})
    assert shape("red", type=Color, choices=[Color.RED]) == ("str", "red", {"choices": ("red",)})
    definition = PipelineParameter("color", Color.RED).definition
    assert assign([definition], {"color": Color.BLUE}) == {"color": "blue"}


def test_a_list_has_the_type_of_its_items():
    assert shape([1, 2]) == ("list", (1, 2), {"item_type": "int"})
    assert shape((1, 2.5)) == ("list", (1.0, 2.5), {"item_type": "float"})
    assert shape([True]) == ("list", (True,), {"item_type": "bool"})
    assert shape([]) == shape([], type=list) == ("list", (), {"item_type": "str"})
    assert shape([], type=list[int]) == ("list", (), {"item_type": "int"})
    assert shape([3], minimum=1) == ("list", (3,), {"item_type": "int", "minimum": 1})


def test_choices_and_limits_have_the_parameters_type():
    assert shape("a", choices=("a", "b")) == ("str", "a", {"choices": ("a", "b")})
    assert shape(1, type=float, choices=[1, 2.5]) == ("float", 1.0, {"choices": (1.0, 2.5)})
    kind, default, more = shape(0.5, minimum=0, maximum=1, description="Share.")
    assert (kind, default, more) == ("float", 0.5, {"minimum": 0.0, "maximum": 1.0, "description": "Share."})
    assert type(more["minimum"]) is float


@pytest.mark.parametrize(
    ("default", "more", "words"),
    [(None, {"nullable": False}, "default .* must be of type str"),
     (1, {"type": str}, "default .* must be of type str"),
     (1.5, {"type": int}, "default .* must be of type int"),
     (1, {"type": list[int]}, r"default .* must be of type list\[int\]"),
     (1, {"type": dict}, "no type that there is"), (1, {"type": "int"}, "no type that there is"),
     (None, {"type": DataPath}, "no type that there is"), ([], {"type": list[list[int]]}, "no type that there is"),
     (Mixed.A, {}, "can't be passed"), (Odd.A, {}, "can't be passed"), ("x", {"type": Mixed}, "no type that there is"),
     (math.inf, {}, "default .* must be of type float"),
     ("c", {"choices": ["a", "b"]}, "default .* must be one of its choices"),
     ("green", {"type": Color}, "default .* must be one of its choices"),
     ("a", {"choices": []}, "choices that are no list"), ("a", {"choices": ["a", "a"]}, "same choice twice"),
     ("a", {"choices": ["a", 1]}, "choice of .* must be of type str"),
     ("a", {"choices": ["a", None], "nullable": True}, "choice of .* must be of type str"),
     (1, {"choices": [1, True]}, "choice of .* must be of type int"),
     (1, {"choices": [1, 2], "minimum": 1}, "choices and limits"),
     (5, {"maximum": 4}, "default .* must be at most 4"), (5, {"minimum": 6, "maximum": 9}, "must be from 6 to 9"),
     ([1, 9], {"maximum": 4}, "default .* must be at most 4"), (1, {"minimum": 2, "maximum": 1}, "minimum above its maximum"),
     (1, {"minimum": 0.5}, "minimum of .* must be of type int"), (1.0, {"minimum": math.nan}, "minimum of .* of type float"),
     ("a", {"minimum": 1}, "has a minimum but is no number"), (True, {"maximum": 1}, "has a maximum but is no number"),
     ("a", {"secret": True, "choices": ["a"]}, "is secret"), (["a"], {"secret": True}, "is secret"),
     ("a", {"secret": True, "nullable": True}, "secret and nullable"), (True, {"secret": True}, "anybody guesses"),
     ("abc", {"secret": True}, "default .* at least 4 characters")],
)  # fmt: skip
def test_nonsense_is_refused_in_words(default, more, words):
    with pytest.raises(UserErrorException, match=words) as caught:
        PipelineParameter("a", default, **more)
    assert "'a'" in caught.value.title and caught.value.hint.endswith(".")


def test_a_data_path_has_no_choices_limits_or_none_and_leads_nowhere_else(workspace):
    store = workspace.get_default_datastore()
    for more in ({"nullable": True}, {"choices": [DataPath(store, "a")]}, {"minimum": 1}, {"type": str}):
        with pytest.raises(UserErrorException, match="'a'"):
            PipelineParameter("a", DataPath(store, "a"), **more)
    for path in ("../a", "/etc", "a/../../b", "a\\..\\b", "a\nb", "a\0b"):
        with pytest.raises(UserErrorException, match="stay inside of its datastore"):
            PipelineParameter("a", DataPath(store, path))


def test_parameters_that_differ_in_what_they_allow_are_not_merged():
    with pytest.raises(UserErrorException, match="called 'a' but differ"):
        merge([PipelineParameter("a", 1).definition, PipelineParameter("a", 1, minimum=0).definition])


@given(strategies.parameter_definitions())
def test_what_an_author_writes_is_what_the_definition_says(definition):
    kind = {"int": int, "float": float, "bool": bool, "str": str}[definition.item_type or definition.type]
    made = PipelineParameter(
        "p",
        definition.default,
        type=list[kind] if definition.type == "list" else kind,
        nullable=definition.nullable,
        choices=definition.choices or None,
        minimum=definition.minimum,
        maximum=definition.maximum,
    )
    assert made.definition == definition == ParameterDefinition.from_json(definition.to_json())
    assert hash(made.definition) == hash(definition)


# To the script ------------------------------------------------------------------------------------------------------

DUMP = "import json\njson.dump(args[1:], open(args[0], 'w'))"


@pytest.fixture
def dumping(project):
    """Return a pipeline that writes what its script is given for a None, an enumeration, a list, a range and a secret number."""
    out = PipelineData("out")
    depth = PipelineParameter("depth", None, type=int)
    color = PipelineParameter("color", Color.RED)
    sizes = PipelineParameter("sizes", [1, 2], maximum=9)
    names = PipelineParameter("names", ["a b", 'c"'])
    share = PipelineParameter("share", 0.5, minimum=0, maximum=1)
    pin = PipelineParameter("pin", 1234567, secret=True)
    note = "assert os.environ['AML_PARAMETER_pin'] in ('1234567', '7654321')\n"
    arguments = [out, depth, color, sizes, names, share]
    return project.pipeline(
        project.step("dump.py", f"import os\n{note}{DUMP}", arguments=arguments, outputs=[out], params={"pin": pin})
    )


def written(project, artifact):
    return json.loads(project.workspace.store.tree_path(artifact.digest).read_text())


def test_values_of_every_kind_reach_the_script_as_one_argument_each(project, dumping):
    first = ["None", "red", "[1, 2]", '["a b", "c\\""]', "0.5"]
    assert written(project, dumping()["dump.py"]["out"]) == first
    result = dumping(depth=3, color=Color.BLUE, sizes=(4,), names=[], share=1, pin=7654321)
    assert written(project, result["dump.py"]["out"]) == ["3", "blue", "[4]", "[]", "1.0"]
    texts = ["depth=null", "color=red", "sizes=1,2", 'names=["a b", "c\\""]', "share=0.5"]
    values = read_parameters(dumping, texts)
    assert values == dumping.values({})
    assert written(project, dumping(**values)["dump.py"]["out"]) == first and project.executions == {"dump.py": 2}
    assert [decision.action for decision in dumping.plan(**values)] == ["reuse"]


def test_values_of_every_kind_reach_the_script_of_a_submitted_run(project, dumping):
    values = {"depth": 7, "color": Color.BLUE, "sizes": [3, 4], "names": ["ü"], "share": 0, "pin": 7654321}
    run = Experiment(project.workspace, "trial").submit(dumping, pipeline_parameters=values)
    assert run.wait_for_completion(show_output=False, timeout_seconds=300) == "Finished"
    result = dumping(**{**values, "sizes": (3, 4)})["dump.py"]
    assert result.record.run_id == run.id
    assert written(project, result["out"]) == ["7", "blue", "[3, 4]", '["ü"]', "0.0"]
    with client() as api:
        shown = api.read_flow_run(uuid.UUID(run.id)).parameters
    assert {name: shown[name] for name in values if name in shown} == {
        "depth": 7, "color": "blue", "sizes": [3, 4], "names": ["ü"], "share": 0.0,
    }  # fmt: skip


def test_what_a_parameter_does_not_allow_stops_a_run_before_it_starts(project, dumping):
    for name, value in {"depth": "x", "color": "green", "sizes": [10], "share": 1.5}.items():
        with pytest.raises(UserErrorException, match=f"'{name}'"):
            Experiment(project.workspace, "trial").submit(dumping, pipeline_parameters={name: value})
        with pytest.raises((UserErrorException, ParameterTypeError), match=name):
            dumping(**{name: value})
        with pytest.raises(UserErrorException, match=f"'{name}'"):
            read_parameters(dumping, [f"{name}={value}"])
    assert not project.executions
