"""What can name an experiment, the names of what nobody named, and how people name a run.

A run is `digits#12`, `#12`, its id or the beginning of it, or the name that somebody chose for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs.run_index import RunEntry, runs_of
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import UserErrorException

EXPERIMENT_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$"
UNFIT = "/%&><"
"""What the names of Prefect's flows can't have."""

_LONGEST = 200


def check_experiment(name: str) -> str:
    """Return `name`; raise UserErrorException if it can't name an experiment."""
    if not isinstance(name, str) or not re.fullmatch(EXPERIMENT_PATTERN.strip("^$"), name):
        raise UserErrorException(
            f"{name!r:.300} can't name an experiment",
            hint="Use 1 to 255 letters, digits, '_' and '-', the first a letter or digit.",
        )
    return name


def usual_experiment(name: str) -> str:
    """Return the experiment of runs for which nobody named one: the pipeline's name, as far as it can name one."""
    found = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in name)
    return found.lstrip("_-")[:255] or "published"


def usual_name(description: str | None) -> str:
    """Return the name of a pipeline for which nobody chose one: its description as far as it can name one, on one line."""
    words = " ".join((description or "").split())
    found = "".join("_" if char in UNFIT else char for char in words if char.isprintable())
    return found[:_LONGEST].strip() or "pipeline"


_SHORTEST = 8
"""The digits of an id that are shown at least: shorter ones would soon mean several runs."""
_NUMBERED = re.compile(r"(?P<pipeline>.*?) ?#(?P<number>[0-9]{1,9})", re.DOTALL)


def matching_runs(workspace: BaseWorkspace, word: str) -> list[RunFolder]:
    """Return the runs of the workspace that the word names: one at most, unless it begins several ids or was chosen twice."""
    return [entry.folder for entry in matching_entries(runs_of(workspace.run_place), word)]


def matching_entries(entries: Sequence[RunEntry], word: str) -> list[RunEntry]:
    """Return those of the runs that the word names."""
    exact = [run for run in entries if run.run_id == word]
    numbered = _NUMBERED.fullmatch(word)
    if exact or not word:
        return exact
    if numbered:
        pipeline, number = numbered["pipeline"], int(numbered["number"])
        return _own_first(
            [run for run in entries if run.number == number and pipeline in ("", run.label.rpartition("#")[0])]
        )
    if word.isascii() and word.isdecimal() and len(word) < _SHORTEST:  # `#12` begins a comment in a shell
        found = _own_first([run for run in entries if run.number == int(word)])  # never a run whose id begins so
    else:
        found = [run for run in entries if run.run_id.startswith(word)]
    return found or [run for run in entries if run.name == word]


def _own_first(found: list[RunEntry]) -> list[RunEntry]:
    """Return those of the runs that this machine numbered, if there are any: each machine counts by itself."""
    own = [run for run in found if not run.folder.heard()] if len(found) > 1 else []
    return own or found


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Return for each id the shortest beginning, of eight characters at least, that no other of them has."""
    ordered = sorted(set(ids))
    found = {}
    for position, run_id in enumerate(ordered):
        beside = ordered[max(0, position - 1) : position] + ordered[position + 1 : position + 2]
        length = _SHORTEST
        while length < len(run_id) and any(other.startswith(run_id[:length]) for other in beside):
            length += 1
        found[run_id] = run_id[:length]
    return found
