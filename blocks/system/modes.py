"""Who may read and write what is made in a folder: as the umask says, and its group as the folder does that hands it on.

A folder with the setgid bit gives its group to all that is made in it. Somebody set that for a team, whose members' umasks
mostly keep one another from writing; so the group gets the rights there that it has to the folder, as in Git's shared
repositories.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_GROUP = 0o070


def shared_rights(folder: str | Path) -> int:
    """Return the bits that what is made in the folder gets beyond the umask: none unless it hands on its group."""
    with suppress(OSError):
        mode = os.stat(folder).st_mode
        if mode & stat.S_ISGID:
            return mode & _GROUP
    return 0


def make_one_folder(path: Path, *, private: bool) -> None:
    """Make a folder in one that exists; `private`: for its owner only, unless the one above is its group's as well."""
    rights = shared_rights(path.parent)
    path.mkdir(mode=0o700 if private else 0o777)
    if rights:
        _add(str(path), rights | stat.S_ISGID)


def create_file(path: str | Path, flags: int, *, private: bool) -> int:
    """Return a descriptor of a new file; one that exists raises FileExistsError.

    `private`: for its owner only, unless the folder is its group's as well.
    """
    rights = shared_rights(os.path.dirname(path))
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o666)
    if rights:
        _add(descriptor, rights & 0o060)
    return descriptor


def share(path: Path, folder: Path) -> None:
    """Give the group the rights to a folder that it would have, had it been made in `folder`."""
    if rights := shared_rights(folder):
        _add(str(path), rights | stat.S_ISGID)


def _add(place: str | int, rights: int) -> None:
    with suppress(OSError):  # a file system without modes
        mode = stat.S_IMODE(os.stat(place).st_mode)
        if mode | rights != mode:
            os.chmod(place, mode | rights)
