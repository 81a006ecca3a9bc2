"""`EntryScript`: what the entry script finds as `azureml_user.parallel_run.EntryScript`, or `stepwell.EntryScript`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from stepwell.drivers.parallel_run.batches import Source
from stepwell.model.datasets.file_names import LocalFile


class EntryScript:
    """The entry script's logger and folders; every object of the class is the same, in one worker process.

    Attributes:
        logger: Writes to the log of the worker process, `logs/user/entry_script_log`.
        working_dir: The step's working directory.
        output_dir: The folder of the step's output, or `outputs` if it has none.
        log_dir: The folder of logs, whose files are kept with the run.
    """

    _only: EntryScript | None = None

    logger: logging.Logger
    working_dir: str
    output_dir: str
    log_dir: str

    def __new__(cls) -> EntryScript:
        """Return the one object."""
        if cls._only is None:
            cls._only = super().__new__(cls)
            cls._only.logger = logging.getLogger("EntryScript")
            cls._only.working_dir = os.getcwd()
            cls._only.output_dir = os.path.abspath("outputs")
            cls._only.log_dir = os.path.abspath("logs")
        return cls._only


def install(handler: logging.Handler, level: str, output: str, logs: str) -> None:
    """Let scripts import the class by v1's name, and its logger write by the handler."""
    only = EntryScript()
    only.logger.handlers[:] = [handler]
    only.logger.setLevel(level)
    only.logger.propagate = False
    only.output_dir = output or only.output_dir
    only.log_dir = os.path.abspath(logs)
    above, module = ModuleType("azureml_user"), ModuleType("azureml_user.parallel_run")
    above.__path__ = []
    above.parallel_run = module  # type: ignore[attr-defined]
    module.EntryScript = EntryScript  # type: ignore[attr-defined]
    sys.modules["azureml_user"], sys.modules["azureml_user.parallel_run"] = above, module


def part_of(source: Source, files: Sequence[LocalFile]) -> Any:
    """Return the dataset that has these files of an input alone."""
    from stepwell.script.tables.local_dataset import FileDataset, TabularDataset

    class _Part(TabularDataset if source.is_table else FileDataset):  # type: ignore[misc]
        def _local_files(self) -> list[LocalFile]:
            return list(files)

    return _Part(source.definition, os.path.dirname(files[0].path), {})
