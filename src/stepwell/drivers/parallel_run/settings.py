"""The settings of a parallel run: what the step hands over as texts, as numbers and lists, each checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from stepwell.errors import UserErrorException

APPEND_ROW, SUMMARY_ONLY = "append_row", "summary_only"
USUAL_FILES, USUAL_BYTES = 10, 1 << 20
USUAL_FILE_NAME = "parallel_run_step.txt"
KEPT, EARLIER, EARLIER_OUTPUT = "kept mini-batches", "earlier mini-batches", "earlier output"
"""Names of ports that no user can have taken."""

_SIZE = re.compile(r"(\d+)\s*([kmg]?b?)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LEVELS = ("WARNING", "INFO", "DEBUG", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Settings:
    """How items are split, run and counted. `keeps`: what each mini-batch returned is kept for later executions."""

    inputs: tuple[str, ...]
    output: str = ""
    keeps: bool = False
    mini_batch_size: str = ""
    partition_keys: tuple[str, ...] = ()
    output_action: str = APPEND_ROW
    append_row_file_name: str = USUAL_FILE_NAME
    error_threshold: int = 0
    allowed_failed_count: int = -1
    allowed_failed_percent: float = 100
    run_invocation_timeout: float = 60
    run_max_try: int = 3
    node_count: int = 1
    process_count_per_node: int = 0
    logging_level: str = "INFO"

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Settings:
        """Return the settings that are in the texts; '' and what is missing are as usual.

        Raises:
            UserErrorException: A text can't be what its name says.
        """
        given = {name: text for name, text in texts.items() if text not in ("", "None")}
        return cls(
            inputs=tuple(json.loads(given["inputs"])),
            output=given.get("output", ""),
            keeps=given.get("keeps", "") == "yes",
            mini_batch_size=given.get("mini_batch_size", ""),
            partition_keys=keys_of(given.get("partition_keys", "[]")),
            output_action=given.get("output_action", APPEND_ROW),
            append_row_file_name=given.get("append_row_file_name", USUAL_FILE_NAME),
            error_threshold=_number(given, "error_threshold", 0, -1),
            allowed_failed_count=_number(given, "allowed_failed_count", -1, -1),
            allowed_failed_percent=_number(given, "allowed_failed_percent", 100, 0),
            run_invocation_timeout=_number(given, "run_invocation_timeout", 60, 1),
            run_max_try=_number(given, "run_max_try", 3, 1),
            node_count=_number(given, "node_count", 1, 1),
            process_count_per_node=_number(given, "process_count_per_node", 0, 0),
            logging_level=_level(given.get("logging_level", "INFO")),
        )

    @property
    def files(self) -> int:
        """How many files a mini-batch has at most."""
        if not self.mini_batch_size:
            return USUAL_FILES
        if not self.mini_batch_size.isdecimal() or int(self.mini_batch_size) < 1:
            raise UserErrorException(
                "`mini_batch_size` of files is a number of files",
                {"mini_batch_size": self.mini_batch_size},
                "Pass a whole number of at least 1.",
            )
        return int(self.mini_batch_size)

    @property
    def bytes(self) -> int:
        """How many bytes of a table a mini-batch has, about."""
        return bytes_of(self.mini_batch_size) if self.mini_batch_size else USUAL_BYTES


def bytes_of(text: str) -> int:
    """Return the number of bytes that a text such as `1MB` names; raise UserErrorException if it names none."""
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise UserErrorException(
            "`mini_batch_size` is no size",
            {"mini_batch_size": text},
            "Pass a number of files, or of a table's bytes as in '1MB' or '500KB'.",
        )
    return int(found[1]) * _UNITS[found[2].lower().rstrip("b")]


def keys_of(text: str) -> tuple[str, ...]:
    """Return the names in a JSON list; raise UserErrorException if the text is none."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return tuple(found)
    raise UserErrorException(
        "`partition_keys` is no list of names",
        {"partition_keys": text},
        "Pass a list of names; of a pipeline parameter, as JSON text such as '[\"store\"]'.",
    )


def _number(given: Mapping[str, str], name: str, usual: int, least: int) -> int:
    text = given.get(name)
    if text is None:
        return usual
    try:
        number = float(text)
    except ValueError:
        number = least - 1
    if number != int(number) or number < least:
        raise UserErrorException(
            f"`{name}` must be a whole number of at least {least}", {"value": text}, f"Correct `{name}`."
        )
    return int(number)


def _level(text: str) -> str:
    level = {"WARN": "WARNING"}.get(text.upper(), text.upper())
    if level not in _LEVELS:
        raise UserErrorException(
            f"There is no logging level {text!r}", {"levels": ", ".join(_LEVELS)}, "Correct `logging_level`."
        )
    return level
