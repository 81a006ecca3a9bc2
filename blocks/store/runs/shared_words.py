"""What people say of runs, as objects of a datastore: `marks/<run id>.<key>.<sequence>.json`, signed together with that name.

Each home has one document for a run. A new version is written under a name of its own before the earlier one goes, so that there is
always a whole one, also where nothing can be replaced at once; whoever puts an earlier one back is not heard.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import words
from stepwell.blocks.store.runs.additions import is_pending
from stepwell.blocks.store.runs.shared_additions import ALL, EVENTS_ONLY, PLACE, SMALL, SharedAdditions
from stepwell.blocks.store.runs.signed import signed_document, why_no_trust
from stepwell.blocks.store.runs.told_later import ToldLater
from stepwell.blocks.store.shared.envelope import Keys
from stepwell.errors import StepwellError

_NAME = re.compile(r"marks/(?P<run>[0-9a-f-]{36})\.(?P<key>[0-9a-f]{1,64})\.(?P<sequence>[0-9]{1,12})\.json", re.ASCII)
_AT_ONCE = 16


class SharedWords:
    """What is said of the runs whose folders are in `folder`, here and elsewhere."""

    def __init__(self, objects: RemoteObjects, folder: Path, keys: Keys | None) -> None:
        self._objects, self._folder, self._keys = objects, folder, keys
        self._added = SharedAdditions(objects, folder, keys)
        self.untold = ToldLater(folder.parent / "untold-words")

    def now(self) -> float:
        """Return what the datastore's clock tells."""
        return self._objects.now()

    def are_others(self) -> bool:
        """Return whether there may be machines that say something."""
        return self._keys is None or self._keys.are_others()

    # Hearing ----------------------------------------------------------------------------------------------------------

    def bring(self, run_id: str = "", *, files: bool = False) -> None:
        """Bring what was said on other machines of the run, or of all runs whose folders are here: by one listing.

        What was added to them comes, too: of one run small files with it, and all if it is the `files` that somebody needs.
        """
        newest: dict[tuple[str, str], int] = {}
        listed = list(self._objects.list(f"{PLACE}{run_id}."[: None if run_id else len(PLACE)]))
        self._added.bring(listed, ALL if files else SMALL if run_id else EVENTS_ONLY)
        for entry in listed:
            found = _NAME.fullmatch(entry.name)
            if found:
                one = found["run"], found["key"]
                newest[one] = max(newest.get(one, 0), int(found["sequence"]))
        own = self._own_key() if newest else ""
        wanted = [
            (RunFolder(self._folder / run), key, sequence)
            for (run, key), sequence in newest.items()
            if (self._folder / run).is_dir()
        ]
        new = [one for one in wanted if self._is_news(*one, own)]
        if new:
            with ThreadPoolExecutor(min(_AT_ONCE, len(new)), thread_name_prefix="stepwell-runs") as pool:
                list(pool.map(lambda one: self._fetch(one[0], one[1], one[2], own), new))

    def _is_news(self, run: RunFolder, key: str, sequence: int, own: str) -> bool:
        if key == own:
            return words.own_words(run)[0] < sequence
        if self._distrust(key):
            words.drop_theirs(run, key)
            return False
        return not words.has_theirs(run, key, sequence)

    def _fetch(self, run: RunFolder, key: str, sequence: int, own: str) -> None:
        name = _name(run, key, sequence)
        data = self._objects.get(name) or b""
        refused, signed_by = why_no_trust(name, data, self._keys)
        told, said = words.read_words(data)
        if refused or (self._keys is not None and signed_by != key) or told != sequence:
            return
        if key == own:
            words.keep_own(run, sequence, said)
        else:
            words.keep_theirs(run, key, sequence, data)

    def _distrust(self, key: str) -> str:
        if self._keys is None:
            return ""
        try:
            return self._keys.distrust(key)
        except StepwellError:  # without Prefect's server nothing new can be believed, nor be told from what was
            return ""

    def _own_key(self) -> str:
        with suppress(StepwellError):
            return self._keys.own().key_id if self._keys is not None else "0"
        return ""

    # Telling ----------------------------------------------------------------------------------------------------------

    def tell(self, run: RunFolder) -> str:
        """Tell other machines what was said of the run, and added to it, on this one; return why they don't hear it, '' if they do."""
        key = self._own_key()
        if not key:
            return "Prefect's server, which tells whose word it is, does not answer"
        refused = self._added.tell(run, key) or (self._tell_words(run, key) if words.own_words(run)[0] else "")
        if not refused and not is_pending(run):
            self.untold.forget(run.run_id)
        return refused

    def _tell_words(self, run: RunFolder, key: str) -> str:
        mine = f"{PLACE}{run.run_id}.{key}."
        told = [int(found["sequence"]) for entry in self._objects.list(mine) if (found := _NAME.fullmatch(entry.name))]
        if told and max(told) >= words.own_words(run)[0]:  # the folder here is a new one
            self._fetch(run, key, max(told), key)
        sequence, said = words.own_words(run)
        name = _name(run, key, sequence)
        data = signed_document(name, words.written_words(sequence, said), self._keys)
        refused = why_no_trust(name, data, self._keys)[0]
        if refused:
            return f"it {refused}"
        self._objects.put(name, data)
        self._objects.delete([f"{mine}{number}.json" for number in told if number < sequence])
        return ""

    def remove(self, run_id: str) -> None:
        """Remove what was said of a run."""
        self._objects.delete([entry.name for entry in self._objects.list(f"{PLACE}{run_id}.")])

    def tell_missed(self) -> None:
        """Tell what could not be told when it was said."""
        for run_id in self.untold.run_ids():
            run = RunFolder(self._folder / run_id)
            if words.own_words(run)[0] or is_pending(run):
                self.tell(run)
            else:
                self.untold.forget(run_id)


def _name(run: RunFolder, key: str, sequence: int) -> str:
    return f"{PLACE}{run.run_id}.{key}.{sequence}.json"
