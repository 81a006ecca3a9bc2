"""What a step's result depends on: ONE list of rows, read twice, as a key and as an explanation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from stepwell.model.digests import digest, encode

CONTENT = "sha256:"
ABSENT = "absent"
PROBED = "/."
"""End of the name of a row for what a script looked for, without more of it than whether it is there."""

UNKNOWN = "not known yet"
"""Value of a row for what a script asked of its run, as long as steps before it have yet to say it."""

TOO_MANY = "host.asked {}"
"""Name of a row for more than can be asked again."""

_LONGEST_SHOWN = 60
_TEMPLATES = ("setting", "argument", "param")

ExplainTrees = Callable[[str, str], Iterable[str]]
"""Two tree digests in; the files that differ between them, in words, out."""


class Row(NamedTuple):
    """One thing a result depends on: its kind, its name, and its value (short text, or a content digest)."""

    kind: str
    name: str
    value: str

    @property
    def label(self) -> str:
        """The row in words, such as `script train.py` or `parameter rate`."""
        if self.kind == "read" and self.name.endswith("/"):
            return "the source folder" if self.name == "./" else f"folder {self.name[:-1]}"
        if self.kind == "read" and self.name.endswith(PROBED):
            return f"{self.name.removesuffix(PROBED)}, which the script looked for,"
        if self.kind == "look":
            return _look_label(*parse_look(self.name))
        words = _WORDS.get(self.kind, self.kind)
        return f"{words} {self.name}" if self.name else words

    @property
    def is_absence(self) -> bool:
        """Whether it says that what a script looked for is not there."""
        return self.kind == "read" and self.value == ABSENT


_HAPPENED = {"added": "new", "removed": "gone"}
_WORDS = {
    "read": "file read but not declared",
    "file": "file",
    "reading": "reading of input",
    "order": "order of the files of input",
    "recipe": "Stepwell's reuse rules",
    "command python": "python",
    "command package": "package",
    "own package": "package",
    "own module": "package",
    "beside": "files beside input",
    "rule": "rule of v1:",
    "imported": "package",
    "keys": "keys named of",
}


@dataclass(frozen=True)
class Fingerprint:
    """The ordered rows of one bound step."""

    rows: tuple[Row, ...]

    @cached_property
    def key(self) -> str:
        """64 hex digits that name the result: equal rows, equal key.

        What was looked for and is not there has no part in it, so that it is the same for steps that never looked.
        """
        return digest("step-key", [row for row in self.rows if not row.is_absence])

    def without(self, *kinds: str) -> Fingerprint:
        """Return the fingerprint without its rows of the given kinds."""
        return Fingerprint(tuple(row for row in self.rows if row.kind not in kinds))

    def distance(self, earlier: Fingerprint) -> int:
        """Count the rows that were added, removed or changed since `earlier`."""
        return len(self._changes(earlier))

    def diff(self, earlier: Fingerprint, explain: ExplainTrees | None = None) -> tuple[str, ...]:
        """Explain each row added, removed or changed since `earlier` in a sentence; in none when the keys are equal."""
        return tuple(dict.fromkeys(_sentence(old, new, explain) for old, new in self._changes(earlier)))

    def _changes(self, earlier: Fingerprint) -> list[tuple[Row | None, Row | None]]:
        before, after = _by_label(earlier.rows), _by_label(self.rows)
        changed: list[tuple[Row | None, Row | None]] = [
            (before.get(label), row) for label, row in after.items() if before.get(label) != row
        ]
        changed += [(row, None) for label, row in before.items() if label not in after]
        return changed


# What scripts ask the host of their run -----------------------------------------------------------------------------------


def look_name(operation: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of the row for what a script asked: the operation and what it was called with, to be asked again."""
    given = {name: value for name, value in arguments.items() if value is not None}
    return f"{operation} {encode(given).decode()}"


def parse_look(name: str) -> tuple[str, dict[str, Any]]:
    """Return the operation and the arguments that `look_name` was given; no arguments if there are none to read."""
    operation, _, text = name.partition(" ")
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        arguments = {}
    return operation, arguments if isinstance(arguments, dict) else {}


def look_value(identity: Any, words: str = "") -> str:
    """Return the value of the row: the words that people are told, such as `version 4`, and all that is in the answer."""
    return f"{words} {CONTENT}{digest('look', identity)}".lstrip()


def _look_label(operation: str, arguments: Mapping[str, Any]) -> str:
    subject, _, verb = operation.partition(".")
    if operation == TOO_MANY.partition(" ")[0]:
        return "what the script asked the host, which is too much to ask again,"
    if subject == "run":
        step = arguments.get("step") or (arguments.get("name") if verb == "find_step_run" else None)
        what = _LOOKS.get(verb, f"the {verb} of")
        if verb == "metrics" and arguments.get("name"):
            what = f"the metric {arguments['name']!r} of"
        return f"{what} {f'step {step!r}' if step else 'the run'}"
    name = next((arguments[key] for key in ("name", "id") if arguments.get(key)), None)
    if name is None:
        return f"the list of {subject}s" if verb in ("list", "find") else f"the {verb} of the {subject}"
    if subject == "dataset" and verb in ("files", "look"):
        return f"the {'files' if verb == 'files' else 'names of the files'} of dataset {name!r}"
    place = arguments.get("prefix")
    return f"{subject} {name!r}" + (f" at {place!r}" if place else "")


_LOOKS = {"find_step_run": "the state of", "children": "the steps of", "details": "the facts of"}


def _by_label(rows: Iterable[Row]) -> Mapping[tuple[str, str], Row]:
    return {(row.kind, row.name): row for row in rows if not row.is_absence}


def _sentence(old: Row | None, new: Row | None, explain: ExplainTrees | None) -> str:
    if old is None:
        assert new is not None
        return f"{new.label} is new{_shown(new)}"
    if new is None:
        return f"{old.label} is gone"
    if new.kind == "look":
        words, before = (row.value.partition(CONTENT)[0].strip() for row in (new, old))
        return f"{new.label} is now {words}" if words not in ("", before) else f"{new.label} changed"
    if not new.value.startswith(CONTENT) and not old.value.startswith(CONTENT):
        return f"{new.label}: {_written(old)} → {_written(new)}"
    files = tuple(explain(old.value.removeprefix(CONTENT), new.value.removeprefix(CONTENT))) if explain else ()
    if new.kind == "read" and new.name.endswith("/"):
        return f"the files in {new.label} changed" + (f": {', '.join(map(_name_sentence, files))}" if files else "")
    return f"{new.label} changed" + (f" ({', '.join(files)})" if files else "")


def _name_sentence(words: str) -> str:
    """Return what became of a name in a folder, in words; `words` are those of a tree's difference."""
    name, _, what = words.rpartition(" ")
    return f"{name} is {_HAPPENED[what]}" if what in _HAPPENED else words


def _shown(row: Row) -> str:
    if row.kind == "look":
        words = row.value.partition(CONTENT)[0].strip()
        return f": {words}" if words else ""
    return "" if not row.value or row.kind == "read" or row.value.startswith(CONTENT) else f": {_written(row)}"


def _written(row: Row) -> str:
    """Return the value of a row as its user has written it: templates have other braces doubled."""
    return _short(row.value.replace("{{", "{") if row.kind in _TEMPLATES else row.value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


_CODE = ("recipe", "step type", "script", "module")
_COMMAND = (*_CODE, "argument", "file")


def code_key(fingerprint: Fingerprint) -> str:
    """Return the key of the rows that tell which code a step has."""
    kinds = _CODE if any(row.kind == "script" for row in fingerprint.rows) else _COMMAND
    return Fingerprint(tuple(row for row in fingerprint.rows if row.kind in kinds)).key


def partial_key(fingerprint: Fingerprint) -> str:
    """Return the key of the rows that are known before any input is: without inputs and how they are read, reads and looks."""
    return fingerprint.without("input", "beside", "reading", "order", "read", "look").key
