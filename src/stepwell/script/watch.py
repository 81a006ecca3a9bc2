"""The watch: an audit hook, and probes in place of functions of `os`, that note what a Python process reads and looks for.

    reads        file to append to, a line for each finding: {"path": "config.json", "inside": true}

A path inside the folder that the script runs in is relative to it, another absolute; links are resolved,
`__pycache__/x.*.pyc` is noted as `x.py`. `data/` stands for the names in a folder, `x/.` for a look whether something is
there, with `"missing": true` if it was not. `"made": true` marks what this process wrote: a later read of it, by whatever
process, is none.

A file is noted once by each process that reads it, and also if it is renamed, hard-linked, or (inside the folder) named to a
program that the script starts. Not noted are files that this process wrote, or that stand in folders it made; the
script itself; what belongs to the interpreter, to installed packages, to the system or to the user's settings; and what
Python looks for, or through, in search of modules, metadata of packages and sources.

What an audit hook can't see: reads inside C libraries that open files themselves and inside other programs, names relative
to an open folder (`dir_fd`). Access times tell of those inside the folder.

This file stands alone, like the launcher, which loads it: it needs a Python >= 3.8, without Stepwell.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType
    from typing import Any

_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run"),
    *("/var/lib", "/var/cache", "/System", "/Library"),
)
_INSTALLED, _METADATA = ("/site-packages/", "/dist-packages/"), (".egg-info", ".dist-info")
_KIND, _REGULAR, _LONGEST_WORD = 0o170000, 0o100000, 4096
_HELPERS = {
    *("os", "posixpath", "genericpath", "pathlib", "glob", "fnmatch", "shutil", "zipfile"),
    *("contextlib", "functools", "tokenize", "io", "codecs", "_pyio"),
}
_MACHINERY = {
    *("_frozen_importlib", "_frozen_importlib_external"),  # so called until somebody imports `importlib`
    *("importlib", "importlib_metadata", "pkg_resources", "pkgutil", "runpy", "site", "zipimport"),
    *("inspect", "linecache", "traceback", "warnings", "stepwell_own_code"),
}
_ASKS = {
    *("exists", "lexists", "isfile", "isdir", "islink", "ismount", "samefile", "access"),
    *("is_file", "is_dir", "is_symlink"),
}
_PASSES = {
    *("realpath", "_joinrealpath", "resolve", "makedirs", "mkdir", "rmtree", "_rmtree_safe_fd", "_rmtree_unsafe"),
    *("copy", "copy2", "copyfile", "_samefile"),
}
_SEPARATORS = {ord(mark): " " for mark in "\"'`;<>|&(){}$=,:"}


def start(own: list[str], quiet: list[str], reads: str, script: list[str]) -> None:  # noqa: C901, PLR0915
    """Note from now on what is read and looked for; `own` are the folder that the script runs in, and those of modules.

    Functions of `os` are taken now: the script may replace them.
    """
    own = own[:1] + [path for path in own[1:] if path not in quiet and not _is_installed(path)]
    stat, getcwd, fsdecode, realpath, normpath = os.stat, os.getcwd, os.fsdecode, os.path.realpath, os.path.normpath
    split, lexists, isdir, get_ident = os.path.split, os.path.lexists, os.path.isdir, _thread.get_ident
    inside = realpath(own[0]) + "/"
    note = _notes(inside, os.path.abspath(reads))
    is_quiet, silent = _quiet_test(own, quiet)
    made: set[str] = set()  # folders
    busy: set[int] = set()  # threads that are in here
    known = {*script, os.path.abspath(reads)}

    def absolute(path: Any, folder: Any = None) -> str:
        name = fsdecode(path)
        if name[:1] != "/":
            name = f"{absolute(folder) if folder else getcwd()}/{name}"
        return normpath(name) if "/." in name or "//" in name or name[-1:] == "/" else name

    def is_made(path: str) -> bool:
        while made and len(path) > 1:
            if path in made:
                return True
            path = split(path)[0]
        return False

    def read(path: str, only_inside: bool = False) -> None:
        if path in known or is_quiet(path):
            return
        real = realpath(_source_of(path))
        if only_inside and not real.startswith(inside):
            return
        if not only_inside and not lexists(path):
            looked(path, missing=True)
            return
        if stat(real).st_mode & _KIND != _REGULAR or (
            real.rpartition("/")[0].endswith(_METADATA) and not _is_asked(inside)
        ):
            return
        seen = real in known
        known.update((path, real))
        if not seen and not is_quiet(real) and not is_made(real):
            note(real)

    def looked(path: str, missing: bool) -> None:
        probe = path + "/."
        if probe in known or path in known or is_quiet(path):
            return
        real = realpath(path)
        if inside.startswith(real + "/"):
            known.add(probe)
            return
        if real in known or is_quiet(real) or is_made(real) or not _is_asked(inside):
            return
        known.add(probe)
        if real + "/." not in known or real == path:
            known.add(real + "/.")
            note(real + "/.", "missing" if missing else "")

    def write(path: str, flags: int) -> None:
        if path in known or is_quiet(path):
            return
        try:
            there, kept = True, not flags & os.O_TRUNC and stat(path).st_size > 0
        except OSError:
            there = kept = False
        if not kept:
            wrote(path, there)
        elif flags & os.O_RDWR:
            read(path)

    def wrote(path: str, there: bool) -> None:
        real = realpath(path)
        known.update((path, real))
        if there or not real.startswith(inside):  # what else is inside counts for nobody
            note(real, "made")

    def opened(path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int):
            return
        if flags & (os.O_WRONLY | os.O_RDWR):
            write(absolute(path), flags)
        else:
            read(absolute(path))

    def moved(source: Any, target: Any, *_: Any) -> None:
        source, target = absolute(source), realpath(absolute(target))
        if isdir(source):
            folder_made(target)
        else:
            read(source)
            if not is_quiet(target):
                wrote(target, lexists(target))

    def folder_made(path: Any, *_: Any) -> None:
        real = realpath(absolute(path))
        if not lexists(real):
            made.add(real)
            if not real.startswith(inside) and not is_quiet(real):
                note(real, "made")

    def started(words: Iterable[Any], folder: Any = None) -> None:
        for word in [words] if isinstance(words, (str, bytes)) else words:
            text = fsdecode(word)
            if len(text) > _LONGEST_WORD:
                continue
            for name in {text, *text.translate(_SEPARATORS).split()} - {""}:
                try:
                    read(absolute(name, folder), only_inside=True)
                except (OSError, ValueError):
                    pass

    def listed(path: Any = None, *_: Any) -> None:
        if isinstance(path, int):
            return
        folder = realpath(absolute(path or "."))
        if folder + "/" in known or folder == "/" or is_quiet(folder) or is_made(folder):
            return
        if _is_asked(inside, folder):
            known.add(folder + "/")
            note(folder + "/")

    def loaded(path: Any) -> None:
        if path:
            read(absolute(path))

    handlers: dict[str, Callable[..., None]] = {
        "open": opened,
        "import": lambda module, path, *_: loaded(path),  # only extension modules have a path here
        "ctypes.dlopen": loaded,
        "sqlite3.connect": lambda path: opened(path, None, os.O_RDWR),
        "os.mkdir": folder_made,
        "os.listdir": listed,
        "os.scandir": listed,
        "os.rename": moved,
        "os.link": moved,
        "subprocess.Popen": lambda program, words, folder, _: started(words, folder),
        "os.exec": lambda path, words, _: started([path, *words]),
        "os.posix_spawn": lambda path, words, _: started([path, *words]),
        "os.system": lambda command: started([command]),
    }

    def hook(event: str, arguments: Any) -> None:
        if event == "open":  # quickly, since of many files nearly all are a step's own inputs
            path = arguments[0] if arguments else None
            if type(path) is str and path.startswith(silent) and "/." not in path and "//" not in path:
                return
        if event in handlers:
            tell(handlers[event], *arguments)

    def tell(handler: Callable[..., None], *arguments: Any) -> None:
        thread = get_ident()
        if thread in busy:
            return
        busy.add(thread)
        try:
            handler(*arguments)
        except Exception:  # noqa: BLE001, S110  (watching must not change what the script does)
            pass
        finally:
            busy.discard(thread)

    def probed(function: str, path: Any, found: Any) -> None:
        if isinstance(path, int):
            return
        path = absolute(path)
        if path in known or path + "/." in known:
            return
        if function == "access" and not found:
            found = lexists(path)
        how = _way_of_looking()
        if how == "passes":
            return
        if not found:
            looked(path, missing=True)
        elif function == "stat" and how == "" and found.st_mode & _KIND == _REGULAR:
            if _is_asked(inside):
                read(path)
        else:
            looked(path, missing=False)

    sys.addaudithook(hook)
    for function in ("stat", "lstat", "access"):
        _Probe(function, lambda *facts: tell(probed, *facts)).install()


class _Probe:
    """A function of `os` that looks for a file, in its place: it does the same, and tells. No method when in a class."""

    def __init__(self, name: str, tell: Callable[..., None]) -> None:
        self._function = getattr(os, name)
        self._tell = tell
        self.__dict__.update(__name__=name, __qualname__=name, __module__="os", __doc__=self._function.__doc__)
        self.__wrapped__ = self._function

    def install(self) -> None:
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if self._function in able:
                able.add(self)
        setattr(os, self.__dict__["__name__"], self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = None
        try:
            found = self._function(*args, **kwargs)
        except (FileNotFoundError, NotADirectoryError):
            self._told(args, kwargs, found)
            raise
        self._told(args, kwargs, found)
        return found

    def _told(self, args: Any, kwargs: Any, found: Any) -> None:
        if kwargs.get("dir_fd") is None and (args or "path" in kwargs):
            self._tell(self.__dict__["__name__"], args[0] if args else kwargs["path"], found)

    def __repr__(self) -> str:
        return repr(self._function)

    def __reduce__(self) -> str:
        return str(self.__dict__["__name__"])


def _callers() -> Iterator[FrameType]:
    """Yield the frames of the script's thread, innermost first, without those of this file."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename != _callers.__code__.co_filename:
            yield frame
        frame = frame.f_back


def _is_asked(inside: str, folder: str = "") -> bool:
    """Return whether code that reads data looks, and not Python itself in search of modules, packages and sources.

    `pkgutil` asks for data too if it goes through a `folder` that is on no search path, such as a package of plugins.
    """
    for frame in _callers():
        parts = str(frame.f_globals.get("__name__")).split(".")
        if frame.f_code.co_filename.startswith(inside):
            return not _is_search(frame)
        if parts[0] in _HELPERS:
            continue
        if _MACHINERY.isdisjoint(parts) or "resources" in parts:
            return not _is_search(frame)
        searched = os.path.realpath(getattr(frame.f_locals.get("importer"), "path", None) or folder)  # its package
        return parts[0] == "pkgutil" and folder != "" and searched not in map(os.path.realpath, sys.path)
    return True


def _is_search(frame: FrameType | None) -> bool:
    """Return whether the frame is that of an import hook, in search of a module."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "_find_spec"


def _way_of_looking() -> str:
    """Return `asks` if a helper of Python's asks only whether a file is there, `passes` if it is on its way elsewhere."""
    way = ""
    for frame in _callers():
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _HELPERS:
            break
        if frame.f_code.co_name in _PASSES:
            return "passes"
        if frame.f_code.co_name in _ASKS:
            way = "asks"
    return way


def _source_of(path: str) -> str:
    if not path.endswith(".pyc"):
        return path
    if sys.pycache_prefix and path.startswith(sys.pycache_prefix):
        folder, name = os.path.split(path[len(sys.pycache_prefix) :])
        return f"{folder}/{name.split('.', 1)[0]}.py"
    folder, name = os.path.split(path)
    return f"{folder[:-12]}/{name.split('.', 1)[0]}.py" if folder.endswith("/__pycache__") else path


def _quiet_test(own: list[str], quiet: list[str]) -> tuple[Callable[[str], bool], tuple[str, ...]]:
    """Return a test whether a path is never noted, and what such paths begin with; what holds an `own` folder silences none."""
    tops, folders = _folders(own), _folders(quiet)
    around = tuple(folder for folder in folders if any(top.startswith(folder) for top in tops))
    named = tuple(folder for folder in folders if folder not in around)
    homes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__))
    silent = _folders((*_SYSTEM, *homes)) + around
    if os.environ.get("HOME"):
        silent += tuple(folder[:-1] + "/." for folder in _folders([os.environ["HOME"]]))
    inner = [(top, tuple(folder for folder in silent if not top.startswith(folder))) for top in tops]

    def is_quiet(path: str) -> bool:
        path += "/"
        if path.startswith(named):
            return True
        for top, silenced in inner:
            if path.startswith(top):
                return path.startswith(silenced) or any(mark in path[len(top) - 1 :] for mark in _INSTALLED)
        return path.startswith(silent) or any(mark in path for mark in _INSTALLED)

    return is_quiet, named


def _is_installed(path: str) -> bool:
    return any(mark in path + "/" for mark in _INSTALLED)


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths and what they resolve to, each with one slash at its end; the root of all is none."""
    known: dict[str, str] = {}  # most have the same folder

    def resolved(path: str) -> str:
        folder, name = os.path.split(path)
        if ".." in path or not name or os.path.islink(path):
            return os.path.realpath(path)
        return os.path.join(known.get(folder) or known.setdefault(folder, os.path.realpath(folder)), name)

    both = [place for path in paths if path for place in (os.path.abspath(path), resolved(path))]
    return tuple(dict.fromkeys(place + "/" for place in both if place != "/"))


def _notes(inside: str, reads: str) -> Callable[..., None]:
    """Return a function that writes one line at once, and closes the file: the script may close all it finds open."""
    opened, write, close = os.open, os.write, os.close
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        from _json import encode_basestring_ascii as quoted  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from json import dumps as quoted

    def note(path: str, mark: str = "") -> None:
        known_as = path[len(inside) :] or "./" if path.startswith(inside) else path
        line = f'{{"path": {quoted(known_as)}, "inside": {str(known_as != path).lower()}'
        line += f', "{mark}": true}}\n' if mark else "}\n"
        descriptor = opened(reads, flags, 0o666)
        try:
            write(descriptor, line.encode("ascii"))
        finally:
            close(descriptor)

    return note
