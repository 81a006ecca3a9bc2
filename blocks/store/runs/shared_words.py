"""What people say of runs, as objects of a datastore: `marks/<run id>.<key>.<sequence>.json`, signed together with that name.

Each home has one document for a run. A new version is written under a name of its own before the earlier one goes, so that there is
always a whole one, also where nothing can be replaced at once; whoever puts an earlier one back is not heard.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import words
from stepwell.blocks.store.runs.signed import signed_document, why_no_trust
from stepwell.blocks.store.shared.envelope import Keys
from stepwell.blocks.system.home import make_folder
from stepwell.errors import StepwellError

_PLACE = "marks/"
_NAME = re.compile(r"marks/(?P<run>[0-9a-f-]{36})\.(?P<key>[0-9a-f]{1,64})\.(?P<sequence>[0-9]{1,12})\.json", re.ASCII)
_AT_ONCE = 16


class SharedWords:
    """What is said of the runs whose folders are in `folder`, here and elsewhere."""

    def __init__(self, objects: RemoteObjects, folder: Path, keys: Keys | None) -> None:
        self._objects, self._folder, self._keys = objects, folder, keys

    def now(self) -> float:
        """Return what the datastore's clock tells."""
        return self._objects.now()

    def are_others(self) -> bool:
        """Return whether there may be machines that say something."""
        return self._keys is None or self._keys.are_others()

    # Hearing ----------------------------------------------------------------------------------------------------------

    def bring(self, run_id: str = "") -> None:
        """Bring what was said on other machines of the run, or of all runs whose folders are here: by one listing."""
        newest: dict[tuple[str, str], int] = {}
        for entry in self._objects.list(f"{_PLACE}{run_id}."[: None if run_id else len(_PLACE)]):
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
        """Tell other machines what was said of the run on this one; return why they don't hear it, '' if they do."""
        key = self._own_key()
        if not key:
            return "Prefect's server, which tells whose word it is, does not answer"
        mine = f"{_PLACE}{run.run_id}.{key}."
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
        self.forget_untold(run.run_id)
        return ""

    def remove(self, run_id: str) -> None:
        """Remove what was said of a run."""
        self._objects.delete([entry.name for entry in self._objects.list(f"{_PLACE}{run_id}.")])

    # What is still to be told ---------------------------------------------------------------------------------------------

    def note_untold(self, run_id: str) -> None:
        """Note that what was said of the run is still to be told."""
        with suppress(OSError):
            make_folder(self._untold)
            (self._untold / run_id).touch()

    def forget_untold(self, run_id: str) -> None:
        """Forget that it was."""
        with suppress(OSError):
            (self._untold / run_id).unlink(missing_ok=True)

    def is_untold(self, run_id: str) -> bool:
        """Return whether what was said of the run is still to be told."""
        return (self._untold / run_id).exists()

    def tell_missed(self, *, but: Iterable[str] = ()) -> None:
        """Tell what could not be told when it was said."""
        try:
            missed = sorted(set(os.listdir(self._untold)) - set(but))
        except OSError:
            return
        for run_id in missed:
            run = RunFolder(self._folder / run_id)
            if words.own_words(run)[0]:
                self.tell(run)
            else:
                self.forget_untold(run_id)

    @property
    def _untold(self) -> Path:
        return self._folder.parent / "untold-words"


def _name(run: RunFolder, key: str, sequence: int) -> str:
    return f"{_PLACE}{run.run_id}.{key}.{sequence}.json"
