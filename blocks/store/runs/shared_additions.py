"""What is added to runs after their scripts, as objects of a datastore: `marks/<run id>.<key>.<random>.{events,files}.zip`, signed.

None of them ever changes. What events name as files comes when it is small, or somebody needs it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.remote.storage_drivers.driver import Entry
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.runs import additions
from stepwell.blocks.store.runs.signed import signed_archive, why_no_trust_in_archive
from stepwell.blocks.store.shared.envelope import Keys

PLACE = "marks/"
_NAME = re.compile(
    rf"{PLACE}(?P<run>[0-9a-f-]{{36}})\.[0-9a-f]{{1,64}}\.[0-9a-f]{{16}}\.(?P<kind>events|files)\.zip", re.ASCII
)
_AT_ONCE = 16
EVENTS_ONLY, SMALL, ALL = -1, 1 << 20, 1 << 60
"""Up to how many bytes of files are brought: none, those that come unasked when somebody looks at a run, or all."""


class SharedAdditions:
    """What is added to the runs whose folders are in `folder`, here and elsewhere."""

    def __init__(self, objects: RemoteObjects, folder: Path, keys: Keys | None) -> None:
        self._objects, self._folder, self._keys = objects, folder, keys

    def bring(self, listed: Iterable[Entry], largest: int) -> None:
        """Take over the events among the objects that were listed, and archives of files of up to so many bytes."""
        wanted: dict[str, list[str]] = {}
        for entry in listed:
            found = _NAME.fullmatch(entry.name)
            if found and (found["kind"] == "events" or entry.size <= largest):
                wanted.setdefault(found["run"], []).append(entry.name)
        for run_id, names in wanted.items():
            run = RunFolder(self._folder / run_id)
            new = sorted(set(names) - additions.taken(run)) if run.path.is_dir() else []
            if new:
                with ThreadPoolExecutor(min(_AT_ONCE, len(new)), thread_name_prefix="stepwell-runs") as pool:
                    for name, data in zip(new, pool.map(self._read, new), strict=True):
                        if data:
                            additions.take(run, name, data)

    def tell(self, run: RunFolder, key: str) -> str:
        """Tell others what was added here, signed with that key of this home, and return why they don't believe it, '' if they do."""
        if not additions.is_pending(run):
            return ""
        with additions.telling(run):
            size, told = additions.pending(run)
            names, part = [], f"{PLACE}{run.run_id}.{key}.{os.urandom(8).hex()}"
            for kind, data in told.items():
                name = f"{part}.{kind}.zip"
                signed = signed_archive(name, data, self._keys)
                refused = why_no_trust_in_archive(name, signed, self._keys)
                if refused:
                    return f"it {refused}"
                self._objects.put(name, signed)
                names.append(name)
            additions.forget_pending(run, size, names)
        return ""

    def _read(self, name: str) -> bytes:
        data = self._objects.get(name) or b""
        return b"" if why_no_trust_in_archive(name, data, self._keys) else data
