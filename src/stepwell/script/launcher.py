"""A launcher that runs a script as `python script.py` would, in the real `__main__`, and notes the files that it reads.

Started as `python launcher.py SPEC`. SPEC, the launch spec, is a JSON file (it may be `/dev/fd/N`, closed after use):

    script       path relative to `cwd`; becomes `sys.argv[0]` as it is
    argv         the other arguments; bytes that aren't UTF-8 as lone surrogates (surrogateescape)
    cwd          folder to run in
    module_path  folders to append to `sys.path`
    watch        whether to note reads
    quiet        folders and files that are never noted
    reads        file to append to, a line for each file read: {"path": "config.json", "inside": true}

A path inside `cwd` is relative to it, another absolute; links are resolved, `__pycache__/x.*.pyc` is noted as `x.py`.
A file is noted once by each process that reads it, and also if it is renamed, hard-linked, or (inside `cwd`) named to a
program that the script starts. Not noted are files that this process wrote, or that stand in folders it made; the
script itself; what is missing; and what belongs to the interpreter, to installed packages, to the system or to the
user's settings.

An audit hook can't see: reads inside C libraries that open files themselves (HDF5, Parquet by path, image readers),
reads inside other programs and inside Python processes that aren't forks of this one, names relative to an open folder
(`dir_fd`), listings of folders, and probes such as `os.path.exists`.

This file stands alone: it runs wherever there is a Python >= 3.8, without Stepwell. Two thirds of its cost is its own
compilation: `python __pycache__/launcher.*.pyc SPEC` does the same faster, with the Python that compiled it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType, TracebackType
    from typing import Any

_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run"),
    *("/var/lib", "/var/cache", "/System", "/Library"),
)
_INSTALLED = ("/site-packages/", "/dist-packages/")
_KIND, _REGULAR = 0o170000, 0o100000
_LONGEST_WORD = 4096
_SEPARATORS = {ord(mark): " " for mark in "\"'`;<>|&(){}$=,:"}


def main(spec_file: str) -> None:
    """Run the script of the launch spec; what the script raises passes through, without the frames of this file."""
    if sys.path[:1] == [os.path.dirname(os.path.realpath(__file__))]:
        del sys.path[0]  # before any import: modules beside this file are none of the script's business
    spec = _read_spec(spec_file)
    os.chdir(spec["cwd"])
    path = os.path.abspath(spec["script"])
    sys.argv[:] = [spec["script"], *spec["argv"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[-2:] = sys.argv
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    sys.path.extend(spec["module_path"])
    source = _read_script(path)
    module = _new_main(path)
    sys.modules["__main__"] = module
    if spec["watch"]:
        own = [os.getcwd(), *(path for path in spec["module_path"] if not _is_installed(path))]
        sys.addaudithook(_watcher(own, spec["quiet"], spec["reads"], known={path, os.path.realpath(path)}))
    _execute(source, path, module)


# Starting -----------------------------------------------------------------------------------------------------------


class _Decoder:
    """What the scanner inside `json` asks of its decoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float = parse_constant = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012


def _read_spec(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        text = stream.read()
    if path.startswith("/dev/fd/") and int(path[8:]) > 2:
        os.close(int(path[8:]))
    spec: dict[str, Any] = _parsed(text.strip())
    return spec


def _parsed(text: str) -> Any:
    # `json` imports `re`: that is slow, and would keep a local module of such a name from being imported by the script.
    try:
        from _json import make_scanner  # type: ignore[import-not-found, unused-ignore]

        return make_scanner(_Decoder)(text, 0)[0]  # type: ignore[arg-type, unused-ignore]
    except Exception:  # noqa: BLE001  (another Python may have another scanner, or none)
        import json

        return json.loads(text)


def _read_script(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        raise SystemExit(2) from None


def _new_main(path: str) -> ModuleType:
    names = {name: value for name, value in globals().items() if name.startswith("__")}
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader
    names.update(__doc__=None, __file__=path, __cached__=None, __loader__=loader("__main__", path))
    if "__annotations__" in names:
        names["__annotations__"] = {}
    module = type(sys)("__main__")
    module.__dict__.update(names)
    return module


def _execute(source: bytes, path: str, module: ModuleType) -> None:
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException:
        _hide_frames()
        raise  # so that the interpreter itself prints it and finds the exit code, as for any script


def _hide_frames() -> None:
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = shown
        while trace is not None and trace.tb_frame.f_code.co_filename == _execute.__code__.co_filename:
            trace = trace.tb_next
        shown(kind, error.with_traceback(trace), trace)

    sys.excepthook = hook


# Watching -----------------------------------------------------------------------------------------------------------


def _watcher(own: list[str], quiet: list[str], reads: str, known: set[str]) -> Callable[[str, Any], None]:  # noqa: C901, PLR0915
    """Return the audit hook. Functions of `os` are taken now: the script may replace them."""
    stat, getcwd, fsdecode, realpath, normpath = os.stat, os.getcwd, os.fsdecode, os.path.realpath, os.path.normpath
    split, lexists, isdir = os.path.split, os.path.lexists, os.path.isdir
    inside = realpath(own[0]) + "/"
    note = _notes(inside, os.path.abspath(reads))
    is_quiet = _quiet_test(own, quiet)
    made: set[str] = set()  # folders
    known.add(os.path.abspath(reads))

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
        if not only_inside and real.startswith(inside) and not lexists(path) and not is_made(real):
            known.update((path, real))
            note(real, missing=True)
            return
        if stat(real).st_mode & _KIND != _REGULAR:
            return
        seen = real in known
        known.update((path, real))
        if not seen and not is_quiet(real) and not is_made(real):
            note(real)

    def write(path: str, flags: int) -> None:
        if path in known or is_quiet(path):
            return
        try:
            kept = not flags & os.O_TRUNC and stat(path).st_size > 0
        except OSError:
            kept = False
        if not kept:
            known.update((path, realpath(path)))
        elif flags & os.O_RDWR:
            read(path)

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
            made.add(target)
        else:
            read(source)
            known.add(target)

    def folder_made(path: Any, *_: Any) -> None:
        if not lexists(absolute(path)):
            made.add(realpath(absolute(path)))

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
        if isinstance(path, int) or sys._getframe(2).f_code.co_filename.startswith("<frozen importlib"):
            return  # Python looks through folders itself when it imports
        folder = realpath(absolute(path or "."))
        if folder + "/" in known or not (folder + "/").startswith(inside) or is_quiet(folder) or is_made(folder):
            return
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
        handler = handlers.get(event)
        if handler is not None:
            try:
                handler(*arguments)
            except Exception:  # noqa: BLE001, S110  (watching must not change what the script does)
                pass

    return hook


def _source_of(path: str) -> str:
    if not path.endswith(".pyc"):
        return path
    if sys.pycache_prefix and path.startswith(sys.pycache_prefix):
        folder, name = os.path.split(path[len(sys.pycache_prefix) :])
        return f"{folder}/{name.split('.', 1)[0]}.py"
    folder, name = os.path.split(path)
    return f"{folder[:-12]}/{name.split('.', 1)[0]}.py" if folder.endswith("/__pycache__") else path


def _quiet_test(own: list[str], quiet: list[str]) -> Callable[[str], bool]:
    """Return a test whether a path is never noted; what holds one of the `own` folders doesn't silence that folder."""
    named = _folders(quiet)
    homes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__))
    silent = _folders((*_SYSTEM, *homes))
    if os.environ.get("HOME"):
        silent += tuple(folder[:-1] + "/." for folder in _folders([os.environ["HOME"]]))
    inner = [(top, tuple(folder for folder in silent if not top.startswith(folder))) for top in _folders(own)]

    def is_quiet(path: str) -> bool:
        path += "/"
        if path.startswith(named):
            return True
        for top, folders in inner:
            if path.startswith(top):
                return path.startswith(folders) or any(mark in path[len(top) - 1 :] for mark in _INSTALLED)
        return path.startswith(silent) or any(mark in path for mark in _INSTALLED)

    return is_quiet


def _is_installed(path: str) -> bool:
    return any(mark in path + "/" for mark in _INSTALLED)


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths and what they resolve to, each with one slash at its end; the root of all is none."""
    both = [place for path in paths if path for place in (os.path.abspath(path), os.path.realpath(path))]
    return tuple(dict.fromkeys(place + "/" for place in both if place != "/"))


def _notes(inside: str, reads: str) -> Callable[..., None]:
    """Return a function that writes one line at once, and closes the file: the script may close all it finds open."""
    opened, write, close = os.open, os.write, os.close
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        from _json import encode_basestring_ascii as quoted  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from json import dumps as quoted

    def note(path: str, *, missing: bool = False) -> None:
        known_as = path[len(inside) :] or "./" if path.startswith(inside) else path
        line = f'{{"path": {quoted(known_as)}, "inside": {str(known_as != path).lower()}'
        line += ', "missing": true}\n' if missing else "}\n"
        descriptor = opened(reads, flags, 0o666)
        try:
            write(descriptor, line.encode("ascii"))
        finally:
            close(descriptor)

    return note


if __name__ == "__main__":
    main(sys.argv[1])
