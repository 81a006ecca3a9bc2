"""What v1's rules change of a step's outputs: those that its script never writes, and what it writes beside them."""

from __future__ import annotations

import pytest

from stepwell import (
    CommandStep,
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Experiment,
    OutputFileDatasetConfig,
    PipelineData,
    PipelineParameter,
)
from stepwell.errors import DatastoreException, UserErrorException
from stepwell.flows.publishing.submission import RunRequest, check_request


def warnings_of(project, summary):
    return [line["warning"] for line in run_of(project, summary).folder.journal() if "warning" in line]


def run_of(project, summary):
    return project.workspace.get_run(summary.run_id)


def step_run(project, summary, name):
    return run_of(project, summary).find_step_run(name)[0]


def chain(project, make, use, rules="v1", **more):
    """Return a pipeline of one step that writes, and one that reads."""
    first, second = PipelineData("table", output_name="made"), PipelineData("used")
    return project.pipeline(
        project.step("make.py", make, arguments=[first], outputs=[first], **more),
        project.step("use.py", use, arguments=[first, second], inputs=[first], outputs=[second], **more),
        rules=rules,
    )


# Outputs that are never written --------------------------------------------------------------------------------------


def test_an_output_that_is_never_written_is_empty_with_a_warning_and_reused_so(project):
    use = "import os; open(args[1], 'w').write(str(os.listdir(args[0])))"
    summary = project.run(chain(project, "pass", use))
    assert [step.happened for step in summary.steps] == ["ran", "ran"]
    assert "Step 'make.py' did not write its output 'made', which is therefore an empty folder" in warnings_of(
        project, summary
    )
    made = step_run(project, summary, "make.py").get_output_data("made")
    assert made.local_path.is_dir() and not list(made.local_path.iterdir())
    assert step_run(project, summary, "use.py").get_output_data("used").local_path.read_text() == "[]"
    assert project.happened(chain(project, "pass", use)) == {"make.py": "reused", "use.py": "reused"}


def test_only_the_step_that_reads_a_missing_output_fails(project):
    summary = project.run(chain(project, "pass", "open(args[0] + '/rows.csv')"))
    assert [step.status for step in summary.steps] == ["done", "failed"]


@pytest.mark.parametrize(
    "case",
    [
        ("stepwell", PipelineData("out"), {}),
        ("v1", PipelineData("out"), {"strict": True}),
        ("v1", OutputFileDatasetConfig("out"), {}),
    ],
    ids=["Stepwell's own rules", "strict", "OutputFileDatasetConfig"],
)
def test_the_step_fails_that_promised_more(project, case):
    rules, out, more = case
    remove = "import os; os.path.isdir(args[0]) and os.rmdir(args[0])"
    pipeline = project.pipeline(project.step("a.py", remove, arguments=[out], outputs=[out], **more), rules=rules)
    (step,) = project.run(pipeline).steps
    assert step.status == "failed" and "did not write 'out'" in step.error


def test_what_is_empty_by_v1s_rules_is_never_served_to_a_step_of_stepwells_own(project):
    assert [step.status for step in project.run(chain(project, "pass", "")).steps][0] == "done"
    assert [step.status for step in project.run(chain(project, "pass", "", "stepwell")).steps][0] == "failed"


# Files beside outputs ------------------------------------------------------------------------------------------------

WRITE = """
import os
os.makedirs(args[0])
open(args[0] + '/rows', 'w').write('rows')
open(args[0] + '_report.csv', 'w').write('report')
open(args[0] + '\\\\windows.csv', 'w').write('windows')
os.makedirs(os.path.dirname(args[0]) + '/more')
open(os.path.dirname(args[0]) + '/more/deep', 'w').write('deep')
os.symlink('/etc', os.path.dirname(args[0]) + '/etc')
os.symlink('made', os.path.dirname(args[0]) + '/latest')
"""
READ = """
import os
names = [args[0] + '/rows', args[0] + '_report.csv', args[0] + '\\\\windows.csv',
         os.path.dirname(args[0]) + '/more/deep', os.path.dirname(args[0]) + '/latest/rows']
open(args[1], 'w').write(' '.join(open(name).read() for name in names))
"""


def test_files_beside_an_output_are_found_by_the_next_step_and_come_back_with_it(project):
    summary = project.run(chain(project, WRITE, READ))
    assert [step.happened for step in summary.steps] == ["ran", "ran"], summary.steps
    used = step_run(project, summary, "use.py").get_output_data("used")
    assert used.local_path.read_text() == "rows report windows deep rows"
    assert [text for text in warnings_of(project, summary) if "make.py" in text] == [
        "Step 'make.py' wrote beside its outputs what is not kept: etc"
    ]
    made = step_run(project, summary, "make.py")
    assert set(made.get_outputs()) == {"made"}
    place = project.workspace.get_default_datastore().local_root / "azureml" / made.id
    assert (place / "made_report.csv").read_text() == "report" and (place / "more" / "deep").read_text() == "deep"

    changed = READ + "\nprint('changed')"  # the first step is reused, and what stood beside its output is there again
    assert project.happened(chain(project, WRITE, changed)) == {"make.py": "reused", "use.py": "ran"}


def test_a_change_of_what_stands_beside_an_input_lets_its_reader_run_again_and_says_so(project):
    project.run(chain(project, WRITE, READ))
    pipeline = chain(project, WRITE.replace("'report'", "'other'"), READ)
    assert [decision.action for decision in pipeline.plan()] == ["run", "depends"]
    summary = project.run(pipeline)
    assert [step.happened for step in summary.steps] == ["ran", "ran"]
    assert summary.steps[1].why == ("files beside input table changed (made_report.csv changed)",)
    assert [decision.action for decision in pipeline.plan()] == ["reuse", "reuse"]


def test_without_files_beside_an_output_its_reader_has_the_key_of_stepwells_own_rules(project):
    make, use = "open(args[0], 'w').write('x')", "print(open(args[0]).read())"
    project.run(project.pipeline(*readers(project, make, use)))
    assert project.happened(project.pipeline(*readers(project, make, use), rules="v1")) == {
        "make.py": "ran",
        "use.py": "reused",
    }


def readers(project, make, use):
    data = PipelineData("made")
    return (
        project.step("make.py", make, arguments=[data], outputs=[data]),
        project.step("use.py", use, arguments=[data], inputs=[data]),
    )


def test_by_stepwells_own_rules_files_beside_an_output_are_warned_of_by_name(project):
    summary = project.run(
        chain(project, "open(args[0], 'w'); open(args[0] + '.csv', 'w')", "open(args[1], 'w')", "stepwell")
    )
    assert warnings_of(project, summary) == [
        "Step 'make.py' wrote beside its outputs what is not kept: made.csv; write into them"
    ]


def test_a_run_of_v1s_rules_is_repeated_with_what_stands_beside_its_outputs(project):
    from stepwell.flows.engine.reproduction import rerun, run_twice

    pipeline = chain(project, WRITE, READ)
    run = run_of(project, project.run(pipeline))
    assert [(one.differs, one.obstacles) for one in rerun(project.workspace, run.folder, {}, print)] == [((), ())] * 2
    twice = run_twice(project.workspace, pipeline.definition, {}, print)
    assert [(one.differs, one.obstacles) for one in twice] == [((), ())] * 2


# Texts that name ports ------------------------------------------------------------------------------------------------


def test_commands_may_name_their_ports_wherever_in_a_text(project):
    made, config, used = PipelineData("made"), OutputFileDatasetConfig("config"), PipelineData("used")
    first = CommandStep(
        f"mkdir $AZUREML_DATAREFERENCE_made && echo -n a > {made}/a && echo -n b > {config.arg_val}/b && "
        f"echo -n c > '{config.arg_val}/c' && echo -n d > \"{config.arg_val}/d\" && echo -n e > {config.arg_val}_e && "
        f"python -c \"open('{config.arg_val}/f', 'w').write('f'); open('${{AZUREML_DATAREFERENCE_made}}/g', 'w').write('g')\" && "
        f'python -c \'open("{made}/h", "w").write("h")\' && cp {config.arg_val}_e {made}/e',
        name="first",
        outputs=[made, config],
        source_directory=project.source,
    )
    read = config.as_input("read")
    second = CommandStep(
        f"cat {made}/* DatasetConsumptionConfig:read/* '{read}/b' ${{DatasetConsumptionConfig:read}}/c > {used}",
        name="second",
        inputs=[made, read],
        outputs=[used],
        source_directory=project.source,
    )
    summary = project.run(project.pipeline(first, second))
    assert [step.happened for step in summary.steps] == ["ran", "ran"], summary.steps
    assert step_run(project, summary, "second").get_output_data("used").local_path.read_text() == "aeghbcdfbc"


# Data that are not there yet ------------------------------------------------------------------------------------------


def late(project, rules, write=True):
    """Return a pipeline whose first step writes the data that its second reads, and a third step that needs none."""
    store = project.workspace.get_default_datastore()
    write = f"open({str(store.local_root / 'late.txt')!r}, 'w').write('came')" if write else "pass"
    parameter = PipelineParameter("raw", DataPath(store, "late.txt"))
    data = (parameter, DataPathComputeBinding())
    first = project.step("write.py", write, allow_reuse=False)
    second = project.step("read.py", "print(open(args[0]).read())", arguments=[data], inputs=[data])
    second.run_after(first)
    return project.pipeline(first, second, rules=rules)


def test_data_may_come_while_the_run_is_at_work(project):
    pipeline = late(project, "v1")
    assert pipeline.validate() == []
    assert [decision.action for decision in pipeline.plan()] == ["run", "depends"]
    assert pipeline.plan()[1].why == ("the data of its input 'raw' have yet to come",)
    summary = project.run(pipeline)
    assert [step.happened for step in summary.steps] == ["ran", "ran"], summary.steps
    assert step_run(project, summary, "read.py").get_stdout_log() == "came\n"


def test_what_a_step_may_set_whose_data_have_yet_to_come_is_not_known_in_a_plan(project):
    store = project.workspace.get_default_datastore()
    (store.local_root / "late.txt").write_text("came")
    raw, tell = DataReference(store, "raw", "late.txt"), "from stepwell import Run; parent = Run.get_context().parent; "
    first = project.step("read.py", tell + "parent.tag('n', open(args[0]).read())", arguments=[raw], inputs=[raw])
    second = project.step("ask.py", tell + "print(parent.get_tags())")
    second.run_after(first)
    pipeline = project.pipeline(first, second, rules="v1")
    assert project.run(pipeline).status == "Finished"
    assert [decision.action for decision in pipeline.plan()] == ["reuse", "reuse"]
    (store.local_root / "late.txt").unlink()
    assert [decision.action for decision in pipeline.plan()] == ["depends", "depends"]


def test_a_plan_waits_for_what_a_step_may_set_whose_data_have_yet_to_come(project):
    pipeline, out = late(project, "v1"), PipelineData("out")
    body = "from stepwell import Run\nopen(args[0], 'w').write(str(Run.get_context().parent.get_tags()))"
    third = project.step("ask.py", body, arguments=[out], outputs=[out])
    third.run_after(pipeline.steps[1])
    pipeline = project.pipeline(*pipeline.steps, third, rules="v1")
    project.run(pipeline)
    (project.workspace.get_default_datastore().local_root / "late.txt").unlink()
    asks = pipeline.plan()[2]
    assert (asks.action, asks.why) == ("depends", ("write.py, read.py may yet set the tags of the run",))


def test_data_that_never_come_fail_the_step_that_reads_them_by_name(project):
    summary = project.run(late(project, "v1", write=False))
    assert [step.status for step in summary.steps] == ["done", "failed"] and not summary.problem
    assert "The parameter 'raw' names data that are not there: 'late.txt' on datastore" in summary.steps[1].error


def test_by_stepwells_own_rules_a_run_needs_its_data_from_the_start(project):
    pipeline = late(project, "stepwell")
    (error,) = pipeline.validate()
    store = project.workspace.get_default_datastore().name
    assert error == f"The parameter 'raw' names data that are not there: 'late.txt' on datastore {store!r}"
    with pytest.raises(DatastoreException, match="names data that are not there"):
        Experiment(project.workspace, "e").submit(pipeline)
    assert project.run(pipeline).problem.startswith(error) and not project.executions


def test_a_published_pipeline_takes_data_that_may_come_by_v1s_rules_only(project):
    request = RunRequest("e", {"raw": DataPath(project.workspace.get_default_datastore(), "later.txt")})
    for rules in ("v1", "stepwell"):
        (project.workspace.get_default_datastore().local_root / "late.txt").write_text("")
        block = late(project, rules).publish().block
        if rules == "v1":
            assert check_request(block, request, project.workspace)["raw"].path == "later.txt"
        else:
            with pytest.raises(
                UserErrorException, match="'raw' names data that are not there: 'later.txt' on datastore"
            ):
                check_request(block, request, project.workspace)


# What else is v1's ----------------------------------------------------------------------------------------------------


def test_steps_in_a_circle_are_listed_by_validation_and_run_nowhere(project):
    first, second = project.step("a.py", "pass"), project.step("b.py", "pass")
    first.run_after(second)
    second.run_after(first)
    with pytest.raises(UserErrorException, match="in a circle"):
        project.pipeline(first, second)
    pipeline = project.pipeline(first, second, project.step("c.py", "pass"), rules="v1")
    assert pipeline.validate() == ["The steps wait for one another in a circle: a.py, b.py"]
    assert "<svg" in pipeline._repr_svg_()
    for act in (pipeline.plan, pipeline.publish, lambda: Experiment(project.workspace, "e").submit(pipeline)):
        with pytest.raises(UserErrorException, match="in a circle") as caught:
            act()
        assert caught.value.facts["steps"] == "a.py, b.py"
    assert "in a circle" in project.run(pipeline).problem and not project.executions


@pytest.mark.parametrize(("rules", "folder"), [("v1", "dataset"), ("stepwell", "azureml")])
def test_an_output_config_without_destination_has_its_usual_place(project, rules, folder):
    config = OutputFileDatasetConfig("config")
    step = project.step("a.py", "open(args[0] + '/x', 'w').write('x')", arguments=[config])
    summary = project.run(project.pipeline(step, rules=rules))
    made = step_run(project, summary, "a.py")
    place = f"{folder}/{made.id}/config"
    assert made.get_output_data("config").path_on_datastore == place
    assert (project.workspace.get_default_datastore().local_root / place / "x").read_text() == "x"
