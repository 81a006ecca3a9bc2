"""A private folder for temporary files, at a path that is short enough for Unix sockets in it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepwell.blocks.system.files import remove

_LONGEST = 32
"""A socket's path has 107 bytes at most, on some systems 103, and libraries put up to 60 behind the temporary folder."""

_USUAL = ("/tmp", "/var/tmp")  # noqa: S108  (a private folder is made there)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder of this user's in the system's temporary folder; it is removed when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="stepwell-", dir=_system_folder()))
    try:
        yield folder
    finally:
        remove(folder)


def _system_folder() -> str:
    """Return what TMPDIR or the system says, or one of the usual places if that is too long."""
    named = os.path.abspath(tempfile.gettempdir())
    places = (named, *_USUAL)
    return next((p for p in places if len(os.fsencode(p)) <= _LONGEST and os.access(p, os.W_OK | os.X_OK)), named)
