"""Bodies of calls that assign what the pipeline does not have: refused, or of a lenient one passed over by name."""

from __future__ import annotations

import pytest

from stepwell.deployments.access.http_errors import BadRequest
from stepwell.deployments.endpoint.run_body import parse_run_request
from stepwell.model.definitions import DatasetSource, ParameterDefinition

RATE = ParameterDefinition("rate", "int", 1)


def request(body, *, lenient=True):
    return parse_run_request({"ExperimentName": "e", **body}, (RATE,), False, lenient=lenient)


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ({"ParameterAssignments": {"1": "united", "rate": 2}}, ("ParameterAssignments.1",)),
        ({"DataPathAssignments": {"x": None}}, ("DataPathAssignments.x",)),
        ({"DataSetDefinitionValueAssignments": {"d": {"LiteralValue": 1}}}, ("DataSetDefinitionValueAssignments.d",)),
        ({"DisplayName": {"any": ["thing"]}, "ParameterAssignments": None}, ("DisplayName",)),
        ({"ParameterAssignments": {"rate": "2"}}, ()),
    ],
)
def test_a_lenient_pipeline_passes_over_what_it_does_not_have_and_a_strict_one_refuses_it(body, ignored):
    found = request(body)
    assert found.ignored == ignored and found.parameters == ({"rate": 2} if "rate" in str(body) else {})
    if ignored:
        with pytest.raises(BadRequest) as caught:
            request(body, lenient=False)
        assert ignored[0].startswith(caught.value.field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ParameterAssignments": {"rate": "fast", "x": 1}}, "ParameterAssignments.rate"),
        ({"parameterAssignments": {"rate": 2}}, "parameterAssignments"),
        ({"DataPathAssignments": {"rate": {}}}, "DataPathAssignments.rate"),
        ({"ParameterAssignments": ["rate"]}, "ParameterAssignments"),
    ],
)
def test_a_lenient_pipeline_refuses_what_is_wrong_all_the_same(body, field):
    with pytest.raises(BadRequest) as caught:
        request(body)
    assert caught.value.field == field


def test_names_that_are_passed_over_are_bounded_and_can_be_shown():
    found = request({"ParameterAssignments": {"x" * 5000: 1, "a\nb": 1, **{f"p{n}": n for n in range(100)}}}).ignored
    assert len(found[0]) < 120 and found[1] == r"ParameterAssignments.a\nb" and found[-1] == "and 52 more"


FILES = DatasetSource('{"kind":"file"}')
DATA = ParameterDefinition("data", "dataset", FILES)
ID = "0b8a6d0e-6ab0-4b0f-a6ad-2d0d8f9a1c11"


def of_dataset(body):
    return parse_run_request({"ExperimentName": "e", **body}, (RATE, DATA), False).parameters["data"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"SavedDataSetReference": {"Id": ID}}, DatasetSource(id=ID)),
        ("weather:3", DatasetSource(name="weather", version=3)),
        ("weather", DatasetSource(name="weather")),
        (FILES.document, FILES),
    ],
)
def test_a_dataset_is_named_in_v1s_words_and_in_ours(value, found):
    assert of_dataset({"DataSetDefinitionValueAssignments": {"data": value}}) == found
    if isinstance(value, str):
        assert of_dataset({"ParameterAssignments": {"data": value}}) == found


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"DataSetDefinitionValueAssignments": {"rate": "weather"}}, "DataSetDefinitionValueAssignments.rate"),
        ({"DataSetDefinitionValueAssignments": {"other": "weather"}}, "DataSetDefinitionValueAssignments.other"),
        ({"DataSetDefinitionValueAssignments": {"data": {"LiteralValue": {"x": 1}}}}, None),
        ({"DataSetDefinitionValueAssignments": {"data": {"SavedDataSetReference": {"Id": 3}}}}, None),
        ({"DataSetDefinitionValueAssignments": {"data": {"SavedDataSetReference": "x"}}}, None),
        ({"DataSetDefinitionValueAssignments": {"data": None}}, None),
        ({"DataSetDefinitionValueAssignments": {"data": ""}}, None),
        ({"DataSetDefinitionValueAssignments": {"data": '{"kind":"file","places":[["","http://x"]]}'}}, None),
        ({"ParameterAssignments": {"data": 3}}, "ParameterAssignments.data"),
        ({"ParameterAssignments": {"data": ' {"kind":"file"}'}}, "ParameterAssignments.data"),
        ({"ParameterAssignments": {"data": "a"}, "DataSetDefinitionValueAssignments": {"data": "b"}}, None),
    ],
)
def test_what_names_no_registered_dataset_is_refused_by_its_field(body, field):
    with pytest.raises(BadRequest) as caught:
        of_dataset(body)
    assert (caught.value.status, caught.value.field) == (400, field or "DataSetDefinitionValueAssignments.data")
