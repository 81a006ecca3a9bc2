"""`MountContext`: the files of a dataset in one folder of this machine, for as long as it is in use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from stepwell.blocks.datasets.files.current_files import CurrentFiles
from stepwell.blocks.system.files import remove
from stepwell.errors import UserErrorException


class MountContext:
    """A folder that shows files between `start()` and `stop()`, or within `with`.

    Args:
        found: Finds the files.
        mount_point: The folder; None for a new temporary one.
    """

    def __init__(self, found: Callable[[], CurrentFiles], mount_point: str | os.PathLike[str] | None = None) -> None:
        self._found = found
        self._wanted = mount_point
        self._place: Path | None = None
        self._folder: Path | None = None

    @property
    def mount_point(self) -> str:
        """The folder, or, for a dataset that is one named file, the path of the file."""
        if self._place is None:
            if self._wanted:
                return os.path.abspath(self._wanted)
            self._folder = self._folder or Path(tempfile.mkdtemp(prefix="stepwell-"))
            return str(self._folder)
        return str(self._place)

    def start(self) -> None:
        """Put the files there.

        Raises:
            UserErrorException: The folder is not empty, or there are no files.
        """
        if self._place is not None:
            return
        found = self._found()
        folder = Path(self.mount_point)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserErrorException(
                "The folder of a mount is not empty", {"folder": folder}, "Choose one that is new or empty."
            )
        self._folder = folder
        paths = found.put_into(folder, links=True)
        self._place = paths[0] if found.is_single_file else folder

    def stop(self) -> None:
        """Take the files away again; where they come from, they stay."""
        folder = self._folder
        if folder is not None and self._wanted:  # it is the user's
            for inner in folder.iterdir():
                remove(inner)
        elif folder is not None:
            remove(folder)
        self._place = self._folder = None

    def __enter__(self) -> MountContext:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
