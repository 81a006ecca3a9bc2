"""The runs of all machines of a workspace, as objects of its datastore: told by who runs them, seen by everybody.

runs/<id>/head.json          facts, machine, state, and the end of the journal; written again while the run is at work
runs/<id>/journal/<n>.jsonl  the journal before that, in parts
runs/<id>/steps/<step run id>/{log,files}.zip  what a step left, once it has ended
runs/<id>/own.zip            what others than its steps logged for the run
runs/<id>/claims/<state>     which machine looks after a run that died there
runs-by-time/<inverse milliseconds>-<id>       empty: the newest by a listing
marks/<id>.…                what people say of the run and add to it, as `shared_words` and `shared_additions` have it

What is brought here becomes a run folder like any other, which notes that it is a copy. Heads and archives are signed: what is not,
or by nobody whom the workspace knows, is shown as not trusted, and takes the place of nothing that is.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.run_folder import ENDED, RunFolder
from stepwell.blocks.store.runs.additions import OWN, merge
from stepwell.blocks.store.runs.shared_words import SharedWords
from stepwell.blocks.store.runs.signed import (
    FORGED,
    signed_archive,
    signed_document,
    why_no_trust,
    why_no_trust_in_archive,
)
from stepwell.blocks.store.runs.told_later import ToldLater
from stepwell.blocks.store.shared.envelope import Keys
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.living import machine
from stepwell.model.nofollow import files_below, open_file
from stepwell.model.regular_files import read_bytes

_FORMAT = 1
_PART = 256 << 10
"""How much of a journal the head carries; the rest stands beside it."""

_END_OF_TIME = 10**14
_AT_ONCE = 16
_LOG, _FILES = "log", "files"
_SHOWN = {_LOG: ("logs", "control"), _FILES: ("outputs", "user_logs")}
_PLACES = frozenset(place for places in _SHOWN.values() for place in places)
_NOT_SHOWN = ("control/context.json", "control/reads.jsonl", "control/imported.txt")


class SharedRuns:
    """The runs that stand as objects beside a store whose own run folders are in `folder`.

    `looks` are the same objects for those who only look, and don't wait as long as who tells; what people say goes by them, too.
    """

    def __init__(
        self,
        objects: RemoteObjects,
        folder: Path,
        *,
        keys: Keys | None = None,
        read_only: bool = False,
        looks: RemoteObjects | None = None,
    ) -> None:
        self.objects, self.looks, self.read_only = objects, looks or objects, read_only
        self._folder, self._keys = folder, keys
        self._beats: dict[str, float] = {}
        self.untold = ToldLater(folder.parent / "untold")
        self.words = SharedWords(self.looks, folder, keys)

    # Telling ----------------------------------------------------------------------------------------------------------

    def announce(self, run: RunFolder) -> None:
        """Add the run to the list by time."""
        created = float(run.facts().get("created", 0) or time.time())
        self.objects.put(f"runs-by-time/{_END_OF_TIME - int(created * 1000):015d}-{run.run_id}", b"")

    def tell(self, run: RunFolder, parts: list[int], state: str = "") -> list[int]:
        """Write the run's head, as it is now, and return the ends of the journal's parts; `parts` are those told before.

        `state`: how the run stands, if its journal doesn't say it.
        """
        try:
            journal = read_bytes(run.path / "journal.jsonl")
        except OSError:
            journal = b""
        parts = list(parts)
        begin = parts[-1] if parts else 0
        if len(journal) - begin > _PART:
            self.objects.put(f"runs/{run.run_id}/journal/{len(parts)}.jsonl", journal[begin:])
            parts.append(len(journal))
            begin = len(journal)
        head = {
            "format": _FORMAT,
            "run": run.run_id,
            "machine": machine(),
            "state": state or str(run.status().get("status", "NotStarted")),
            "sequence": len(journal),
            "heartbeat": self._beat(run.run_id),
            "facts": run.facts(),
            "parts": parts,
            "digests": [_digest(journal[start:end]) for start, end in pairwise([0, *parts])],
            "tail": journal[begin:].decode(errors="replace"),
        }
        name = _head_name(run.run_id)
        self.objects.put(name, signed_document(name, json.dumps(head, separators=(",", ":")).encode(), self._keys))
        return parts

    def _beat(self, run_id: str) -> float:
        """Return the time, later than the last one that this process told of the run, whatever became of the clock."""
        self._beats[run_id] = max(time.time(), self._beats.get(run_id, 0.0) + 0.001)
        return self._beats[run_id]

    def tell_step(self, run: RunFolder, step_run_id: str) -> None:
        """Write what a step that has ended left: what is shown of it, and apart the files that it kept."""
        folder = run.step_folder(step_run_id)
        for kind, places in _SHOWN.items():
            names = [f"{place}/{name}" for place in places for name in files_below(folder, place)]
            data = _packed(folder, [name for name in names if name not in _NOT_SHOWN])
            if data:
                name = f"runs/{run.run_id}/steps/{step_run_id}/{kind}.zip"
                self.objects.put(name, signed_archive(name, data, self._keys))

    def tell_own(self, run: RunFolder) -> None:
        """Write what others than its steps logged for the run."""
        names = [f"{OWN}/{name}" for name in files_below(run.path, OWN)]
        data = _packed(run.path, [name for name in names if name not in _NOT_SHOWN])
        if data:
            name = f"runs/{run.run_id}/own.zip"
            self.objects.put(name, signed_archive(name, data, self._keys))

    def untold_runs(self) -> list[RunFolder]:
        """Return the runs that are still to be told of."""
        return [RunFolder(self._folder / run_id) for run_id in self.untold.run_ids() if _is_id(run_id)]

    # Seeing -----------------------------------------------------------------------------------------------------------

    def newest(self, most: int | None = None) -> list[str]:
        """Return the ids of the runs, the newest first."""
        names = (entry.name.rpartition("/")[2] for entry in self.looks.list("runs-by-time/"))
        ids = (name.partition("-")[2] for name in names)
        return list(islice((run_id for run_id in ids if _is_id(run_id)), most))

    def bring_all(self, run_ids: Iterable[str]) -> None:
        """Bring what is known of those of the runs that are other machines', and not known here to their end."""
        wanted = [run_id for run_id in run_ids if self._may_have_news(RunFolder(self._folder / run_id))]
        if wanted:
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stepwell-runs") as pool:
                list(pool.map(self.bring, wanted))

    def is_taken(self, run: RunFolder) -> bool:
        """Return whether another machine tells of the run."""
        head, distrust, _ = self._read_head(run.run_id)
        return head is not None and not distrust and head["machine"].get("id") != machine()["id"]

    def bring(self, run_id: str) -> bool:
        """Make, or renew, the copy of another machine's run, without what its steps left; return whether there is one."""
        run = RunFolder(self._folder / run_id)
        if not _is_id(run_id) or not self._may_have_news(run):
            return bool(run.heard())
        name, known = _head_name(run_id), run.heard()
        head, distrust, key_id = self._read_head(run_id)
        if head is None or (_is_own(run) and (distrust or head["machine"].get("id") == machine()["id"])):
            return bool(known)
        if known.get("key_id") and (distrust or _is_older(head, known)):  # put over, or back, by somebody
            return True
        entry = self.looks.stat(name) if head["state"] not in ENDED else None
        silent = max(0.0, self.looks.now() - entry.modified) if entry is not None and entry.modified else 0.0
        silent = max(silent, _unchanged_for(head, known))
        return self._keep(run, head, silent, distrust, key_id) or bool(known)

    def bring_step(self, run_id: str, step_run_id: str, *, files: bool = False) -> None:
        """Bring what a step of a run left: what is shown of it, or the `files` that it kept."""
        folder = RunFolder(self._folder / run_id).step_folder(step_run_id)
        kind = _FILES if files else _LOG
        mark = folder / f".{kind}"
        is_copy = any((folder / f".{known}").exists() for known in _SHOWN)
        if not _is_id(run_id) or not _is_id(step_run_id) or mark.exists() or (folder.exists() and not is_copy):
            return
        run = RunFolder(self._folder / run_id)
        data = self._archive(run, f"runs/{run_id}/steps/{step_run_id}/{kind}.zip")
        if data is not None or run.heard().get("state") in ENDED:
            make_folder(folder)
            _unpack(data or b"", folder)
            mark.touch()

    def bring_steps(self, run: RunFolder) -> None:
        """Bring what is shown of the run's steps, also of those whose results it took from other runs."""
        mark = run.path / ".own"
        if run.heard().get("state") in ENDED and not mark.exists():
            merge(run, self._archive(run, f"runs/{run.run_id}/own.zip") or b"")
            mark.touch()
        known = run.steps().values()
        wanted = {
            (str(step.get("from_run") or run.run_id), str(step["step_run_id"]))
            for step in known
            if step.get("step_run_id") and step.get("status") not in ("starting", "running", "retrying")
        }
        absent = [one for one in wanted if not (self._folder / one[0] / "steps" / one[1]).exists()]
        if len(absent) > _AT_ONCE:
            absent = self._told_of(absent)
        if absent:
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stepwell-runs") as pool:
                list(pool.map(lambda one: self.bring_step(*one), absent))

    def _told_of(self, steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of many steps, by their runs, of which something was told: a listing for each run."""
        told = {
            tuple(entry.name.split("/")[1:4:2])
            for run_id in sorted({run_id for run_id, _ in steps})
            for entry in self.looks.list(f"runs/{run_id}/steps/")
        }
        return [one for one in steps if one in told]

    def remove(self, run: RunFolder) -> None:
        """Remove all that was told of the run: what lists it first."""
        listed = [entry.name for entry in self.objects.list("runs-by-time/") if entry.name.endswith(f"-{run.run_id}")]
        self.objects.delete(listed)
        self.objects.delete([entry.name for entry in self.objects.list(f"runs/{run.run_id}/")])
        self.words.remove(run.run_id)

    # Looking after the dead -------------------------------------------------------------------------------------------

    def claim(self, run_id: str, state: str) -> bool:
        """Return whether this machine, and no other, is to look after a run that is dead, and as `state` names it."""
        name = f"runs/{run_id}/claims/{state}"
        mine = machine()["id"].encode()
        if self.objects.create(name, mine):
            return True
        entry = self.objects.stat(name)
        late = entry is not None and entry.modified and self.objects.now() - entry.modified > _CLAIMED_SECONDS
        if late:  # who claimed it has died, too
            self.objects.delete([name])
            return self.objects.create(name, mine)
        return self.objects.get(name) == mine

    # ------------------------------------------------------------------------------------------------------------------

    def _may_have_news(self, run: RunFolder) -> bool:
        """Return whether the datastore may know more of the run than its folder here."""
        heard = run.heard()
        if heard:
            return heard["state"] not in ENDED
        return not _is_own(run) or (run.status().get("status") not in ENDED and not run.is_alive())

    def _read_head(self, run_id: str) -> tuple[dict[str, Any] | None, str, str]:
        """Return the head of a run, why it is not trusted, and the name of the key that signed it; None if it is damaged."""
        name = _head_name(run_id)
        data = self.looks.get(name)
        head = _head(data)
        distrust, key_id = why_no_trust(name, data or b"", self._keys)
        if distrust == FORGED or (head is not None and head.get("run", run_id) != run_id):
            return None, "", ""
        return head, distrust, "" if distrust else key_id

    def _archive(self, run: RunFolder, name: str) -> bytes | None:
        """Return an archive of a run; None if there is none, or it is believed less than what was heard of the run."""
        data = self.looks.get(name)
        distrust = "" if data is None else why_no_trust_in_archive(name, data, self._keys)
        if distrust and not run.heard():
            self.bring(run.run_id)
        return None if distrust and not run.heard().get("distrust") else data

    def _keep(self, run: RunFolder, head: dict[str, Any], silent: float, distrust: str, key_id: str) -> bool:
        """Make the copy of a run, and return whether all of its journal was there as its head tells."""
        known = _journal(run) if run.heard() else b""
        ends = [end for end in head["parts"] if isinstance(end, int)]
        here = sum(1 for end in ends if end <= len(known))
        journal = known[: ends[here - 1]] if here else b""
        for number in range(here, len(ends)):
            part = self.looks.get(f"runs/{run.run_id}/journal/{number}.jsonl") or b""
            if "digests" in head and _digest(part) not in head["digests"][number : number + 1]:
                return False
            journal += part
        make_folder(run.path)
        write_atomically(run.path / "journal.jsonl", journal + head["tail"].encode(errors="replace"))
        heard = run.heard()
        is_same = bool(heard) and heard.get("heartbeat") == _number(head.get("heartbeat"))
        more = {
            "key_id": key_id,
            "distrust": distrust,
            "sequence": _number(head.get("sequence")),
            "heartbeat": _number(head.get("heartbeat")),
            "since": heard.get("since", time.time()) if is_same else time.time(),
        }
        run.note_heard(str(head["machine"].get("name", "")), head["state"], silent, more)
        if run.facts() != head["facts"]:
            write_atomically(run.path / "run.json", json.dumps(head["facts"]).encode())
        return True


_CLAIMED_SECONDS = 60.0


def _head_name(run_id: str) -> str:
    return f"runs/{run_id}/head.json"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_own(run: RunFolder) -> bool:
    return run.path.is_dir() and not run.heard() and bool(run.facts() or run.journal())


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return str(UUID(text)) == text
    return False


def _journal(run: RunFolder) -> bytes:
    with suppress(OSError):
        return read_bytes(run.path / "journal.jsonl")
    return b""


def _head(data: bytes | None) -> dict[str, Any] | None:
    """Return the head of a run, None if there is none that can be understood."""
    with suppress(ValueError, RecursionError):
        found = json.loads(data or b"")
        kinds = {"machine": dict, "state": str, "facts": dict, "parts": list, "tail": str}
        if isinstance(found, dict) and found.get("format") == _FORMAT:
            fits = all(isinstance(found.get(name), kind) for name, kind in kinds.items())
            return found if fits and isinstance(found.get("digests", []), list) else None
    return None


def _is_older(head: dict[str, Any], known: dict[str, Any]) -> bool:
    """Return whether the head was written before one that was heard already: it tells no more, at an earlier time."""
    tells_no_more = _number(head.get("sequence")) <= _number(known.get("sequence"))
    return tells_no_more and _number(head.get("heartbeat")) < _number(known.get("heartbeat"))


def _unchanged_for(head: dict[str, Any], known: dict[str, Any]) -> float:
    """Return for how long the same heartbeat has been heard: who only writes the head again is no sign of life."""
    if known.get("heartbeat") != _number(head.get("heartbeat")) or not _number(known.get("since")):
        return 0.0
    return max(0.0, time.time() - _number(known["since"]))


def _number(told: Any) -> float:
    return float(told) if isinstance(told, (int, float)) and not isinstance(told, bool) and 0 <= told < 1e15 else 0.0


def _packed(folder: Path, names: list[str]) -> bytes:
    data = io.BytesIO()
    if names:
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            for name in names:
                with suppress(OSError, UnicodeEncodeError), open_file(folder, name) as source:
                    archive.writestr(name, source.read())
    return data.getvalue()


def _unpack(data: bytes, folder: Path) -> None:
    """Write the files of an archive; what would stand elsewhere is left out."""
    with suppress(zipfile.BadZipFile, ValueError, OSError), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            parts = name.split("/")
            if {"..", "", "."} & set(parts) or "\0" in name or parts[0] not in _PLACES:
                continue
            make_folder((folder / name).parent)
            write_atomically(folder / name, archive.read(name))
