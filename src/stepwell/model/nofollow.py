"""What a step may have touched, opened by the host: through no symbolic link, and without waiting for a writer.

A place is a trusted folder and a path below it. Each part of the path is opened relative to the folder before it, so
what becomes a link between a look and an opening is refused, as are pipes, sockets and devices.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    Name = str | os.PathLike[str]

MOST_DEPTH = 200
"""How deep folders may be nested in what is read: each level takes a descriptor."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ADDED = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_folder(root: Name | int, path: Name = "") -> int:
    """Return a descriptor of the folder `path` below the trusted `root`, a path or a descriptor.

    A link on the way raises OSError, as does anything that is no folder.
    """
    descriptor = os.dup(root) if isinstance(root, int) else os.open(root, _FOLDER)
    for part in _parts(path):
        try:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def open_file(root: Name | int, path: Name) -> BinaryIO:
    """Open the regular file `path` below the trusted `root` to be read; a link on the way, or as the file, raises OSError."""
    *folders, name = _parts(path) or [""]
    folder = open_folder(root, "/".join(folders))
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _not_regular(name)
        descriptor = os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was replaced in between
        os.close(descriptor)
        raise _not_regular(name)
    return open(descriptor, "rb")


def append_file(root: Name | int, path: Name) -> BinaryIO:
    """Open the regular file `path` below the trusted `root` to be added to, as `open_file` does; a missing one is made."""
    *folders, name = _parts(path) or [""]
    folder = open_folder(root, "/".join(folders))
    try:
        descriptor = os.open(name, _ADDED, 0o666, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(name)
    return open(descriptor, "ab")


def read_file(root: Name | int, path: Name) -> bytes:
    """Return the content of the regular file `path` below the trusted `root`; raise OSError as `open_file` does."""
    with open_file(root, path) as stream:
        return stream.read()


def is_file(root: Name | int, path: Name) -> bool:
    """Return whether a regular file stands at `path`, with no link on the way."""
    try:
        open_file(root, path).close()
    except OSError:
        return False
    return True


def files_below(root: Name | int, path: Name = "") -> Iterator[str]:
    """Yield the regular files below the folder `path`, by their paths below it, in order; none if there is no folder."""
    try:
        folder = open_folder(root, path)
    except OSError:
        return
    try:
        yield from sorted(_files(folder, "", 0), key=lambda name: name.split("/"))
    finally:
        os.close(folder)


def leads_out(path: str, target: str) -> bool:
    """Return whether a link at `path` below a folder leads out of the folder, by the name of its target."""
    reached = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return os.path.isabs(target) or reached.split(os.sep)[0] == os.pardir


def _files(folder: int, prefix: str, depth: int) -> Iterator[str]:
    with os.scandir(folder) as found:
        children = list(found)
    for child in children:
        if child.is_file(follow_symlinks=False):
            yield prefix + child.name
        elif child.is_dir(follow_symlinks=False) and depth < MOST_DEPTH:
            try:
                inner = open_folder(folder, child.name)
            except OSError:
                continue
            try:
                yield from _files(inner, f"{prefix}{child.name}/", depth + 1)
            finally:
                os.close(inner)


def _parts(path: Name) -> list[str]:
    parts = [part for part in os.fspath(path).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise OSError(errno.EINVAL, "A path that leads up", os.fspath(path))
    return parts


def _not_regular(name: str) -> OSError:
    return OSError(errno.EINVAL, "Not a regular file", name)
