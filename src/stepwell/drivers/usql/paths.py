"""Where a script may read and write: its working folder, and the step's inputs and outputs."""

from __future__ import annotations

import os
from collections.abc import Sequence


class Paths:
    """The places of a step.

    Args:
        inputs: The paths of its inputs.
        outputs: Those of its outputs.
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._inputs, self._outputs = [*map(os.path.abspath, inputs)], [*map(os.path.abspath, outputs)]
        self._here = os.path.realpath(os.getcwd())

    def may_read(self, path: str) -> bool:
        """Return whether a path leads to what the step has, whatever links an input has in it."""
        whole = os.path.abspath(path)
        if any(_within(whole, place) for place in (*self._inputs, *self._outputs)):
            return True
        real, places = os.path.realpath(path), (*self._inputs, *self._outputs)
        return any(_within(real, place) for place in (self._here, *map(os.path.realpath, places)))

    def may_write(self, path: str) -> bool:
        """Return whether a path leads to an output, or to a new file of the working folder, by no link to elsewhere."""
        real = os.path.realpath(path)
        if any(_within(real, os.path.realpath(place)) for place in self._outputs):
            return True
        taken = any(_within(real, os.path.realpath(place)) for place in self._inputs)
        return _within(real, self._here) and not taken


def plain(path: str) -> str:
    """Return a path without `..`, as the file system does not resolve it where links are on the way."""
    return os.path.normpath(path) if ".." in path.split("/") else path


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")
