"""Datasets as values of parameters: looked up, published, called and shown."""

import json

import pytest
from published import BASE, endpoint, path_of, work

from stepwell import Dataset, DatasetConsumptionConfig, PipelineParameter, PublishedPipeline
from stepwell.errors import UserErrorException
from stepwell.flows.parameters.dataset_values import with_versions
from stepwell.flows.parameters.schema import for_prefect, from_prefect, schema
from stepwell.model.definitions import DatasetSource


@pytest.fixture
def data(project):
    store = project.workspace.get_default_datastore()
    for name in "ab":
        (store.local_root / f"{name}.csv").write_text(f"x\n{name}\n")

    def make(name):
        return Dataset.Tabular.from_delimited_files((store, f"{name}.csv"))

    return make


def test_a_name_means_the_version_that_is_the_latest_now(project, data):
    first = data("a").register(project.workspace, "given")
    given = {"data": DatasetSource(name="given"), "rate": 3}
    found = with_versions(given, project.workspace)
    assert (found["data"].version, found["data"].id, found["rate"]) == (1, first.id, 3)
    data("b").register(project.workspace, "given", create_new_version=True)
    assert with_versions(given, project.workspace)["data"].version == 2
    assert with_versions({"data": DatasetSource(id=first.id)}, project.workspace)["data"].version == 1
    with pytest.raises(UserErrorException, match="The parameter 'data' has no dataset: there is no version 9"):
        with_versions({"data": DatasetSource(name="given", version=9)}, project.workspace)


def test_prefect_is_told_names_and_of_one_without_a_name_what_it_is(project, data):
    for default in (data("a"), data("a").register(project.workspace, "given")):
        definition = PipelineParameter("data", default).definition
        assert from_prefect(definition, for_prefect(definition, definition.default)) == definition.default
    assert for_prefect(definition, default) == "given:1"
    assert from_prefect(definition, "other:2") == DatasetSource(name="other", version=2)


def test_the_form_takes_names_and_no_definition_but_the_default(project, data):
    import jsonschema

    definition = PipelineParameter("data", data("a")).definition
    form = schema([definition], [])
    for good in ("given", "given:3", for_prefect(definition, definition.default)):
        jsonschema.validate({"data": good}, form)
    for bad in ("", "a\nb", 3, for_prefect(definition, data("b"))):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"data": bad}, form)


def test_what_is_published_is_called_with_another_dataset(project, data):
    ws = project.workspace
    data("b").register(ws, "other")
    parameter = PipelineParameter("data", data("a"))
    body = """
    import stepwell
    [found] = stepwell.Run.get_context().input_datasets.values()
    open("outputs/seen.txt", "w").write(" ".join(found.to_pandas_dataframe()["x"]))
    """
    step = project.step("s.py", body, name="s", inputs=[DatasetConsumptionConfig("table", parameter)])
    published = project.pipeline(step, name="p").publish()

    def seen(run_id):
        folder = ws.get_run(run_id).find_step_run("s")[0].folder
        return (folder / "outputs" / "seen.txt").read_text()

    with endpoint() as client:
        address = path_of(published.endpoint.replace(BASE, ""))
        document = client.get("/openapi.json").json()
        [path] = [item for name, item in document["paths"].items() if published.id in name]
        fields = path["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        assert "data" in fields["DataSetDefinitionValueAssignments"]["properties"]
        wanted = {"SavedDataSetReference": {"Id": Dataset.get_by_name(ws, "other").id}}
        answer = client.post(
            address, json={"ExperimentName": "e", "DataSetDefinitionValueAssignments": {"data": wanted}}
        ).json()
        assert answer["ParameterAssignments"] == {"data": "other:1"}, answer
        assert work(answer["Id"]) == "Completed"
        assert seen(answer["Id"]) == "b"
        body = {"ExperimentName": "e", "DataSetDefinitionValueAssignments": {"data": "nothing:4"}}
        refused = client.post(address, json=body)
        assert refused.status_code == 400
        assert "The parameter 'data' has no dataset" in json.dumps(refused.json())
    run = PublishedPipeline.get(ws, published.id).submit(ws, "e")
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert seen(run.id) == "a"
