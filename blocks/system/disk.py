"""Trouble with a disk in words: full, read-only, not allowed, broken."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepwell.errors import StoreException

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_BROKEN = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO}


@contextmanager
def told_in_words(title: str, place: Path | str) -> Iterator[None]:
    """Raise StoreException for an OSError of the disk in the block, with the title, the reason, and what to do about it.

    `place` is what is named if the error names no file. Other errors pass.
    """
    try:
        yield
    except OSError as error:
        if not is_of_disk(error):
            raise
        raise in_words(title, error, place) from error


def is_of_disk(error: OSError) -> bool:
    """Return whether the error says that a disk is full, can't be written, or is broken."""
    return error.errno in _FULL | _FORBIDDEN | _BROKEN


def in_words(title: str, error: OSError, place: Path | str = "") -> StoreException:
    """Return the error of a disk as one for users."""
    if error.errno in _FULL:
        hint = "Free space there, then try again."
    elif error.errno in _FORBIDDEN:
        hint = "Make it writable, or set STEPWELL_HOME to a folder that you can write to."
    else:
        hint = "Look after the disk, or set STEPWELL_HOME to a folder on another one."
    named = error.filename if isinstance(error.filename, str) else place
    return StoreException(title, {"place": named or "not named", "reason": error.strerror or error}, hint)
