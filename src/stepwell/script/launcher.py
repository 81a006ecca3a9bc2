"""A launcher that runs a script as `python script.py` would, in the real `__main__`, and notes the files that it reads.

Started as `python launcher.py SPEC`. SPEC, the launch spec, is a JSON file (it may be `/dev/fd/N`, closed after use):

    script       path relative to `cwd`; becomes `sys.argv[0]` as it is
    module       name of a module to run instead, as `python -m module` would
    settings     if not null, `main(script, settings)` of `module` runs the script, which may be '' then
    argv         the other arguments; bytes that aren't UTF-8 as lone surrogates (surrogateescape)
    cwd          folder to run in
    module_path  folders to append to `sys.path`
    watch        whether to note reads
    quiet        folders and files that are never noted
    reads        file to append to, a line for each finding of `watch.py`, beside this file
    own_code     what `own_code.py`, beside this file, needs: `pairs` and `modules`, the `notes` of packages, and `paths`

Pythons that the script starts begin with `children/sitecustomize.py`, which does the same by what `_bequeath` tells it.

It runs wherever there is a Python >= 3.8, without Stepwell. Two thirds of its cost is its own compilation:
`python launcher.pyc SPEC` does the same faster, with `watch.pyc` and `own_code.pyc` beside it, by the Python that compiled them.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what type checkers take for true; the real one costs an import
if TYPE_CHECKING:
    from types import FrameType, ModuleType, TracebackType
    from typing import Any

_HERE = os.path.dirname(os.path.realpath(__file__))


def main(spec_file: str) -> None:
    """Run the script of the launch spec; what the script raises passes through, without the frames of this file."""
    if sys.path[:1] == [_HERE]:
        del sys.path[0]  # before any import: modules beside this file are none of the script's business
    spec = _read_spec(spec_file)
    os.chdir(spec["cwd"])
    name, driven = spec.get("module"), spec.get("settings") is not None
    start = [spec["script"]] if driven or spec["script"] else ["-m", spec["module"]]
    path = os.path.abspath(spec["script"])
    sys.argv[:] = [start[0], *spec["argv"]]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[-2:] = [*start, *spec["argv"]]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)) if spec["script"] else path)
    sys.path.extend(spec["module_path"])
    source = b"" if name else _read_script(path)
    module = _new_main(path)
    sys.modules["__main__"] = module
    if spec.get("own_code"):
        own = spec["own_code"]
        _bequeath("STEPWELL_OWN_CODE", own["pairs"], own["modules"], own["notes"], own.get("paths", []))
        _beside("own_code").begin(own["pairs"], own["modules"], own["notes"], (), frozenset(sys.modules))
    if spec["watch"]:
        facts = [[os.getcwd(), *spec["module_path"]], spec["quiet"], spec["reads"], [path, os.path.realpath(path)]]
        _bequeath("STEPWELL_WATCH", *facts)
        _beside("watch").start(*facts)
    _execute(source, path, module, name, [spec["script"], spec["settings"]] if driven else None)


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


def _beside(name: str) -> Any:
    """Return the module of the file beside this one, which no script can import."""
    path = f"{_folder()}/{name}.py"
    machinery = sys.modules["_frozen_importlib_external"]
    module = type(sys)(f"stepwell_{name}")
    module.__file__ = path
    compiled = f"{_HERE}/{name}.pyc"
    if os.path.isfile(compiled):
        import marshal

        with open(compiled, "rb") as stream:
            data = stream.read()
        if data[:4] == machinery.MAGIC_NUMBER:
            exec(marshal.loads(data[16:]), module.__dict__)  # noqa: S102, S302  (it stands beside this code)
            return module
    machinery.SourceFileLoader(f"stepwell_{name}", path).exec_module(module)
    return module


def _folder() -> str:
    places = (_HERE, os.path.dirname(_HERE), os.path.dirname(_execute.__code__.co_filename))  # this may be bytecode
    return next(place for place in places if os.path.isfile(f"{place}/watch.py"))


def _bequeath(variable: str, *facts: Any) -> None:
    """Let every Python that this process starts begin with these facts, too."""
    import marshal

    children, earlier = f"{_folder()}/children", os.environ.get("PYTHONPATH")
    os.environ[variable] = marshal.dumps(facts, 2).hex()
    if not earlier or earlier.split(os.pathsep)[0] != children:
        os.environ["PYTHONPATH"] = children + os.pathsep + earlier if earlier else children


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


def _execute(source: bytes, path: str, module: ModuleType, name: str | None, driven: list[Any] | None) -> None:
    try:
        if driven:
            import importlib

            importlib.import_module(str(name)).main(*driven)
            return
        if name:
            import runpy

            runpy._run_module_as_main(name)  # type: ignore[attr-defined]
            return
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except BaseException:
        _hide_frames()
        raise  # so that the interpreter itself prints it and finds the exit code, as for any script


def _hide_frames() -> None:
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        sys.excepthook = shown
        _without_own(error, set())
        shown(kind, error, error.__traceback__)

    sys.excepthook = hook


def _without_own(error: BaseException | None, seen: set[int]) -> None:
    """Take the frames of this file, and of the watch beside it, out of an error's traceback and those of its causes."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    for frame in reversed(frames):
        if not _is_own(frame.tb_frame):
            frame.tb_next, trace = trace, frame
    error.__traceback__ = trace
    _without_own(error.__cause__, seen)
    _without_own(error.__context__, seen)


def _is_own(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__"))
    own = frame.f_code.co_filename == _execute.__code__.co_filename
    return own or name == "stepwell_watch" or name.startswith("stepwell.drivers.")


if __name__ == "__main__":
    main(sys.argv[1])
