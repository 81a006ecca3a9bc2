"""A run is repeated exactly and compared byte by byte; what differs, changed or was removed is named."""

from __future__ import annotations

import os

import pytest
from stepwell import DataReference, PipelineData, PipelineParameter
from stepwell.blocks.store.maintenance import collect
from stepwell.blocks.system.files import remove
from stepwell.errors import UserErrorException
from stepwell.flows.engine import reproduction


def ignore(_):
    pass


def folder_of(project, pipeline, **parameters):
    from stepwell.blocks.store.run_folder import RunFolder

    return RunFolder(project.workspace.store.run_folder(project.run(pipeline, **parameters).run_id))


def again(project, run, **given):
    return {one.step: one for one in reproduction.rerun(project.workspace, run, given, ignore)}


def twice(project, pipeline, **parameters):
    found = reproduction.run_twice(project.workspace, pipeline.definition, pipeline.values(parameters), ignore)
    return {one.step: one for one in found}


def state_of(project):
    """Return every file of the store, but locks and what it notes of data that it has looked at, and what is in it."""
    root = project.workspace.store.root
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.suffix != ".lock"
        and not {"locks", "manifests"} & set(path.parts)
    }


@pytest.fixture
def two(project):
    """Two steps in a row, over data and a parameter; the second writes a line that a file of the test's own decides."""
    store, rate = project.workspace.get_default_datastore(), PipelineParameter("rate", 10)
    (store.local_root / "raw.txt").write_text("raw\n")
    raw, table, model = DataReference(store, "raw", "raw.txt"), PipelineData("table"), PipelineData("model")
    make = project.step(
        "make.py", "open(args[1], 'w').write(open(args[0]).read())\n", name="make", arguments=[raw, table], inputs=[raw], outputs=[table]
    )  # fmt: skip
    body = f"""
        import os, subprocess
        os.mkdir(args[2])
        line = 'usual' if subprocess.run(['test', '-e', {str(project.folder / "other")!r}]).returncode else 'other'
        open(args[2] + '/log.txt', 'w').write(open(args[0]).read() + args[1] + '\\n' + line + '\\n')
        open(args[2] + '/fixed.txt', 'w').write('fixed')
    """
    train = project.step(
        "train.py", body, name="train", arguments=[table, rate, model], inputs=[table], outputs=[model]
    )
    return project.pipeline(make, train)


def test_a_run_is_repeated_with_what_it_had_and_nothing_is_kept(project, two):
    run = folder_of(project, two, rate=20)
    project.script("make.py", "raise SystemExit('the source has changed since')")
    before = state_of(project)
    found = again(project, run)
    assert [(one.step, one.same, one.outputs) for one in found.values()] == [("make", True, 1), ("train", True, 1)]
    assert project.executions == {"make.py": 2, "train.py": 2}
    assert state_of(project) == before


def test_what_differs_is_named_by_output_file_and_place(project, two):
    run = folder_of(project, two)
    (project.folder / "other").touch()
    found = again(project, run)
    assert found["make"].same
    assert found["train"].differs == ("output 'model', log.txt: line 3: 'usual' and 'other'",)


def test_what_changed_since_is_named_and_not_run(project, two):
    run = folder_of(project, two)
    (project.workspace.get_default_datastore().local_root / "raw.txt").write_text("new\n")
    found = again(project, run)
    assert found["make"].obstacles == ("input raw changed",)
    assert found["train"].same
    assert project.executions == {"make.py": 1, "train.py": 2}


def test_what_was_removed_is_named(project, two):
    run, store = folder_of(project, two), project.workspace.store
    [make, train] = (store.read_record(state["key"]) for state in run.steps().values())
    (project.folder / "other").touch()
    store.discard_tree(train.outputs["model"].digest)
    [line, gone] = again(project, run)["train"].differs
    assert line == "output 'model', log.txt changed"
    assert gone.startswith("output 'model', its recorded bytes were removed; digest ")
    store.discard_tree(make.outputs["table"].digest)
    assert again(project, run)["train"].obstacles == (
        f"its input 'table', output 'table' of 'make', was removed (digest {make.outputs['table'].digest[:12]})",
    )
    remove(store.root / "blobs")
    assert "a snapshot is gone or damaged" in again(project, run)["make"].obstacles[0]
    for path, _ in store.records():
        os.utime(path, (1, 1))
    collect(store)
    assert again(project, run)["make"].obstacles == ("the record of its result was removed",)


def test_a_secret_value_has_to_be_given(project):
    out, token = PipelineData("out"), PipelineParameter("token", "default-secret", secret=True)
    body = "import os\nopen(args[0], 'w').write(str(len(os.environ['AML_PARAMETER_token'])))\n"
    step = project.step("s.py", body, name="s", arguments=[out], outputs=[out], params={"token": token})
    run = folder_of(project, project.pipeline(step), token="very-secret")
    assert again(project, run)["s"].obstacles == ("the secret value of parameter 'token' is not kept",)
    assert again(project, run, token="wrong-secret")["s"].obstacles == ("parameter token changed",)
    assert again(project, run, token="very-secret")["s"].same


def test_a_step_that_fails_now_or_failed_then_is_told(project, two):
    (project.folder / "source" / "train.py").write_text("raise SystemExit(3)")
    run = folder_of(project, two)
    assert again(project, run)["train"].obstacles == ("it did not end well in this run",)
    flaky, out = project.folder / "fail", PipelineData("out")
    body = f"import subprocess\nassert subprocess.call(['test', '-e', {str(flaky)!r}])\nopen(args[0], 'w')\n"
    run = folder_of(project, project.pipeline(project.step("f.py", body, name="f", arguments=[out], outputs=[out])))
    flaky.touch()
    [words] = again(project, run)["f"].differs
    assert words.startswith("it fails now: The step 'f' failed with exit code 1") and "AssertionError" in words


def test_a_flow_of_the_users_own_is_not_repeated(project):
    from stepwell.blocks.store.run_folder import RunFolder

    run = RunFolder(project.workspace.store.run_folder("own"))
    run.describe({"kind": "flow", "name": "mine"})
    with pytest.raises(UserErrorException, match="is not known"):
        list(reproduction.rerun(project.workspace, run, {}, ignore))


def test_steps_are_run_twice_on_the_same_inputs(project, two):
    before = state_of(project)
    found = twice(project, two)
    assert [one.same for one in found.values()] == [True, True]
    assert project.executions == {"make.py": 2, "train.py": 2}
    assert state_of(project) == before


def test_what_comes_out_otherwise_the_second_time_is_named(project):
    out, late = PipelineData("out"), PipelineData("late")
    count = project.folder / "count"
    body = f"""
        import os, pickle
        count = {str(count)!r}
        open(count, 'a').write('x')
        n = os.path.getsize(count)
        os.mkdir(args[0])
        pickle.dump({{'seed': n}}, open(args[0] + '/model.pkl', 'wb'))
        open(args[0] + '/scores.csv', 'w').write(f'a,b\\n1,{{n}}\\n')
        open(args[0] + '/same', 'w').write('same')
    """
    first = project.step("a.py", body, name="a", arguments=[out], outputs=[out])
    copy = "import shutil; shutil.copytree(args[0], args[1])\n"
    second = project.step("b.py", copy, name="b", arguments=[out, late], inputs=[out], outputs=[late])
    pipeline = project.pipeline(first, second)
    found = twice(project, pipeline)
    [model, scores] = found["a"].differs
    assert model.startswith("output 'out', model.pkl: pickled value at byte ") and model.endswith(": 1 and 2")
    assert scores == "output 'out', scores.csv: line 2: '1,1' and '1,2'"
    assert found["b"].same
    run = folder_of(project, pipeline)
    [one] = reproduction.step_twice(project.workspace, run, "a", {}, ignore)
    assert len(one.differs) == 2
    [other] = reproduction.step_twice(project.workspace, run, "b", {}, ignore)
    assert other.same


def test_a_failing_step_is_told_and_those_after_it_are_not_run(project, chain):
    pipeline, _ = chain("a.py", "b.py")
    project.script("a.py", "raise ValueError('too steep')")
    found = twice(project, pipeline)
    assert "ValueError: too steep" in found["a.py"].obstacles[0]
    assert found["b.py"].obstacles == ("step 'a.py' before it failed",)


def test_mapped_steps_and_conditions_are_run_twice_as_a_run_would_run_them(project):
    parts, counts, total = PipelineData("parts"), PipelineData("counts"), PipelineData("total")
    split = project.step("split.py", """
        import os
        from stepwell import Run
        os.mkdir(args[0])
        for name in ('a', 'b'):
            open(os.path.join(args[0], name), 'w').write(name)
        Run.get_context().log('size', 2)
    """, name="split", arguments=[parts], outputs=[parts])  # fmt: skip
    count = project.step("count.py", """
        import os, random
        assert os.listdir(os.path.dirname(args[0])) == [os.path.basename(args[0])]
        open(args[1], 'w').write(str(random.random()) if args[0].endswith('b') else 'a')
    """, name="count", arguments=[parts, counts], inputs=[parts], outputs=[counts])  # fmt: skip
    add = project.step("add.py", "import os; open(args[1], 'w').write(str(sorted(os.listdir(args[0]))))", name="add",
                       arguments=[counts, total], inputs=[counts], outputs=[total], run_if="split/size > 1")  # fmt: skip
    never = project.step("never.py", "raise SystemExit('it ran')", name="never", run_if="split/size > 2")
    last = project.step("last.py", "", name="last")
    last.run_after(never)
    before = state_of(project)
    found = twice(project, project.pipeline(split, count.map(parts), add, never, last))
    assert {name: one.same for name, one in found.items()} == {
        "split": True, "count[a]": True, "count[b]": False, "add": True,
    }  # fmt: skip
    assert found["count[b]"].differs[0].startswith("output 'counts', the file: line 1")
    assert state_of(project) == before


def test_a_step_with_keys_of_a_file_is_run_again_with_the_values_that_it_had(project):
    project.write("params.yaml", "train: {rate: 0.1}\nother: 1\n")
    out = PipelineData("out")
    body = "open(args[0], 'w').write(open('params.yaml').read())"
    train = project.step("train.py", body, name="train", arguments=[out], outputs=[out], params=["train"])
    pipeline = project.pipeline(train)
    run = folder_of(project, pipeline, train_rate=0.3)
    project.write("params.yaml", "train: {rate: 0.2}\nother: 2\n")
    assert again(project, run)["train"].same and twice(project, pipeline)["train"].same
