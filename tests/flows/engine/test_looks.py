"""What a script asks of its run and workspace counts: it runs again when the answer is another one, and says so."""

from __future__ import annotations

import json

import pytest

from stepwell import Model, PipelineData
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.engine.run_context import RunContext

PARENT = """
from stepwell import Run
parent = Run.get_context().parent
"""


def registered(project, text, name="iris"):
    path = project.folder / "weights.txt"
    path.write_text(text)
    return Model.register(project.workspace, path, name)


def reading(project, **more):
    """Return a pipeline whose one step writes what it is told of the model `iris`."""
    out = PipelineData("out")
    body = """
    from stepwell.script import channel
    found = channel.ask("model.find", name="iris")["models"]
    text = open(channel.receive("model.files", name="iris")).read() if found else "none"
    open(args[0], "w").write(text)
    """
    return project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out], **more))


def written(project, results, step="s.py"):
    return project.workspace.path_of(results[step]["out"]).read_text()


def test_a_newer_version_of_a_model_makes_the_step_run_again_and_an_unchanged_one_does_not(project):
    pipeline = reading(project, strict=True)
    assert written(project, pipeline()) == "none"
    assert project.happened(pipeline) == {"s.py": "reused"}
    registered(project, "one")
    (decision,) = pipeline.plan()
    assert decision.action == "run" and decision.why[0] == "model 'iris' is now version 1"
    assert written(project, pipeline()) == "one"
    registered(project, "other", "rose")
    assert project.happened(pipeline) == {"s.py": "reused"}, "it never asked for this one"
    registered(project, "two").add_tags({"best": "yes"})
    summary = project.run(pipeline)
    assert summary.steps[0].why[0] == "model 'iris' is now version 2" and not summary.warnings
    assert project.executions["s.py"] == 3


def test_what_earlier_steps_set_on_the_parent_is_seen_counts_and_is_known_again_when_they_are_reused(project):
    first, out = PipelineData("first"), PipelineData("out")
    source = project.folder / "accuracy"
    source.write_text("0.5")
    one = project.step(
        "one.py",
        PARENT
        + "parent.log('accuracy', float(open(args[1]).read()))\nparent.tag('by', 'one')\nopen(args[0], 'w').write('1')\n",
        arguments=[first, str(source)],
        outputs=[first],
    )
    two = project.step(
        "s.py",
        PARENT
        + "import json\nparent.log('accuracy', 2)\nparent.tag('also', 'two')\n"
        + "found = [parent.get_metrics(), parent.get_metrics('accuracy'), parent.get_tags()]\n"
        + "json.dump(found, open(args[0], 'w'))\n",
        arguments=[out, first],
        inputs=[first],
        outputs=[out],
    )
    pipeline = project.pipeline(one, two)
    assert [d.action for d in pipeline.plan()] == ["run", "run"]
    seen = {"accuracy": [0.5, 2]}
    assert json.loads(written(project, pipeline())) == [seen, seen, {"by": "one", "also": "two"}]
    assert [d.action for d in pipeline.plan()] == ["reuse", "reuse"]
    summary = project.run(pipeline)
    assert {step.id: step.happened for step in summary.steps} == {"one.py": "reused", "s.py": "reused"}
    assert project.workspace.get_run(summary.run_id).tags == {"by": "one", "also": "two"}
    source.write_text("0.7")
    late = pipeline.plan()[1]
    assert late.action == "depends"
    assert "one.py may yet set the metrics of the run" in late.why
    summary = project.run(pipeline)
    assert "the metric 'accuracy' of the run changed" in summary.steps[1].why


def test_what_a_run_set_is_known_though_its_folder_is_gone(project):
    from stepwell.blocks.system.files import remove

    first, out = PipelineData("first"), PipelineData("out")
    one = project.step("one.py", PARENT + "parent.tag('by', 'one')\nopen(args[0], 'w').write('1')\n",
                       arguments=[first], outputs=[first])  # fmt: skip
    two = project.step("s.py", PARENT + "open(args[0], 'w').write(str(parent.get_tags()))\n",
                       arguments=[out, first], inputs=[first], outputs=[out])  # fmt: skip
    pipeline = project.pipeline(one, two)
    assert written(project, pipeline()) == "{'by': 'one'}"
    for run in project.workspace.store.run_folders():
        remove(run)
    assert project.happened(pipeline) == {"one.py": "reused", "s.py": "reused"}


def files_of_one(project, more=""):
    """Return a pipeline whose second step writes which files the first one left."""
    first, out = PipelineData("first"), PipelineData("out")
    one = project.step("one.py", "open('outputs/x', 'w').write('x')\nopen(args[0], 'w').write('1')\n",
                       arguments=[first], outputs=[first])  # fmt: skip
    two = project.step("s.py", PARENT + "names = parent.find_step_run('one.py')[0].get_file_names()\n"
                       + "open(args[0], 'w').write(' '.join(names))\n" + more,
                       arguments=[out], inputs=[first], outputs=[out])  # fmt: skip
    return project.pipeline(one, two)


def test_files_of_a_step_that_are_gone_are_no_empty_folder(project):
    from stepwell.blocks.system.files import remove

    pipeline = files_of_one(project)
    assert written(project, pipeline()) == "outputs/x"
    for run in project.workspace.store.run_folders():
        remove(run)
    assert project.happened(pipeline) == {"one.py": "reused", "s.py": "reused"}
    summary = project.run(files_of_one(project, "print('new')\n"))
    assert "The files of a step are gone" in summary.steps[1].error
    assert project.happened(files_of_one(project, "print('new')\n")) == {"one.py": "reused", "s.py": "failed"}


def test_who_is_repeated_has_the_files_of_earlier_steps(project):
    from stepwell.flows.engine.reproduction import rerun, run_twice, step_twice

    pipeline = files_of_one(project, "assert names\n")
    run = RunFolder(project.workspace.store.run_folder(project.run(pipeline).run_id))
    workspace, definition = project.workspace, pipeline.definition
    assert all(found.same for found in rerun(workspace, run, {}, print))
    assert all(found.same for found in run_twice(workspace, definition, {}, print))
    assert all(found.same for found in step_twice(workspace, run, "s.py", {}, print))


def test_an_answer_that_changed_while_the_step_ran_is_never_served_later(project, tmp_path):
    out = PipelineData("out")
    body = """
    from stepwell.script import channel
    def versions():
        return str(len(channel.ask("model.find", name="iris", all=True)["models"]))
    open("weights", "w").write(versions())
    before = versions()
    channel.send("model.register", "weights", name="iris")
    open(args[0], "w").write(before + versions())
    """
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    assert written(project, pipeline()) == "01"
    assert pipeline.plan()[0].action == "run"
    Model(project.workspace, "iris").delete()
    assert pipeline.plan()[0].action == "run", "not even when all is as it was before"


def test_a_script_cancels_its_run(project):
    body = "from stepwell.script import channel\nimport time\nchannel.ask('run.cancel')\ntime.sleep(600)\n"
    first = project.step("s.py", body)
    summary = project.run(project.pipeline(first))
    assert summary.status == "Canceled" and summary.steps[0].happened == "cancelled"


def test_a_secret_is_masked_wherever_the_step_writes_it_and_no_record_holds_it(project):
    from prefect.blocks.system import Secret
    from stepwell.blocks.server import documents

    documents.save(Secret(value="of everybody"), "others")
    vault = project.workspace.get_default_keyvault()
    vault.set_secret("the-password", "tulip-4711-mania")
    out = PipelineData("out")
    body = """
    from stepwell.errors import StepwellError
    from stepwell.script import channel
    value = channel.ask("secret.get", name="the-password")
    print("it is", value)
    try:
        print(channel.ask("secret.get", name="others"))
    except StepwellError as error:
        print(error.hint)
    open(args[0], "w").write(str(len(value)))
    """
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    summary = project.run(pipeline)
    run = project.workspace.get_run(summary.run_id).find_step_run("s.py")[0]
    first, second = run.get_stdout_log().splitlines()
    assert first == "it is ***" and "set_secret('others'" in second
    assert not any(b"tulip" in path.read_bytes() for path in project.records())
    assert project.happened(pipeline) == {"s.py": "reused"}
    vault.set_secret("the-password", "tulip-4712-mania")
    assert pipeline.plan()[0].why[0] == "secret 'the-password' changed"


def test_a_secret_that_the_target_does_not_know_is_masked_in_the_log_of_a_step_that_fails(project, monkeypatch):
    compute, ran = type(RunContext(project.workspace, "x").compute("local")), []
    run = compute.run

    def of_a_worker(self, job, on_output, stop, redact):
        project.workspace.get_default_keyvault().set_secret("late", "tulip-4713-mania")
        ran.append(job.logs)
        return run(self, job, on_output, stop, lambda text: text)

    monkeypatch.setattr(compute, "run", of_a_worker)
    body = "from stepwell.script import channel\nprint(channel.ask('secret.get', name='late'))\nraise SystemExit(3)"
    summary = project.run(project.pipeline(project.step("s.py", body)))
    assert summary.status == "Failed" and "tulip" not in summary.steps[0].error
    assert {path.read_text() for path in ran[0].glob("*") if path.stat().st_size} == {"***\n"}


def test_a_step_whose_model_cannot_be_registered_is_not_kept(project):
    out = PipelineData("out")
    event = {"type": "model", "scope": "step", "name": " ", "value": "m.txt", "time": 0}
    body = f"""
    import json, os
    from stepwell import Run
    Run.get_context().upload_file("m.txt", __file__)
    with open(os.environ["STEPWELL_CONTROL"] + "/events.jsonl", "a") as stream:
        stream.write({json.dumps(json.dumps(event))} + "\\n")
    open(args[0], "w").write("1")
    """
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    assert [project.run(pipeline).status for _ in range(2)] == ["Failed", "Failed"]


def test_a_secret_that_a_worker_did_not_know_is_masked_in_logs_and_errors_of_a_step_that_fails(project, monkeypatch):
    from stepwell.blocks.compute.local_compute import LocalCompute

    run, unmasked = LocalCompute.run, str
    monkeypatch.setattr(LocalCompute, "run", lambda *given: run(*given[:-1], unmasked))
    project.workspace.get_default_keyvault().set_secret("pin", "tulip-4711-mania")
    body = "from stepwell.script import channel\nraise SystemExit('it is ' + channel.ask('secret.get', name='pin'))\n"
    summary = project.run(project.pipeline(project.step("s.py", body)))
    assert "it is ***" in summary.steps[0].error
    folder = project.workspace.store.run_folder(summary.run_id)
    assert not any(b"tulip" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_a_step_may_not_do_is_refused_with_what_to_do_instead(project):
    body = """
    from stepwell.errors import StepwellError
    from stepwell.script import channel
    for name in ("compute.create", "workspace.delete", "pipeline.publish", "environment.register", "no.such"):
        try:
            channel.ask(name)
        except StepwellError as error:
            print(type(error).__name__, error.title, error.hint, sep="|")
    """
    summary = project.run(project.pipeline(project.step("s.py", body)))
    lines = project.workspace.get_run(summary.run_id).find_step_run("s.py")[0].get_stdout_log().splitlines()
    assert [line.split("|")[0] for line in lines] == [
        "ComputeTargetException", "WorkspaceException", "UserErrorException", "UserErrorException", "UserErrorException",
    ]  # fmt: skip
    assert all(line.split("|")[2] for line in lines)


def test_a_run_that_is_repeated_is_told_the_same_and_registers_nothing(project):
    from stepwell.flows.engine.reproduction import rerun

    out = PipelineData("out")
    body = """
    from stepwell.script import channel
    text = str(channel.ask("run.tags")["tags"])
    open(args[0], "w").write(text)
    channel.send("model.register", args[0], name="made")
    """
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    summary = project.run(pipeline)
    run = RunFolder(project.workspace.store.run_folder(summary.run_id))
    (found,) = rerun(project.workspace, run, {}, print)
    assert found.same, found
    assert Model(project.workspace, "made").version == 1


def test_a_tag_that_was_taken_off_again_is_gone_for_later_steps(project):
    first, out = PipelineData("first"), PipelineData("out")
    one = project.step("one.py", PARENT + "parent.set_tags({'a': 1, 'b': 2})\nparent.remove_tags(['a'])\nopen(args[0], 'w').write('1')\n",
                       arguments=[first], outputs=[first])  # fmt: skip
    two = project.step("s.py", PARENT + "open(args[0], 'w').write(str(parent.get_tags()))\n",
                       arguments=[out, first], inputs=[first], outputs=[out])  # fmt: skip
    assert written(project, project.pipeline(one, two)()) == "{'b': '2'}"


def test_a_script_submits_a_run_of_its_own_and_waits_for_it(project):
    out = PipelineData("out")
    project.write(
        "child/inner.py",
        "import sys\nfrom stepwell import Run\nRun.get_context().log('n', int(sys.argv[1]))\nprint('inner')",
    )
    body = """
    from stepwell import Run, ScriptRunConfig
    from stepwell.errors import StepwellError
    run = Run.get_context()
    child = run.submit_child(ScriptRunConfig(source_directory="child", script="inner.py", arguments=[4]), tags={"a": 1})
    details = child.wait_for_completion(show_output=True)
    open(args[0], "w").write(f"{details['status']} {child.get_metrics()} {child.get_tags()}")
    again = run.submit_child(ScriptRunConfig(source_directory="child", script="inner.py", arguments=[4]))
    again.wait_for_completion(show_output=True)
    for wrong in (None, ScriptRunConfig(source_directory="child")):
        try:
            run.submit_child(wrong)
        except StepwellError as error:
            print(error.title)
    """
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    summary = project.run(pipeline)
    run = project.workspace.get_run(summary.run_id)
    log = run.find_step_run("s.py")[0].get_job_log()
    assert summary.status == "Finished", log
    assert log.splitlines()[:2] == ["inner", "inner"] and log.count("submits a ScriptRunConfig") == 2
    record = project.workspace.store.read_record(summary.steps[0].key)
    assert project.workspace.path_of(record.outputs["out"]).read_text() == "Completed {'n': 4} {'a': '1'}"
    assert project.happened(pipeline) == {"s.py": "reused"}


def test_a_file_that_is_called_like_a_look_counts_as_a_file(project):
    out = PipelineData("out")
    project.write("look here.txt", "one")
    body = "open(args[0], 'w').write(open('look here.txt').read())"
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    assert written(project, pipeline()) == "one"
    project.write("look here.txt", "two")
    assert written(project, pipeline()) == "two"


def test_a_run_that_is_only_asked_for_fetches_nothing_that_earlier_ones_looked_at(project, monkeypatch):
    out = PipelineData("out")
    body = """
    from stepwell.script import channel
    channel.receive("datastore.download", prefix="raw")
    open(args[0], "w").write("1")
    """
    pipeline = project.pipeline(project.step("s.py", body, arguments=[out], outputs=[out]))
    assert project.run(pipeline).status == "Finished"
    monkeypatch.setattr("stepwell.flows.engine.run_context.asked_again", lambda *_: pytest.fail("it was asked again"))
    assert pipeline.validate() == []
