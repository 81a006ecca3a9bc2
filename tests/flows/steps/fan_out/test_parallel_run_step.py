"""A ParallelRunStep in a pipeline: its mini-batches run in worker processes, and it is reused as every step is."""

from __future__ import annotations

import pytest
from stepwell import (
    Dataset,
    DataReference,
    OutputFileDatasetConfig,
    ParallelRunConfig,
    ParallelRunStep,
    PipelineData,
    PipelineParameter,
)
from stepwell.errors import UserErrorException

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
            output_action=action, compute_target="local", node_count=1,
            **{"process_count_per_node": 2, "source_directory": self.project.source, "mini_batch_size": 2, **settings},
        )  # fmt: skip
        data = Dataset.File.from_files((self.store, "raw")).as_named_input("texts")
        output = output or PipelineData("scores")
        return ParallelRunStep("score", config, inputs or [data], output, arguments=list(arguments), **(more or {}))

    def run(self, *given, values=None, **settings):
        """Return what happened, why, and what the step wrote, if it ended well."""
        pipeline = self.project.pipeline(self.step(*given, **settings))
        summary = self.project.run(pipeline, **(values or {}))
        step = summary.steps[0]
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
    assert scoring.run()[0] == "reused"
    assert "setting mini_batch_size: 2 → 3" in scoring.run(mini_batch_size=3)[1]
    scoring.script(SCRIPT + "\nMORE = 1\n")
    assert "script score.py changed" in scoring.run()[1]


def test_only_mini_batches_with_new_content_run_and_the_plan_says_how_many(scoring):
    """Two files of three mini-batches are changed, one is added, one removed."""
    first = scoring.run()[2]
    scoring.project.log.unlink()
    scoring.put(3, "other")
    scoring.put(6)
    (plan,) = scoring.project.pipeline(scoring.step()).plan()
    words = "2 of 4 mini-batches will run, with 3 files"
    assert words in plan.why
    happened, why, rows = scoring.run()
    assert words in why
    assert scoring.seen == {"2.txt": 1, "3.txt": 1, "6.txt": 1}
    assert sorted(rows) == sorted([*first[:3], "other!", *first[4:], "text 6!"])
    scoring.project.log.unlink()
    (scoring.folder / "0.txt").unlink()
    assert sorted(scoring.run()[2]) == sorted(rows[1:])
    assert scoring.seen == {"1.txt": 1}
