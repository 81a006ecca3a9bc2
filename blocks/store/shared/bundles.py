"""The records of a run of many steps in one object, so that who runs the same asks once, not once for each step.

`bundles/<name>/!<time>-<keys>` is signed by who made it, and tells of each record who had signed that: it is believed only if both are. It tells
nothing that `records/` doesn't, and can be lost.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.shared.envelope import Keys, Refused, seal, unseal
from stepwell.errors import StepwellError
from stepwell.model.digests import digest

WORTH_STEPS = 30
"""How many steps a pipeline must have for its records to be told together."""

_KIND = "bundle"
_READ, _KEPT = 2, 3
_CHUNK, _MOST, _OPEN = 100, 20_000, 4
_END_OF_TIME = 10**14

Payload = dict[str, Any]
"""What a record's own object says, and `key_id`: who had signed it."""


class Bundle:
    """Records as one object told them, unpacked a hundred at once."""

    def __init__(self, payload: Payload) -> None:
        self._chunks: list[str] = payload["chunks"]
        self._places = {str(key): number for number, keys in enumerate(payload["keys"]) for key in keys}
        self._open: dict[int, dict[str, Payload]] = {}

    def find(self, key: str) -> Payload | None:
        """Return what it tells of a key, None if nothing."""
        number = self._places.get(key)
        if number is None:
            return None
        if number not in self._open:
            while len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open)))
            told = json.loads(zlib.decompress(base64.b64decode(self._chunks[number])))
            self._open[number] = {str(one): payload for one, payload in told}
        return self._open[number].get(key)


class Bundles:
    """The bundle of the run that is foreseen: read when the first record is missing here, told when the run has ended."""

    def __init__(self, objects: RemoteObjects, keys: Keys) -> None:
        self._objects, self._keys = objects, keys
        self._guard = threading.Lock()
        self._folder = ""
        self._loaded: list[Bundle] | None = None
        self._members: dict[str, None] = {}
        self._is_stale = False

    def foresee(self, name: str) -> None:
        """Expect a run of many steps: one that has the name of earlier ones, whose results it may have, too."""
        folder = f"bundles/{digest(_KIND, name)[:32]}/"
        with self._guard:
            self._folder, self._loaded = folder, None
            self._members, self._is_stale = {}, False

    def note(self, key: str) -> None:
        """Note that the run uses the result, or has made it."""
        if self._folder:
            self._members[key] = None

    def note_stale(self) -> None:
        """Note that what was told before is no longer so."""
        self._is_stale = True

    def find(self, key: str) -> Payload | None:
        """Return what the latest bundles tell of a key, None if nothing that is to be believed."""
        if not self._folder:
            return None
        with self._guard:
            if self._loaded is None:
                self._loaded = list(self._read())
            for bundle in self._loaded:
                with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error):
                    found = bundle.find(key)
                    if found is not None and not self._distrust(str(found["key_id"])):
                        return found
        return None

    def tell(self, tells: Callable[[list[str]], Iterator[tuple[str, Payload]]]) -> str:
        """Let others have the records of the run in one object, unless it is there; `tells` yields those that are shared."""
        with self._guard:
            folder, members, stale = self._folder, list(islice(self._members, _MOST)), self._is_stale
            self._members, self._is_stale = {}, False
        if len(members) < WORTH_STEPS:
            return ""
        key = self._keys.own()
        if self._keys.distrust(key.key_id):
            return ""
        named = digest(_KIND, sorted(members))[:16]
        known = [entry.name for entry in self._objects.list(folder)]
        if not stale and any(name.endswith(f"-{named}") for name in known):
            return ""
        keys, chunks = _packed(tells(members))
        payload = {"kind": _KIND, "of": folder, "keys": keys, "chunks": chunks}
        name = f"{folder}!{_END_OF_TIME - int(time.time() * 1000):015d}-{named}"
        self._objects.put(name, seal(payload, key))
        self._objects.delete(sorted({*known, name})[_KEPT:])
        return ""

    # ----------------------------------------------------------------------------------------------------------------

    def _read(self) -> Iterator[Bundle]:
        for entry in list(islice(self._objects.list(self._folder), _READ)):
            opened = unseal(self._objects.get(entry.name) or b"", self._keys)
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                if not isinstance(opened, Refused) and opened[0]["kind"] == _KIND and opened[0]["of"] == self._folder:
                    yield Bundle(opened[0])

    def _distrust(self, key_id: str) -> str:
        try:
            return self._keys.distrust(key_id)
        except StepwellError:
            return "can't be checked without Prefect's server"


def _packed(told: Iterable[tuple[str, Payload]]) -> tuple[list[list[str]], list[str]]:
    """Return the keys of each chunk, and the chunks; one at a time is ever unpacked."""
    keys, chunks, left = [], [], iter(told)
    while chunk := list(islice(left, _CHUNK)):
        keys.append([key for key, _ in chunk])
        chunks.append(base64.b64encode(zlib.compress(json.dumps(chunk, separators=(",", ":")).encode(), 6)).decode())
    return keys, chunks
