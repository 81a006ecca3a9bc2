"""One step from arguments to outputs: what the script is given byte for byte, and where its files end up."""

from __future__ import annotations

import json
import os

import pytest
from stepwell import (
    CommandStep,
    DataTransferStep,
    LocalCompute,
    OutputFileDatasetConfig,
    PipelineData,
    PipelineParameter,
)
from stepwell.blocks.processes.output import Notice
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.store import Store
from stepwell.blocks.workspace.references import DataPath, DataPathComputeBinding

DUMP = "import json, os\njson.dump([list(os.fsencode(a)) for a in args[1:]], open(args[0], 'w'))\n"
HARD = ["", " ", "a b", "new\nline\r", "$(id)", "`id`", "$HOME", "-x", "--", "--=", "'\"\\", "*", "~", "ü→\U0001f600", "\udcff",
        "{payload}", "{{x}}", "{parameter:x}", "%s", "\t", "&& exit 1", "<>|;", "DatasetOutputConfig:", "$AML_PARAMETER_", "\x01\x7f"]  # fmt: skip


def text_of(project, artifact):
    return project.workspace.store.tree_path(artifact.digest).read_text()


def as_bytes(values):
    return [list(os.fsencode(value)) for value in values]


# Arguments ----------------------------------------------------------------------------------------------------------


def test_a_script_is_given_its_arguments_byte_for_byte(project):
    out, hard = PipelineData("out"), [*HARD, "x" * 200_000]
    pipeline = project.pipeline(project.step("a.py", DUMP, arguments=[out, *hard], outputs=[out]))
    assert json.loads(text_of(project, pipeline()["a.py"]["out"])) == as_bytes(hard)


def test_parameters_reach_a_script_byte_for_byte_as_argument_and_as_variable(project):
    values = [value for value in HARD if value != "\udcff"]  # no valid text, which Prefect's API wants
    out, names = PipelineData("out"), [f"p{i}" for i in range(len(values))]
    body = DUMP + "assert args[1:] == [os.environ[f'AML_PARAMETER_p{i}'] for i in range(len(args) - 1)]\n"
    parameters = [PipelineParameter(name, "default") for name in names]
    pipeline = project.pipeline(project.step("a.py", body, arguments=[out, *parameters], outputs=[out]))
    result = pipeline(**dict(zip(names, values, strict=True)))["a.py"]
    assert json.loads(text_of(project, result["out"])) == as_bytes(values)


def test_a_command_list_is_an_argv_and_no_shell_sees_it(project):
    out = PipelineData("out")
    code = "import json, os, sys; json.dump([list(os.fsencode(a)) for a in sys.argv[2:]], open(sys.argv[1], 'w'))"
    step = CommandStep(["python", "-c", code, out, *HARD], name="dump", outputs=[out], source_directory=project.source)
    assert json.loads(text_of(project, project.pipeline(step)()["dump"]["out"])) == as_bytes(HARD)


def test_an_argument_that_no_program_can_be_given_is_told_in_words(project):
    step = CommandStep(["python", "-c", "pass", "x" * 200_000], name="long", source_directory=project.source)
    summary = project.run(project.pipeline(step))
    assert summary.steps[0].happened == "failed"
    assert "Hint: " in summary.steps[0].error and "Traceback" not in summary.steps[0].error


def test_a_shell_line_finds_paths_and_values_in_variables(project):
    out, rate = PipelineData("out"), PipelineParameter("rate", 5)
    line = 'printf "%s|%s" "$AML_PARAMETER_rate" "$WORD" > $AZUREML_DATAREFERENCE_out && cat tale.txt >> "$AZUREML_DATAREFERENCE_out"'
    project.write("tale.txt", "|tale")
    step = CommandStep(
        line, name="line", outputs=[out], params={"rate": rate}, environment_variables={"WORD": "a b"},
        source_directory=project.source,
    )  # fmt: skip
    pipeline = project.pipeline(step)
    assert text_of(project, pipeline(rate=6)["line"]["out"]) == "6|a b|tale"
    assert project.happened(pipeline, rate=6) == {"line": "reused"}
    project.write("tale.txt", "|news")
    assert text_of(project, pipeline(rate=6)["line"]["out"]) == "6|a b|news"


def test_the_shell_of_a_command_line_counts(project):
    out = PipelineData("out")

    def happened(**more):
        line = f"(echo partial; exit 3) | cat > {out}"
        step = CommandStep(line, name="line", outputs=[out], source_directory=project.source, **more)
        return project.happened(project.pipeline(step))["line"]

    assert [happened(), happened(shell="bash -c"), happened(shell="bash -c"), happened(shell="bash -ec")] == [
        "failed",
        "ran",
        "reused",
        "ran",
    ]
    assert happened(shell="bash") == "failed" and happened(shell="sh") == "ran"  # sh knows no pipefail


def test_without_bash_a_command_line_still_ends_at_the_first_failure(project, tmp_path):
    (tmp_path / "bin").mkdir()
    project.write("a.txt", "x")
    for line, happened in (("false; true", "failed"), ('test -z "$BASH_VERSION"', "ran")):
        step = CommandStep(
            line, name=line, environment_variables={"PATH": str(tmp_path / "bin")}, source_directory=project.source
        )
        assert project.happened(project.pipeline(step)) == {line: happened}


# The working directory ----------------------------------------------------------------------------------------------


def test_a_script_runs_in_a_copy_of_its_snapshot_and_its_mess_goes_away(project):
    project.write("pkg/inner.py", "x = 1")
    body = """
        import os, tempfile
        assert os.getcwd() == os.path.dirname(os.path.abspath(__file__)) != SOURCE, os.getcwd()
        assert os.path.isdir('outputs') and os.path.isdir('logs') and os.path.isfile('pkg/inner.py')
        assert os.path.basename(tempfile.gettempdir()).startswith('stepwell-') and len(tempfile.gettempdir()) < 48
        assert not [name for name in os.environ if name.startswith('PREFECT_')]
        assert not os.path.exists(args[0]) and os.path.isdir(os.path.dirname(args[0]))
        assert args[0] == os.environ['AZUREML_DATAREFERENCE_out']
        os.makedirs(args[0] + '/deep')
        open(args[0] + '/deep/file', 'w').write('x')
        open('mess.txt', 'w').write('mess')
        open('outputs/plot.txt', 'w').write('plot')
    """.replace("SOURCE", repr(str(project.source)))
    out = PipelineData("out")
    summary = project.run(project.pipeline(project.step("a.py", body, arguments=[out], outputs=[out])))
    assert summary.status == "Finished", summary.steps[0].error
    assert not (project.source / "mess.txt").exists() and not summary.warnings
    run = project.workspace.get_run(summary.run_id)
    (step,) = run.get_steps()
    assert step.get_file_names() == ["outputs/plot.txt"]
    assert list((project.workspace.store.root / "work").iterdir()) == []
    kept = step.get_output_data("out").local_path
    assert [p.name for p in kept.rglob("*")] == ["deep", "file"]
    assert (kept / "deep" / "file").stat().st_mode & 0o222 == 0


def test_a_download_is_a_copy_that_may_be_written_and_a_mount_is_the_data_itself(project):
    data = project.workspace.get_default_datastore()
    (data.local_root / "raw").mkdir()
    (data.local_root / "raw" / "x.txt").write_text("x")
    body = "open(args[0] + '/x.txt', 'a').write('y')\nopen(args[1] + '/x.txt').read()\nassert args[0].endswith(args[2]), args"
    mounted, copied = data.path("raw", "mounted").as_mount(), data.path("raw", "copied").as_download("put/here")
    pipeline = project.pipeline(
        project.step("a.py", body, arguments=[copied, mounted, "source/put/here"], inputs=[copied, mounted])
    )
    summary = project.run(pipeline)
    assert summary.status == "Finished", summary.steps[0].error
    assert (data.local_root / "raw" / "x.txt").read_text() == "x" and not summary.warnings


@pytest.mark.parametrize(
    ("message", "mode", "told"),
    [
        ("sqlite3.OperationalError: attempt to write a readonly database", "mount", True),
        ("sqlite3.OperationalError: unable to open database file", "mount", True),
        ("PermissionError: [Errno 13] Permission denied: '{}/x.lock'", "mount", True),
        ("OSError: [Errno 30] Read-only file system: '{}/x.idx'", "mount", True),
        ("PermissionError: [Errno 13] Permission denied: '{}/x.lock'", "download", False),
        ("PermissionError: [Errno 13] Permission denied: '/root/x.lock'", "mount", False),
        ("ValueError: no such column in '{}/x.csv'", "mount", False),
    ],
)
def test_a_step_that_writes_beside_what_it_may_only_read_is_told_of_copies(project, message, mode, told):
    data = project.workspace.get_default_datastore()
    (data.local_root / "raw").mkdir()
    (data.local_root / "raw" / "x.txt").write_text("x")
    raw = data.path("raw", "raw").as_mount() if mode == "mount" else data.path("raw", "raw").as_download()
    step = project.step("a.py", f"sys.exit({message!r}.format(args[0]))", arguments=[raw], inputs=[raw])
    (step,) = project.run(project.pipeline(step)).steps
    assert step.happened == "failed" and ("Pass the input 'raw' with `as_download()`" in step.error) is told


def test_an_output_of_another_step_can_be_downloaded_and_written(project, chain):
    _, (first,) = chain("a.py")
    copy = first.outputs[0].as_download()
    second = project.step("b.py", "open(args[0], 'a').write('more')", arguments=[copy], inputs=[copy])
    pipeline = project.pipeline(second)
    assert project.happened(pipeline) == {"a.py": "ran", "b.py": "ran"}
    assert project.happened(pipeline) == {"a.py": "reused", "b.py": "reused"}


def test_a_data_parameter_names_the_data_at_the_run(project):
    data = project.workspace.get_default_datastore()
    for name in ("one", "two"):
        (data.local_root / name).write_text(name)
    path = PipelineParameter("path", DataPath(data, "one"))
    source, out = (path, DataPathComputeBinding()), PipelineData("out")
    body = "open(args[1], 'w').write(open(args[0]).read())"
    pipeline = project.pipeline(project.step("a.py", body, arguments=[source, out], inputs=[source], outputs=[out]))
    assert text_of(project, pipeline()["a.py"]["out"]) == "one"
    assert text_of(project, pipeline(path=DataPath(data, "two"))["a.py"]["out"]) == "two"
    assert text_of(project, pipeline(path=f"{data.name}/two")["a.py"]["out"]) == "two"
    assert project.executions["a.py"] == 2


# Where outputs go ---------------------------------------------------------------------------------------------------


def test_data_between_steps_stands_where_v1_users_look(project, chain):
    pipeline, _ = chain("a.py")
    artifact = pipeline()["a.py"]["a"]
    assert artifact.path.startswith("azureml/") and artifact.path.endswith("/a")
    place = project.workspace.get_default_datastore().local_root / artifact.path
    assert place.read_text() == "a.py "


@pytest.mark.parametrize("mode", ["as_mount", "as_upload"])
def test_a_configs_files_are_materialized_and_a_hit_brings_them_back(project, mode):
    data = project.workspace.get_default_datastore()
    config = getattr(OutputFileDatasetConfig("net", (data, "models/best")), mode)()
    body = "import os\nassert os.path.isdir(os.environ['net'])\nos.mkdir(args[0] + '/sub')\nopen(args[0] + '/sub/w', 'w').write('w')"
    pipeline = project.pipeline(project.step("a.py", body, arguments=[config]))
    place = data.local_root / "models" / "best"
    assert project.happened(pipeline) == {"a.py": "ran"}
    for spoil in (
        lambda: (place / "sub" / "w").unlink(),
        lambda: (place / "sub" / "w").write_text("x"),
    ):
        assert {str(p.relative_to(place)): p.is_file() and p.read_text() for p in place.rglob("*")} == {
            "sub": False,
            "sub/w": "w",
        }
        spoil()
        assert project.happened(pipeline) == {"a.py": "reused"}
    assert (place / "sub" / "w").read_text() == "w"


def test_a_transfer_copies_files_and_folders_and_only_when_something_changed(project):
    data = project.workspace.get_default_datastore()
    (data.local_root / "from" / "deep").mkdir(parents=True)
    for name in ("from/a", "from/deep/b", "lone.txt"):
        (data.local_root / name).write_text(name)
    pipeline = project.pipeline(
        DataTransferStep("folder", data.path("from", "src"), data.path("to/there", "dst")),
        DataTransferStep("file", data.path("lone.txt", "src"), data.path("copied.txt", "dst")),
    )
    assert project.happened(pipeline) == {"folder": "ran", "file": "ran"}
    there = data.local_root / "to" / "there"
    assert (there / "deep" / "b").read_text() == "from/deep/b" and (
        data.local_root / "copied.txt"
    ).read_text() == "lone.txt"
    (there / "a").unlink()
    assert project.happened(pipeline) == {"folder": "reused", "file": "reused"}
    assert (there / "a").read_text() == "from/a"
    (data.local_root / "from" / "a").write_text("new")
    assert project.happened(pipeline) == {"folder": "ran", "file": "reused"}
    assert (there / "a").read_text() == "new"


def test_a_shell_script_with_windows_line_ends_is_named_as_what_fails(project):
    (project.source / "run.sh").write_bytes(b"set -e\r\necho fine\r\n")
    step = CommandStep(["sh", "run.sh"], name="same", source_directory=project.source)
    also = CommandStep(["sh", "run.sh"], name="same", source_directory=project.source, params={"n": 2})
    summary = project.run(project.pipeline(step, also))
    errors = {step.id: step.error for step in summary.steps if step.error}
    assert (
        all("not CR LF" in error and f"The step {name!r} failed" in error for name, error in errors.items()) and errors
    )


# Models -------------------------------------------------------------------------------------------------------------


def test_a_result_whose_models_could_not_be_registered_is_not_kept(project, monkeypatch):
    from stepwell import Model
    from stepwell.blocks.workspace import models
    from stepwell.errors import ServerException

    body = """
    import os
    root = os.environ["MLFLOW_TRACKING_URI"].removeprefix("file://")
    def write(name, text):
        os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
        open(f"{root}/{name}", "w").write(text)
    write("0/r/meta.yaml", "run_id: r")
    write("0/r/artifacts/net/weights", "w")
    write("models/iris/version-1/meta.yaml", f"name: iris\\nsource: file://{root}/0/r/artifacts/net")
    """
    pipeline = project.pipeline(project.step("s.py", body))
    with monkeypatch.context() as patch:
        patch.setattr(models, "add_version", lambda *_: (_ for _ in ()).throw(ServerException("It is away")))
        assert project.happened(pipeline) == {"s.py": "failed"}
    assert project.happened(pipeline) == {"s.py": "ran"}
    assert Model(project.workspace, "iris").version == 1
    assert project.happened(pipeline) == {"s.py": "reused"}


def test_what_a_target_waits_for_is_progress_of_the_step(project, monkeypatch):
    run = LocalCompute.run

    def waiting(self, job, on_output, stop, redact):
        on_output(Notice("Waiting for a free node\n"))
        on_output(Notice())
        return run(self, job, on_output, stop, redact)

    monkeypatch.setattr(LocalCompute, "run", waiting)
    summary = project.run(project.pipeline(project.step("a.py", "pass")))
    journal = RunFolder(project.workspace.store.run_folder(summary.run_id)).journal()
    assert [event["progress"] for event in journal if "progress" in event] == ["Waiting for a free node", ""]


def test_when_a_run_ends_its_records_survive_a_power_cut(project, chain, monkeypatch):
    synced, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.add(os.fstat(file).st_ino), fsync(file)))
    pipeline, steps = chain("a.py", "b.py")
    pipeline()
    records = [path.stat().st_ino for path, _ in project.workspace.store.records()]
    assert len(records) == len(steps)
    assert synced.issuperset(records)


def test_a_record_that_cannot_be_made_durable_is_kept_and_warned_of(project, chain, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Store, "make_durable", fail)
    pipeline, _ = chain("a.py")
    assert project.happened(pipeline) == {"a.py": "ran"}
    [folder] = project.workspace.store.run_folders()
    assert any("made durable: [Errno 5]" in event.get("warning", "") for event in RunFolder(folder).journal())
    assert project.happened(pipeline) == {"a.py": "reused"}
