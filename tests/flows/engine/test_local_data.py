"""Files of this machine as inputs: read where they stand, keyed and explained by content, and nobody else's to name."""

from __future__ import annotations

import os
import pickle
from contextlib import closing

import pytest
from stepwell import DataPath, DataPathComputeBinding, DataTransferStep, LocalData, PipelineData, PipelineParameter

from stepwell.blocks.datasets.sources import document_of
from stepwell.errors import DatastoreException, UserErrorException
from stepwell.flows.engine.run_context import RunContext
from stepwell.flows.parameters.values import check, parse
from stepwell.model.datasets.definition import DatasetDefinition, Place
from stepwell.model.definitions import THIS_MACHINE, DatasetSource, DataSource

COUNT = "open(args[1], 'w').write(args[0] + ' ' + str(len(open(args[0]).read())))"


@pytest.fixture
def flats(tmp_path):
    (tmp_path / "flats.csv").write_text("a,b\n1,2\n")
    return tmp_path / "flats.csv"


def counting(project, data, **more):
    out = PipelineData("out")
    return project.pipeline(
        project.step("count.py", COUNT, arguments=[data, out], inputs=[data], outputs=[out], **more)
    )


def test_a_file_is_read_where_it_stands_and_counts_by_its_content(project, flats, monkeypatch):
    monkeypatch.chdir(flats.parent)
    pipeline = counting(project, LocalData("flats.csv"))
    summary = project.run(pipeline)
    assert summary.status == "Finished" and not summary.warnings
    (step,) = project.workspace.get_run(summary.run_id).get_steps()
    read, size = open(step.get_output_data("out").local_path).read().split()
    assert read == str(flats) and size == "8"
    assert not list((project.workspace.store.root / "inputs").glob("*/*"))
    project.run(pipeline)
    moved = flats.rename(flats.parent / "moved.csv")
    project.run(counting(project, LocalData(moved, "flats_csv")))
    assert project.executions == {"count.py": 1}
    moved.write_text("a,b\n1,3\n")
    (decision,) = counting(project, LocalData(moved, "flats_csv")).plan()
    assert decision.action == "run" and "input flats_csv changed" in decision.why[0]


def test_a_change_is_explained_down_to_the_file(project, tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    data = LocalData(tmp_path / "data")
    out = PipelineData("out")
    body = "import os\nopen(args[1], 'w').write(' '.join(sorted(os.listdir(args[0]))))"
    pipeline = project.pipeline(project.step("s.py", body, arguments=[data, out], inputs=[data], outputs=[out]))
    project.run(pipeline)
    (tmp_path / "data" / "b.csv").write_text("other")
    (tmp_path / "data" / "c.csv").write_text("new")
    (decision,) = pipeline.plan()
    assert "b.csv changed" in decision.why[0] and "c.csv added" in decision.why[0] and "a.csv" not in decision.why[0]


def test_a_change_during_the_run_is_noticed(project, flats):
    data, out = LocalData(flats), PipelineData("out")
    body = f"open({str(flats)!r}, 'a').write('3,4')\nopen(args[0], 'w').write('x')"
    step = project.step("s.py", body, arguments=[out], inputs=[data], outputs=[out])
    summary = project.run(project.pipeline(step))
    assert summary.status == "Failed" and "'flats_csv' changed while step" in summary.steps[0].error


def test_a_missing_file_is_named_by_its_path_and_machine(project, tmp_path):
    with pytest.raises(DatastoreException) as told:
        counting(project, LocalData(tmp_path / "nothing.csv")).plan()
    text = str(told.value)
    assert str(tmp_path / "nothing.csv") in text and os.uname().nodename in text and "LocalData" in text


def test_links_are_followed_and_count_by_what_they_lead_to(project, flats, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "way.csv").symlink_to(flats)
    data, out = LocalData(tmp_path / "data"), PipelineData("out")
    body = "open(args[1], 'w').write(open(args[0] + '/way.csv').read())"
    pipeline = project.pipeline(project.step("s.py", body, arguments=[data, out], inputs=[data], outputs=[out]))
    assert not project.run(pipeline).warnings
    flats.write_text("other")
    project.run(pipeline)
    assert project.executions == {"s.py": 2}


def test_a_copy_may_be_written_to(project, flats):
    data, out = LocalData(flats).as_download(), PipelineData("out")
    body = "open(args[0], 'w').write('mine')\nopen(args[1], 'w').write('x')"
    step = project.step("s.py", body, arguments=[data, out], inputs=[data], outputs=[out])
    assert project.run(project.pipeline(step)).status == "Finished"
    assert flats.read_text() == "a,b\n1,2\n"


def test_what_it_is_and_what_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = LocalData("data/flats 2020.csv")
    assert data.name == "flats_2020_csv" and data.place == f"{tmp_path}/data/flats 2020.csv"
    assert str(data) == "$AZUREML_DATAREFERENCE_flats_2020_csv"
    assert data.as_download("in").mode == "download" and data.as_download().as_mount().mode == "mount"
    assert data.path("x/y.csv").place == f"{data.place}/x/y.csv" and data.path("x/y.csv").name == "y_csv"
    assert pickle.loads(pickle.dumps(data)) == data and LocalData("~/x").place == os.path.expanduser("~/x")
    for wrong in (
        lambda: LocalData("/"),
        lambda: LocalData("a", "b c"),
        lambda: LocalData("a", mode="upload"),
        data.as_upload,
    ):
        with pytest.raises(UserErrorException):
            wrong()


def test_nothing_is_written_to_this_machine(project, flats, tmp_path):
    data = LocalData(flats)
    with pytest.raises(UserErrorException, match="only read"):
        project.pipeline(project.step("s.py", "", outputs=[data]))
    raw = project.workspace.get_default_datastore().path("raw")
    with pytest.raises(UserErrorException, match="only read"):
        project.pipeline(DataTransferStep("t", raw, LocalData(tmp_path / "out")))


def test_no_parameter_and_no_dataset_names_a_path_of_this_machine(project, flats):
    where = PipelineParameter("where", DataPath(project.workspace.get_default_datastore(), "flats.csv"))
    step = project.step("s.py", "", inputs=[(where, DataPathComputeBinding())])
    (definition,) = project.pipeline(step).definition.parameters
    with pytest.raises(UserErrorException, match="stand on a datastore"):
        parse(definition, f"{THIS_MACHINE}{flats}")
    with pytest.raises(UserErrorException, match="stand on a datastore"):
        check(definition, DataSource(THIS_MACHINE, str(flats).lstrip("/")))
    forged = DatasetDefinition("file", (Place(THIS_MACHINE, str(flats).lstrip("/")),))
    with closing(RunContext(project.workspace, "run")) as context:
        with pytest.raises(DatastoreException, match="There is no datastore"):
            context.datasets.artifact(DatasetSource(document_of(forged), id="x"))
