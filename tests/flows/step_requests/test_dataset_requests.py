"""Datasets as scripts of steps ask for them: registered ones, their files, and new versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from far_away import TaggedMemory

from stepwell import Dataset, Datastore, PipelineData
from stepwell.blocks.compute.local_compute import LocalCompute
from stepwell.blocks.datasets.files.current_files import CurrentFiles
from stepwell.errors import StepwellError, UserErrorException
from stepwell.script import channel

BODY = """
import os
from stepwell.script import channel
found = channel.ask("dataset.get", name="iris")
names = channel.ask("dataset.look", name="iris", definition=found["definition"])["names"]
place = channel.receive("dataset.files", name="iris", definition=found["definition"])
open(args[0], "w").write(str(found["version"]) + "".join(open(os.path.join(place, name)).read() for name in names))
"""


def registered(project, **files):
    store = project.workspace.get_default_datastore()
    for name, text in files.items():
        path = store.local_root / "raw" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    dataset = Dataset.File.from_files([(store, f"raw/{name}.csv") for name in files])
    return dataset.register(project.workspace, "iris", create_new_version=True)


def test_a_dataset_counts_by_its_version_and_by_its_files(project):
    out = PipelineData("out")
    pipeline = project.pipeline(project.step("s.py", BODY, arguments=[out], outputs=[out], strict=True))
    registered(project, a="a", b="b")

    def written():
        return project.workspace.path_of(pipeline()["s.py"]["out"]).read_text()

    assert written() == "1ab"
    summary = project.run(pipeline)
    assert [step.happened for step in summary.steps] == ["reused"] and not summary.warnings
    (project.workspace.get_default_datastore().local_root / "raw" / "b.csv").write_text("c")
    assert pipeline.plan()[0].why == ("the files of dataset 'iris' changed",)
    assert written() == "1ac"
    registered(project, a="a", b="c", c="d")
    assert "dataset 'iris' is now version 2" in pipeline.plan()[0].why
    assert written() == "2acd"
    assert project.executions["s.py"] == 3


def test_files_that_changed_while_they_were_read_are_never_served_later(project):
    store = project.workspace.get_default_datastore()
    out = PipelineData("out")
    body = BODY + f"open({str(store.local_root / 'raw' / 'a.csv')!r}, 'w').write('b')\n"
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    registered(project, a="a", b="b")
    pipeline()
    registered(project, a="a", b="b")
    assert pipeline.plan()[0].action == "run"


def test_what_was_fetched_counts_as_it_came(session, project, monkeypatch):
    TaggedMemory.store, TaggedMemory.pseudo_dirs = {}, [""]
    far, path = Datastore.register(project.workspace, "far", "tagged://data"), project.folder / "a.csv"

    def put(text):
        path.write_text(text)
        far.put_file(path, "a.csv")

    put("listed")
    definition, fetch = Dataset.File.from_files((far, "a.csv")).definition.to_json(), CurrentFiles.put_into
    channel.receive("dataset.files", definition=definition)
    ((name, listed),) = session.looks(1).items()
    monkeypatch.setattr(CurrentFiles, "put_into", lambda *given, **more: (put("fetched"), fetch(*given, **more))[1])
    assert Path(channel.receive("dataset.files", definition=definition)).read_text() == "fetched"
    assert session.looks(1)[name] not in (listed, "")


def test_scripts_register_datasets(session, project):
    dataset = registered(project, a="a", b="b")
    facts = channel.ask("dataset.register", name="copy", definition=dataset.definition.to_json(), tags={"by": "step"})
    assert (facts["version"], facts["tags"]) == (1, {"by": "step"})
    assert Dataset.get_by_name(project.workspace, "copy").id == facts["id"]
    assert channel.ask("dataset.get", id=facts["id"])["name"] == "copy"
    assert channel.ask("dataset.update", name="copy", description="new")["description"] == "new"
    assert channel.ask("dataset.list")["datasets"] == ["copy", "iris"]
    place = channel.receive("dataset.files", definition=dataset.definition.to_json())
    assert Path(place, "a.csv").read_text() == "a" and not Path(place, "a.csv").is_symlink()
    for definition in ({}, {"kind": "file", "places": 1}, {"kind": "file", "places": [["x", "../../etc"]]}):
        with pytest.raises(StepwellError):
            channel.ask("dataset.files", definition=definition)
    with pytest.raises(StepwellError, match="datastore"):
        channel.ask(
            "dataset.register",
            name="no",
            definition={**dataset.definition.to_json(), "places": [{"datastore": "x", "path": "a"}]},
        )


def test_a_step_without_a_network_gets_no_other_address_through_its_host_than_registered_ones(
    session, project, monkeypatch
):
    monkeypatch.setattr(LocalCompute, "reaches_network", False)
    dataset = Dataset.File.from_files("http://127.0.0.1:9/a.csv", validate=False)
    definition = dataset.definition.to_json()
    for ask in (
        lambda: channel.ask("dataset.look", definition=definition),
        lambda: channel.receive("dataset.files", definition=definition),
        lambda: channel.ask("dataset.register", definition=definition, name="far"),
    ):
        with pytest.raises(UserErrorException, match="without a network"):
            ask()
    dataset.register(project.workspace, "far")
    with pytest.raises(StepwellError) as caught:
        channel.ask("dataset.look", definition=definition)
    assert "without a network" not in caught.value.title
