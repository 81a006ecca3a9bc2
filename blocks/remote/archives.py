"""Files and folders as one archive: packed through no link, unpacked into their own folder only."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import IO, BinaryIO, cast

from stepwell.blocks.system.files import copy_file
from stepwell.model.nofollow import open_file, open_folder

TOP = "data"
"""The name of the file or folder in its archive."""


def pack(tar: tarfile.TarFile, path: Path) -> None:
    """Add the file or folder that `path` is or leads to; no link in it is followed, and special files stay out."""
    real = os.path.realpath(path)
    if os.path.isfile(real):
        with open_file(os.path.dirname(real), os.path.basename(real)) as stream:
            _pack_file(tar, stream, TOP)
        return
    folder = open_folder(real)
    try:
        _pack_folder(tar, folder, TOP)
    finally:
        os.close(folder)


def _pack_folder(tar: tarfile.TarFile, folder: int, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)
    with os.scandir(folder) as found:
        children = list(found)
    for child in children:
        inner = f"{name}/{child.name}"
        if child.is_symlink():
            info = tarfile.TarInfo(inner)
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(child.name, dir_fd=folder)
            tar.addfile(info)
        elif child.is_dir(follow_symlinks=False):
            descriptor = open_folder(folder, child.name)
            try:
                _pack_folder(tar, descriptor, inner)
            finally:
                os.close(descriptor)
        elif child.is_file(follow_symlinks=False):
            with open_file(folder, child.name) as stream:
                _pack_file(tar, stream, inner)


def _pack_file(tar: tarfile.TarFile, stream: BinaryIO, name: str) -> None:
    status, info = os.fstat(stream.fileno()), tarfile.TarInfo(name)
    info.size, info.mode = status.st_size, stat.S_IMODE(status.st_mode)
    tar.addfile(info, stream)


def unpack(tar: tarfile.TarFile, target: Path) -> None:
    """Unpack files, folders and links in the empty folder; links come last, so that nothing is written through one."""
    links = []
    for member in tar:
        place = target / _inside(member.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            place.mkdir(exist_ok=True)
        elif member.isreg():
            with open(place, "xb") as stream, cast("IO[bytes]", tar.extractfile(member)) as packed:
                shutil.copyfileobj(packed, stream, 1 << 20)
            place.chmod(0o755 if member.mode & 0o100 else 0o644)
        elif member.islnk():
            copy_file(target / _inside(member.linkname), place)
        elif member.issym() and place != target / TOP:
            links.append((place, member.linkname))
    for place, leads_to in links:
        os.symlink(leads_to, place)


def _inside(name: str) -> str:
    top, *inner = name.split("/")
    if top != TOP or ".." in inner:
        raise ValueError(f"the archive holds a file outside of its folder: {name!r}")
    return name
