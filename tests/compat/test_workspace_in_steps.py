"""Scripts after the habits of public ones, in steps: the workspace, datasets, models and other steps, under the SDK's names."""

from __future__ import annotations

import importlib.util
import textwrap

from stepwell import Dataset, Datastore, Model, PipelineData

PROLOGUE = """
import argparse, os, sys
from azureml.core import Run, Workspace, Dataset, Datastore, Model, Experiment
from azureml.core.run import _OfflineRun
run = Run.get_context()
"""

WAYS = {
    "offline_or_not": """
        if isinstance(run, _OfflineRun):
            ws = Workspace.from_config()
        else:
            ws = run.experiment.workspace
        assert ws.name and ws == Workspace.from_config() == Workspace.get(ws.name)
        print(ws.name, ws.resource_group, ws.location, ws.subscription_id, sep="\\n")
        assert ws.get_details()["name"] == ws.name and list(Workspace.list()) == [ws.name]
        assert ws.experiments[run.experiment.name].name == run.experiment.name
    """,
    "dataset_by_name": """
        ws = run.experiment.workspace
        frame = Dataset.get_by_name(ws, name="towns").to_pandas_dataframe()
        assert frame["town"].tolist() == ["Ulm", "Bonn"], frame
        dataset = ws.datasets["towns"]
        assert dataset.name == "towns" and dataset.version == 1 and dataset.tags == {"made": "here"}
        assert Dataset.get_by_id(ws, id=dataset.id).take(1).to_pandas_dataframe()["town"].tolist() == ["Ulm"]
        assert "nothing" not in ws.datasets and "towns" in ws.datasets
        assert dataset.keep_columns(["town"]).filter(dataset["town"] == "Bonn").to_pandas_dataframe().shape == (1, 1)
    """,
    "files_of_a_dataset": """
        from azureml.data import FileDataset
        pictures = Dataset.get_by_name(run.experiment.workspace, "pictures")
        assert isinstance(pictures, FileDataset) and pictures.to_path() == ["/a.txt", "/b/c.txt"]
        paths = pictures.download(target_path="copies", overwrite=True)
        assert [open(path).read() for path in paths] == ["A", "C"]
        with pictures.mount() as mounted:
            assert open(os.path.join(mounted.mount_point, "b", "c.txt")).read() == "C"
        first, second = pictures.random_split(0.5, seed=1)
        assert sorted(first.to_path() + second.to_path()) == pictures.to_path()
    """,
    "store": """
        ws = run.experiment.workspace
        store = Datastore.get(ws, "workspaceblobstore")
        assert store.name == ws.get_default_datastore().name == Datastore(ws).name
        assert store.download(target_path="down", prefix="pictures/b", show_progress=False) == 1
        assert open("down/pictures/b/c.txt").read() == "C"
        os.makedirs("made", exist_ok=True)
        open("made/new.csv", "w").write("town\\nKiel\\n")
        store.upload(src_dir="made", target_path="fresh", overwrite=True)
        store.upload_files(["made/new.csv"], target_path="again", overwrite=True)
        table = Dataset.Tabular.from_delimited_files(path=[(store, "fresh/*.csv")])
        assert table.to_pandas_dataframe()["town"].tolist() == ["Kiel"]
        kept = table.register(workspace=ws, name="fresh", create_new_version=True, tags={"n": 1})
        assert kept.version == 1 and Dataset.get_by_name(ws, "fresh").tags == {"n": "1"}
    """,
    "model_of_the_workspace": """
        ws = run.experiment.workspace
        model = Model(ws, "iris")
        assert (model.name, model.version, model.tags) == ("iris", 2, {"area": "flowers"})
        assert [one.version for one in Model.list(ws, name="iris")] == [2, 1]
        assert open(Model.get_model_path("iris", _workspace=ws)).read() == "new"
        assert open(Model.get_model_path(model_name="iris", version=1)).read() == "old"
        assert open(model.download(target_dir="models", exist_ok=True)).read() == "new"
        from azureml.exceptions import WebserviceException
        try:
            Model(ws, "none")
        except WebserviceException as error:
            assert "ModelNotFound" in error.message
    """,
    "registering_a_model": """
        os.makedirs("outputs", exist_ok=True)
        open("outputs/model.pkl", "w").write("weights")
        run.upload_file("outputs/model.pkl", "outputs/model.pkl")
        model = run.register_model(model_name="trained", model_path="outputs/model.pkl", tags={"accuracy": 0.9, "ok": True})
        assert model.version == 1 and model.tags == {"accuracy": "0.9", "ok": "True"}
        ws = run.experiment.workspace
        again = Model.register(workspace=ws, model_path="outputs", model_name="folder", properties={"rows": 3})
        again.add_tags({"reviewed": "yes"})
        assert Model(ws, "folder").tags == {"reviewed": "yes"} and ws.models["folder"].properties == {"rows": "3"}
        assert os.listdir(Model.get_model_path("folder")) == ["model.pkl"]
    """,
    "steps_of_the_parent": """
        first = run.parent.find_step_run("first.py")[0]
        assert first.get_status() == "Finished" and first.get_metrics() == {"seen": 7} and first.tags == {"kind": "made"}
        assert first.get_file_names() == ["notes/note.txt", "outputs/weights"], first.get_file_names()
        first.download_file("outputs/weights", "copied/weights")
        assert open("copied/weights").read() == "1 2 3"
        model = first.register_model("of_first", model_path="outputs/weights", tags={"step": first.name})
        assert Model(run.experiment.workspace, "of_first").tags == {"step": "first.py"} and model.version == 1
        assert {step.name for step in run.parent.get_children()} >= {"first.py"}
        assert run.parent.get_metrics()["total"] == 3 and run.parent.get_tags()["state"] == "begun"
    """,
    "vault": """
        vault = run.experiment.workspace.get_default_keyvault()
        try:
            vault.get_secret("not-there")
        except Exception as error:
            assert "no secret" in str(error)
        else:
            raise SystemExit("a secret that nobody set")
    """,
    "what_steps_must_not": """
        from azureml.core.compute import ComputeTarget, AmlCompute
        from azureml.core.compute_target import ComputeTargetException
        from azureml.pipeline.core import Pipeline
        ws = run.experiment.workspace
        for refused in (
            lambda: ws.compute_targets, lambda: ComputeTarget(ws, "cpu"), lambda: AmlCompute(ws, "cpu"),
        ):
            try:
                refused()
            except ComputeTargetException as error:
                assert "AuthenticationFailed" in str(error)
            else:
                raise SystemExit("a step managed a compute target")
        for refused in (
            lambda: Pipeline(ws, []), lambda: Experiment(ws, "x").submit(None), lambda: Workspace.create("x"),
            lambda: Datastore.register_azure_blob_container(ws, "x"), lambda: run.submit_child(None), lambda: ws.delete(),
        ):
            try:
                refused()
            except Exception as error:
                assert error.hint, error
            else:
                raise SystemExit("a step did what no step may")
    """,
    "scoring": """
        def init():
            global model
            model = open(Model.get_model_path("iris")).read()
        def run(batch):
            return [model + one for one in batch]
        init()
        assert run(["a"]) == ["newa"]
        os.environ["AZUREML_MODEL_DIR"] = os.path.abspath("azureml-models/iris/2")
        assert Model.get_model_path("iris").startswith(os.environ["AZUREML_MODEL_DIR"])
    """,
}
"""Scripts by what they do."""

if importlib.util.find_spec("pyarrow"):
    WAYS["frames"] = """
        import pandas
        ws = run.experiment.workspace
        store, frame = ws.get_default_datastore(), pandas.DataFrame({"town": ["Kiel"]})
        Dataset.Tabular.register_pandas_dataframe(dataframe=frame, target=(store, "frames"), name="frame")
        assert ws.datasets["frame"].to_pandas_dataframe()["town"].tolist() == ["Kiel"]
    """


def registered(project) -> None:
    """Register what the scripts look for."""
    store = Datastore.get_default(project.workspace)
    data = project.folder / "data"
    for name, text in {
        "towns.csv": "town,size\nUlm,1\nBonn,2\n",
        "pictures/a.txt": "A",
        "pictures/b/c.txt": "C",
    }.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    store.upload(data, show_progress=False)
    table = Dataset.Tabular.from_delimited_files((store, "towns.csv"))
    table.register(project.workspace, "towns", tags={"made": "here"})
    Dataset.File.from_files((store, "pictures")).register(project.workspace, "pictures")
    weights = project.folder / "weights.txt"
    for text in ("old", "new"):
        weights.write_text(text)
        Model.register(project.workspace, weights, "iris", tags={"area": "flowers"})


def steps(project, **more):
    """Return a step that others ask about, and one for each script."""
    body = """
        run.log("seen", 7)
        run.tag("kind", "made")
        run.parent.log("total", 3)
        run.parent.tag("state", "begun")
        os.makedirs("outputs", exist_ok=True)
        open("outputs/weights", "w").write("1 2 3")
        open("note.txt", "w").write("noted")
        run.upload_file("notes/note.txt", "note.txt")
        open(args.out, "w").write("x")
    """
    parse = 'parser = argparse.ArgumentParser()\nparser.add_argument("--out")\nargs = parser.parse_args()\n'
    out = PipelineData("out")
    first = project.step(
        "first.py", PROLOGUE + parse + textwrap.dedent(body), arguments=["--out", out], outputs=[out], **more
    )
    return [first] + [
        project.step(f"{name}.py", PROLOGUE + textwrap.dedent(way), inputs=[out], **more) for name, way in WAYS.items()
    ]


def test_scripts_of_every_habit_run(project) -> None:
    registered(project)
    summary = project.run(project.pipeline(*steps(project)), continue_on_step_failure=True)
    failed = [step for step in summary.steps if step.happened != "ran"]
    assert not failed, "\n".join(f"{step.id}: {step.error}" for step in failed)


def test_a_step_that_reads_a_dataset_by_its_name_runs_again_when_it_holds_something_else(project) -> None:
    registered(project)
    out = PipelineData("out")
    body = """
        args = sys.argv[1:]
        dataset = Dataset.get_by_name(run.experiment.workspace, "pictures")
        open(args[0], "w").write("".join(open(path).read() for path in dataset.download("copies")))
    """
    step = project.step("read.py", PROLOGUE + textwrap.dedent(body), arguments=[out], outputs=[out], strict=True)
    pipeline, changed = project.pipeline(step), project.folder / "data" / "pictures" / "a.txt"
    assert [project.happened(pipeline)["read.py"] for _ in range(2)] == ["ran", "reused"]
    changed.write_text("other")
    Datastore.get_default(project.workspace).upload(changed.parent, "pictures", overwrite=True, show_progress=False)
    [summary] = project.run(pipeline).steps
    assert summary.happened == "ran" and "pictures" in " ".join(summary.why)
