"""A parallel run from its settings to its results: the one place that knows all the parts."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from typing import Any, NamedTuple

from stepwell.drivers.parallel_run.batches import MiniBatch
from stepwell.drivers.parallel_run.pool import Job, NoWorkerError, Pool
from stepwell.drivers.parallel_run.report import Counts, Report
from stepwell.drivers.parallel_run.results import Earlier, Results, read_index
from stepwell.drivers.parallel_run.settings import (
    APPEND_ROW,
    EARLIER,
    EARLIER_OUTPUT,
    KEPT,
    Settings,
)
from stepwell.drivers.parallel_run.sources import sources_of, written_beside
from stepwell.drivers.parallel_run.splitting import Layout, Split
from stepwell.drivers.parallel_run.worker import DONE, Task, work
from stepwell.errors import StepwellError, UserErrorException
from stepwell.model.datasets.on_disk import Records
from stepwell.script.events import CONTEXT, EVENTS
from stepwell.script.run import Run

LOGS, OUTPUTS = "logs", "outputs"
_OWN_LOGS = re.compile(
    r"job_(progress_overview|result|error)\.txt|failed_items\.csv|sys/job_report/processed_mini-batches\.csv|"
    r"user/(stdout|stderr|entry_script_log)/0/process\d+\.(stdout|stderr|log)\.txt"
)
_READS_BEYOND = "the script reads or lists files of what is split beside those of its mini-batch"


class TooManyFailuresError(Exception):
    """More failed than may; the message says what, in a sentence."""


def drive(script: str, texts: Mapping[str, str]) -> None:
    """Run the script over all items, and write what came of it.

    Raises:
        SystemExit: Too many items failed, or there is nothing to run; standard error says why.
    """
    try:
        _drive(script, Settings.of(texts))
    except StepwellError as error:
        print(error.message, file=sys.stderr)
        raise SystemExit(1) from None


def _drive(script: str, settings: Settings) -> None:
    control = os.environ.get("STEPWELL_CONTROL", "")
    with open(os.path.join(control, CONTEXT), encoding="utf-8") as stream:
        context: dict[str, Any] = json.load(stream)
    inputs, outputs = context.get("input_datasets", {}), context.get("output_datasets", {})
    sources = sources_of(context, settings.inputs, by_content=settings.keeps)
    earlier = read_index(inputs[EARLIER]) if settings.keeps else Earlier()
    split = Split(settings, sources, earlier)
    earlier_file = os.path.join(inputs.get(EARLIER_OUTPUT, ""), settings.append_row_file_name)
    if not any(len(source.items) for source in sources):
        print(f"There is nothing to split: no file is in {', '.join(settings.inputs)}", file=sys.stderr)
    target = os.path.join(outputs[settings.output], settings.append_row_file_name) if settings.output else ""
    appends = settings.output_action == APPEND_ROW
    task = Task(
        script,
        {source.name: source for source in sources},
        Records(),
        settings.partition_keys,
        appends,
        settings.logging_level,
        outputs.get(settings.output, ""),
        LOGS,
        watches=settings.keeps,
    )
    before = _left(control)
    with closing(Results(earlier, earlier_file, task.jobs)) as results:
        attempt = _Attempt(task, settings, results, target if appends else "")
        attempt.run(split)
        if split.is_moved and not attempt.is_in_order:
            print("There is not a row for each file: the mini-batches are made as if none had run before", flush=True)
            results.begin_anew()
            attempt.run(split, anew=True)
        if target and appends:
            why_not = attempt.why_not or _why_not(context, target, before, _left(control)) if settings.keeps else ""
            kept = outputs[KEPT] if settings.keeps else ""
            results.write(target, kept, why_not, attempt.layout, failed=bool(attempt.counts.failed))
        elif target:
            os.makedirs(os.path.dirname(target), exist_ok=True)
    attempt.report.close(Run.get_context(), "succeeded")


class _Attempt:
    """An execution of mini-batches, of which as many run as do not stand already."""

    report: Report

    def __init__(self, task: Task, settings: Settings, results: Results, target: str) -> None:
        self._task, self._settings, self._results, self._target = task, settings, results, target
        self._there = _stamp(target)
        self.counts, self.layout = Counts(), Layout()
        self.why_not = ""

    @property
    def is_in_order(self) -> bool:
        """Whether there is a row for each item, so that the rows are the same whichever the mini-batches were."""
        return self._results.in_order and not self.counts.failed

    def run(self, split: Split, *, anew: bool = False) -> None:
        """Run what does not stand; nothing if what stands is not in order although it has to be."""
        results, jobs = self._results, self._task.jobs
        begin = jobs.end
        self.counts, self.layout = Counts(), Layout()
        counts = self.counts
        for number, batch, earlier in split.mini_batches(self.layout, anew=anew):
            if results.stands(number, batch, earlier):
                counts.used_again += 1
            else:
                jobs.put((number, *batch))
                counts.mini_batches += 1
                counts.items += len(batch.names)
        if split.is_moved and not anew and not results.in_order:
            return
        jobs.flush()
        table = any(source.is_table for source in self._task.sources.values())
        counts.items = 0 if table else counts.items
        counts.items_used_again = results.count  # rows that were returned: as many as items, since none of them failed
        workers = _workers(self._settings, counts.mini_batches)
        self.report = report = Report(LOGS, counts, "rows" if table else "files", workers)
        try:
            new = (Job(number, place, MiniBatch(*batch)) for place, (number, *batch) in jobs.after(begin))
            self._run_all(new, workers)
        except TooManyFailuresError as error:
            report.close(Run.get_context(), f"failed: {error}")
            print(f"\n{error}. The first error:\n{report.first_error}", file=sys.stderr)
            raise SystemExit(1) from None
        except NoWorkerError as error:
            report.close(Run.get_context(), "failed: no worker process got ready")
            print(f"\nNo mini-batch can run, since the worker processes did not get ready:\n{error}", file=sys.stderr)
            raise SystemExit(1) from None
        except UserErrorException as error:
            report.close(Run.get_context(), f"failed: {error.title}")
            raise

    def _run_all(self, jobs: Iterable[Job], workers: int) -> None:
        settings, report = self._settings, self.report
        limit, tries = settings.run_invocation_timeout, settings.run_max_try
        gc.freeze()  # or each process would copy what it is forked from when it collects garbage
        pool = Pool(partial(work, self._task), workers, limit_seconds=limit, tries=tries, on_retry=report.retried)
        with pool:
            for outcome in pool.outcomes(jobs, self.counts.mini_batches):
                if report.is_time():
                    self._check_target()
                    report.progress()
                if outcome is None:
                    continue
                reply = outcome.reply
                report.took(outcome)
                if reply.reads_beyond:
                    self.why_not = _READS_BEYOND
                if reply.kind == DONE:
                    whole = reply.returned == reply.given
                    self._results.add(
                        outcome.number, outcome.place, outcome.batch, reply.rows, reply.returned, whole=whole
                    )
                _check(settings, report)
        self._check_target()

    def _check_target(self) -> None:
        """Raise UserErrorException if the script has written a file where the rows will be written."""
        if self._target and _stamp(self._target) != self._there:
            raise UserErrorException(
                "The script writes a file of its own where the rows of its mini-batches are put",
                {"output": self._settings.output, "file": self._settings.append_row_file_name},
                "Write it under another name, or give the rows another one with `append_row_file_name`.",
            )


def _check(settings: Settings, report: Report) -> None:
    """Raise TooManyFailuresError if more failed than may."""
    counts = report.counts
    failed, batches = counts.failed, counts.failed_mini_batches
    total = max(1, counts.mini_batches + counts.used_again)
    if 0 <= settings.error_threshold < failed:
        words = f"{failed:,} {report.unit} failed, and error_threshold is {settings.error_threshold}"
    elif 0 <= settings.allowed_failed_count < batches:
        words = f"{batches:,} mini-batches failed, and allowed_failed_count is {settings.allowed_failed_count}"
    elif batches * 100 > settings.allowed_failed_percent * total:
        words = f"{batches:,} of {total:,} mini-batches failed, and allowed_failed_percent is {settings.allowed_failed_percent:g}"
    else:
        return
    raise TooManyFailuresError(words)


def _workers(settings: Settings, batches: int) -> int:
    """Return how many worker processes there are: as many as asked for, else as processors, and no more than mini-batches."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = settings.process_count_per_node * settings.node_count or processors
    return max(1, min(wanted, batches))


class _Left(NamedTuple):
    """What a script has left that is kept with its run: the size of its log, MLflow's files, and files by size and time."""

    logged: int
    tracked: int
    files: int


def _left(control: str) -> _Left:
    files = (
        (path, _stamp(path))
        for folder in (OUTPUTS, LOGS)
        for path in _below(folder)
        if folder == OUTPUTS or not _OWN_LOGS.fullmatch(os.path.relpath(path, LOGS))
    )
    return _Left(_size(os.path.join(control, EVENTS)), _mark(_below(os.path.join(control, "mlflow"))), _mark(files))


def _mark(values: Iterable[Any]) -> int:
    """Return a number that tells in this process whether there are the same values, in any order."""
    return sum(hash((value, "")) for value in values)


def _why_not(context: Mapping[str, Any], target: str, before: _Left, after: _Left) -> str:
    """Return why what mini-batches returned may not be used by a later execution, '' if it may."""
    if after.logged > before.logged or after.tracked != before.tracked:
        return "the script logs metrics or files to its run"
    if after.files != before.files:
        return "the script writes files that are kept with its run"
    return written_beside(context, [target])


def _below(folder: str) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if not entry.is_dir():
                yield entry.path
            elif not entry.is_symlink():
                yield from _below(entry.path)


def _stamp(path: str) -> tuple[int, int] | None:
    """Return the size and time of a file, None if it is not there."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
