"""What a script reads undeclared counts: files, folders that it lists, files that are not there, files that move."""

from __future__ import annotations

import pytest
from stepwell import CommandStep, PipelineData
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.runs.summary import summarize

WRITE = "open(args[0], 'w').write(found)\n"


def piped(project, body):
    out = PipelineData("out")
    return project.pipeline(project.step("s.py", body + WRITE, arguments=[out], outputs=[out]))


def written(project, pipeline):
    artifact = pipeline()["s.py"]["out"]
    return project.workspace.path_of(artifact).read_text()


def test_a_file_that_was_missing_and_appears_makes_the_step_run_again(project):
    pipeline = piped(
        project, "try:\n    found = open('config.json').read()\nexcept FileNotFoundError:\n    found = 'default'\n"
    )
    assert written(project, pipeline) == "default"
    assert project.happened(pipeline) == {"s.py": "reused"}
    project.write("config.json", "mine")
    [decision] = pipeline.plan()
    assert decision.action == "run" and "config.json" in decision.why[0]
    assert written(project, pipeline) == "mine"


def test_a_folder_that_the_script_lists_counts_by_its_names(project):
    project.write("data/a.csv", "a")
    body = "import glob\nfound = ''.join(open(f).read() for f in sorted(glob.glob('data/*.csv')))\n"
    pipeline = piped(project, body)
    assert written(project, pipeline) == "a"
    assert project.happened(pipeline) == {"s.py": "reused"}
    project.write("data/b.csv", "b")
    assert written(project, pipeline) == "ab"


def test_a_file_that_changes_while_the_step_runs_gives_no_later_hit(project, tmp_path):
    side = tmp_path / "side.txt"
    side.write_text("A")
    body = f"side = {str(side)!r}\nfound = open(side).read()\nopen(side, 'w').write('B')\n"
    pipeline = piped(project, body)
    assert written(project, pipeline) == "A"
    assert pipeline.plan()[0].action == "run"
    assert written(project, pipeline) == "B"


def test_reads_of_steps_that_share_a_script_are_all_remembered(project):
    for name in "abcdefgh":
        project.write(f"{name}.txt", "1")
    outs = [PipelineData(f"out_{name}") for name in "abcdefgh"]
    body = "found = open(args[1]).read()\n" + WRITE
    project.script("s.py", body)
    steps = [
        project.step("s.py", name=n, arguments=[o, f"{n}.txt"], outputs=[o])
        for n, o in zip("abcdefgh", outs, strict=True)
    ]
    pipeline = project.pipeline(*steps)
    pipeline()
    pipeline()  # every step now knows what its duplicates read
    assert set(project.happened(pipeline).values()) == {"reused"}
    for name in "abcdefgh":
        project.write(f"{name}.txt", "2")
    results = pipeline()
    assert [project.workspace.path_of(results[n][f"out_{n}"]).read_text() for n in "abcdefgh"] == ["2"] * 8


LISTS = """
    import importlib.metadata, os
    list(importlib.metadata.entry_points())
    found = importlib.metadata.version("pip")
"""


def test_what_python_lists_itself_does_not_count_and_what_the_script_lists_is_named(project):
    outs = [PipelineData("one"), PipelineData("two")]
    python = project.step("p.py", LISTS + "    open(args[0], 'w')\n", arguments=[outs[0]], outputs=[outs[0]])
    own = project.step(
        "o.py", LISTS + "    open(args[0], 'w').write(str(os.listdir('.')))\n", arguments=[outs[1]], outputs=[outs[1]]
    )
    pipeline = project.pipeline(python, own)
    pipeline()
    project.write("c2.yaml", "")
    (project.source / "gone.txt").unlink(missing_ok=True)
    first, second = pipeline.plan()
    assert first.action == "reuse"
    assert (second.action, second.why) == ("run", ("the files in the source folder changed: c2.yaml is new",))


def test_a_look_whether_a_file_is_there_counts_once_it_comes_or_goes(project, tmp_path):
    side, there = tmp_path / "side", project.write("there.txt", "1")
    side.mkdir()
    body = f"""
        import glob, os, pathlib
        found = [os.path.exists("missing.txt"), pathlib.Path("there.txt").is_file(), os.path.isdir("extra")]
        found = str(found + glob.glob({str(side)!r} + "/*.csv"))
        open(args[0], "w").write(found)
    """
    outs = [PipelineData("out"), PipelineData("other")]
    steps = [
        project.step("s.py", body, name=name, arguments=[out], outputs=[out], strict=True)
        for name, out in zip("ab", outs, strict=True)
    ]
    pipeline = project.pipeline(*steps)

    def why():
        return {word for decision in pipeline.plan() for word in decision.why if decision.action == "run"}

    pipeline()
    assert why() == set()
    there.write_text("2")  # what is in it was no question
    assert why() == set()
    new = project.write("missing.txt", "")
    assert why() == {"missing.txt, which the script looked for, is new"}
    new.unlink()
    there.unlink()
    assert why() == {"there.txt, which the script looked for, is gone"}
    there.touch()
    new = project.write("extra/file", "")
    assert why() == {"extra, which the script looked for, is new"}
    new.unlink()
    new.parent.rmdir()
    (side / "c.csv").touch()
    assert why() == {f"the files in folder {side} changed: c.csv is new"}
    (side / "c.csv").unlink()
    assert why() == set()


def test_what_a_step_makes_outside_because_it_is_missing_costs_one_more_run(project, tmp_path):
    side = tmp_path / "cache.txt"
    body = f"""
        import os
        if not os.path.exists({str(side)!r}):
            open({str(side)!r}, "w").write("made")
        found = open({str(side)!r}).read()
    """
    pipeline = piped(project, body)
    assert written(project, pipeline) == "made"
    [decision] = pipeline.plan()
    assert decision.why == (f"{side}, which the script looked for, is new",)
    pipeline()
    assert pipeline.plan()[0].action == "reuse"
    side.write_text("other")
    assert pipeline.plan()[0].action == "run"


def test_looks_for_names_of_the_moment_make_no_other_step_run_again(project):
    body = "import os, uuid\nos.path.exists(uuid.uuid4().hex)\nopen(args[0], 'w').write(args[1])\n"
    outs = [PipelineData(name) for name in "abc"]
    steps = [project.step("s.py", body, name=o.name, arguments=[o, o.name], outputs=[o]) for o in outs]
    pipeline = project.pipeline(*steps)
    pipeline()
    assert {decision.action for decision in pipeline.plan()} == {"reuse"}


IN_C = """
    import ctypes
    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(9)
    libc.read(libc.open(b"data/" + b"x.bin", 0), buffer, 8)
    found = buffer.value.decode()
"""


def keeps_access_times(folder):
    from stepwell.blocks.compute.access_times import mark

    (folder / "inner").mkdir()
    return mark(folder / "inner")


def test_what_c_code_reads_of_the_source_counts(project, tmp_path):
    if not keeps_access_times(tmp_path):
        pytest.skip("this file system keeps no access times")
    project.write("data/x.bin", "old")
    project.write("data/other.bin", "old")
    pipeline = piped(project, IN_C)
    assert written(project, pipeline) == "old"
    assert [row.name for row in pipeline.plan() and reads_of(project)] == ["data/x.bin"]
    project.write("data/other.bin", "new")
    assert pipeline.plan()[0].action == "reuse"
    project.write("data/x.bin", "new")
    assert pipeline.plan()[0].why == ("file read but not declared data/x.bin changed",)


def reads_of(project):
    from stepwell.model.records import StepRecord

    records = [record for _, record in project.workspace.store.records() if isinstance(record, StepRecord)]
    return [row for record in records for row in record.fingerprint.rows if row.kind == "read"]


def test_what_a_command_reads_beside_its_hash_paths_counts(project, tmp_path):
    if not keeps_access_times(tmp_path):
        pytest.skip("this file system keeps no access times")
    for name in ("declared.txt", "read.txt", "whole.txt"):
        project.write(name, "1")
    few, whole = PipelineData("few"), PipelineData("whole")
    text = ["sh", "-c", 'f=read; cat $f.txt > "$1"', "sh"]
    steps = [
        CommandStep(
            [*text, few], name="few", outputs=[few], source_directory=project.source, hash_paths=["declared.txt"]
        ),
        CommandStep([*text, whole], name="whole", outputs=[whole], source_directory=project.source),
    ]
    pipeline = project.pipeline(*steps)
    summary = project.run(pipeline)
    assert [row.name for row in reads_of(project)] == ["read.txt"]
    assert [warning for warning in summary.warnings if "whole" in warning] == []
    project.write("whole.txt", "2")
    assert [decision.action for decision in pipeline.plan()] == ["reuse", "run"]
    project.write("read.txt", "2")
    assert [decision.action for decision in pipeline.plan()] == ["run", "run"]


def test_undeclared_reads_are_one_line_of_a_run_and_listed_where_one_looks(project):
    from stepwell.deployments.reports.report import in_json, report
    from stepwell.flows.runs.artifacts import markdown

    for number in range(12):
        project.write(f"data/{number:02}.txt", "1")
    body = "for name in args: open('data/' + name + '.txt').read()"
    names = [f"{number:02}" for number in range(12)]
    first, second = project.step("a.py", body, arguments=names[:8]), project.step("b.py", body, arguments=names[8:])
    run = RunFolder(project.workspace.store.run_folder(project.run(project.pipeline(first, second)).run_id))
    summary = summarize(run)
    (line,) = summary.warnings
    assert line.startswith("2 steps read 12 files that they do not declare (")
    assert "a.py 8" in line and "b.py 4" in line and f"stepwell show {run.reference}" in line
    listed = {step.id: (step.undeclared, step.undeclared_count) for step in summary.steps}
    assert listed == {
        "a.py": (tuple(f"data/{name}.txt" for name in names[:8]), 8),
        "b.py": (tuple(f"data/{name}.txt" for name in names[8:]), 4),
    }
    assert "data/00.txt" not in report(run) and report(run).count("Warning: ") == 1
    shown = report(run, guards=True)
    assert all(f"  data/{name}.txt" in shown for name in names) and "Read by a.py, and not declared: 8" in shown
    assert all(rf"data/{name}.txt" in markdown(summary) for name in names)
    assert [step["undeclared_count"] for step in in_json(summary)["steps"]] == [
        step.undeclared_count for step in summary.steps
    ]


def test_what_a_step_of_ones_own_flow_reads_is_one_line_too(project):
    from prefect import flow

    project.write("x.txt", "1")
    step = project.step("a.py", "open('x.txt').read()", workspace=project.workspace)

    @flow
    def own():
        return step().record.run_id

    with client_settings():
        summary = summarize(RunFolder(project.workspace.store.run_folder(own())))
    assert summary.warnings == ("Step 'a.py' read 1 file that it does not declare: x.txt",)


def test_what_is_stepwells_own_counts_for_nobody_and_is_left_out_of_what_was_remembered(project, stepwell_home):
    import stepwell.flows.engine.scheduler as ours

    store, root = project.workspace.store.root, project.workspace.get_default_datastore().local_root
    own = [stepwell_home / "secrets.txt", stepwell_home / "prefect" / "note.txt", store / "note.txt"]
    data = root / "table.csv"
    for path in (*own, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    paths = [*map(str, own), ours.__file__, str(data)]
    pipeline = project.pipeline(
        project.step("a.py", f"import os\nfor path in {paths!r}: open(path).read(), os.listdir(os.path.dirname(path))")
    )
    summary = project.run(pipeline)
    assert [step.undeclared for step in summary.steps] == [(str(data),)]
    for path in own:
        path.write_text("2")
    assert pipeline.plan()[0].action == "reuse"
    (record,) = [record for _, record in project.workspace.store.records()]
    project.workspace.store.observe(record.fingerprint, [str(path) for path in own])  # as earlier releases did
    assert pipeline.plan()[0].action == "reuse"
    data.write_text("2")
    assert pipeline.plan()[0].action == "run"
    strict = project.step("b.py", f"open({str(own[0])!r}).read()", strict=True)
    assert project.happened(project.pipeline(strict)) == {"b.py": "ran"}
