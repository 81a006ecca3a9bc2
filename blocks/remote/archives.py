"""Files and folders as one archive: packed through no link, unpacked into their own folder only."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Container
from pathlib import Path
from typing import IO, BinaryIO, cast

from stepwell.blocks.system.files import copy_file
from stepwell.model.nofollow import open_file, open_folder
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry

TOP = "data"
"""The name of the file or folder in its archive."""

_CONTENT = "STEPWELL.content"
"""Names the SHA-256 of a file whose bytes come apart from the archive."""


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


def pack_tree(tar: tarfile.TarFile, tree: Tree, place: Callable[[Entry], Path], apart: Container[str] = ()) -> None:
    """Add what a tree names, each file's bytes read from its `place`; of the contents that come `apart`, the names only."""
    if not tree.is_file:
        info = tarfile.TarInfo(TOP)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
    for entry in tree.entries:
        info = tarfile.TarInfo(f"{TOP}/{entry.path}" if entry.path else TOP)
        info.mode = 0o755 if entry.executable or entry.kind == "folder" else 0o644
        if entry.kind == "folder":
            info.type = tarfile.DIRTYPE
        elif entry.kind == "link":
            info.type, info.linkname = tarfile.SYMTYPE, entry.digest
        elif entry.digest in apart:
            info.pax_headers = {_CONTENT: entry.digest}
        else:
            at = place(entry)
            with open_file(at.parent, at.name) as stream:
                info.size = os.fstat(stream.fileno()).st_size
                tar.addfile(info, stream)
            continue
        tar.addfile(info)


def unpack(tar: tarfile.TarFile, target: Path, fetch: Callable[[str, Path], object] | None = None) -> None:
    """Unpack files, folders and links in the empty folder; links come last, so that nothing is written through one.

    `fetch` writes the bytes of a content that came apart to a file.
    """
    links = []
    for member in tar:
        place = target / _inside(member.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            place.mkdir(exist_ok=True)
        elif member.isreg():
            if fetch is not None and _CONTENT in member.pax_headers:
                fetch(member.pax_headers[_CONTENT], place)
            else:
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
