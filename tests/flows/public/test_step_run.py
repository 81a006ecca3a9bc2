"""Steps as runs like every other: what others than their scripts add to them, their cancellation, and what they refuse."""

from __future__ import annotations

import threading
import zipfile

import pytest
from waiting import eventually

from stepwell import PipelineData, Run
from stepwell.deployments.reports.report import report
from stepwell.errors import UserErrorException
from stepwell.flows.public.experiment import Experiment
from stepwell.flows.runs.artifacts import all_images

BODY = """
from stepwell import Run
run = Run.get_context()
run.log('accuracy', 0.5)
run.tag('stage', 'trial')
run.upload_file('notes.txt', __file__)
"""


def test_what_others_add_to_a_step_stands_beside_what_its_script_logged(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = project.pipeline(project.step("a.py", BODY))
    first = project.workspace.get_run(project.run(made).run_id)
    (step,) = first.get_steps()
    assert isinstance(step, Run)
    step.tag("reviewed", True)
    step.set_tags({"by": "me", "gone": 1})
    step.remove_tags(["gone"])
    step.add_properties({"owner": "me"})
    step.log("accuracy", 0.75)
    step.log_row("table", x=1)
    (tmp_path / "a.svg").write_text("<svg/>")
    step.log_image("picture", path="a.svg")
    step.upload_file("report/a.svg", "a.svg")
    with pytest.raises(UserErrorException, match=r"The run has a file 'notes.txt' already"):
        step.upload_file("notes.txt", "a.svg")
    with pytest.raises(UserErrorException, match="Property 'owner' is set"):
        step.add_properties({"owner": "you"})
    again = project.workspace.get_run(first.id).find_step_run("a.py")[0]
    assert again.tags == again.get_tags() == {"stage": "trial", "reviewed": "True", "by": "me"}
    assert again.properties == {"owner": "me"}
    assert again.get_metrics() == {"accuracy": [0.5, 0.75], "table": {"x": [1]}, "picture": "picture.svg"}
    assert again.get_file_names() == ["notes.txt", "picture.svg", "report/a.svg"]
    again.download_file("report/a.svg", tmp_path)
    again.download_files("report/", "there")
    assert (tmp_path / "there/report/a.svg").read_text() == "<svg/>"
    assert [image.path.read_text() for image in all_images(first.folder, first.summary())] == ["<svg/>"]
    assert "accuracy = 0.75" in report(first.folder)
    later = project.workspace.get_run(project.run(made).run_id).find_step_run("a.py")[0]
    assert later.reused and later.tags == {"stage": "trial"} and later.get_metrics() == {"accuracy": 0.5}
    later.tag("mine")
    assert "mine" not in again.tags and "mine" in later.tags


def test_what_a_step_can_not_do_is_refused_in_a_sentence(project, tmp_path):
    run = project.workspace.get_run(project.run(project.pipeline(project.step("a.py", BODY))).run_id)
    (step,) = run.get_steps()
    for refused in (
        step.complete,
        step.fail,
        step.child_run,
        lambda: step.create_children(2),
        lambda: step.submit_child(None),
    ):
        with pytest.raises(NotImplementedError):
            refused()
    for refused in (step.get_environment, lambda: step.take_snapshot("."), lambda: Run.add_type_provider("a", None),
                    lambda: Run.list_by_compute("cpu"), run.get_snapshot_id, run.restore_snapshot):  # fmt: skip
        with pytest.raises(UserErrorException) as error:
            refused()
        assert error.value.hint
    assert (list(step.get_steps()), step.find_step_run("a.py"), list(step.get_children())) == ([], [], [])
    step.cancel()  # it has ended
    step.flush()
    assert step.get_status() == "Finished" and Run.get_submitted_run().id.startswith("OfflineRun_")
    with zipfile.ZipFile(step.restore_snapshot(path=str(tmp_path))) as snapshot:
        assert snapshot.namelist() == ["a.py"]
    assert sorted(run.get_details_with_logs()["logFiles"]) == [
        f"a.py/logs/{name}.txt" for name in ("70_driver_log", "stderr", "stdout")
    ]
    assert len(run.get_all_logs(str(tmp_path / "logs"))) == 3


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_step_is_cancelled_alone_and_the_run_with_it_unless_it_goes_on(project, goes_on):
    began = project.folder / "began"
    slow = project.step("slow.py", f"import time\nopen({str(began)!r}, 'w').close()\ntime.sleep(600)", name="slow")
    after = project.step("after.py", "", name="after")
    after.run_after(slow)
    other = project.step("other.py", "", name="other")
    pipeline = project.pipeline(slow, after, other)
    found = {}
    at_work = threading.Thread(
        target=lambda: found.update(summary=project.run(pipeline, continue_on_step_failure=goes_on)), daemon=True
    )
    at_work.start()
    eventually(began.exists)
    run = next(Experiment(project.workspace, "pipeline").get_runs())
    eventually(lambda: run.find_step_run("other") and run.find_step_run("other")[0].get_status() == "Finished")
    run.find_step_run("slow")[0].cancel()
    at_work.join()
    happened = {step.id: step.happened for step in found["summary"].steps}
    assert happened == {"slow": "cancelled", "after": "skipped" if goes_on else "cancelled", "other": "ran"}
    assert found["summary"].status == ("Failed" if goes_on else "Canceled")


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_item_of_a_mapped_step_is_cancelled_alone_and_what_joins_the_items_is_not_made(project, goes_on):
    began, parts, out = project.folder / "began", PipelineData("parts"), PipelineData("out")
    body = "import os\nos.mkdir(args[0])\nfor name in ('a', 'b'): open(os.path.join(args[0], name), 'w').close()\n"
    split = project.step("split.py", body, name="split", arguments=[parts], outputs=[parts])
    body = f"import time\nopen(args[1], 'w').close()\nif args[0].endswith('b'):\n    open({str(began)!r}, 'w').close()\n    time.sleep(600)\n"
    each = project.step("each.py", body, name="each", arguments=[parts, out], inputs=[parts], outputs=[out])
    pipeline = project.pipeline(split, each.map(parts))
    found = {}
    at_work = threading.Thread(
        target=lambda: found.update(summary=project.run(pipeline, continue_on_step_failure=goes_on)), daemon=True
    )
    at_work.start()
    eventually(began.exists)
    run = next(Experiment(project.workspace, "pipeline").get_runs())
    eventually(lambda: run.find_step_run("each[a]") and run.find_step_run("each[a]")[0].get_status() == "Finished")
    run.find_step_run("each[b]")[0].cancel()
    at_work.join()
    happened = {step.id: step.happened for step in found["summary"].steps}
    joined = "skipped" if goes_on else "cancelled"
    assert happened == {"split": "ran", "each[a]": "ran", "each[b]": "cancelled", "each": joined}
    assert found["summary"].status == ("Failed" if goes_on else "Canceled")
