"""What people say of a run after its scripts: tags, a note, a name, and that it stays. Of each, the latest word counts.

Every machine writes a document of its own, `said/own.json` in the run's folder, so that nobody ever writes over another's; those of other
machines stand beside it as `said/<key>.<sequence>.json`. Whoever reads all of them reads the same, in whatever order they came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.blocks.store.run_folder import Event, RunFolder
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.locks import exclusive
from stepwell.model.regular_files import read_bytes

FOLDER, OWN = "said", "own.json"
PINNED = "pinned"
_FORMAT = 1
_LATER = 0.001
_KINDS = ("tag", "note", "name", PINNED)
_THEIRS = re.compile(r"(?P<key>[0-9a-f]{1,64})\.(?P<sequence>[0-9]{1,12})\.json", re.ASCII)


class Subject(NamedTuple):
    """Of what something is said: `tag`, `note`, `name` (a name for people) or `pinned`, of the run or of one of its steps."""

    kind: str
    name: str = ""
    """The tag's name."""

    step: str = ""


class Word(NamedTuple):
    """What was said, and when; `value`: a text, None for a tag without one; `gone`: it was taken back."""

    at: float
    gone: bool
    value: str | None


class Gone:
    """Says in `say` that a tag is taken off, a note removed, a run no longer pinned."""


GONE = Gone()
Words = dict[Subject, Word]


def words_of(run: RunFolder) -> Words:
    """Return what was said of the run, by whomever, as far as it is known here."""
    found: Words = {}
    for path in _documents(run):
        merge(found, read_words(_bytes(path))[1])
    return found


def own_words(run: RunFolder) -> tuple[int, Words]:
    """Return what was said of the run on this machine, and the number of that document's version; 0 if nothing was."""
    return read_words(_bytes(run.path / FOLDER / OWN))


def say(run: RunFolder, said: Mapping[Subject, str | Gone | None], clock: Callable[[], float]) -> None:
    """Note what is said of the run on this machine; it is later than all that is known here, whatever the `clock` tells."""
    with changing(run):
        known, now = words_of(run), clock()
        sequence, own = own_words(run)
        for subject, value in said.items():
            at = max(now, known[subject].at + _LATER if subject in known else now)
            gone = isinstance(value, Gone)
            own[subject] = Word(at, gone, None if isinstance(value, Gone) else value)
        _write_own(run, sequence + 1, own)
    _apply(run)


def keep_own(run: RunFolder, sequence: int, words: Words) -> None:
    """Take back what this machine had said, as others still know it, since its folder of the run is a new one."""
    with changing(run):
        known, own = own_words(run)
        is_new = bool(own) and own != words
        _write_own(run, max(sequence, known) + is_new, merge(own, words))
    _apply(run)


def keep_theirs(run: RunFolder, key: str, sequence: int, data: bytes) -> None:
    """Keep the document of another machine, in place of its earlier ones."""
    with changing(run):
        write_atomically(run.path / FOLDER / f"{key}.{sequence}.json", data)
        _drop(run, key, below=sequence)
    _apply(run)


def has_theirs(run: RunFolder, key: str, sequence: int) -> bool:
    """Return whether this version of another machine's document is known here, or a later one."""
    return (run.path / FOLDER / f"{key}.{sequence}.json").exists() or any(
        number > sequence for number in _versions(run, key)
    )


def drop_theirs(run: RunFolder, key: str) -> None:
    """Forget what was said by whom nobody believes any more."""
    if any(True for _ in _versions(run, key)):
        with changing(run):
            _drop(run, key, below=None)
        _apply(run)


def read_words(data: bytes) -> tuple[int, Words]:
    """Return the number of a document's version, and what it says; of what can't be understood nothing."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        told = json.loads(data)
        if told["format"] == _FORMAT:
            return max(0, int(told["sequence"])), dict(filter(None, map(_word, told["said"])))
    return 0, {}


def written_words(sequence: int, words: Words) -> bytes:
    """Return the document that says this."""
    said = [
        {**subject._asdict(), "at": word.at, **({} if word.gone else {"value": word.value})}
        for subject, word in words.items()
    ]
    return json.dumps({"format": _FORMAT, "sequence": sequence, "said": said}, separators=(",", ":")).encode()


def merge(known: Words, more: Words) -> Words:
    """Add to what is known what is later, and return it; words of one moment are put in an order that is the same for everybody."""
    for subject, word in more.items():
        if subject not in known or _order(word) > _order(known[subject]):
            known[subject] = word
    return known


# What it means -----------------------------------------------------------------------------------------------------------


def told_facts(facts: dict[str, Any], words: Words) -> dict[str, Any]:
    """Return a run's facts with the note and the name that people gave it."""
    found = dict(facts)
    for kind, fact in (("note", "description"), ("name", "display_name")):
        word = words.get(Subject(kind))
        if word is not None:
            found[fact] = "" if word.gone else word.value or ""
    return found


def tag_events(words: Words, logged: Iterable[Event], step: str = "") -> list[Event]:
    """Return the tags that people set, of the run or of a step, as events after all that was `logged`: people have the last word."""
    last = max((float(event["time"]) for event in logged), default=0.0)
    scope = "step" if step else "parent"
    return [
        {
            "type": "untag" if word.gone else "tag",
            "scope": scope,
            "name": subject.name,
            "value": "" if word.gone else word.value,
            "time": max(last, word.at),
        }
        for subject, word in words.items()
        if subject.kind == "tag" and subject.step == step
    ]


def _apply(run: RunFolder) -> None:
    """Let the file that keeps a run say what people last said."""
    word = words_of(run).get(Subject(PINNED))
    with suppress(OSError):
        if word is not None and word.gone:
            (run.path / PINNED).unlink(missing_ok=True)
        elif word is not None:
            (run.path / PINNED).touch()


# Files -------------------------------------------------------------------------------------------------------------------


def changing(run: RunFolder) -> AbstractContextManager[bool]:
    """Let nobody else on this machine change what was said of the run."""
    make_folder(run.path / FOLDER)
    return exclusive(run.path / FOLDER / ".lock")


def _documents(run: RunFolder) -> list[Path]:
    return [path for path in _files(run) if path.name == OWN or _THEIRS.fullmatch(path.name)]


def _files(run: RunFolder) -> list[Path]:
    try:
        return sorted((run.path / FOLDER).iterdir())
    except OSError:
        return []


def _versions(run: RunFolder, key: str) -> Iterable[int]:
    found = (_THEIRS.fullmatch(path.name) for path in _files(run))
    return (int(match["sequence"]) for match in found if match and match["key"] == key)


def _drop(run: RunFolder, key: str, below: int | None) -> None:
    for sequence in list(_versions(run, key)):
        if below is None or sequence < below:
            (run.path / FOLDER / f"{key}.{sequence}.json").unlink(missing_ok=True)


def _write_own(run: RunFolder, sequence: int, words: Words) -> None:
    write_atomically(run.path / FOLDER / OWN, written_words(sequence, words))


def _bytes(path: Path) -> bytes:
    with suppress(OSError):
        return read_bytes(path)
    return b""


def _word(told: Any) -> tuple[Subject, Word] | None:
    kind, name, step, at, value = (told.get(key, "") for key in ("kind", "name", "step", "at", "value"))
    texts = isinstance(name, str) and isinstance(step, str) and (value is None or isinstance(value, str))
    if kind in _KINDS and texts and isinstance(at, (int, float)) and not isinstance(at, bool) and 0 <= at < 1e11:
        return Subject(kind, name, step), Word(float(at), "value" not in told, value if "value" in told else None)
    return None


def _order(word: Word) -> tuple[float, bool, str]:
    return word.at, word.gone, word.value or ""
