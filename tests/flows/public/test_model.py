"""Registered models: versions by name, bytes by content, origin known, found by what they are marked with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stepwell import Model
from stepwell.blocks.store import maintenance
from stepwell.errors import ModelNotFoundException, ModelPathNotFoundException, UserErrorException, WebserviceException


def pickled(folder: Path, text: str = "bytes", name: str = "model.pkl") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_versions_count_from_one_and_the_latest_is_found(workspace, tmp_path) -> None:
    first = Model.register(
        workspace, pickled(tmp_path, "1"), "flats", tags={"area": 7, "good": True}, description="flats"
    )
    second = Model.register(
        workspace, str(pickled(tmp_path, "2")), "flats", model_framework=Model.Framework.SCIKITLEARN
    )
    assert (first.version, first.id, second.version) == (1, "flats:1", 2)
    assert Model(workspace, "flats").id == "flats:2" and Model(workspace, "flats", version=1).tags == {
        "area": "7",
        "good": "True",
    }
    assert Model(workspace, id="flats:1").description == "flats"
    assert [model.id for model in Model.list(workspace, "flats")] == ["flats:2", "flats:1"]
    assert [model.id for model in Model.list(workspace, latest=True)] == ["flats:2"]
    assert workspace.models["flats"].model_framework == "ScikitLearn"


def test_models_are_found_by_tags_and_properties(workspace, tmp_path) -> None:
    path = pickled(tmp_path)
    Model.register(workspace, path, "a", tags={"area": "north"}, properties={"rows": 3})
    Model.register(workspace, path, "b", tags={"area": "south"})
    assert [model.name for model in Model.list(workspace, tags=[["area", "north"]])] == ["a"]
    assert {model.name for model in Model.list(workspace, tags=["area"])} == {"a", "b"}
    assert [model.name for model in Model.list(workspace, properties=[("rows", 3)])] == ["a"]
    with pytest.raises(ModelNotFoundException, match="no such model"):
        Model(workspace, "a", tags=[["area", "south"]])
    with pytest.raises(WebserviceException):
        Model(workspace, "nobody")


def test_what_was_registered_comes_back_whatever_became_of_the_source(workspace, tmp_path) -> None:
    path = pickled(tmp_path, "as it was")
    model = Model.register(workspace, path, "kept")
    path.write_text("as it is")
    place = Path(model.download(tmp_path / "there"))
    assert place == tmp_path / "there" / "model.pkl" and place.read_text() == "as it was"
    with pytest.raises(WebserviceException, match="stands where"):
        model.download(tmp_path / "there")
    place.write_text("spoilt")
    assert Path(model.download(tmp_path / "there", exist_ok=True)).read_text() == "as it was"


def test_a_folder_is_a_model_and_so_are_some_of_its_files(workspace, tmp_path) -> None:
    folder = tmp_path / "net"
    (folder / "deep").mkdir(parents=True)
    pickled(folder, "w", "weights")
    pickled(folder / "deep", "v", "more")
    whole = Model.register(workspace, folder, "net")
    assert Path(whole.download(tmp_path / "a"), "deep", "more").read_text() == "v"
    part = Path(Model.register(workspace, folder, "net", child_paths=["deep/more"]).download(tmp_path / "b"))
    assert [str(path.relative_to(part)) for path in part.rglob("*") if path.is_file()] == ["deep/more"]
    with pytest.raises(UserErrorException, match="leads out"):
        Model.register(workspace, folder, "net", child_paths=["../x"])
    assert Model(workspace, "net").version == 2


def test_the_path_of_a_model_is_a_copy_that_is_made_anew_when_it_is_spoilt(workspace, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Model.register(workspace, pickled(tmp_path, "good"), "flats")
    path = Path(Model.get_model_path("flats", _workspace=workspace))
    assert path == Path("azureml-models/flats/1/model.pkl") and path.read_text() == "good"
    path.write_text("spoilt")
    assert Path(Model.get_model_path("flats", _workspace=workspace)).read_text() == "good"
    workspace.write_config()
    assert Model.get_model_path("flats", 1) == str(path)


def test_collecting_keeps_the_bytes_of_models_and_deleting_frees_them(workspace, tmp_path) -> None:
    model = Model.register(workspace, pickled(tmp_path, "dear"), "kept")
    maintenance.collect(workspace.store, days=0)
    assert Path(model.download(tmp_path / "a")).read_text() == "dear"
    model.delete()
    with pytest.raises(ModelNotFoundException):
        Model(workspace, "kept")
    tree = workspace.store.tree_path(model._block.digest)
    assert tree.exists()
    maintenance.collect(workspace.store, days=0)
    assert not tree.exists()


def test_damaged_bytes_are_never_given_out(workspace, tmp_path) -> None:
    model = Model.register(workspace, pickled(tmp_path, "good"), "m")
    tree = workspace.store.tree_path(model._block.digest)
    tree.chmod(0o600)
    tree.write_text("evil")
    with pytest.raises(ModelPathNotFoundException, match="gone or damaged"):
        model.download(tmp_path / "a")


def test_tags_change_and_properties_do_not(workspace, tmp_path) -> None:
    model = Model.register(workspace, pickled(tmp_path), "m", tags={"a": 1, "b": 2}, properties={"p": 1})
    model.update_tags_properties(add_tags={"b": 3}, remove_tags=["a"], add_properties={"q": 2})
    assert Model(workspace, "m").tags == {"b": "3"} and Model(workspace, "m").properties == {"p": "1", "q": "2"}
    with pytest.raises(UserErrorException, match="property 'p'"):
        model.add_properties({"p": 2})
    model.update(tags={"c": 1}, description="new")
    assert Model(workspace, "m").serialize()["tags"] == {"c": "1"} and Model(workspace, "m").description == "new"


def test_two_who_register_at_once_get_two_versions(workspace, tmp_path) -> None:
    path = pickled(tmp_path)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: Model.register(workspace, path, "busy").version, range(6)))
    assert sorted(found) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("name", ["", "../up", "a b", "x" * 256, "-a"])
def test_names_that_can_not_be_used_are_refused(workspace, tmp_path, name: str) -> None:
    with pytest.raises(UserErrorException, match="can't name a model"):
        Model.register(workspace, pickled(tmp_path), name)


def test_nothing_at_the_path_is_said(workspace, tmp_path) -> None:
    with pytest.raises(ModelPathNotFoundException, match="no model at this path"):
        Model.register(workspace, tmp_path / "none", "m")


def test_a_model_that_a_step_left_knows_its_run(project) -> None:
    from stepwell import Experiment, PipelineData

    made = PipelineData("made")
    first = project.step("data.py", "open(args[0], 'w').write('x')", arguments=[made], outputs=[made])
    train = project.step(
        "train.py",
        "import os; os.makedirs('outputs/net'); open('outputs/net/w', 'w').write('weights'); open('outputs/m.pkl', 'w').write('m')",
        arguments=[made],
        inputs=[made],
    )
    run = Experiment(project.workspace, "models").submit(project.pipeline(train, first))
    run.wait_for_completion(show_output=False)
    step = run.find_step_run("train.py")[0]
    model = step.register_model("flats", "outputs/m.pkl", tags={"a": 1})
    assert (model.run_id, model.experiment_name, model.serialize()["step"]) == (run.id, "models", "train.py")
    assert set(model.serialize()["inputs"]) == {"made"}
    net = step.register_model("net", "outputs/net")
    assert Path(net.download(project.folder / "x"), "w").read_text() == "weights"
    assert [one.name for one in Model.list(project.workspace, run_id=run.id)] == ["net", "flats"]
    with pytest.raises(ModelPathNotFoundException, match="left no file"):
        step.register_model("nothing", "outputs/none")
