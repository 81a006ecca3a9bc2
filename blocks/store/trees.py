"""What a store keeps by content: trees, which are outputs as folders, and snapshots, which name files that are kept once."""

from __future__ import annotations

import copy
import errno
import os
import tempfile
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from stepwell.blocks.store.sharing import NotShared, NoVersions
from stepwell.blocks.store.snapshots.blobs import GONE, Blobs
from stepwell.blocks.store.snapshots.snapshot import Snapshot
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.system.disk import can_be_written, told_if_closed, words_of
from stepwell.blocks.system.files import copy_named, fan_out, has_second_name, protect, remove, write_atomically
from stepwell.blocks.system.files import move as move_path
from stepwell.blocks.system.home import make_folder
from stepwell.blocks.system.living import Owner
from stepwell.blocks.system.modes import share
from stepwell.errors import StoreException
from stepwell.model.digests import encode
from stepwell.model.regular_files import read_bytes, regular_only
from stepwell.model.tree import DigestFile, Tree, scan

_NAMED = 3


class Trees(NotShared):
    """Files by content below a folder. If that is read-only, new ones go to a scratch folder."""

    def __init__(self, root: Path, digests: StatCache) -> None:
        self.root = root
        self.digests = digests
        self._scratch = None if can_be_written(root) else Path(tempfile.mkdtemp(prefix="stepwell-"))
        if self._scratch:
            weakref.finalize(self, remove, self._scratch)
        self._owner = Owner(self.owners_folder)

    def reading_all(self) -> Self:
        """Return the same store as one that believes no remembered digest, but reads every byte."""
        twin = copy.copy(self)
        twin.digests = self.digests.reading_all()
        twin.versions = NoVersions()
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
            write_atomically(path, tree.parts())

    def manifest(self, tree: str) -> Tree | None:
        """Return what the tree consists of, or None if that is not known or damaged."""
        for root in self._roots:
            path = fan_out(root / "manifests", tree).with_suffix(".json")
            with suppress(OSError):
                with open(path, "rb", opener=regular_only) as stream, suppress(ValueError, TypeError, RecursionError):
                    found = Tree.read(stream)
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

    # Snapshots ------------------------------------------------------------------------------------------------------

    def add_snapshot(self, source: Path, tree: Tree) -> tuple[str, ...]:
        """Keep what `tree`, the tree at `source`, names as a snapshot, and return in words what of it was damaged before.

        Each file's bytes are kept once, whatever else names them. A file that changed meanwhile raises StoreException.
        """
        digest = tree.digest
        if self.tree_intact(digest):  # as earlier releases kept it
            self.note_tree(tree)
            return ()
        self.discard_tree(digest)
        blobs = self._blobs()
        lacking = blobs.lacking(tree)
        if lacking:
            scratch = self.scratch_folder()
            try:
                blobs.keep(source, tree, lacking, scratch)
            finally:
                remove(scratch)
        path, data = fan_out(self.written / "manifests", digest).with_suffix(".json"), encode(tree.to_json())
        try:
            known = read_bytes(path) == data
        except OSError:
            known = False
        if not known:  # or damaged
            write_atomically(path, data)
        return _words(tree, {content: words for content, words in lacking.items() if words != GONE})

    def snapshot(self, digest: str) -> Snapshot | None:
        """Return a snapshot as it is kept, its bytes not yet checked; None if there is none."""
        place = self.tree_path(digest)
        if os.path.lexists(place):
            return Snapshot(digest, (place,))
        tree = self.manifest(digest)
        return None if tree is None else Snapshot(digest, self._blobs().folders, tree)

    def snapshot_folder(self, digest: str) -> Path:
        """Return a folder with the files of a kept snapshot, which is made if they are kept one by one."""
        found = self.snapshot(digest)
        if found is not None and found.tree is not None:
            scratch = self.scratch_folder()
            try:
                found.copy_to(scratch / "files")
                self.add_tree(scratch / "files", found.tree, move=True)
            finally:
                remove(scratch)
        return self.tree_path(digest)

    def bring_snapshot(self, digest: str) -> Snapshot | None:
        """Return a snapshot whose bytes are here, or as they are kept, None if there is none; what others have is fetched."""
        return self.snapshot(digest)

    def snapshot_damage(self, digest: str) -> str:
        """Return in words what is wrong with a kept snapshot, '' if it is whole."""
        found = self.snapshot(digest)
        return "it is gone" if found is None else self.damage_of(found)

    def damage_of(self, snapshot: Snapshot, least: int = 0) -> str:
        """Return in words what is wrong with a snapshot of this store, '' if nothing; `least`: of files of so many bytes only."""
        if snapshot.tree is None:
            return "" if least or self.tree_intact(snapshot.digest) else "it was damaged"
        words = _words(snapshot.tree, self._blobs().lacking(snapshot.tree, least))
        return ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")

    def _blobs(self) -> Blobs:
        return Blobs(tuple(root / "blobs" for root in self._roots), self.digests)

    # Scratch --------------------------------------------------------------------------------------------------------

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


def _known_digests(root: Path, tree: Tree) -> DigestFile:
    """Return what finds the digests of files by their paths in `tree`: to compare all but their bytes."""
    known, start = {entry.path: entry.digest for entry in tree.entries}, len(os.path.realpath(root)) + 1
    return lambda path, _: known.get(path[start:], "")


def _words(tree: Tree, contents: Mapping[str, str]) -> tuple[str, ...]:
    """Return which files of a tree have these contents, and what is wrong with them."""
    return tuple(
        f"{entry.path.encode('utf-8', 'backslashreplace').decode() or 'its content'} {contents[entry.digest]}"
        for entry in tree.entries
        if entry.kind == "file" and entry.digest in contents
    )
