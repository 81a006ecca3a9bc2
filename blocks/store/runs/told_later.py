"""Notes of runs of which others are still to be told something: an empty file each, so that whoever comes later tells it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.system.home import make_folder


class ToldLater:
    """The notes of one kind, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, run_id: str) -> None:
        """Note that something of the run is still to be told."""
        with suppress(OSError):
            make_folder(self._folder)
            (self._folder / run_id).touch()

    def forget(self, run_id: str) -> None:
        """Forget that it was."""
        with suppress(OSError):
            (self._folder / run_id).unlink(missing_ok=True)

    def has(self, run_id: str) -> bool:
        """Return whether something of the run is still to be told."""
        return (self._folder / run_id).exists()

    def run_ids(self) -> list[str]:
        """Return the ids of the runs of which something is."""
        with suppress(OSError):
            return sorted(os.listdir(self._folder))
        return []
