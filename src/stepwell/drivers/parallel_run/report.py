"""What people are told while mini-batches run and after: progress, the logs that v1 writes, failed items, the first error."""

from __future__ import annotations

import csv
import io
import os
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import IO, Any

from stepwell.drivers.parallel_run.pool import Outcome
from stepwell.drivers.parallel_run.worker import DONE
from stepwell.errors import StepwellError, printable
from stepwell.script import channel

_SHOWN_SECONDS, _LOOKED_SECONDS = 5.0, 1.0
_MOST_SHOWN, _MOST_ERRORS = 50, 100


class Counts:
    """How many items and mini-batches there are, and what became of them."""

    def __init__(self) -> None:
        self.items = self.mini_batches = 0
        self.done = self.failed = 0
        self.ended = self.failed_mini_batches = 0
        self.used_again = self.items_used_again = 0


class Report:
    """The logs of a parallel run in the folder `logs`, and what stands in the step's own log."""

    def __init__(self, logs: str, counts: Counts, unit: str, workers: int) -> None:
        self.counts = counts
        self.first_error = ""
        self.unit = unit
        self._logs = logs
        self._began = self._shown = self._looked = time.monotonic()
        self._errors = 0
        self._failed: list[tuple[str, str, int, str]] = []
        os.makedirs(os.path.join(logs, "sys", "job_report"), exist_ok=True)
        self._overview = self._open("job_progress_overview.txt")
        self._table_file = self._open("sys/job_report/processed_mini-batches.csv")
        self._lines = io.StringIO(newline="")  # worker processes that start later would write what is left in a file's
        self._table = csv.writer(self._lines)
        self._table.writerow(
            ["mini_batch", "input", "first_item", "items", "failed", "tries", "process", "seconds", "result", "error"]
        )
        self._failures_file: IO[str] | None = None
        processes = f"{workers} worker {'process' if workers == 1 else 'processes'}"
        if counts.used_again:
            self.say(
                f"{counts.used_again:,} mini-batches ({counts.items_used_again:,} {unit}) were run by an earlier execution and "
                f"are used again, {counts.mini_batches:,} run in {processes}"
            )
        else:
            self.say(f"{counts.mini_batches:,} mini-batches run in {processes}")

    def say(self, words: str) -> None:
        """Write a line to the step's log and to the overview."""
        print(words, flush=True)
        self._overview.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {words}\n")

    # While they run -------------------------------------------------------------------------------------------------

    def is_time(self) -> bool:
        """Return whether a second has passed since it was asked last with that answer; then files are up to date."""
        now = time.monotonic()
        if now < self._looked + _LOOKED_SECONDS:
            return False
        self._looked = now
        self._write_table()
        return True

    def retried(self, outcome: Outcome) -> None:
        """Say that a mini-batch failed and will be tried again."""
        self._keep_error(outcome, "it is tried again")

    def took(self, outcome: Outcome) -> None:
        """Note what became of a mini-batch."""
        counts, reply = self.counts, outcome.reply
        lost = reply.given - reply.returned
        counts.ended += 1
        counts.done += reply.returned
        counts.failed += lost
        failed = reply.kind != DONE or lost > 0
        counts.failed_mini_batches += failed
        first = outcome.batch.names[0]
        error = reply.error or (f"run() returned {reply.returned} of {reply.given} {self.unit}" if lost else "")
        row = [outcome.number, outcome.batch.input, first, reply.given, lost, outcome.tries, outcome.process]
        self._table.writerow([*row, f"{outcome.seconds:.3f}", "failed" if failed else "succeeded", error])
        if failed:
            self._note_failure(outcome, error)

    def progress(self, *, at_once: bool = False) -> None:
        """Say how far it is, every few seconds."""
        now = time.monotonic()
        if not at_once and now < self._shown + _SHOWN_SECONDS:
            return
        self._shown, words = now, self.progress_words(now)
        self.say(words)
        with suppress(StepwellError):
            if channel.available() and not at_once:
                channel.ask("run.progress", words=words)

    def progress_words(self, now: float) -> str:
        """Return how far it is: items, and of tables mini-batches, with items per second and what remains."""
        counts, seconds = self.counts, max(now - self._began, 1e-9)
        handled = counts.done + counts.failed
        known = counts.items > 0
        total, ended = (counts.items, handled) if known else (counts.mini_batches, counts.ended)
        words = [f"{ended:,} of {total:,} {self.unit if known else 'mini-batches'}"]
        if not known:
            words.append(f"{handled:,} {self.unit}")
        if counts.failed:
            words.append(f"{counts.failed:,} failed")
        words.append(f"{handled / seconds:,.1f} {self.unit} per second")
        remaining = (total - ended) * seconds / max(ended, 1)
        if ended and remaining >= 1:
            words.append(f"about {_duration(remaining)} remaining")
        return ", ".join(words)

    # When they ended ------------------------------------------------------------------------------------------------

    def close(self, run: Any, verdict: str) -> None:
        """Write the result, and log the counts and failed items as metrics of the run."""
        counts = self.counts
        self.progress(at_once=True)
        with self._open("job_result.txt") as stream:
            stream.write(
                f"{verdict}\nmini-batches: {counts.ended + counts.used_again}, failed: {counts.failed_mini_batches}, "
                f"used again: {counts.used_again}\n{self.unit}: {counts.done + counts.failed}, failed: {counts.failed}\n"
            )
        self._write_table()
        for file in (self._overview, self._table_file, self._failures_file):
            if file:
                file.close()
        facts = {
            "items": counts.done + counts.failed + counts.items_used_again,
            "failed items": counts.failed,
            "mini-batches": counts.ended + counts.used_again,
            "failed mini-batches": counts.failed_mini_batches,
            "mini-batches used again": counts.used_again,
        }
        for name, value in facts.items():
            run.log(name, value)
        if self._failed:
            columns = ("input", "item", "mini-batch", "error")
            run.log_table("failed", dict(zip(columns, map(list, zip(*self._failed)))))  # noqa: B905  (old Pythons)
            with suppress(StepwellError):  # the script has a file of that name
                run.upload_file("failed_items.csv", os.path.join(self._logs, "failed_items.csv"))

    # ----------------------------------------------------------------------------------------------------------------

    def _write_table(self) -> None:
        self._table_file.write(self._lines.getvalue())
        self._lines.seek(0)
        self._lines.truncate()

    def _open(self, name: str) -> IO[str]:
        path = os.path.join(self._logs, name)
        return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="", buffering=1)

    def _note_failure(self, outcome: Outcome, error: str) -> None:
        batch = outcome.batch
        if self._failures_file is None:
            self._failures_file = self._open("failed_items.csv")
            csv.writer(self._failures_file).writerow(["input", "item", "mini_batch", "part", "tries", "error"])
        part = f"{batch.part + 1}/{batch.parts}" if batch.parts > 1 else ""
        writer = csv.writer(self._failures_file)
        for name in map(printable, batch.names):
            writer.writerow([batch.input, name, outcome.number, part, outcome.tries, error])
            if len(self._failed) < _MOST_SHOWN:
                self._failed.append((batch.input, name, outcome.number, error))
        self._keep_error(outcome._replace(reply=outcome.reply._replace(error=error)), "its items count as failed")

    def _keep_error(self, outcome: Outcome, follows: str) -> None:
        error, text = outcome.reply.error, outcome.reply.text or outcome.reply.error
        self.first_error = self.first_error or text
        self._errors += 1
        if self._errors > _MOST_ERRORS:
            return
        words = f"Mini-batch {outcome.number} failed in try {outcome.tries}; {follows}: {error}"
        print(words, file=sys.stderr, flush=True)
        with open(
            os.path.join(self._logs, "job_error.txt"), "a", encoding="utf-8", errors="backslashreplace"
        ) as stream:
            stream.write(f"{words}\n" + (f"{text}\n\n" if text != error else ""))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
