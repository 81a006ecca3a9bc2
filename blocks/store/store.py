"""The store of results: outputs kept by content, records signed, a result returned only after its bytes were checked.

trees/<digest>/data      the bytes of an output or a snapshot, write-protected
manifests/<digest>.json  what a tree consists of, also of inputs that are not kept: names what changed
records/<key>.json       a signed record: the only truth about a result
index/, observed/        finds the nearest earlier record, and reads that no row declared; both can be lost
work/, alive/            scratch of running steps, and whose it is, by locks of those who live
runs/, locks/            files of runs, who is at work on what
inputs/                  copies of files that stand elsewhere, by content
deliveries/              what was put at destinations
"""

from __future__ import annotations

import copy
import errno
import hmac
import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stepwell.blocks.store.nearest import nearest_of
from stepwell.blocks.store.run_folder import RunFolder, readable_runs
from stepwell.blocks.store.sharing import NotShared
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.system.disk import can_be_written, told_if_closed, words_of
from stepwell.blocks.system.files import copy_named, fan_out, has_second_name, protect, remove, write_atomically
from stepwell.blocks.system.files import move as move_path
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.living import Owner
from stepwell.blocks.system.locks import KeyLocks, exclusive, shared
from stepwell.blocks.system.modes import share
from stepwell.errors import StoreException
from stepwell.model.digests import digest, encode
from stepwell.model.fingerprint import Fingerprint, code_key, partial_key
from stepwell.model.records import StepRecord
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import DigestFile, Tree, scan

FORMAT = 1
_NEAREST = 20


@dataclass(frozen=True, slots=True)
class Miss:
    """No result to reuse; `reason` tells why in words when there should have been one."""

    reason: str = ""


class Store(NotShared):
    """The results of one workspace on this machine. If its folder is read-only, new results go to a scratch folder."""

    def __init__(self, root: Path, signing_key: str, digests: StatCache) -> None:
        self.root = root
        self.digests = digests
        self._signing_key = signing_key
        self._scratch = None if can_be_written(root) else Path(tempfile.mkdtemp(prefix="stepwell-"))
        if self._scratch:
            weakref.finalize(self, remove, self._scratch)
        self.locks = KeyLocks(self.written / "locks")
        self._owner = Owner(self.owners_folder)

    def reading_all(self) -> Store:
        """Return the same store as one that believes no remembered digest, but reads every byte."""
        twin = copy.copy(self)
        twin.digests = self.digests.reading_all()
        return twin

    @property
    def written(self) -> Path:
        """The folder that new results go to: the store's own, or the scratch folder if that is read-only."""
        return self._scratch or self.root

    @property
    def read_only(self) -> bool:
        """Whether new results are kept for this process only."""
        return self._scratch is not None

    @property
    def lock_file(self) -> Path:
        """Held shared by whoever adds or looks up a result, exclusively by the collector of garbage."""
        return self.written / "store.lock"

    @property
    def owners_folder(self) -> Path:
        """Where it is told who lives of those who have scratch folders."""
        return self.written / "alive"

    @property
    def _roots(self) -> tuple[Path, ...]:
        """Where results are read, newest first."""
        return (self._scratch, self.root) if self._scratch else (self.root,)

    # Trees ----------------------------------------------------------------------------------------------------------

    def tree_path(self, tree: str) -> Path:
        """Return where the bytes of a kept tree are, whether or not they are there."""
        place = fan_out(self.written / "trees", tree) / "data"
        return fan_out(self.root / "trees", tree) / "data" if self._scratch and not place.exists() else place

    def tree_at(self, path: Path, *, many: bool = False) -> Tree:
        """Return the tree at `path`, with remembered digests where there are. `many`: look them up in bulk."""
        if not many:
            return scan(path, self.digests.digest_file)
        with self.digests.under(path) as digest_file:
            return scan(path, digest_file)

    def add_tree(self, source: Path, tree: Tree, *, move: bool) -> None:
        """Keep what `tree`, the tree at `source`, names. `move`: the bytes are the store's own from now on.

        A copy that came out other than `tree` has it, since a file changed meanwhile, raises StoreException.
        """
        self.note_tree(tree)
        if not self.tree_intact(tree.digest):
            self._keep_tree(tree.digest, lambda place: self._stage(source, place, tree, owned=move))
        if move:
            remove(source)

    def _keep_tree(self, tree: str, write: Callable[[Path], None]) -> None:
        """Let the bytes of a tree be written, and keep them."""
        scratch = self.scratch_folder()
        try:
            place = fan_out(self.written / "trees", tree)
            make_folder(place.parent)
            make_folder(scratch / "tree")
            share(scratch / "tree", place.parent)
            write(scratch / "tree" / "data")
            self._install(scratch / "tree", place, tree)
        finally:
            remove(scratch)

    def _stage(self, source: Path, target: Path, tree: Tree, *, owned: bool) -> None:
        if owned and not source.is_symlink() and not has_second_name(source):  # what links point to is not ours
            move_path(source, target)
            if scan(target, _known_digests(target, tree)).digest != tree.digest:
                raise StoreException("A file changed while it was kept", {"path": source}, "Start again.")
        else:
            copy_named(source, target, tree)
            if scan(target).digest != tree.digest:
                raise StoreException("A file changed while it was copied", {"path": source}, "Start again.")
        protect(target)

    def _install(self, scratch: Path, place: Path, tree: str) -> None:
        for _ in range(5):
            try:
                with told_if_closed("A result can't be put into the store", place):
                    os.rename(scratch, place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                if self.tree_intact(tree):  # another process was first
                    return
                self.discard_tree(tree)
            else:
                return
        raise StoreException("A result can't be put into the store", {"place": place}, "Run the step again.")

    def discard_tree(self, tree: str) -> None:
        """Remove the tree, at once out of everybody's sight."""
        for root in {self.root, self.written}:
            place = fan_out(root / "trees", tree)
            if os.path.lexists(place):
                trash = self.trash_folder()
                with suppress(OSError):
                    os.rename(place, trash / "tree")
                remove(trash)

    def tree_intact(self, tree: str) -> bool:
        """Return whether the kept bytes are those that the digest names."""
        try:
            return self.tree_at(self.tree_path(tree)).digest == tree
        except (OSError, StoreException):
            return False

    def note_tree(self, tree: Tree) -> None:
        """Save what the tree consists of, for explanations later on."""
        path = fan_out(self.written / "manifests", tree.digest).with_suffix(".json")
        if not path.exists():
            write_atomically(path, encode(tree.to_json()))

    def manifest(self, tree: str) -> Tree | None:
        """Return what the tree consists of, or None if that is not known or damaged."""
        for root in self._roots:
            path = fan_out(root / "manifests", tree).with_suffix(".json")
            with suppress(OSError):
                data = read_bytes(path)
                with suppress(ValueError, TypeError, RecursionError):
                    found = Tree.from_json(json.loads(data))
                    if found.digest == tree:
                        return found
                path.unlink()  # so that it is written anew
        return None

    def explain_trees(self, earlier: str, later: str) -> tuple[str, ...]:
        """List the files that differ between two trees, in words; the first five and a count."""
        before, after = self.manifest(earlier), self.manifest(later)
        if before is None or after is None or (before.is_file and after.is_file):
            return ()
        words = after.diff(before)
        return words if len(words) <= 5 else (*words[:5], f"and {len(words) - 5} more")

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

        Returned is the record as it is now kept.
        """
        with shared(self.lock_file):
            for path, tree in staged.values():
                self.add_tree(path, tree, move=True)
            return self._keep(record)

    def _keep(self, record: StepRecord) -> StepRecord:
        kept = replace(record, sequence=self._next_sequence(record.step))
        body = kept.to_json()
        envelope = {"format": FORMAT, "record": body, "signature": self.keyed("record", body)}
        path = fan_out(self.written / "records", record.key).with_suffix(".json")
        write_atomically(path, encode(envelope), durable=True)
        _touch(self._step_index(record.step) / f"{kept.sequence:09d}-{record.key}")
        _touch(self.written / "index" / "partial" / partial_key(record.fingerprint) / record.key)
        return kept

    def records(self) -> Iterator[tuple[Path, StepRecord | Miss]]:
        """Yield every record file with what it holds."""
        for path in sorted((self.root / "records").glob("*/*.json")):
            yield path, self.read_record(path.stem)

    def nearest(self, step: str, fingerprint: Fingerprint) -> StepRecord | None:
        """Return the recent record of a step of that name whose rows differ least from these; the latest of equals."""
        return nearest_of(fingerprint, self._recent(step), self._record_paths, self.read_record)

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
        for root in self._roots:
            path = self._observed_path(root, fingerprint)
            with suppress(OSError, ValueError, RecursionError):
                with told_if_closed("What a step was seen to read can't be read", path):
                    names = json.loads(read_bytes(path))
                return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
        return ()

    # Folders --------------------------------------------------------------------------------------------------------

    def scratch_folder(self) -> Path:
        """Make a new empty folder on the store's own file system, which stays while this store is in use here."""
        folder = self.written / "work"
        make_folder(folder)
        return Path(tempfile.mkdtemp(prefix=f"{self._owner.name()}-", dir=folder))

    def trash_folder(self) -> Path:
        """Make a scratch folder for what is to be removed: what this user may not remove, its owner finds there."""
        folder = self.scratch_folder()
        share(folder, folder.parent)
        return folder

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

    def _damage(self, tree: str) -> str:
        path = self.tree_path(tree)
        try:
            found = self.tree_at(path)
        except FileNotFoundError:
            return "is gone"
        except (OSError, StoreException) as error:
            return f"can't be read: {words_of(error)}"
        if found.digest == tree:
            return ""
        known = self.manifest(tree)
        return f"was damaged ({', '.join(found.diff(known)[:3])})" if known else "was damaged"

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
        numbers = [name.partition("-")[0] for name in _names(self._step_index(step))]
        return max((int(number) for number in numbers if number.isdecimal()), default=0) + 1

    def _observed_path(self, root: Path, fingerprint: Fingerprint) -> Path:
        return fan_out(root / "observed", code_key(fingerprint)).with_suffix(".json")


def _known_digests(root: Path, tree: Tree) -> DigestFile:
    """Return what finds the digests of files by their paths in `tree`: to compare all but their bytes."""
    known, start = {entry.path: entry.digest for entry in tree.entries}, len(os.path.realpath(root)) + 1
    return lambda path, _: known.get(path[start:], "")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _touch(path: Path) -> None:
    with suppress(OSError):
        make_folder(path.parent)
        path.touch()
