"""What files of datastores hold, as other machines have read them: whoever lists the same version needs not fetch it to know its digest.

`versions/<place>/<key>.<count>.<random>.json` is a signed piece of the table of one folder of a datastore: paths, what a listing told of
each, and the digest of its bytes. A home adds what it learnt as a new piece, into which it takes its smaller ones: so a table of n files is a few
pieces, and none is written more than about log n times. A piece that nobody wrote for long is collected as garbage, unless
somebody who believed what it tells says so.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.shared.collection import touch
from stepwell.blocks.store.shared.envelope import Keys, Refused, seal, unseal
from stepwell.blocks.store.sharing import Told
from stepwell.model.digests import digest

_NAME = re.compile(r"versions/[0-9a-f]{32}/(?P<key>[0-9a-z]{1,64})\.(?P<count>[0-9]{1,9})\.[0-9a-f]{8}\.json", re.ASCII)
_PIECE, _KIND = 100_000, "versions"
_OLD_SECONDS = 7 * 86_400.0
_AT_ONCE, _BELIEVED_SECONDS, _MOST_PLACES = 8, 30.0, 16
_GATHERED_SECONDS = 0.3


@dataclass
class _Table:
    """Digests by path and version, and the names of those old pieces that tell them, until they were used."""

    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    old: dict[tuple[str, str], str] = field(default_factory=dict)


class SharedVersions:
    """The tables beside a shared store.

    Args:
        objects: Where they stand.
        keys: Who is believed.
        asked: Asks a question of a datastore that may be away, or returns what is given instead.
        submit: Does something in the background, known by a name; None if this machine tells nothing.
    """

    def __init__(
        self,
        objects: RemoteObjects,
        keys: Keys,
        asked: Callable[[Callable[[], Any], Any], Any],
        submit: Callable[[str, Callable[[], str]], object] | None,
    ) -> None:
        self._objects, self._keys, self._asked, self._submit = objects, keys, asked, submit
        self._guard = threading.Lock()
        self._recalled: dict[str, tuple[float, _Table]] = {}
        self._pending: dict[str, dict[str, tuple[str, str]]] = {}
        self._flushes = 0

    def recall(self, place: str, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the SHA-256 of those of the files of a place, by path, whose versions somebody has read."""
        if not wanted:
            return {}
        at, table = self._recalled.get(place, (-_BELIEVED_SECONDS, _Table()))
        if time.monotonic() - at > _BELIEVED_SECONDS:
            table = self._asked(lambda: self._table(place), _Table())
            with self._guard:
                if len(self._recalled) >= _MOST_PLACES:
                    self._recalled.clear()
                self._recalled[place] = time.monotonic(), table
        known = {path: found for path, tag in wanted.items() if (found := table.digests.get((path, tag), ""))}
        used = {piece for path in known if (piece := table.old.pop((path, wanted[path]), ""))}
        if used and self._submit is not None:
            self._submit(f"used {sorted(used)}", partial(self._tell_use, sorted(used)))
        return known

    def _tell_use(self, pieces: list[str]) -> str:
        touch(self._objects, pieces)
        return ""

    def remember(self, place: str, found: Told) -> None:
        """Let others know what files of a place hold, in the background."""
        if self._submit is None or not found:
            return
        with self._guard:
            is_first = not self._pending
            self._pending.setdefault(place, {}).update(found)
            self._flushes += is_first
            number = self._flushes
        if is_first:
            self._submit(f"versions {number}", self._flush)

    # ----------------------------------------------------------------------------------------------------------------

    def _table(self, place: str) -> _Table:
        """Return what all pieces tell; of a version for which two tell different things nothing."""
        found = _Table()
        pieces = [entry for entry in self._objects.list(_folder(place)) if _NAME.fullmatch(entry.name)]
        for piece, told in zip(pieces, self._read_all(place, [piece.name for piece in pieces]), strict=True):
            is_old = 0 < piece.modified < time.time() - _OLD_SECONDS
            for path, (tag, sha256) in told.items():
                known = found.digests.get((path, tag), sha256)
                found.digests[path, tag] = sha256 if known == sha256 else ""
                if is_old:
                    found.old[path, tag] = piece.name
        return found

    def _read_all(self, place: str, names: list[str]) -> list[Told]:
        if not names:
            return []
        with ThreadPoolExecutor(min(_AT_ONCE, len(names)), thread_name_prefix="stepwell-versions") as pool:
            return list(pool.map(lambda name: self._read(place, name), names))

    def _read(self, place: str, name: str) -> Told:
        opened = unseal(self._objects.get(name) or b"", self._keys)
        if isinstance(opened, Refused):
            return {}
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error):
            told = opened[0]
            if told["kind"] == _KIND and told["place"] == place:
                rows = json.loads(zlib.decompress(base64.b64decode(told["rows"])))
                return {str(path): (str(tag), str(sha256)) for path, tag, sha256 in rows}
        return {}

    def _flush(self) -> str:
        time.sleep(_GATHERED_SECONDS)  # what is learnt file by file becomes one piece
        with self._guard:
            pending, self._pending = self._pending, {}
        for place, found in pending.items():
            self._add(place, found)
        return ""

    def _add(self, place: str, found: Mapping[str, tuple[str, str]]) -> None:
        key = self._keys.own()
        if self._keys.distrust(key.key_id):
            return
        own = [
            (int(match["count"]), entry.name)
            for entry in self._objects.list(f"{_folder(place)}{key.key_id}.")
            if (match := _NAME.fullmatch(entry.name))
        ]
        taken: list[str] = []
        size = len(found)
        for count, name in sorted(own):
            if count <= 2 * size <= 2 * _PIECE:
                taken.append(name)
                size += count
        whole: dict[str, tuple[str, str]] = {}
        for told in self._read_all(place, taken):
            whole |= told
        whole |= found
        rows = [[path, tag, sha256] for path, (tag, sha256) in sorted(whole.items())]
        packed = base64.b64encode(zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 6)).decode()
        name = f"{_folder(place)}{key.key_id}.{len(rows)}.{os.urandom(4).hex()}.json"
        self._objects.put(name, seal({"kind": _KIND, "place": place, "rows": packed}, key))
        self._objects.delete(taken)


def _folder(place: str) -> str:
    return f"versions/{digest('place', place)[:32]}/"
