"""The store of results: outputs kept by content, records signed, a result returned only after its bytes were checked.

trees/<digest>/data      the bytes of an output, write-protected; earlier releases kept snapshots so, too
blobs/<sha256>           the bytes of one file of snapshots, write-protected
manifests/<digest>.json  what a tree or a snapshot consists of, also of inputs that are not kept: names what changed
records/<key>.json       a signed record: the only truth about a result
index/, observed/        finds the nearest earlier record, and reads that no row declared; both can be lost
work/, alive/            scratch of running steps, and whose it is, by locks of those who live
runs/, locks/            files of runs, who is at work on what
inputs/                  copies of files that stand elsewhere, by content
deliveries/              what was put at destinations
"""

from __future__ import annotations

import errno
import hmac
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stepwell.blocks.store.run_folder import RunFolder, readable_runs
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.trees import Trees
from stepwell.blocks.system.disk import told_if_closed, words_of
from stepwell.blocks.system.files import fan_out, make_durable, write_atomically
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.locks import KeyLocks, exclusive, shared
from stepwell.model.digests import digest, encode
from stepwell.model.fingerprint import Fingerprint, Row, code_key, partial_key
from stepwell.model.records import StepRecord
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Tree

FORMAT = 1
_NEAREST = 20


@dataclass(frozen=True, slots=True)
class Miss:
    """No result to reuse; `reason` tells why in words when there should have been one."""

    reason: str = ""


class Store(Trees):
    """The results of one workspace on this machine. If its folder is read-only, new results go to a scratch folder."""

    def __init__(self, root: Path, signing_key: str, digests: StatCache) -> None:
        super().__init__(root, digests)
        self._signing_key = signing_key
        self._sequences: dict[str, tuple[int, int]] = {}
        self.locks = KeyLocks(self.written / "locks")

    # Records --------------------------------------------------------------------------------------------------------

    def lookup(self, key: str) -> StepRecord | Miss:
        """Check the bytes of a result and return its record, or why there is none to reuse."""
        with shared(self.lock_file):
            record = self.read_record(key)
            if isinstance(record, Miss):
                return record
            for name, artifact in record.outputs.items():
                damage = self._damage(artifact.digest)
                if damage:
                    return Miss(f"the kept output '{name}' {damage}")
            with suppress(OSError):
                os.utime(self._record_path(key))
            return record

    def read_record(self, key: str) -> StepRecord | Miss:
        """Return the signed record of a key, its outputs not yet checked, or why it can't be believed."""
        data, reason = None, ""
        for path in self._record_paths(key):
            try:
                data = read_bytes(path)
                break
            except (FileNotFoundError, NotADirectoryError, ValueError):  # a key that can't be a path has no record
                continue
            except OSError as error:
                reason = (
                    "" if error.errno == errno.ENAMETOOLONG else f"the kept record can't be read: {words_of(error)}"
                )
        if data is None:
            return Miss(reason)
        try:
            envelope = json.loads(data)
            body = envelope["record"]
            if envelope["format"] != FORMAT:
                return Miss("the kept record has a format of another version")
            if not hmac.compare_digest(self.keyed("record", body), str(envelope["signature"])) or body["key"] != key:
                return Miss("the kept record was damaged or forged")
            return StepRecord.from_json(body)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return Miss("the kept record was damaged")

    def commit(self, record: StepRecord, staged: Mapping[str, tuple[Path, Tree]]) -> StepRecord:
        """Move every output into the store, then write the record, then make it findable.

        Returned is the record as it is now kept. That it survives a power cut is left to `make_durable`.
        """
        with shared(self.lock_file):
            for path, tree in staged.values():
                self.add_tree(path, tree, move=True)
            return self._keep(record)

    def make_durable(self, key: str) -> None:
        """Let the record of a key, if it is still there, survive a power cut."""
        with suppress(FileNotFoundError):  # removed, or replaced, since
            make_durable(fan_out(self.written / "records", key).with_suffix(".json"))

    def _keep(self, record: StepRecord) -> StepRecord:
        kept = replace(record, sequence=self._next_sequence(record.step))
        body = kept.to_json()
        envelope = {"format": FORMAT, "record": body, "signature": self.keyed("record", body)}
        path = fan_out(self.written / "records", record.key).with_suffix(".json")
        write_atomically(path, encode(envelope))
        _touch(self._step_index(record.step) / f"{kept.sequence:09d}-{record.key}")
        self._sequences[record.step] = _changed(self._step_index(record.step)), kept.sequence
        _touch(self.written / "index" / "partial" / partial_key(record.fingerprint) / record.key)
        return kept

    def records(self) -> Iterator[tuple[Path, StepRecord | Miss]]:
        """Yield every record file with what it holds."""
        for path in sorted((self.root / "records").glob("*/*.json")):
            yield path, self.read_record(path.stem)

    def nearest(self, step: str, fingerprint: Fingerprint) -> StepRecord | None:
        """Return the recent record of a step of that name whose rows differ least from these; the latest of equals."""
        return _nearest_of(fingerprint, self._recent(step), self._record_paths, self.read_record)

    def alike(self, fingerprint: Fingerprint) -> Iterator[StepRecord]:
        """Yield every record that differs from these rows in the content of inputs at most."""
        for root in self._roots:
            for key in _names(root / "index" / "partial" / partial_key(fingerprint)):
                record = self.read_record(key)
                if isinstance(record, StepRecord):
                    yield record

    def observe(self, fingerprint: Fingerprint, paths: Iterable[str]) -> None:
        """Save that a step with this code read these files, which count for it from now on."""
        with exclusive(self.written / "observed.lock"):
            names = sorted({*self.observed(fingerprint), *paths})
            write_atomically(self._observed_path(self.written, fingerprint), encode(names))

    def observed(self, fingerprint: Fingerprint) -> tuple[str, ...]:
        """Return the files that steps with this code were seen to read though no row declares them.

        A list that this user may not read raises StoreException: without it a stale result would be taken for a good one.
        """
        name = code_key(fingerprint)
        for root in self._roots:
            path = os.path.join(root, "observed", name[:2], f"{name}.json")
            if not _may_be_there(path):
                continue
            with suppress(OSError, ValueError, RecursionError):
                with told_if_closed("What a step was seen to read can't be read", Path(path)):
                    names = json.loads(read_bytes(path))
                return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
        return ()

    # Folders --------------------------------------------------------------------------------------------------------

    def run_folder(self, run_id: str) -> Path:
        """Return the folder of a run's files, whether or not it is there."""
        folder = self.root / "runs" / run_id
        return self.written / "runs" / run_id if self._scratch and not folder.exists() else folder

    def run_folders(self) -> list[Path]:
        """Return the folders of all runs, also those of a store that can't be written."""
        return readable_runs([path for root in self._roots for path in sorted((root / "runs").glob("*"))])

    def next_run_number(self) -> int:
        """Return 1 for the first run, 2 for the next …: the order of runs, whatever the clock tells."""
        counter = self.written / "runs" / "counter"
        with exclusive(self.written / "runs" / "counter.lock"):
            try:
                number = int(read_bytes(counter)) + 1
            except (OSError, ValueError):
                known = (RunFolder(path).facts().get("number", 0) for path in self.run_folders())
                number = 1 + max(known, default=0)
            write_atomically(counter, str(number).encode())
        return number

    def keyed(self, tag: str, value: Any) -> str:
        """Return a digest that only who has the workspace's key can make, or find a short value by."""
        return hmac.new(self._signing_key.encode(), digest(tag, value).encode(), "sha256").hexdigest()

    # ----------------------------------------------------------------------------------------------------------------

    def _record_paths(self, key: str) -> list[Path]:
        return [fan_out(root / "records", key).with_suffix(".json") for root in self._roots]

    def _record_path(self, key: str) -> Path:
        return fan_out(self.root / "records", key).with_suffix(".json")

    def _step_index(self, step: str) -> Path:
        return self.written / "index" / "steps" / digest("step-name", step)[:32]

    def _recent(self, step: str) -> list[str]:
        folders = {self.root / "index" / "steps" / self._step_index(step).name, self._step_index(step)}
        names = sorted((name for folder in folders for name in _names(folder)), reverse=True)
        return list(dict.fromkeys(name.partition("-")[2] for name in names))[:_NEAREST]

    def _next_sequence(self, step: str) -> int:
        changed, latest = self._sequences.get(step, (0, 0))
        if changed and changed == _changed(self._step_index(step)):  # a thousand results of one step are listed once
            return latest + 1
        numbers = [name.partition("-")[0] for name in _names(self._step_index(step))]
        return max((int(number) for number in numbers if number.isdecimal()), default=0) + 1

    def _observed_path(self, root: Path, fingerprint: Fingerprint) -> Path:
        return fan_out(root / "observed", code_key(fingerprint)).with_suffix(".json")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _may_be_there(path: str) -> bool:
    """Return whether a file is there, or can't be asked for."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _touch(path: Path) -> None:
    with suppress(OSError):
        make_folder(path.parent)
        path.touch()


_LEAST = 1
"""A record with no other rows would be the result itself."""


def _nearest_of(
    fingerprint: Fingerprint,
    keys: Iterable[str],
    places: Callable[[str], Iterable[Path]],
    believed: Callable[[str], StepRecord | object],
) -> StepRecord | None:
    """Return the record of those keys, the latest first, whose rows differ least from these; the first of equals.

    `places` are where the record of a key may stand, `believed` returns it if it can be believed, which takes longer than to
    read what it claims: a plan of a thousand changed steps looks at thousands.
    """
    seen: list[tuple[int, int, str]] = []
    for number, key in enumerate(keys):
        rows = _claimed_rows(places(key))
        if rows is None:
            continue
        distance = fingerprint.distance(rows)
        if distance > _LEAST:
            seen.append((distance, number, key))
        elif isinstance(record := believed(key), StepRecord):
            return record
    found = (believed(key) for _, _, key in sorted(seen))
    return next((record for record in found if isinstance(record, StepRecord)), None)


def _claimed_rows(places: Iterable[Path]) -> Fingerprint | None:
    """Return the rows that a record claims, whether or not it can be believed; None if it claims none."""
    for path in places:
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            record = json.loads(read_bytes(path))["record"]
            return Fingerprint(tuple(Row(*map(str, row)) for row in record["fingerprint"]))
    return None
