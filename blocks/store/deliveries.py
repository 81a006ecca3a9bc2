"""What was put at the destinations of outputs, so that a later delivery removes what it lacks, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.locks import exclusive
from stepwell.model.digests import digest
from stepwell.model.regular_files import read_bytes
from stepwell.model.tree import Tree

Delivered = dict[str, list[str]]
"""The digests that a file, by its path below the destination, may have if nobody touched it since."""


class Deliveries:
    """The deliveries to one place, each under the name of who makes it: one output of a step of a pipeline."""

    def __init__(self, store: Store, url: str, path: str) -> None:
        self._path: Path = store.written / "deliveries" / f"{digest('delivery', [url, path])}.json"
        self._read = [root / "deliveries" / self._path.name for root in (store.written, store.root)]
        self._place = {"url": url, "path": path}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else deliver to the place while the block runs."""
        with exclusive(self._path.with_suffix(".lock")):
            yield

    def by(self, who: str) -> Delivered:
        """Return what `who` delivered last."""
        return self._all().get(who, {})

    def by_others(self, who: str) -> set[str]:
        """Return the paths that anybody else delivered."""
        return {path for other, delivered in self._all().items() if other != who for path in delivered}

    def begin(self, who: str, tree: Tree) -> None:
        """Note that the files of `tree` are about to be delivered, so that they are known though that is cut off."""
        known = {path: list(digests) for path, digests in self.by(who).items()}
        for path, content in _contents(tree).items():
            known[path] = sorted({*known.get(path, ()), content})
        self._note(who, known)

    def end(self, who: str, tree: Tree) -> None:
        """Note that the files of `tree` were delivered."""
        self._note(who, {path: [content] for path, content in _contents(tree).items()})

    def _note(self, who: str, delivered: Delivered) -> None:
        found = self._all()
        if found.get(who) != delivered:
            by = {**found, who: delivered}
            write_atomically(self._path, json.dumps({"format": 1, **self._place, "by": by}).encode())

    def _all(self) -> dict[str, Delivered]:
        for path in self._read:
            with suppress(OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
                found = json.loads(read_bytes(path))
                if found["format"] == 1:
                    return {
                        str(who): {str(name): [str(text) for text in texts] for name, texts in delivered.items()}
                        for who, delivered in found["by"].items()
                    }
        return {}  # then nothing is removed


def _contents(tree: Tree) -> dict[str, str]:
    return {entry.path: entry.digest for entry in tree.entries if entry.kind != "folder"}
