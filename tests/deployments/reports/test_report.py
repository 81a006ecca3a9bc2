"""The report of a run: what held the processes of a step, and names that forge no line."""

from __future__ import annotations

from stepwell.deployments.reports.report import report


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
