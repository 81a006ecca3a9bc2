"""A step is called, submitted and mapped as a Prefect task is."""

from __future__ import annotations

import pytest
from prefect import flow, unmapped

from stepwell import PipelineData, PipelineParameter
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.store.run_folder import RunFolder
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


@pytest.fixture
def files(project):
    """Return `split`, which writes files and a folder, and `count`, which writes the name and size of the one that it sees."""
    parts, part, counts = (PipelineData(name) for name in ("parts", "part", "counts"))
    split = project.step(
        "split.py",
        """
        import os
        os.makedirs(args[0] + '/deep')
        for name, text in (('a.txt', 'one'), ('b.txt', args[1]), ('deep/c.csv', 'x')):
            open(os.path.join(args[0], name), 'w').write(text)
        """,
        arguments=[parts, PipelineParameter("text", "three")],
        outputs=[parts],
    )
    body = """
        import os
        folder = os.path.dirname(args[0])
        assert os.listdir(folder) == [os.path.basename(args[0])]
        open(args[1], 'w').write(os.path.basename(args[0]) + args[2])
    """
    count = project.step(
        "count.py", body, arguments=[part, counts, PipelineParameter("end", ".")], inputs=[part], outputs=[counts]
    )
    return split, count


def test_in_a_flow_of_ones_own_a_step_is_mapped_over_what_another_wrote_and_reused_item_by_item(project, files):
    split, count = files

    def body(text="three"):
        parts = split(text=text)["parts"]
        futures = [
            *count.map(parts),
            *count.map(parts.items("**/*.csv"), end="!"),
            *count.map(part=parts.items("*.txt"), end=["1", "2"]),
        ]
        return [project.workspace.path_of(found.result()["counts"]).read_text() for found in futures]

    assert run(project, body) == ["a.txt.", "b.txt.", "deep.", "c.csv!", "a.txt1", "b.txt2"]
    assert project.executions == {"split.py": 1, "count.py": 6}
    assert run(project, lambda: body("four")) == ["a.txt.", "b.txt.", "deep.", "c.csv!", "a.txt1", "b.txt2"]
    assert project.executions == {"split.py": 2, "count.py": 8}, "those of the file that changed alone"
    [newest, *_] = sorted(project.workspace.store.run_folders(), key=lambda one: one.stat().st_mtime, reverse=True)
    assert {"count.py[a.txt]", "count.py[deep/c.csv]"} <= set(RunFolder(newest).steps())


def test_what_another_step_wrote_is_mapped_over_only_if_it_is_a_folder_of_alike_names(project, steps, files):
    (make, join), (split, count) = steps, files
    other = project.step(
        "other.py", "import os; os.mkdir(args[0])", arguments=[(out := PipelineData("out"))], outputs=[out]
    )

    def body():
        word, parts, none = make()["word"], split()["parts"], other()["out"]
        assert count.map(none) == []
        for call, words in (
            (lambda: count.map(word), "over a file, and has to be over a folder"),
            (lambda: join.map(parts, none), "do not belong together"),
            (lambda: count.map(parts.items(), end=["1"]), "different lengths"),
            (lambda: count.map(none, end=parts.items()), "can't be mapped over files"),
        ):
            with pytest.raises(UserErrorException, match=words):
                call()

    run(project, body)


def test_what_only_a_run_knows_is_no_argument_and_the_hint_names_map(project):
    parts = PipelineData("parts")
    for more in (
        {"arguments": [parts.items("*.csv")]},
        {"params": {"a": parts.value("x.json")}},
        {"inputs": [parts.items()]},
    ):
        with pytest.raises(UserErrorException) as error:
            project.step("a.py", "", **more)
        assert "`step.map(" in error.value.hint and "run_if" in error.value.hint
    with pytest.raises(UserErrorException) as error:
        project.step("a.py", "", arguments=[parts.count() > 3])
    assert error.value.hint.startswith("Pass it as `run_if=`")
