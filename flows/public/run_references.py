"""How people name a run: `digits#12`, `#12`, its id or the beginning of it, or the name that somebody chose for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.workspace.base_workspace import BaseWorkspace

_SHORTEST = 8
"""The digits of an id that are shown at least: shorter ones would soon mean several runs."""
_NUMBERED = re.compile(r"(?P<pipeline>.*?) ?#(?P<number>[0-9]{1,9})", re.DOTALL)


def matching_runs(workspace: BaseWorkspace, word: str) -> list[RunFolder]:
    """Return the runs of the workspace that the word names: one at most, unless it begins several ids or was chosen twice."""
    folders = [RunFolder(path) for path in workspace.store.run_folders()]
    exact = [run for run in folders if run.run_id == word]
    numbered = _NUMBERED.fullmatch(word)
    if exact or not word:
        return exact
    if numbered:
        pipeline, number = numbered["pipeline"], int(numbered["number"])
        found = [run for run in folders if run.facts().get("number") == number]
        return [run for run in found if pipeline in ("", run.label.rpartition("#")[0])]
    found = []
    if word.isascii() and word.isdecimal() and len(word) < _SHORTEST:  # `#12` begins a comment in a shell
        found = [run for run in folders if run.facts().get("number") == int(word)]
    return (
        found
        or [run for run in folders if run.run_id.startswith(word)]
        or [run for run in folders if run.facts().get("name") == word]
    )


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
