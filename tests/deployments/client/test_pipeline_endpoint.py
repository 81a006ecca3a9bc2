from __future__ import annotations

import threading

import pytest

from stepwell import Experiment, PipelineEndpoint, PipelineRun, PublishedPipeline
from stepwell.errors import ExperimentExecutionException, UserErrorException


@pytest.fixture
def pipelines(project):
    return [project.pipeline(project.step(f"{name}.py", "pass"), name=name) for name in ("one", "two", "three")]


def test_versions_are_counted_and_one_is_the_default(project, pipelines):
    endpoint = PipelineEndpoint.publish(project.workspace, "e", "words", pipelines[0])
    first = endpoint.get_pipeline()
    second, third = (pipeline.publish() for pipeline in pipelines[1:])
    endpoint.add(second)
    assert (endpoint.get_default_version(), endpoint.list_versions()) == ("0", ["0", "1"])
    endpoint.add_default(third)
    assert (endpoint.default_version, endpoint.get_pipeline().id) == ("2", third.id)
    endpoint.set_default(second)
    assert (endpoint.get_pipeline().id, endpoint.get_pipeline("0").id) == (second.id, first.id)
    again = PipelineEndpoint.get(project.workspace, name="e")
    assert (again.id, again.description, again.status) == (endpoint.id, "words", "Active")
    assert again.pipeline_version_list == [("0", first.id), ("1", second.id), ("2", third.id)]
    assert [one.id for one in again.list_pipelines()] == [first.id, second.id, third.id]
    assert again.endpoint.split("Id")[0] + f"Name?name=e&workspace={project.workspace.name}" == again.endpoint_by_name
    for wrong in (
        lambda: endpoint.set_default_version("9"),
        lambda: endpoint.get_pipeline("x"),
        lambda: endpoint.set_default(pipelines[0].publish()),
    ):
        with pytest.raises(UserErrorException):
            wrong()


def test_names_are_unique_until_they_are_free(project, pipelines):
    published = pipelines[0].publish()
    endpoint = PipelineEndpoint.publish(project.workspace, "e", "", published)
    with pytest.raises(ValueError, match="already"):
        PipelineEndpoint.publish(project.workspace, "e", "", published)
    endpoint.archive()
    other = PipelineEndpoint.publish(project.workspace, "e", "", published)
    with pytest.raises(ValueError, match="already"):
        endpoint.reactivate()
    endpoint.reactivate("f")
    assert {one.name for one in PipelineEndpoint.list(project.workspace)} == {"e", "f"}
    with pytest.raises(ValueError, match="already"):
        other.set_name("f")
    with pytest.raises(ExperimentExecutionException):
        PipelineEndpoint.get(project.workspace, name="g")


def test_two_at_once_lose_no_version(project, pipelines):
    published = [pipeline.publish() for pipeline in pipelines]
    endpoint = PipelineEndpoint.publish(project.workspace, "e", "", published[0])
    adders = [
        threading.Thread(target=PipelineEndpoint.get(project.workspace, endpoint.id).add, args=(one,))
        for one in published * 2
    ]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert PipelineEndpoint.get(project.workspace, endpoint.id).list_versions() == [str(n) for n in range(7)]


def test_it_runs_its_default_unless_it_is_disabled(project, pipelines):
    endpoint = PipelineEndpoint.publish(project.workspace, "e", "", pipelines[0])
    run = Experiment(project.workspace, "x").submit(endpoint)
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert dict(project.executions) == {"one.py": 1}
    endpoint.add_default(pipelines[1].publish())
    earlier = Experiment(project.workspace, "x").submit(endpoint, pipeline_version="0")
    assert earlier.wait_for_completion(show_output=False) == "Finished"
    assert {step.name for step in earlier.get_steps()} == {"one.py"}
    endpoint.disable()
    with pytest.raises(UserErrorException, match="disabled"):
        endpoint.submit("x")


def test_its_versions_are_texts_with_what_v1s_have(project, pipelines):
    endpoint = PipelineEndpoint.publish(project.workspace, "e", "", pipelines[0])
    endpoint.add(pipelines[1].publish())
    first, second = endpoint.get_all_versions()
    assert (first, first.version, second.version) == ("0", "0", "1") and isinstance(first, str)
    assert (first.pipeline.id, second.pipeline.name) == (endpoint.get_pipeline("0").id, "two")
    assert endpoint.get_pipeline(second).id == second.pipeline.id and repr(first) == "'0'"


def test_under_one_name_there_is_one_numbering(project, pipelines):
    endpoint = PipelineEndpoint.publish(project.workspace, "one", "", pipelines[0])
    assert (endpoint.get_pipeline("0").version, endpoint.list_versions()) == ("0", ["0"])
    later = pipelines[0].publish()
    endpoint.add_default(later)
    assert (later.version, endpoint.default_version) == ("1", "1")
    endpoint.add(pipelines[1].publish())  # of another name: the next number, which no pipeline of this name gets
    assert (endpoint.list_versions(), pipelines[0].publish().version) == (["0", "1", "2"], "3")
    over = PipelineEndpoint.publish(project.workspace, "two", "", PublishedPipeline.get(project.workspace, name="two"))
    assert over.list_versions() == [over.get_pipeline().version] == ["1"]


def test_it_is_submitted_as_v1_does_also_as_a_child(project, pipelines):
    endpoint = PipelineEndpoint.publish(project.workspace, "v1", "", pipelines[0])
    parent = Experiment(project.workspace, "family").start_logging()
    run = endpoint.submit("x", {}, parent.id, pipeline_version="0")
    assert run.wait_for_completion(show_output=False) == "Finished" and run.parent.id == parent.id
    parent.complete()
    published = endpoint.get_pipeline("0")
    assert [one.id for one in PipelineRun.get_pipeline_runs(project.workspace, published.id)] == [run.id]
