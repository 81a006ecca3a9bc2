"""Small, careful moves on local files: write at once, copy without sharing, remove what is protected."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from stepwell.blocks.system.home import make_folder
from stepwell.model.regular_files import regular_only
from stepwell.model.tree import Tree

_FICLONE = 0x40049409


def write_atomically(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write `data` to `path` as a whole: a reader never finds a part. `durable`: it survives a power cut."""
    make_folder(path.parent)
    handle, scratch = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy the bytes and the executable bit of `source` to a new writable file, sharing blocks if it can."""
    with open(source, "rb", opener=regular_only) as read, open(target, "wb") as write:
        try:
            fcntl.ioctl(write.fileno(), _FICLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, write, 1 << 20)
        if os.fstat(read.fileno()).st_mode & 0o100:
            os.fchmod(write.fileno(), 0o755)


def copy_tree(source: Path, target: Path) -> None:
    """Make a writable copy of a file or folder: links stay links, pipes and devices stay out."""
    if source.is_file() and not source.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(source, target)
        return
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as found:
        for child in found:
            place = target / child.name
            if child.is_symlink():
                os.symlink(os.readlink(child.path), place)
            elif child.is_dir():
                copy_tree(Path(child.path), place)
            elif child.is_file():
                copy_file(child.path, place)


def copy_named(source: Path, target: Path, tree: Tree) -> None:
    """Make a writable copy of what `tree` names of the file or folder `source`, and of nothing else."""
    if tree.is_file:
        copy_file(source, target)
        return
    target.mkdir()
    for entry in tree.entries:
        place = target / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "file":
            copy_file(source / entry.path, place)
        elif entry.kind == "link":
            os.symlink(entry.digest, place)
        else:
            place.mkdir()


def move(source: Path, target: Path) -> None:
    """Move a file or folder, though it may have been protected, to `target` on the same file system."""
    _open_up(str(source))
    os.rename(source, target)


def protect(path: Path) -> None:
    """Take the right to write from all but root: to the file, or to anything in the folder."""
    if path.is_dir() and not path.is_symlink():
        with os.scandir(path) as found:
            for child in found:
                protect(Path(child.path))
        path.chmod(0o555)
    elif not path.is_symlink():
        path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)


def remove(path: Path) -> None:
    """Remove the file or folder, though it may have been protected. A missing one is fine."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    _open_up(str(path))
    for folder, children, _ in os.walk(path):
        for child in children:  # before they are listed
            _open_up(os.path.join(folder, child))
    shutil.rmtree(path, ignore_errors=True)


def _open_up(folder: str) -> None:
    mode = os.lstat(folder).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        with suppress(OSError):
            os.chmod(folder, stat.S_IMODE(mode) | 0o700)
