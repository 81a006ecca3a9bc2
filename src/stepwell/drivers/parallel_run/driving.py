"""A parallel run from its settings to its results: the one place that knows all the parts."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from stepwell.drivers.parallel_run.batches import MiniBatch, Source, split
from stepwell.drivers.parallel_run.pool import NoWorkerError, Pool
from stepwell.drivers.parallel_run.report import Counts, Report
from stepwell.drivers.parallel_run.results import Results, read_index
from stepwell.drivers.parallel_run.settings import (
    APPEND_ROW,
    EARLIER,
    EARLIER_OUTPUT,
    KEPT,
    Settings,
)
from stepwell.drivers.parallel_run.sources import sources_of, written_beside
from stepwell.drivers.parallel_run.worker import DONE, Task, work
from stepwell.errors import StepwellError
from stepwell.script.events import CONTEXT, EVENTS
from stepwell.script.run import Run

LOGS, OUTPUTS = "logs", "outputs"


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
    earlier, _ = read_index(inputs[EARLIER]) if settings.keeps else ({}, "")
    earlier_file = os.path.join(inputs.get(EARLIER_OUTPUT, ""), settings.append_row_file_name)
    if not any(source.items for source in sources):
        print(f"There is nothing to split: no file is in {', '.join(settings.inputs)}", file=sys.stderr)
    batches = list(enumerate(split_by(settings, sources, list(earlier))))
    target = os.path.join(outputs[settings.output], settings.append_row_file_name) if settings.output else ""
    events, found = os.path.join(control, EVENTS), set(_below(OUTPUTS))
    before = _size(events)
    with closing(Results(earlier, earlier_file)) as results:
        new = [(number, batch) for number, batch in batches if not results.stands(number, batch)]
        table = any(source.is_table for source in sources)
        counts, workers = _counts(batches, new, results, table=table), _workers(settings, len(new))
        report = Report(LOGS, counts, "rows" if table else "files", workers)
        task = Task(
            script,
            {source.name: source for source in sources},
            [batch for _, batch in batches],
            settings.output_action == APPEND_ROW,
            settings.logging_level,
            outputs.get(settings.output, ""),
            LOGS,
        )
        try:
            _run_all(task, settings, new, workers, results, report)
        except TooManyFailuresError as error:
            report.close(Run.get_context(), f"failed: {error}")
            print(f"\n{error}. The first error:\n{report.first_error}", file=sys.stderr)
            raise SystemExit(1) from None
        except NoWorkerError as error:
            report.close(Run.get_context(), "failed: no worker process got ready")
            print(f"\nNo mini-batch can run, since the worker processes did not get ready:\n{error}", file=sys.stderr)
            raise SystemExit(1) from None
        if target and settings.output_action == APPEND_ROW:
            why_not = _why_not(context, target, _size(events) > before, found) if settings.keeps else ""
            order, position = {}, 0
            for source in sources:
                order[source.name] = {item.name: place for place, item in enumerate(source.items, position)}
                position += len(source.items)
            results.write(target, outputs[KEPT] if settings.keeps else "", why_not, order)
        elif target:
            os.makedirs(os.path.dirname(target), exist_ok=True)
    report.close(Run.get_context(), "succeeded")


def split_by(settings: Settings, sources: Sequence[Source], earlier: Sequence[Any]) -> list[MiniBatch]:
    """Return the mini-batches of the inputs; the identities of those that stand are among the `earlier`."""
    table = any(source.is_table for source in sources)
    files, size = (0, settings.bytes) if table else (settings.files, 0)
    return list(split(sources, files, size, settings.partition_keys, earlier))


def _run_all(
    task: Task,
    settings: Settings,
    batches: Sequence[tuple[int, MiniBatch]],
    workers: int,
    results: Results,
    report: Report,
) -> None:
    limit, tries = settings.run_invocation_timeout, settings.run_max_try
    gc.freeze()  # or each process would copy what it is forked from when it collects garbage
    pool = Pool(partial(work, task), workers, limit_seconds=limit, tries=tries, on_retry=report.retried)
    with pool:
        for outcome in pool.outcomes(batches):
            if outcome is None:
                report.progress()
                continue
            reply = outcome.reply
            report.took(outcome)
            if reply.kind == DONE:
                whole = reply.returned == reply.given
                results.add(outcome.number, outcome.batch, reply.rows, reply.returned, whole=whole)
            _check(settings, report)


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


def _counts(
    batches: Sequence[tuple[int, MiniBatch]], new: Sequence[tuple[int, MiniBatch]], results: Results, *, table: bool
) -> Counts:
    counts = Counts()
    counts.mini_batches, counts.used_again = len(new), len(batches) - len(new)
    counts.items = 0 if table else sum(len(batch.items) for _, batch in new)
    counts.items_used_again = results.count  # rows that were returned: as many as items, since none of them failed
    return counts


def _workers(settings: Settings, batches: int) -> int:
    """Return how many worker processes there are: as many as asked for, else as processors, and no more than mini-batches."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = settings.process_count_per_node * settings.node_count or processors
    return max(1, min(wanted, batches))


def _why_not(context: Mapping[str, Any], target: str, logged: bool, found: set[str]) -> str:
    """Return why what mini-batches returned may not be used by a later execution, '' if it may."""
    if logged:
        return "the script logs metrics or files to its run"
    if set(_below(OUTPUTS)) - found:
        return "the script writes files that are kept with its run"
    return written_beside(context, [target])


def _below(folder: str) -> list[str]:
    return [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
