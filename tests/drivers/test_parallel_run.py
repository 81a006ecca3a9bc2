"""The driver of ParallelRunStep in a process of its own: which items fail, what people are told, what is written."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from stepwell.drivers.parallel_run import pool
from stepwell.drivers.parallel_run.pool import Job, _Waiting, more_ahead
from stepwell.drivers.parallel_run.rows import UnusableResultError, rows_of
from stepwell.model.datasets.definition import DatasetDefinition, ReadOptions
from stepwell.model.datasets.definition import Place as At

DRIVE = """
import sys
from stepwell.drivers.parallel_run import main
import json
settings = json.loads(sys.argv.pop())
main(sys.argv[0], settings)
"""


class Place:
    """A step's folders, with files `0.txt` and so on as its input `texts`, and the driver as the step's process has it."""

    def __init__(self, top):
        self.top = top
        self.work, self.control, self.data = (top / name for name in ("work", "control", "data"))
        self.out, self.kept = top / "out" / "scores", top / "out" / "kept mini-batches"
        self.earlier, self.earlier_output = top / "earlier", top / "earlier output"
        for folder in (self.work, self.control, self.data, self.out.parent, self.earlier, self.earlier_output):
            folder.mkdir()
        self.inputs, self.datasets = {"texts": self.data}, {}

    def files(self, count, text="text {}"):
        for number in range(count):
            (self.data / f"{number}.txt").write_text(text.format(number))

    def drive(self, script, *argv, before="", **settings):
        """Run the script over the inputs, the code `before` first, and return how that ended."""
        for left in (self.work / "logs", self.control, self.out.parent):
            shutil.rmtree(left, ignore_errors=True)
        self.control.mkdir()
        self.out.parent.mkdir()
        (self.work / "score.py").write_text(script)
        ports = {**self.inputs, "earlier mini-batches": self.earlier, "earlier output": self.earlier_output}
        context = {
            "input_datasets": {name: str(path) for name, path in ports.items()},
            "output_datasets": {"scores": str(self.out), "kept mini-batches": str(self.kept)},
            "datasets": self.datasets,
        }
        (self.control / "context.json").write_text(json.dumps(context))
        told = {"inputs": json.dumps(list(self.inputs)), "output": "scores", "process_count_per_node": 2, **settings}
        texts = json.dumps({name: str(value) for name, value in told.items()})
        variables = {"STEPWELL_CONTROL": str(self.control), "AZUREML_RUN_ID": "step", "PYTHONUNBUFFERED": "1"}
        code = f"import sys; sys.argv = ['score.py', *sys.argv[1:]]\n{before}\n{DRIVE}"
        done = subprocess.run(
            [sys.executable, "-c", code, *argv, texts], cwd=self.work, env={**os.environ, **variables},
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, error=done.stderr[-2000:])

    @property
    def why_not(self):
        """Why later executions may use nothing of the mini-batches."""
        return json.loads((self.kept / "state.json").read_text())["why_not"]

    @property
    def rows(self):
        return (self.out / "parallel_run_step.txt").read_text().splitlines()

    def log(self, name):
        return (self.work / "logs" / name).read_text()

    def table(self, name):
        with (self.work / "logs" / name).open(newline="") as stream:
            return list(csv.DictReader(stream))


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    found.files(5)
    return found


READ = "def run(mini_batch):\n    return [open(path).read() for path in mini_batch]\n"


def test_init_runs_once_in_each_process_before_any_mini_batch(place):
    script = "import os\nready = []\ndef init():\n    ready.append(os.getpid())\n" + (
        "def run(mini_batch, context):\n    return [f'{os.getpid()} {ready} {context.minibatch_index}' for _ in mini_batch]\n"
    )
    assert place.drive(script, mini_batch_size=1).code == 0
    for number, row in enumerate(place.rows):
        process, rest = row.split(" ", 1)
        assert rest == f"[{process}] {number}"


def test_the_arguments_and_the_words_of_v1_are_there(place):
    script = (
        "import sys\nfrom azureml_user.parallel_run import EntryScript\n"
        "def run(mini_batch):\n    EntryScript().logger.info('seen %d', len(mini_batch))\n    print('printed')\n"
        "    return [' '.join(sys.argv)] * len(mini_batch)\nif __name__ == '__main__':\n    raise SystemExit('run by hand')\n"
    )
    done = place.drive(script, "--rate", "3", mini_batch_size=5)
    assert (done.code, place.rows) == (0, ["score.py --rate 3"] * 5)
    assert "printed\n" in done.out
    assert place.log("user/stdout/0/process000.stdout.txt") == "printed\n"
    assert "INFO" in place.log("user/entry_script_log/0/process000.log.txt")
    assert "5 of 5 files" in place.log("job_progress_overview.txt")
    assert place.log("job_result.txt").startswith("succeeded\n")


def test_an_error_of_the_script_is_the_last_that_is_said_without_frames_of_ours(place):
    done = place.drive("def run(mini_batch):\n    raise ValueError('no such model')\n", run_max_try=1)
    assert done.code == 1
    assert "5 files failed, and error_threshold is 0. The first error:" in done.err
    assert done.err.rstrip().endswith("ValueError: no such model")
    assert "drivers" not in done.err
    assert [row["error"] for row in place.table("failed_items.csv")] == ["ValueError: no such model"] * 5
    assert not place.out.exists()


def test_failed_items_up_to_the_threshold_are_reported_and_the_others_count(place):
    script = "def run(mini_batch):\n    if mini_batch[0].endswith('3.txt'):\n        raise OSError('torn')\n    return mini_batch\n"
    done = place.drive(script, mini_batch_size=1, error_threshold=1, run_max_try=2)
    assert (done.code, len(place.rows)) == (0, 4)
    (failed,) = place.table("failed_items.csv")
    assert (failed["item"], failed["tries"], failed["error"]) == ("3.txt", "2", "OSError: torn")
    results = [
        row["result"]
        for row in sorted(
            place.table("sys/job_report/processed_mini-batches.csv"), key=lambda row: int(row["mini_batch"])
        )
    ]
    assert results == ["succeeded", "succeeded", "succeeded", "failed", "succeeded"]
    events = (place.control / "events.jsonl").read_text()
    assert '"failed items"' in events


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("None", "run() returned None"),
        ("'text'", "run() returned a str"),
        ("iter([1])", "run() returned a list_iterator"),
        ("mini_batch[1:]", "run() returned 4 of 5 files"),
    ],
)
def test_what_run_must_not_return_is_named(place, result, words):
    done = place.drive(f"def run(mini_batch):\n    return {result}\n", run_max_try=1)
    assert done.code == 1
    assert words in done.err.rstrip().splitlines()[-1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys; sys.exit(42)", "SystemExit: 42"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL in run()"),
        ("import os; os._exit(7)", "ended with exit code 7 in run()"),
        ("import time; time.sleep(600)", "run() took longer than `run_invocation_timeout`, 2 seconds, and was ended"),
    ],
)
def test_a_process_that_ends_or_takes_too_long_is_replaced_and_its_items_fail_alone(place, body, words):
    script = f"def run(mini_batch):\n    if mini_batch[0].endswith('2.txt'):\n        {body}\n    return mini_batch\n"
    seconds = 2 if "sleep" in body else 600
    done = place.drive(script, mini_batch_size=1, error_threshold=1, run_max_try=1, run_invocation_timeout=seconds)
    assert (done.code, len(place.rows)) == (0, 4), done.error
    assert words in place.log("job_error.txt")


def test_worker_processes_end_as_python_does(place):
    """What is open is written and closed, also by what the standard library leaves to its objects; handlers are called."""
    script = (
        "import atexit, ctypes, gzip, zipfile\n"
        "def init():\n    global text, packed, archive, after\n    text = open('../init.txt', 'w')\n    text.write('begun\\n')\n"
        "    packed = gzip.open('../init.gz', 'wt')\n    packed.write('packed')\n"
        "    archive = zipfile.ZipFile('../init.zip', 'w')\n    archive.writestr('name', 'content')\n"
        "    after = open('../atexit.txt', 'w')\n    atexit.register(after.write, 'called')\n"
        "    ctypes.CDLL(None).printf(b'from C')\n    print('no end of line', end='')\n"
        "def run(mini_batch):\n    text.writelines(path[-5:] + '\\n' for path in mini_batch)\n    return mini_batch\n"
    )
    done = place.drive(script, process_count_per_node=1, mini_batch_size=1)
    assert (done.code, done.err) == (0, ""), done.error
    assert (place.top / "init.txt").read_text() == "begun\n" + "".join(f"{number}.txt\n" for number in range(5))
    assert gzip.open(place.top / "init.gz").read() == b"packed"
    assert zipfile.ZipFile(place.top / "init.zip").read("name") == b"content"
    assert (place.top / "atexit.txt").read_text() == "called"
    assert "from C" in done.out
    assert "no end of line" in done.out
    assert place.log("user/stdout/0/process000.stdout.txt") == "no end of line"


def test_a_process_that_does_not_end_is_ended_and_told(place):
    script = "import threading\ndef init():\n    threading.Thread(target=threading.Event().wait).start()\n" + READ
    short = "import stepwell.drivers.parallel_run.pool as pool; pool._SECONDS_TO_END = 0.5"
    done = place.drive(script, process_count_per_node=1, before=short)
    assert (done.code, len(place.rows)) == (0, 5), done.error
    assert "Worker process 0 was ended by SIGKILL after its last mini-batch" in done.err


def test_a_process_that_dies_is_missed_although_one_that_it_started_lives_on(place):
    """That one has all that it had open."""
    script = (
        "import os, subprocess\ndef run(mini_batch):\n    if mini_batch[0].endswith('2.txt'):\n"
        "        for number in map(int, os.listdir('/proc/self/fd')):\n            try: os.set_inheritable(number, True)\n"
        "            except OSError: pass\n"
        "        subprocess.Popen(['sleep', '300'], close_fds=False)\n        os._exit(7)\n    return mini_batch\n"
    )
    done = place.drive(script, mini_batch_size=1, error_threshold=1, run_max_try=1, run_invocation_timeout=600)
    assert (done.code, len(place.rows)) == (0, 4), done.error
    assert "ended with exit code 7 in run()" in place.log("job_error.txt")


def test_init_that_does_not_end_fails_the_step(place):
    script = "import threading\ndef init():\n    threading.Event().wait()\n" + READ
    short = "import stepwell.drivers.parallel_run.pool as pool; pool._LEAST_SECONDS_TO_GET_READY = 1"
    done = place.drive(script, before=short, run_invocation_timeout=1)
    assert done.code == 1
    assert "init(), with the import of the script, took longer than 1 seconds" in done.err.rstrip().splitlines()[-1]


@pytest.mark.parametrize("where", ["init", "run"])
def test_a_file_of_the_scripts_own_is_not_overwritten_by_the_rows(place, where):
    own = "    open(EntryScript().output_dir + '/parallel_run_step.txt', 'w').write('mine')\n"
    begin = "import os\nfrom azureml_user.parallel_run import EntryScript\nos.makedirs(EntryScript().output_dir, exist_ok=True)\n"
    script = f"{begin}def init():\n{own if where == 'init' else '    pass'}\n"
    script += f"def run(mini_batch):\n{own if where == 'run' else ''}    return mini_batch\n"
    done = place.drive(script)
    assert (done.code, place.rows) == (1, ["mine"])
    assert "The script writes a file of its own where the rows of its mini-batches are put" in done.err
    assert "`append_row_file_name`" in done.err
    assert place.drive(script, append_row_file_name="rows.txt").code == 0


def test_a_mini_batch_that_is_tried_again_counts_once(place):
    script = (
        "import os, pathlib\ndef run(mini_batch):\n    mark = pathlib.Path('..') / os.path.basename(mini_batch[0])\n"
        "    if not mark.exists():\n        mark.touch()\n        os.kill(os.getpid(), 9)\n    return mini_batch\n"
    )
    done = place.drive(script, mini_batch_size=2)
    assert (done.code, sorted(map(os.path.basename, place.rows))) == (0, [f"{number}.txt" for number in range(5)])
    assert "it is tried again" in done.err


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "def init():\n    1 / 0\ndef run(mini_batch):\n    return mini_batch\n",
            "ZeroDivisionError: division by zero",
        ),
        (
            "import os\ndef init():\n    os._exit(3)\ndef run(mini_batch):\n    return mini_batch\n",
            "ended with exit code 3",
        ),
        ("def rum(mini_batch):\n    return mini_batch\n", "score.py has no function run(mini_batch)"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_script_that_does_not_get_ready_fails_the_step_at_once(place, script, words):
    done = place.drive(script)
    assert done.code == 1
    assert "the worker processes did not get ready" in done.err
    assert words in done.err.rstrip().splitlines()[-1]


def test_mini_batches_may_fail_up_to_a_count_or_share(place):
    script = "def run(mini_batch):\n    raise ValueError if mini_batch[0][-5] in '12' else SystemExit(0)\n"
    lenient = {"mini_batch_size": 1, "error_threshold": -1, "run_max_try": 1}
    assert place.drive(script, **lenient).code == 0
    assert (
        "3 mini-batches failed, and allowed_failed_count is 2"
        in place.drive(script, **lenient, allowed_failed_count=2).err
    )
    words = "3 of 5 mini-batches failed, and allowed_failed_percent is 40"
    assert words in place.drive(script, **lenient, allowed_failed_percent=40).err


def test_summary_only_keeps_no_rows(place):
    done = place.drive("def run(mini_batch):\n    return mini_batch\n", output_action="summary_only")
    assert (done.code, os.listdir(place.out)) == (0, [])


def test_rows_come_in_the_order_of_the_items_whichever_process_is_faster(place):
    script = (
        "import time\ndef run(mini_batch):\n    time.sleep(0.2 * mini_batch[0].endswith('0.txt'))\n"
        + READ[READ.index("    ret") :]
    )
    assert place.drive(script, mini_batch_size=1).code == 0
    assert place.rows == [f"text {number}" for number in range(5)]


def test_what_is_printed_stands_in_whole_lines_in_both_logs(place):
    script = (
        "import sys, threading\ndef say():\n    for _ in range(50):\n        print('a word\\n', end='')\n"
        "def run(mini_batch):\n    threads = [threading.Thread(target=say) for _ in range(4)]\n"
        "    for thread in threads: thread.start()\n    for thread in threads: thread.join()\n"
        "    sys.stdout.writelines(['last\\n', 'end'])\n    return mini_batch\n"
    )
    done = place.drive(script, mini_batch_size=5)
    text = "a word\n" * 200 + "last\nend"
    assert place.log("user/stdout/0/process000.stdout.txt") == text
    assert text in done.out


def test_neither_process_needs_more_memory_for_more_files(place):
    """Not to list them, send them, take their results and write these."""
    script = (
        "import atexit, tracemalloc\ndef init():\n    tracemalloc.reset_peak()\n"
        "    atexit.register(lambda: print('peak', tracemalloc.get_traced_memory()[1]))\n"
        "def run(mini_batch):\n    return mini_batch\n"
    )
    before = (
        "import atexit, os, tracemalloc\nfrom stepwell.model.datasets import on_disk\n"
        "on_disk._IN_MEMORY, on_disk._MERGED_RUNS, on_disk._IN_A_BLOCK, on_disk._BUFFERED_BYTES = 64, 3, 16, 1 << 10\n"
        "import stepwell.drivers.parallel_run.driving\ntracemalloc.start()\nown = os.getpid()\n"
        "atexit.register(lambda: os.getpid() == own and print('peak', tracemalloc.get_traced_memory()[1]))"
    )

    def peaks(count):
        place.files(count, "")
        done = place.drive(script, keeps="yes", process_count_per_node=1, before=before)
        assert (done.code, len(place.rows)) == (0, count), done.error
        return [int(line.split()[1]) for line in done.out.splitlines() if line.startswith("peak")]

    few, many = peaks(400), peaks(1600)
    assert [more - less < 30_000 for less, more in zip(few, many, strict=True)] == [True, True], (few, many)


GIVEN = "from stepwell import Run\nTOP = Run.get_context().input_datasets['texts']\n"


@pytest.mark.parametrize(
    ("before", "more", "reads_beyond"),
    [
        (GIVEN, "[os.path.relpath(path, TOP) for path in mini_batch]", False),
        (GIVEN, "os.listdir(TOP)", True),
        (GIVEN, "list(pathlib.Path(TOP).iterdir())", True),
        ("", "open(os.path.join(os.path.dirname(mini_batch[0]), '0.txt'))", True),
        ("", "glob.glob(os.path.join(os.path.dirname(os.path.relpath(mini_batch[0])), '*'))", True),
        (GIVEN + "def init():\n    open(TOP + '/1.txt').close()\n", "0", True),
    ],
)
def test_nothing_is_kept_of_mini_batches_whose_script_reads_others_of_what_is_split(place, before, more, reads_beyond):
    script = f"import glob, os, pathlib\n{before}def run(mini_batch):\n    {more}\n{READ.partition(chr(10))[2]}"
    assert place.drive(script, mini_batch_size=2, keeps="yes").code == 0
    found = "the script reads or lists files of what is split beside those of its mini-batch"
    assert place.why_not == (found if reads_beyond else "")


@pytest.mark.parametrize(
    ("more", "why_not"),
    [
        ("EntryScript().logger.info('seen'); print('seen')", ""),
        ("open(EntryScript().log_dir + '/own.txt', 'a').write('seen')", "writes files that are kept with its run"),
        ("open('outputs/there.txt', 'a').write('seen')", "writes files that are kept with its run"),
        ("os.makedirs(CONTROL + '/mlflow'); open(CONTROL + '/mlflow/metric', 'w')", "logs metrics or files to its run"),
    ],
)
def test_nothing_is_kept_of_mini_batches_that_leave_more_than_rows(place, more, why_not):
    (place.work / "outputs").mkdir()
    (place.work / "outputs" / "there.txt").write_text("before")
    script = "import os\nfrom azureml_user.parallel_run import EntryScript\nCONTROL = os.environ['STEPWELL_CONTROL']\n"
    script += f"def run(mini_batch):\n    {more}\n    return mini_batch\n"
    assert place.drive(script, keeps="yes").code == 0
    assert place.why_not == (why_not and f"the script {why_not}")


def test_nothing_to_split_is_told(tmp_path):
    place = Place(tmp_path)
    done = place.drive(READ)
    assert (done.code, done.err, place.rows) == (0, "There is nothing to split: no file is in texts\n", [])


@pytest.mark.parametrize(
    ("result", "count", "text"),
    [
        ([1, (2, "b"), None], 3, "1\n(2, 'b')\nNone\n"),
        (pd.DataFrame({"a": [1, 2], "b": ["x y", "z"]}), 2, '1 "x y"\n2 z\n'),
        (pd.Series(["a", "b"]), 2, "a\nb\n"),
        (np.array([1.5, 2]), 2, "1.5\n2.0\n"),
        ({"a", "a"}, 1, "a\n"),
        (["\udcff"], 1, "\udcff\n"),
    ],
)
def test_rows_are_lines(result, count, text):
    assert rows_of(result) == (count, text.encode("utf-8", "surrogateescape"))
    assert rows_of(result, wanted=False) == (count, b"")


def test_one_value_is_no_list_of_rows():
    with pytest.raises(UnusableResultError, match="one value"):
        rows_of(np.array(1))


def test_a_setting_that_cannot_be_used_is_named_without_a_traceback(place):
    done = place.drive(READ, mini_batch_size="1MB")
    assert (done.code, done.err.splitlines()[0]) == (1, "`mini_batch_size` of files is a number of files")


# Tables and partitions --------------------------------------------------------------------------------------------------


def as_dataset(place, kind="tabular", **options):
    """Let the input of the place be a dataset."""
    read = "delimited" if kind == "tabular" else ""
    definition = DatasetDefinition(kind, (At("lake", "data"),), read, ReadOptions(**options), root="data")
    place.datasets["texts"] = {"mode": "direct", "document": json.dumps(definition.to_json())}


TABLE = "def run(frame):\n    return frame[['a']].assign(rows=len(frame), kind=type(frame).__name__)\n"


def test_rows_of_a_table_come_as_frames_of_about_a_size_that_cross_no_file(tmp_path):
    place = Place(tmp_path)
    for number, rows in enumerate((100, 40), 1):
        (place.data / f"{number}.csv").write_text("a,b\n" + "".join(f"{number}{row:03},x\n" for row in range(rows)))
    as_dataset(place)
    done = place.drive(TABLE, mini_batch_size="400")
    assert done.code == 0, done.error
    counted = Counter(row.split(" ", 1)[1] for row in place.rows)
    assert [row.split(" ")[0] for row in place.rows] == [*map(str, range(1000, 1100)), *map(str, range(2000, 2040))]
    assert counted == {"50 DataFrame": 100, "40 DataFrame": 40}


def test_failed_rows_are_counted_not_files(tmp_path):
    place = Place(tmp_path)
    (place.data / "0.csv").write_text("a\n" + "1\n" * 30)
    as_dataset(place)
    done = place.drive("def run(frame):\n    raise ValueError('bad')\n", run_max_try=1, error_threshold=29)
    assert "30 rows failed, and error_threshold is 29" in done.err
    done = place.drive("def run(frame):\n    return frame.iloc[1:]\n", run_max_try=1, error_threshold=0)
    assert "run() returned 29 of 30 rows" in done.err


@pytest.mark.parametrize("kind", ["file", "tabular"])
def test_each_value_of_the_partition_keys_is_a_mini_batch(tmp_path, kind):
    place = Place(tmp_path)
    for shop, year in (("a", 1), ("a", 2), ("b", 1)):
        folder = place.data / shop / str(year)
        folder.mkdir(parents=True)
        (folder / "x.csv").write_text("n\n5\n6\n")
    as_dataset(place, kind, partition_format="/{shop}/{year}/x.csv")
    script = "def run(batch, context):\n    return [f'{context.partition_key_value} {len(batch)}'] * len(batch)\n"
    assert place.drive(script, partition_keys='["shop"]').code == 0
    count = {"file": (2, 1), "tabular": (4, 2)}[kind]
    assert place.rows == [f"{{'shop': 'a'}} {count[0]}"] * count[0] + [f"{{'shop': 'b'}} {count[1]}"] * count[1]
    done = place.drive(script, partition_keys='["town"]')
    assert done.err.splitlines()[0] == "The input 'texts' has no partition key 'town'"


# Worker processes -------------------------------------------------------------------------------------------------------


def test_what_waits_comes_in_order_and_what_failed_last_unless_it_is_much(monkeypatch):
    jobs = [Job(number, number, None) for number in range(6)]
    waiting = _Waiting(iter(jobs), len(jobs))
    first = waiting.take()
    waiting.again(first)
    lost = [waiting.take(), waiting.take()]
    waiting.give_back(lost)
    assert len(waiting) == 6
    taken = [waiting.take() for _ in range(6)]
    assert [(job.number, job.tries) for job in taken] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (0, 2)]
    assert not waiting
    monkeypatch.setattr(pool, "_MOST_FAILED", 2)
    waiting = _Waiting(iter(jobs), len(jobs))
    for _ in range(2):
        waiting.again(waiting.take())
    assert [waiting.take().number for _ in range(6)] == [0, 2, 3, 4, 5, 1]


def test_a_quick_process_has_more_beforehand_by_and_by_and_a_slow_one_none():
    ahead = 0
    for expected in (1, 2, 3, 4):
        ahead = more_ahead(ahead, 0.001)
        assert ahead == expected
    assert [more_ahead(ahead, seconds) for seconds in (0.07, 0.15, 0.3)] == [2, 1, 0]
    assert more_ahead(1000, 0) == 64
