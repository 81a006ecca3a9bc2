"""The report of a run: what held the processes of a step, and names that forge no line."""

from __future__ import annotations

from stepwell.deployments.reports.report import columns, report, steps_lines
from stepwell.flows.runs.summary import StepSummary


def test_the_guard_of_each_step_is_shown_and_recorded(project):
    summary = project.run(project.pipeline(project.step("a.py", "pass")))
    guard = summary.steps[0].ran_on["guard"]
    assert guard in ("cgroup", "marks")
    folder = project.workspace.get_run(summary.run_id).folder
    assert f"Processes held by {guard}: a.py" in report(folder, guards=True).splitlines()
    assert "held by" not in report(folder) and "Ran on" not in report(folder)


def test_names_with_line_breaks_forge_no_line(project):
    odd = project.folder / "odd\nRun: forged\x1b[2J"
    odd.write_text("x")
    body = f"""
        from stepwell import Run
        open({str(odd)!r}).read()
        Run.get_context().log('metric\\nRun: forged', 1)
    """
    summary = project.run(project.pipeline(project.step("a.py", body)))
    lines = report(project.workspace.get_run(summary.run_id).folder).splitlines()
    assert summary.warnings and "\x1b" not in "".join(lines)
    assert [line for line in lines if line.startswith("Run: ")] == lines[-1:]


def test_a_long_name_moves_its_own_line_alone_and_wide_letters_count_as_two():
    step = {"status": "done", "seconds": 1.0}
    names = ["a", "語語", "b\nc", "x" * 100]
    steps = tuple(StepSummary(name, **step) for name in names)
    places = [line.index("ran") for line in steps_lines(steps)]
    assert places[:3] == [64, 62, 64] and places[3] > 100


def test_columns_stand_below_each_other_whatever_the_alphabet():
    assert columns([("語", "a"), ("xyz", "b")]) == ["語   a", "xyz  b"]
