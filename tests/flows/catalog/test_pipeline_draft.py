"""Drafts: pipelines that are run and changed under one id, from frozen source, and published in the end."""

from __future__ import annotations

import pytest

from stepwell import Pipeline, PipelineDraft, PipelineParameter, PublishedPipeline
from stepwell.blocks.store import maintenance
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline_run import all_runs


def drafted(project, **more) -> PipelineDraft:
    rate = PipelineParameter("rate", 1)
    step = project.step("a.py", "print('rate', args[0])", arguments=[rate], name="a")
    return PipelineDraft.create(project.workspace, Pipeline(project.workspace, [step], name="idea"), **more)


def test_a_draft_runs_as_it_was_is_updated_and_published(project) -> None:
    draft = drafted(project, experiment_name="trials", tags={"dev": True})
    project.write("a.py", "raise SystemExit('newer than the draft')")
    maintenance.collect(project.workspace.store, days=0)
    found = PipelineDraft.get(project.workspace, draft.id)
    run = found.submit_run({"rate": 2})
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert run.experiment_name == "trials" and run.get_tags() == {"dev": "True"}
    assert run.find_step_run("a")[0].get_stdout_log().strip() == "rate 2"
    assert PipelineDraft.get(project.workspace, draft.id).last_submitted_pipeline_run_id == run.id
    newer = Pipeline(project.workspace, [project.step("a.py", "print('newer')", name="a")], name="other")
    assert found.update(name="better", pipeline=newer).definition.parameters == ()
    published = found.publish()
    assert (published.name, published.version) == ("better", "1")
    assert PublishedPipeline.get(project.workspace, published.id).get_step_names() == ["a"]
    assert project.executions == {"a.py": 1}


def test_drafts_are_listed_by_tag_copied_and_forgotten(project) -> None:
    draft = drafted(project, tags={"team": 1}, properties={"for": "rent"}, description="An idea")
    copy = draft.clone()
    assert copy.id != draft.id and copy.parent_pipeline_draft_id == draft.id
    assert (copy.name, copy.tags, copy.properties, copy.description) == (
        "idea",
        {"team": "1"},
        {"for": "rent"},
        "An idea",
    )
    copy.update(tags={"team": 2})
    assert [one.id for one in PipelineDraft.list(project.workspace)] == [copy.id, draft.id]
    assert [one.id for one in PipelineDraft.list(project.workspace, tags={"team": 2})] == [copy.id]
    copy.delete()
    with pytest.raises(UserErrorException, match="no pipeline draft"):
        PipelineDraft.get(project.workspace, copy.id)
    with pytest.raises(UserErrorException, match="can't name a draft"):
        draft.update(name="a/b")


def test_a_draft_is_made_of_what_is_published_and_of_runs(project) -> None:
    draft = drafted(project)
    published = draft.publish()
    of_published = PipelineDraft.create(project.workspace, published)
    assert of_published.parent_pipeline_id == published.id and of_published.definition.parameters[0].name == "rate"
    project.run(Pipeline(project.workspace, [project.step("b.py", "")], name="ran"))
    run = next(iter(all_runs(project.workspace)))
    of_run = PipelineDraft.create(project.workspace, run, name="again")
    assert of_run.parent_pipeline_run_id == run.id and of_run.block.snapshots
