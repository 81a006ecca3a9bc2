"""What is asked of a shared store for each step, answered for many steps at once: from bundles, and from listings of all that is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.shared.bundles import WORTH_STEPS, Bundles
from stepwell.blocks.store.shared.envelope import Refused
from stepwell.blocks.store.shared.layout import found_key, index_folder, observed_folder, partial_folder, record_name
from stepwell.blocks.store.shared.remote_results import RemoteResults, Shared

_ASKED_ALONE = 8
"""How many questions are asked one by one before a listing answers the others."""

_NAMES, _NAMES_PER_STEP, _MOST_NAMES = 2000, 100, 200_000
"""Up to how many names are listed at once: a tenth of the requests that so many steps would need one by one."""

_BELIEVED_SECONDS = 30.0
_NEAREST, _ALIKE = 3, 20


class Names:
    """The names that begin in some way: asked for one by one, and once that is often, all of them by a listing.

    Args:
        objects: Where they are.
        begin: How they begin.
        asked_alone: How many questions are asked one by one.
        believed: For how many seconds a listing answers.
    """

    def __init__(
        self, objects: RemoteObjects, begin: str, asked_alone: int = _ASKED_ALONE, believed: float = _BELIEVED_SECONDS
    ) -> None:
        self._objects, self._begin, self._asked_alone, self._believed = objects, begin, asked_alone, believed
        self._guard = threading.Lock()
        self._asked = 0
        self._listed_at: float | None = None
        self._folders: dict[str, list[str]] | None = None

    def below(self, folder: str, most: int) -> list[str] | None:
        """Return the names in a folder by order; None if they are to be asked for alone, as of more than `most` in all."""
        with self._guard:
            is_old = self._listed_at is None or time.monotonic() - self._listed_at > self._believed
            if self._asked >= self._asked_alone and is_old:
                self._folders, self._listed_at = self._listed(most), time.monotonic()
                if self._folders is None:  # too many: it takes as long again to ask anew
                    self._asked = 0
            return None if self._folders is None else self._folders.get(folder, [])

    def note_alone(self) -> None:
        """Note that something was asked for alone that a listing would have told."""
        with self._guard:
            self._asked += 1

    def _listed(self, most: int) -> dict[str, list[str]] | None:
        found: dict[str, list[str]] = {}
        for count, entry in enumerate(self._objects.list(self._begin)):
            if count >= most:
                return None
            found.setdefault(entry.name[: entry.name.rfind("/") + 1], []).append(entry.name)
        return found


class Questions:
    """What a process asks of the results on a datastore."""

    def __init__(self, results: RemoteResults, bundles: Bundles) -> None:
        self._results, self._bundles = results, bundles
        objects = results.objects
        self._records, self._index, self._partial = (
            Names(objects, begin) for begin in ("records/", "index/", "partial/")
        )
        self._reads = Names(objects, "observed/", asked_alone=0, believed=float("inf"))
        self._paths: dict[str, set[str]] = {}
        self._arrived: set[str] = set()
        self._most = _NAMES

    def foresee(self, name: str, steps: int) -> None:
        """Expect a run of so many steps under a name of earlier ones."""
        self._most = min(max(_NAMES, steps * _NAMES_PER_STEP), _MOST_NAMES)
        if steps >= WORTH_STEPS:
            self._bundles.foresee(name)

    def note_arrived(self, key: str) -> None:
        """Note that a result was seen that may have come after the last listing."""
        self._arrived.add(key)

    def record(self, key: str) -> Shared | Refused | None:
        """Return the result of a key, why what is there is not believed, or None if there is nothing."""
        told, name = self._bundles.find(key), record_name(key)
        if told is not None:
            return self._results.opened(key, told, str(told["key_id"]))
        if key not in self._arrived:
            known = self._records.below(name[: name.rfind("/") + 1], self._most)
            if known is not None and name not in known:
                return None
        found = self._results.read(key)
        if found is None:
            self._records.note_alone()
        return found

    def nearest(self, step: str) -> Iterator[Shared]:
        """Yield the latest results of a step of that name."""
        yield from self._found(self._index, index_folder(step), _NEAREST)

    def alike(self, fixed: str) -> Iterator[Shared]:
        """Yield the latest results with these rows."""
        yield from self._found(self._partial, partial_folder(fixed), _ALIKE)

    def observed(self, code: str) -> set[str]:
        """Return the paths that steps with this code were seen to read, as this process was told when it first asked."""
        if code not in self._paths:
            names = self._reads.below(observed_folder(code), self._most)
            found = self._results.observed(code) if names is None else names
            self._paths[code] = {self._results.path_of(name) for name in found} - {""}
        return self._paths[code]

    def _found(self, names: Names, folder: str, most: int) -> Iterator[Shared]:
        listed = names.below(folder, self._most)
        if listed is None:
            names.note_alone()
            listed = [entry.name for entry in islice(self._results.objects.list(folder), most)]
            alone = most
        else:
            alone = 1
        keys = [found_key(name) for name in listed[:most]]
        told = {key: payload for key in keys if (payload := self._bundles.find(key)) is not None}
        for key in told or keys[:alone]:  # one that came along is near enough
            payload = told.get(key)
            if payload is None:
                found = self._results.read(key)
            else:
                found = self._results.opened(key, payload, str(payload["key_id"]))
            if isinstance(found, Shared):
                yield found
