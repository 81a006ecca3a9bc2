"""The log of a step that runs as a job elsewhere: what the job prints, and what is told of it, as a process's output is logged."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from stepwell.blocks.compute.job import Job
from stepwell.blocks.processes.output import OnOutput, Redact, Text, open_log


class JobLog:
    """Takes texts, redacted, into the step's log files and to whoever follows the run."""

    def __init__(self, job: Job, on_output: OnOutput, redact: Redact) -> None:
        self._job, self._on_output, self._redact = job, on_output, redact
        self._files = ExitStack()

    def __enter__(self) -> Self:
        self._job.logs.mkdir(parents=True, exist_ok=True)
        names = ("stdout.txt", "stderr.txt", "70_driver_log.txt")
        out, err, both = (self._files.enter_context(open_log(self._job.logs / name)) for name in names)
        self._out, self._err = Text((out, both), self._redact), Text((err, both), self._redact)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for text in (self._out, self._err):
            self._forward(text.finish())
        self._files.close()

    def say(self, text: str) -> None:
        """Take what is told of the job, or what it printed."""
        self._forward(self._out.take(text.encode(errors="surrogateescape")))

    def say_error(self, text: str) -> None:
        """Take the job's error, the last words of which the step's failure has."""
        self._forward(self._err.take(text.encode(errors="surrogateescape")))

    def _forward(self, data: bytes) -> None:
        if data:
            self._on_output(data.decode(errors="surrogateescape"))
