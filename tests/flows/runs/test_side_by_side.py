"""How many runs of a pipeline its targets have room for."""

from __future__ import annotations

import pytest
from stepwell import LocalCompute, PipelineData
from stepwell.flows.runs.side_by_side import room_for


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (4, 2), (7, 3)])
def test_a_run_takes_the_room_of_the_steps_that_its_graph_has_side_by_side(project, most, expected):
    target = LocalCompute(max_concurrent=most).attach_to(project.workspace, "room")
    data = PipelineData("data")
    first = project.step("a.py", "", outputs=[data], arguments=[data], compute_target=target)
    others = [project.step(name, "", inputs=[data], compute_target=target) for name in ("b.py", "c.py")]
    assert room_for(project.pipeline(first, *others)) == expected


def test_a_mapped_step_takes_all_the_room(project):
    parts = PipelineData("parts")
    split = project.step("split.py", "", outputs=[parts], arguments=[parts])
    assert room_for(project.pipeline(split, project.step("b.py", "", inputs=[parts]).map(parts))) == 1
