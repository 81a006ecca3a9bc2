"""Small, careful moves on local files: write at once, copy without sharing, remove what is protected."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from stepwell.blocks.system.home import make_folder, new_file
from stepwell.model.nofollow import MOST_DEPTH, is_file, leads_out, open_file, open_folder
from stepwell.model.tree import Tree

_FICLONE = 0x40049409


def write_atomically(
    path: Path, data: bytes | Iterable[bytes], *, durable: bool = False, private: bool = False
) -> None:
    """Write `data`, which may come in parts, to `path` as a whole: a reader never finds a part. `durable`: it survives a power cut.

    `private`: nobody but its owner may read it, whoever else uses the folder.
    """
    make_folder(path.parent)
    scratch = path.parent / f".{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_NOFOLLOW
    handle = os.open(scratch, flags | os.O_CREAT | os.O_EXCL, 0o600) if private else new_file(scratch, flags)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines((data,) if isinstance(data, bytes) else data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def make_durable(path: Path) -> None:
    """Let what a file holds now survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(root: Path, path: str, data: bytes) -> None:
    """Write `data` to a new file in the place of the file `path` below `root`, with no link followed on the way."""
    folder = open_folder(root, os.path.dirname(path))
    name = os.path.basename(path)
    scratch = f".{name[:100]}.{os.urandom(8).hex()}"
    try:
        handle = os.open(scratch, _NEW | os.O_EXCL, 0o644, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.replace(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(scratch, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def copy_file(source: str | Path, target: str | Path, *, below: Path | None = None) -> None:
    """Copy the bytes and the executable bit of `source` to a new writable file, sharing blocks if it can.

    `below`: no link is followed on the way from this folder to `source`.
    """
    folder, name = _trusted(source) if below is None else (below, os.path.relpath(source, below))
    with open_file(folder, name) as read, open(target, "wb") as write:
        copy_stream(read, write)


def copy_stream(read: IO[bytes], write: IO[bytes]) -> None:
    """Copy the rest of an open file and its executable bit to another one, sharing blocks if the file system can."""
    try:
        fcntl.ioctl(write.fileno(), _FICLONE, read.fileno())
    except OSError:
        shutil.copyfileobj(read, write, 1 << 20)
    if os.fstat(read.fileno()).st_mode & 0o100:
        os.fchmod(write.fileno(), 0o755)


FileState = tuple[int, int, int]
"""Inode, size and time of a file: those of one that nobody wrote to since are the same."""


def file_state(status: os.stat_result) -> FileState:
    """Return the state of the file whose status this is."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def copy_tree(
    source: Path, target: Path, *, below: Path | None = None, without: Container[FileState] = frozenset()
) -> None:
    """Make a writable copy of a file or folder: links stay links, pipes and devices stay out.

    `below`: no link is followed on the way from this folder to `source`, nor if it is one itself. `without`: files of a
    folder that stay out.
    """
    folder, name = _trusted(source) if below is None else (below, os.path.relpath(source, below))
    if is_file(folder, name):
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(folder / name, target, below=folder)
        return
    read = open_folder(folder, name)
    try:
        target.mkdir(parents=True, exist_ok=True)
        write = open_folder(target.parent, target.name)
        try:
            _copy_folder(read, write, without)
        finally:
            os.close(write)
    finally:
        os.close(read)


def copy_named(source: Path, target: Path, tree: Tree, *, through_links: bool = False) -> None:
    """Make a writable copy of what `tree` names of the file or folder `source`, and of nothing else.

    `through_links`: what the tree calls a file may be a link, or stand behind one.
    """
    if tree.is_file:
        copy_file(source, target)
        return
    target.mkdir()
    for entry in tree.entries:
        place = target / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "file":
            copy_file(source / entry.path, place, below=None if through_links else source)
        elif entry.kind == "link":
            os.symlink(entry.digest, place)
        else:
            place.mkdir()


def take(source: Path, target: Path, *, below: Path) -> None:
    """Move a file or folder that a step left below a folder to `target`, where nothing stands.

    A link on the way or in its place, or a pipe or device, raises OSError.
    """
    name = os.path.basename(source)
    folder = open_folder(below, os.path.relpath(os.path.dirname(source), below))
    try:
        _check_kind(os.stat(name, dir_fd=folder, follow_symlinks=False), source)
        _open_up(name, folder)
        os.rename(name, target, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_tree(source, target, below=below)
    finally:
        os.close(folder)
    _check_kind(target.lstat(), source)  # another one may have come in between


def relink(path: Path, seen_at: Iterable[str]) -> None:
    """Make links in a folder relative that lead to a place inside it by a path where it was seen; none is followed."""
    if stat.S_ISDIR(path.lstat().st_mode):
        folder = open_folder(path.parent, path.name)
        try:
            _relink_inside(folder, "", tuple(seen_at))
        finally:
            os.close(folder)


def move(source: Path, target: Path) -> None:
    """Move a file or folder, though it may have been protected, to `target` on the same file system."""
    _open_up(str(source))
    os.rename(source, target)


def protect(path: Path) -> None:
    """Take the right to write from all but root: to the file, or to anything in the folder. No link is followed."""
    if stat.S_ISDIR(path.lstat().st_mode):
        folder = open_folder(path.parent, path.name)
        try:
            _protect_inside(folder)
        finally:
            os.close(folder)
    _change_mode(str(path), None, _protected)


def change_owner(path: Path, user: int, group: int) -> None:
    """Give the folder and all that is in it to a user, as only root can; no link is followed."""
    folder = open_folder(path)
    try:
        os.chown(folder, user, group)
        _change_owner_inside(folder, user, group)
    finally:
        os.close(folder)


def remove(path: Path) -> None:
    """Remove the file or folder, though it may have been protected. A missing one is fine, and no link is followed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        os.rmdir(path)  # it may be empty
        return
    with suppress(OSError):
        _open_up(str(path))
        top = open_folder(path.parent, path.name)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(path)


def has_second_name(path: Path) -> bool:
    """Return whether a file at the path, or below it, has a second name somewhere."""
    files = [path] if path.is_file() else (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return any(file.lstat().st_nlink > 1 for file in files)


# Through no link ------------------------------------------------------------------------------------------------------

_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOOK = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC


def _check_kind(status: os.stat_result, path: Path) -> None:
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.ELOOP, "Neither a file nor a folder", str(path))


def _trusted(source: str | Path) -> tuple[Path, str]:
    """Return folder and name of what `source` is or leads to."""
    real = os.path.realpath(source)
    return Path(os.path.dirname(real)), os.path.basename(real)


def _copy_folder(read: int, write: int, without: Container[FileState], depth: int = 0) -> None:
    """Copy what an open folder holds into another one."""
    for child in _children(read, depth):
        name = child.name
        if child.is_symlink():
            os.symlink(os.readlink(name, dir_fd=read), name, dir_fd=write)
        elif child.is_dir(follow_symlinks=False):
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=write)
            inner = open_folder(read, name)
            try:
                copy = open_folder(write, name)
                try:
                    _copy_folder(inner, copy, without, depth + 1)
                finally:
                    os.close(copy)
            finally:
                os.close(inner)
        elif child.is_file(follow_symlinks=False):
            with open_file(read, name) as source:
                if file_state(os.fstat(source.fileno())) in without:
                    continue
                handle = os.open(name, _NEW | os.O_TRUNC, 0o666, dir_fd=write)
                with os.fdopen(handle, "wb") as target:
                    copy_stream(source, target)


def _children(folder: int, depth: int = 0) -> list[os.DirEntry[str]]:
    if depth > MOST_DEPTH:
        raise OSError(errno.ENAMETOOLONG, "Folders are nested too deeply")
    with os.scandir(folder) as found:
        return list(found)


def _relink_inside(folder: int, prefix: str, seen_at: tuple[str, ...], depth: int = 0) -> None:
    for child in _children(folder, depth):
        path = prefix + child.name
        if child.is_symlink():
            inner = _seen_inside(path, os.readlink(child.name, dir_fd=folder), seen_at)
            if inner is not None:
                os.unlink(child.name, dir_fd=folder)
                os.symlink(os.path.relpath(inner or ".", os.path.dirname(path) or "."), child.name, dir_fd=folder)
        elif child.is_dir(follow_symlinks=False):
            opened = open_folder(folder, child.name)
            try:
                _relink_inside(opened, f"{path}/", seen_at, depth + 1)
            finally:
                os.close(opened)


def _seen_inside(path: str, target: str, seen_at: tuple[str, ...]) -> str | None:
    """Return where in its folder a link leads that seems to lead out of it; None if it does, or needs no change."""
    for root in seen_at if leads_out(path, target) else ():
        full = os.path.normpath(os.path.join(root, os.path.dirname(path), target))
        if f"{full}/".startswith(f"{root}/"):
            return full[len(root) + 1 :]
    return None


def _protect_inside(folder: int, depth: int = 0) -> None:
    for child in _children(folder, depth):
        if child.is_dir(follow_symlinks=False):
            inner = open_folder(folder, child.name)
            try:
                _protect_inside(inner, depth + 1)
            finally:
                os.close(inner)
        _change_mode(child.name, folder, _protected)


def _protected(mode: int) -> int:
    return 0o555 if stat.S_ISDIR(mode) or mode & 0o100 else 0o444


def _open_up(name: str, folder: int | None = None) -> None:
    with suppress(OSError):
        _change_mode(name, folder, lambda mode: stat.S_IMODE(mode) | (0o700 if stat.S_ISDIR(mode) else 0))


def _change_mode(name: str, folder: int | None, change: Callable[[int], int]) -> None:
    """Change the mode of a file or folder; that of anything else stays."""
    descriptor = os.open(name, _LOOK, dir_fd=folder)
    try:
        mode = os.fstat(descriptor).st_mode
        if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and change(mode) != stat.S_IMODE(mode):
            os.chmod(f"/proc/self/fd/{descriptor}" if hasattr(os, "O_PATH") else descriptor, change(mode))
    finally:
        os.close(descriptor)


def _change_owner_inside(folder: int, user: int, group: int, depth: int = 0) -> None:
    for child in _children(folder, depth):
        os.chown(child.name, user, group, dir_fd=folder, follow_symlinks=False)
        if child.is_dir(follow_symlinks=False):
            inner = open_folder(folder, child.name)
            try:
                _change_owner_inside(inner, user, group, depth + 1)
            finally:
                os.close(inner)


def _empty(top: int) -> None:
    """Remove what an open folder holds. Inner folders come up to its top first, so that none is too deep to reach."""
    waiting = _clear(top, top)
    while waiting:
        name = waiting.pop()
        with suppress(OSError):
            inner = open_folder(top, name)
            try:
                waiting += _clear(inner, top)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _clear(folder: int, top: int) -> list[str]:
    """Remove the files of an open folder, and return the names under which its folders now stand at the top."""
    names = []
    for child in _children(folder):
        with suppress(OSError):
            if not child.is_dir(follow_symlinks=False):
                os.unlink(child.name, dir_fd=folder)
                continue
            _open_up(child.name, folder)  # one that is moved has to be writable
            name = child.name if folder == top else os.urandom(8).hex()
            os.rename(child.name, name, src_dir_fd=folder, dst_dir_fd=top)
            names.append(name)
    return names


def fan_out(folder: Path, name: str) -> Path:
    """Return where a folder of many keeps what has this name."""
    return folder.joinpath(name[:2], name)
