"""Reading of files that are somebody else's: a pipe, socket or device there is an error, and never waited for."""

from __future__ import annotations

import errno
import os
import stat


def regular_only(path: str | bytes | os.PathLike[str], flags: int) -> int:
    """Open the regular file at `path` and return its descriptor, as an `opener` of `open`.

    Anything else raises OSError at once, also if it takes the file's place between the look and the opening.
    """
    _check(path, os.stat(path).st_mode)  # to open a device may already do something
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except BlockingIOError:  # another process holds a lease on the file, and gives it up
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file; raise OSError for anything else."""
    with open(path, "rb", opener=regular_only) as stream:
        return stream.read()


def read_text(path: str | os.PathLike[str], encoding: str | None = None, errors: str | None = None) -> str:
    """Return the text of a regular file, as `Path.read_text`; raise OSError for anything else."""
    with open(path, encoding=encoding, errors=errors, opener=regular_only) as stream:
        return stream.read()


def _check(path: str | bytes | os.PathLike[str], mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is a pipe, socket or device", os.fspath(path))
