"""A ParallelRunStep in a pipeline: its mini-batches run in worker processes, and it is reused as every step is."""

from __future__ import annotations

import pytest
from prefect import flow
from stepwell import (
    DaskCompute,
    Dataset,
    DataReference,
    OutputFileDatasetConfig,
    ParallelRunConfig,
    ParallelRunStep,
    PipelineData,
    PipelineParameter,
)
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.flows.engine.reproduction import rerun

SCRIPT = """
import sys

def run(mini_batch):
    with open({log!r}, "a") as log:
        log.write("".join(path.rpartition("/")[2] + "\\n" for path in mini_batch))
    return [open(path).read() + sys.argv[1] for path in mini_batch]
"""


class Scoring:
    """A project with a folder of files, which a ParallelRunStep scores; its script notes each file that it gets."""

    def __init__(self, project):
        self.project = project
        self.store = project.workspace.get_default_datastore()
        self.folder = self.store.local_root / "raw"
        self.folder.mkdir()
        for number in range(6):
            self.put(number)
        self.script(SCRIPT)

    def put(self, number, text=None):
        (self.folder / f"{number}.txt").write_text(text or f"text {number}")

    def script(self, text):
        self.project.write("score.py", text.format(log=str(self.project.log)))

    def step(self, inputs=None, output=None, arguments=("!",), action="append_row", more=None, **settings):
        config = ParallelRunConfig(
            environment=None, entry_script="score.py", error_threshold=settings.pop("error_threshold", 0),
            output_action=action, compute_target=settings.pop("target", "local"), node_count=1,
            **{"process_count_per_node": 2, "source_directory": self.project.source, "mini_batch_size": 2, **settings},
        )  # fmt: skip
        data = Dataset.File.from_files((self.store, "raw")).as_named_input("texts")
        output = output or PipelineData("scores")
        return ParallelRunStep("score", config, inputs or [data], output, arguments=list(arguments), **(more or {}))

    def run(self, *given, values=None, **settings):
        """Return what happened, why, and what the step wrote, if it ended well."""
        pipeline = self.project.pipeline(self.step(*given, **settings))
        summary = self.project.run(pipeline, **(values or {}))
        step, self.run_id = summary.steps[0], summary.run_id
        if step.happened == "failed":
            return step.happened, step.error, []
        path = self.project.workspace.path_of(pipeline(**(values or {}))["score"]["scores"])
        return step.happened, step.why, (path / "parallel_run_step.txt").read_text().splitlines()

    @property
    def seen(self):
        """How often each file was given to `run`."""
        return dict(self.project.executions)


@pytest.fixture
def scoring(project):
    return Scoring(project)


def test_each_file_is_given_once_and_the_rows_are_one_file(scoring):
    happened, _, rows = scoring.run()
    assert (happened, rows) == ("ran", [f"text {number}!" for number in range(6)])
    assert scoring.seen == {f"{number}.txt": 1 for number in range(6)}


def test_it_is_reused_until_something_changes_which_is_named(scoring):
    scoring.run()
    assert scoring.run(process_count_per_node=3, logging_level="DEBUG")[0] == "reused"
    assert "setting mini_batch_size: 2 → 3" in scoring.run(mini_batch_size=3)[1]
    scoring.script(SCRIPT + "\nMORE = 1\n")
    assert "script score.py changed" in scoring.run()[1]


def test_only_mini_batches_with_new_content_run_and_the_plan_says_how_many(scoring):
    """Two files of three mini-batches are changed, one is added, one removed."""
    scoring.run()
    scoring.project.log.unlink()
    scoring.put(3, "other")
    scoring.put(6)
    (plan,) = scoring.project.pipeline(scoring.step()).plan()
    words = "2 of 4 mini-batches will run, with 3 files"
    assert words in plan.why
    happened, why, rows = scoring.run()
    assert words in why
    assert scoring.seen == {"2.txt": 1, "3.txt": 1, "6.txt": 1}
    assert rows == ["text 0!", "text 1!", "text 2!", "other!", "text 4!", "text 5!", "text 6!"]
    scoring.project.log.unlink()
    (scoring.folder / "0.txt").unlink()
    (scoring.folder / "3.txt").unlink()
    assert scoring.run()[2] == [row for row in rows if row not in ("text 0!", "other!")]
    assert scoring.seen == {"1.txt": 1, "2.txt": 1}
    run = RunFolder(scoring.project.workspace.store.run_folder(scoring.run_id))
    (same,) = rerun(scoring.project.workspace, run, {}, print)
    assert same.same, same
    assert scoring.seen == {"1.txt": 2, "2.txt": 2, "4.txt": 1, "5.txt": 1, "6.txt": 1}


def test_all_mini_batches_run_if_a_side_input_or_the_code_is_another_or_it_is_told_so(scoring):
    side = scoring.store.local_root / "side.txt"
    side.write_text("a")

    def run(more="", **options):
        scoring.project.log.unlink(missing_ok=True)
        scoring.script(SCRIPT + more)
        scoring.put(0, f"text {len(options)}{more}{side.read_text()}")
        lookup = DataReference(scoring.store, "side", path_on_datastore="side.txt")
        step = scoring.step(arguments=["!", lookup], more={"side_inputs": [lookup], **options})
        assert [step.happened for step in scoring.project.run(scoring.project.pipeline(step)).steps] == ["ran"]
        return len(scoring.seen)

    assert run() == 6
    assert run(retries=1) == 2
    side.write_text("b")
    assert run() == 6
    assert run("MORE = 1\n") == 6
    assert run("MORE = 1\n", reuse_mini_batches=False, retries=1) == 6
    assert run("MORE = 1\n", allow_reuse=False, retries=1, retry_delay_seconds=0) == 6


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("open(sys.argv[2] + '/own.txt', 'w').close()", "the script writes files of its own to 'scores'"),
        ("import stepwell; stepwell.Run.get_context().log('n', 1)", "the script logs metrics or files to its run"),
        ("open('outputs/' + mini_batch[0][-5], 'w').close()", "the script writes files that are kept with its run"),
    ],
)
def test_mini_batches_with_other_effects_than_rows_all_run_again(scoring, more, why):
    """They would be missing from the result."""
    scoring.script(SCRIPT.replace("    return", f"    {more}\n    return"))
    out = OutputFileDatasetConfig("scores")
    assert scoring.run(None, out, arguments=("!", out))[0] == "ran"
    scoring.put(3, "other")
    out = OutputFileDatasetConfig("scores")
    assert f"all mini-batches will run: {why}" in scoring.run(None, out, arguments=("!", out))[1]
    assert set(scoring.seen.values()) == {2}


def test_the_steps_failure_ends_with_the_users_own_error(scoring):
    scoring.script("def run(mini_batch):\n    raise ValueError('no such model')\n")
    happened, error, _ = scoring.run()
    assert happened == "failed"
    assert "ValueError: no such model" in error
    assert "error_threshold is 0" in error


def test_it_is_a_task_of_a_flow_whose_result_is_one_output_and_settings_are_parameters(scoring):
    scores = PipelineData("scores")
    data = DataReference(scoring.store, "texts", path_on_datastore="raw")
    size = PipelineParameter("size", 3)
    score = scoring.step([data], scores, mini_batch_size=size)
    count = scoring.project.step(
        "count.py",
        "print(len(open(args[0] + '/parallel_run_step.txt').readlines()), file=open(args[1], 'w'))",
        arguments=[scores, total := PipelineData("total")],
        inputs=[scores],
        outputs=[total],
    )

    def body():
        scored = score(size=1)
        counted = count(scored)
        return list(scored), scoring.project.workspace.path_of(counted["total"]).read_text()

    with client_settings(), scoring.project.workspace:
        assert flow(body)() == (["scores"], "6\n")


def test_tables_and_what_other_steps_write_are_split_too(scoring):
    """Of a table, the mini-batches of changed files run again."""
    make = OutputFileDatasetConfig("made")
    body = "import os\nfor n in range(3): open(f'{args[0]}/{n}.csv', 'w').write('a\\n' + f'{n}\\n' * 2 * (2 if n == int(args[1]) else 1))"
    scoring.script(
        "def run(frame, context):\n    with open({log!r}, 'a') as log:\n        print(len(frame), file=log)\n"
        "    assert len(context.dataset.to_pandas_dataframe()) == len(frame)\n    return frame\n"
    )

    def run(grown):
        maker = scoring.project.step("make.py", body, arguments=[make, grown], outputs=[make], name="make")
        table = make.read_delimited_files().as_input("rows")
        pipeline = scoring.project.pipeline(maker, scoring.step([table], mini_batch_size="1MB"))
        return scoring.project.run(pipeline).steps[1]

    assert run(7).happened == "ran"
    assert scoring.project.executions["2"] == 3
    assert "1 of 3 mini-batches will run, with 1 file" in run(1).why
    assert scoring.project.executions["4"] == 1


def test_a_worker_of_a_cluster_runs_it_and_finds_what_an_earlier_execution_left(scoring):
    scoring.script("def run(mini_batch):\n    return [open(path).read() for path in mini_batch]\n")
    assert scoring.run(target=DaskCompute(max_nodes=1))[::2] == ("ran", [f"text {number}" for number in range(6)])
    scoring.put(1, "other")
    happened, why, rows = scoring.run(target=DaskCompute(max_nodes=1))
    assert "1 of 3 mini-batches will run, with 2 files" in why
    assert sorted(rows) == sorted(["other", *(f"text {number}" for number in (0, 2, 3, 4, 5))])


def test_rows_that_are_not_one_for_each_file_stand_as_if_all_had_run(scoring):
    """Their mini-batches are those of a first execution, so that they stand in the same order."""
    many = "[open(path).read() + ' ' + str(n) for path in mini_batch for n in range(open(path).read().count('t'))]"
    scoring.script(SCRIPT[: SCRIPT.index("    return")] + f"    return {many}\n")
    for number in range(6):
        scoring.put(number, f"file {number} t")
    scoring.run()
    scoring.project.log.unlink()
    scoring.put("00", "file 00 t")
    (scoring.folder / "4.txt").unlink()
    assert scoring.run()[2] == [f"file {name} t 0" for name in ("0", "00", "1", "2", "3", "5")]
    assert scoring.seen == {"00.txt": 1, "5.txt": 1}
    scoring.put("1", "file 1 tt")
    scoring.put("5", "file 5 new t")
    others = [f"file {name} t 0" for name in ("0", "00", "2", "3", "5 new")]
    assert scoring.run()[2] == [*others[:2], "file 1 tt 0", "file 1 tt 1", *others[2:]]


@pytest.mark.parametrize("way", ["side input", "argument"])
def test_nothing_is_used_again_in_parts_of_what_is_read_as_a_whole_too(project, way):
    scoring = Scoring(project)
    data = Dataset.File.from_files((scoring.store, "raw")).as_named_input("texts")
    one, other = (
        scoring.step([data], more=more, arguments=["!", *arguments])
        for more, arguments in (({}, []), ({"side_inputs": [data]}, []) if way == "side input" else ({}, [data]))
    )
    keeps = [
        any(
            port.name == "mini batches" or " " in port.name
            for port in step.define(step_id="s", producers={}, ids={}).outputs
        )
        for step in (one, other)
    ]
    assert keeps == [True, False]
