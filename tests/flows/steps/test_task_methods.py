"""A step is called, submitted and mapped as a Prefect task is."""

from __future__ import annotations

import pytest
from prefect import flow, unmapped

from stepwell import PipelineData, PipelineParameter
from stepwell.blocks.server.connection import client_settings
from stepwell.errors import UserErrorException


@pytest.fixture
def steps(project):
    """Return `make`, which writes a word, and `join`, which writes its two inputs and a parameter."""
    word, left, right, joined = (PipelineData(name) for name in ("word", "left", "right", "joined"))
    make = project.step(
        "make.py", "open(args[1], 'w').write(args[0])", arguments=[PipelineParameter("text", "a"), word], outputs=[word]
    )
    body = "open(args[3], 'w').write(open(args[0]).read() + open(args[1]).read() + args[2])"
    join = project.step(
        "join.py", body, arguments=[left, right, PipelineParameter("end", "."), joined], inputs=[left, right],
        outputs=[joined],
    )  # fmt: skip
    return make, join


def run(project, body):
    with client_settings(), project.workspace:
        return flow(body)()


def test_a_step_is_mapped_over_iterables_and_what_is_unmapped_is_the_same_for_each(project, steps):
    make, join = steps

    def body():
        words = make.map(text=["x", "y"])
        once = make(text="z")
        futures = join.map(words, unmapped(once), end=("1", "2"))
        return [project.workspace.path_of(found["joined"]).read_text() for found in futures.result()]

    assert run(project, body) == ["xz1", "yz2"]
    assert project.executions == {"make.py": 3, "join.py": 2}


def test_inputs_are_bound_by_position_and_states_are_returned(project, steps):
    make, join = steps

    def body():
        first, second = make(text="x"), make.submit(text="y")
        states = [join(first, second, return_state=True), join.submit(first, right=second, return_state=True)]
        states += make.map(text=["x"], return_state=True)
        bad = project.step("bad.py", "sys.exit(2)")
        return [state.name for state in states], bad(return_state=True).name, bad.submit(return_state=True).name

    assert run(project, body) == (["Completed", "Cached", "Cached"], "Failed", "Failed")


def test_a_step_with_other_options_is_another_step(project, steps):
    make, _ = steps
    other = make.with_options(name="other", retries=2, refresh_cache=True)
    (first, second) = (one.define(step_id="a", producers={}, ids={}) for one in (make, other))
    assert (first.name, first.retries, first.allow_reuse) == ("make.py", 0, True)
    assert (second.name, second.retries, second.allow_reuse) == ("other", 2, False)
    run(project, lambda: [other(), other()])
    assert project.executions == {"make.py": 2}
    with pytest.raises(UserErrorException, match="no option 'result_storage'"):
        make.with_options(result_storage=None)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda make, join: make.map(text="ab"), "mapped over nothing"),
        (lambda make, join: join.map([1, 2], [1]), "different lengths"),
        (lambda make, join: join(1, 2, 3), "takes 2 inputs by position, not 3"),
        (lambda make, join: join(1, left=2), "given its input 'left' twice"),
    ],
)
def test_wrong_calls_are_refused(steps, call, words):
    with pytest.raises(UserErrorException, match=words):
        call(*steps)
