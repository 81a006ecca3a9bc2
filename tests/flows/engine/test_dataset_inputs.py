"""Datasets that steps read and write: from one run to the next."""

import json
from typing import Any

import pytest

from stepwell import Dataset, DatasetConsumptionConfig, OutputFileDatasetConfig, PipelineData, PipelineParameter
from stepwell.blocks.datasets.registry import versions_of
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.deployments.reports.report import in_json, report
from stepwell.errors import UserErrorException

READ = """
import json, os, stepwell
inputs = stepwell.Run.get_context().input_datasets
seen = {"args": args, "variables": {name: os.environ[name] for name in inputs}, "listed": {}, "tables": {}}
for name, found in inputs.items():
    if isinstance(found, str):
        names = [os.path.join(at, leaf) for at, _, leaves in os.walk(found) for leaf in leaves] or [found]
        seen["listed"][name] = {os.path.relpath(path, found): open(path).read() for path in sorted(names)}
    elif hasattr(found, "to_pandas_dataframe"):
        seen["tables"][name] = [found.name, found.version, found.id, found.to_pandas_dataframe().to_dict("list")]
    else:
        seen["listed"][name] = found.to_path()
json.dump(seen, open("outputs/seen.json", "w"))
"""


@pytest.fixture
def store(project: Any) -> Any:
    found = project.workspace.get_default_datastore()
    for name, text in {"a/1.csv": "x\n1\n", "a/2.csv": "x\n2\n", "a/note.txt": "hi", "b/3.csv": "x\n3\n"}.items():
        (found.local_root / name).parent.mkdir(exist_ok=True)
        (found.local_root / name).write_text(text)
    return found


def seen(project: Any, summary: Any, step: int = 0) -> dict[str, Any]:
    """Return what the step's script saw."""
    folder = summary.steps[step].folder(RunFolder(project.workspace.store.run_folder(summary.run_id)))
    found: dict[str, Any] = json.loads((folder / "outputs" / "seen.json").read_text())
    return found


def test_a_script_gets_paths_and_tables(project: Any, store: Any) -> None:
    ws = project.workspace
    whole = Dataset.File.from_files((store, "a")).register(ws, "all of it")
    some = Dataset.File.from_files([(store, "a/*.csv"), (store, "b/*.csv")])
    table = Dataset.Tabular.from_delimited_files((store, "a/*.csv")).register(ws, "numbers")
    one = Dataset.File.from_files((store, "a/1.csv"))
    arguments = [
        "--whole",
        whole.as_named_input("whole").as_mount(),
        some.as_named_input("some").as_mount(),
        one.as_named_input("one").as_mount(),
        one.as_named_input("copied").as_download("given"),
        table.as_named_input("table"),
        "--again=DatasetConsumptionConfig:one",
    ]
    summary = project.run(project.pipeline(project.step("read.py", READ, arguments=arguments)))
    assert summary.headline.startswith("Finished"), summary.steps[0].error
    assert summary.warnings == ()
    found = seen(project, summary)
    assert found["args"][1] == str(store.local_root / "a")  # where it stands, no copy
    assert found["args"][3] == str(store.local_root / "a/1.csv")
    assert found["args"][5] == table.id == found["variables"]["table"]
    assert found["args"][6] == f"--again={store.local_root / 'a/1.csv'}"
    assert found["variables"]["whole"] == found["args"][1]
    assert found["listed"]["some"] == {"a/1.csv": "x\n1\n", "a/2.csv": "x\n2\n", "b/3.csv": "x\n3\n"}
    assert sorted(found["listed"]["whole"]) == ["1.csv", "2.csv", "note.txt"]
    assert found["args"][4].endswith("/source/given/1.csv")
    assert found["tables"] == {"table": ["numbers", 1, table.id, {"x": [1, 2]}]}
    line = "Read by read.py: all of it, version 1 as whole, numbers, version 1 as table"
    assert line in report(RunFolder(project.workspace.store.run_folder(summary.run_id)))
    assert in_json(summary)["steps"][0]["datasets"]["whole"]["version"] == 1
    details = project.workspace.get_run(summary.run_id).get_details()["inputDatasets"]
    assert [(one["consumptionDetails"]["inputName"], one["consumptionDetails"]["mechanism"]) for one in details] == [
        ("whole", "Mount"),
        ("some", "Mount"),
        ("one", "Mount"),
        ("copied", "Download"),
        ("table", "Direct"),
    ]
    assert (details[0]["dataset"].name, details[0]["dataset"].to_path()[0]) == ("all of it", "/1.csv")
    assert details[1]["dataset"].to_path() == ["/a/1.csv", "/a/2.csv", "/b/3.csv"]


def test_bytes_count_and_neither_names_nor_versions(project: Any, store: Any) -> None:
    ws = project.workspace
    body = "import os\nopen(args[1], 'w').write(' '.join(sorted(os.listdir(args[0]))))"

    def run(name: str, path: str) -> Any:
        files = Dataset.File.from_files((store, path)).register(ws, name, create_new_version=True)
        out = PipelineData("out")
        inputs = [files.as_named_input("raw").as_mount()]
        step = project.step("list.py", body, arguments=[*inputs, out], outputs=[out])
        return project.run(project.pipeline(step)).steps[0]

    assert run("one", "a/*.csv").happened == "ran"
    again = run("other", "a/*.csv")
    assert (again.happened, again.datasets["raw"]["name"]) == ("reused", "other")
    third = run("other", "a/*.csv")
    assert (third.happened, third.datasets["raw"]["version"]) == ("reused", 2)
    (store.local_root / "a/2.csv").write_text("x\n9\n")
    changed = run("one", "a/*.csv")
    assert (changed.happened, changed.why) == ("ran", ("input raw changed (2.csv changed)",))


def test_the_file_of_a_single_one_is_named_too(project: Any, store: Any) -> None:
    one = Dataset.File.from_files((store, "a/1.csv")).as_named_input("one").as_mount()
    pipeline = project.pipeline(project.step("s.py", "", arguments=[one]))
    project.run(pipeline)
    (store.local_root / "a/1.csv").write_text("x\n8\n")
    assert pipeline.plan()[0].why == ("input one changed (1.csv changed)",)


def test_how_a_table_is_read_counts(project: Any, store: Any) -> None:
    table = Dataset.Tabular.from_delimited_files((store, "a/*.csv"))

    def plan(dataset: Any) -> Any:
        return project.pipeline(project.step("s.py", None, arguments=[dataset.as_named_input("table")]))

    project.script("s.py")
    project.run(plan(table))
    assert plan(table).plan()[0].action == "reuse"
    assert plan(table.take(1)).plan()[0].why == ("reading of input table changed",)


def test_the_order_of_places_counts_where_it_is_that_of_reading(project: Any, store: Any) -> None:
    def plan(of: Any, *paths: str) -> Any:
        dataset = of([(store, path) for path in paths])
        return project.pipeline(project.step("s.py", None, arguments=[dataset.as_named_input("given")]))

    tables, files = Dataset.Tabular.from_delimited_files, Dataset.File.from_files
    project.script("s.py")
    for of in (tables, files):
        project.run(plan(of, "a/1.csv", "a/2.csv"))
        assert plan(of, "a/1.csv", "a/2.csv").plan()[0].action == "reuse"
        assert plan(of, "a/*.csv").plan()[0].action == "reuse"
        assert plan(of, "a/2.csv", "a/1.csv").plan()[0].why == ("order of the files of input given changed",)
        assert plan(of, "a/?2.csv", "a/2.csv", "a/*1.csv").plan()[0].action == "run"


def test_what_paths_of_files_tell_counts(project: Any, store: Any) -> None:
    def pipeline(path: str, partition_format: str) -> Any:
        dataset = Dataset.File.from_files((store, path), partition_format=partition_format)
        return project.pipeline(project.step("s.py", body, arguments=[dataset.as_named_input("given")]))

    body = """
    import json, stepwell
    given = stepwell.Run.get_context().input_datasets["given"]
    json.dump(given.get_partition_key_values(), open("outputs/seen.json", "w"))
    """
    assert seen(project, project.run(pipeline("a/1.csv", "/{folder}/1.csv"))) == [{"folder": "a"}]
    (store.local_root / "b/1.csv").write_text("x\n1\n")
    assert pipeline("a/1.csv", "/{folder}/1.csv").plan()[0].action == "reuse"
    assert pipeline("b/1.csv", "/{folder}/1.csv").plan()[0].action == "run"
    assert pipeline("a/1.csv", "/{other}/1.csv").plan()[0].action == "run"


def test_a_parameter_names_another_one(project: Any, store: Any) -> None:
    ws = project.workspace
    first = Dataset.Tabular.from_delimited_files((store, "a/*.csv"))
    parameter = PipelineParameter("data", first)
    given = DatasetConsumptionConfig("table", parameter)
    pipeline = project.pipeline(project.step("read.py", READ, inputs=[given]))
    assert seen(project, project.run(pipeline))["tables"]["table"][3] == {"x": [1, 2]}
    Dataset.Tabular.from_delimited_files((store, "b/*.csv")).register(ws, "other")
    summary = project.run(pipeline, data="other")
    assert seen(project, summary)["tables"]["table"][:2] == ["other", 1]
    assert summary.steps[0].why == ("input table changed (3.csv added, 1.csv removed, 2.csv removed)",)
    with pytest.raises(UserErrorException, match=r"The parameter 'data' has no dataset: there is no dataset 'nothing'"):
        pipeline.values({"data": "nothing"})


def test_outputs_become_datasets_and_unchanged_bytes_no_version(project: Any, store: Any) -> None:
    ws, raw = project.workspace, store.local_root / "a/1.csv"
    write = """
    import os, shutil
    for folder in args[1:]:
        os.makedirs(folder, exist_ok=True)
        shutil.copy(args[0], folder + "/table.csv")
        open(folder + "/log.txt", "w").write("log")
    """
    given = Dataset.File.from_files((store, "a/1.csv")).as_named_input("one").as_mount()
    out = (
        OutputFileDatasetConfig("out").as_upload(source_globs="*.csv").register_on_complete("made", "What", {"a": "b"})
    )
    data = PipelineData("mid").as_dataset().register("mid")
    step = project.step("write.py", write, name="write", arguments=[given, out, data], outputs=[data])
    table = data.parse_delimited_files(file_extension=".csv").keep_columns("x").as_named_input("table")
    reads = [table, out.read_delimited_files(path_glob="*.csv").as_input("second")]
    pipeline = project.pipeline(step, project.step("read.py", READ, name="read", inputs=reads))

    summary = project.run(pipeline)
    assert summary.headline.startswith("Finished"), [step.error for step in summary.steps]
    assert [values[3] for values in seen(project, summary, 1)["tables"].values()] == [{"x": [1]}] * 2
    made = Dataset.get_by_name(ws, "made")
    assert (made.version, made.description, made.tags, made.to_path()) == (1, "What", {"a": "b"}, ["/table.csv"])
    assert sorted(Dataset.get_by_name(ws, "mid").to_path()) == ["/log.txt", "/table.csv"]
    assert summary.steps[0].registered["out"]["version"] == 1
    step = ws.get_run(summary.run_id).find_step_run("write")[0].get_details()["outputDatasets"]
    names = [(one["outputDetails"]["outputName"], one["dataset"].name) for one in step]
    assert sorted(names) == [("mid", "mid"), ("out", "made")]

    again = project.run(pipeline)
    assert [step.happened for step in again.steps] == ["reused", "reused"]
    assert again.steps[0].registered == summary.steps[0].registered
    raw.write_text("x\n7\n")
    changed = project.run(pipeline)
    assert changed.steps[1].why == (
        "input table changed (table.csv changed)",
        "input second changed (table.csv changed)",
    )
    raw.write_text("x\n1\n")
    assert project.run(pipeline).steps[0].registered["out"]["version"] == 1
    assert [block.version for block in versions_of(ws, "made")] == [2, 1]


def test_a_name_that_is_another_datasets_fails_the_step_without_new_versions(project: Any, store: Any) -> None:
    Dataset.File.from_files((store, "a")).register(project.workspace, "taken")
    data = PipelineData("mid").as_dataset().register("taken", create_new_version=False)
    step = project.step("write.py", "open(args[0], 'w').write('x')", arguments=[data], outputs=[data])
    summary = project.run(project.pipeline(step))
    assert "There is a dataset 'taken' already" in summary.steps[0].error


def test_the_order_in_which_files_are_read_counts(project: Any, store: Any) -> None:
    def happened(*paths: str) -> Any:
        table = Dataset.Tabular.from_delimited_files([(store, path) for path in paths])
        files = Dataset.File.from_files([(store, path) for path in paths])
        inputs = [table.as_named_input("table"), files.as_named_input("files")]
        summary = project.run(project.pipeline(project.step("read.py", READ, inputs=inputs)))
        found = seen(project, summary)
        return summary.steps[0].happened, found["tables"]["table"][3]["x"], found["listed"]["files"]

    assert happened("a/1.csv", "b/3.csv") == ("ran", [1, 3], ["/a/1.csv", "/b/3.csv"])
    assert happened("b/3.csv", "a/1.csv") == ("ran", [3, 1], ["/b/3.csv", "/a/1.csv"])
    assert happened("a/1.csv", "b/3.csv")[0] == "reused"


def test_a_plan_says_that_a_table_has_yet_to_be_written(project: Any, store: Any) -> None:
    out = OutputFileDatasetConfig("out")
    source = project.folder / "number"
    source.write_text("1")
    write = project.step(
        "write.py", f"open(args[0] + '/t.csv', 'w').write('x\\n' + open({str(source)!r}).read())", arguments=[out]
    )
    read = project.step("read.py", READ, inputs=[out.read_delimited_files().as_input("table")])
    pipeline = project.pipeline(write, read)
    assert project.happened(pipeline) == {"write.py": "ran", "read.py": "ran"}
    source.write_text("2")
    assert [decision.action for decision in pipeline.plan()] == ["run", "depends"]
