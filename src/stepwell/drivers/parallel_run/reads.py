"""Which files of the inputs a script reads in a worker process beside those of its mini-batch, as far as Python tells.

What `run` returns is that of its mini-batch alone only if there are none: else it can't be used again for the same files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from stepwell.drivers.parallel_run.batches import MiniBatch, Source

_LISTS = frozenset(["os.listdir", "os.scandir"])


class Reads:
    """Notes from now on whether this process reads a file of the sources, or lists one of their folders."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.beyond = False
        self._folders: dict[str, str] = {}
        self._own: Collection[str] = ()
        self._input = self._above = ""
        for source in sources:
            if os.path.isdir(source.place):  # of a lone file there is nothing else
                for place in (os.path.abspath(source.place), os.path.realpath(source.place)):
                    self._folders[os.path.join(place, "")] = source.name
        if self._folders:
            sys.addaudithook(self._hook())

    def of(self, batch: MiniBatch, paths: Sequence[str]) -> None:
        """Take what is read of this mini-batch, whose files have these paths, as its own from now on."""
        if self._folders and not self.beyond:
            self._input, self._own = batch.input, frozenset(paths)
            self._above = paths[0][: len(paths[0]) - len(batch.names[0])]

    def _hook(self) -> Callable[[str, tuple[Any, ...]], None]:
        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open":
                path = arguments[0] if arguments else None
                if type(path) is str and path in self._own:  # as nearly all are
                    return
            elif event in _LISTS:
                path = arguments[0] if arguments and arguments[0] is not None else "."
            else:
                return
            if not self.beyond:
                self._hear(event, path)

        return hear

    def _hear(self, event: str, path: Any) -> None:
        if type(path) is not str or path[:1] != "/" or "/." in path or "//" in path:
            try:
                path = os.path.abspath(os.fsdecode(path))
            except Exception:  # noqa: BLE001  (an open file, or what is no path: it must not change what a script does)
                return
        for folder, name in self._folders.items():
            if path.startswith(folder):
                own = event == "open" and name == self._input and self._above + path[len(folder) :] in self._own
                self.beyond = self.beyond or not own
            elif len(path) + 1 == len(folder) and folder.startswith(path):
                self.beyond = True
