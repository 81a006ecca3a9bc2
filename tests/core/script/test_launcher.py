"""The launcher against plain `python script.py`, and the reads that it notes, in real processes."""

import json
import os
import pickle
import py_compile
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parents[3] / "src" / "stepwell" / "script" / "launcher.py"


class Place:
    """A folder with a script, which can be run by the launcher or plainly."""

    def __init__(self, top):
        self.top = top
        self.cwd = top / "work"
        self.cwd.mkdir()
        self.reads = top / "reads.jsonl"
        self.environment = {**os.environ, "HOME": str(top / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment.pop("PYTHONPATH", None)

    def write(self, path, text=""):
        target = self.cwd / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))
        return target

    def launch(self, source, *argv, script="train.py", watch=True, quiet=(), module_path=(), flags=()):
        """Run a script by the launcher, and return the finished process."""
        self.write(script, source)
        self.reads.unlink(missing_ok=True)
        spec = {"script": script, "argv": argv, "cwd": str(self.cwd), "module_path": [*map(str, module_path)]}
        spec |= {"watch": watch, "quiet": [*map(str, quiet)], "reads": str(self.reads)}
        (self.top / "spec.json").write_text(json.dumps(spec))
        command = [sys.executable, *flags, str(LAUNCHER), str(self.top / "spec.json")]
        return subprocess.run(command, cwd=self.top, env=self.environment, capture_output=True, check=False)

    def plain(self, *argv, script="train.py"):
        """Run the same script plainly, and return the finished process."""
        command = [sys.executable, script, *argv]
        return subprocess.run(command, cwd=self.cwd, env=self.environment, capture_output=True, check=False)

    def noted(self, source, *argv, **options):
        """Run a script, and return what it was seen to read, without doubles."""
        done = self.launch(source, *argv, **options)
        assert done.returncode == 0, done.stderr.decode()
        return self.lines()

    def lines(self):
        lines = [json.loads(line) for line in self.reads.read_text().splitlines()] if self.reads.exists() else []
        assert all(line["inside"] != os.path.isabs(line["path"]) for line in lines)
        read = [line["path"] for line in lines if not line.get("made")]
        assert len(read) == len(set(read))
        return set(read)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


# Running as plain Python does ---------------------------------------------------------------------------------------

NASTY = [
    "",
    "a b",
    "line\nbreak",
    "tab\t",
    '"quoted"',
    "'",
    "--help",
    "-x",
    "-",
    "--",
    "$(id)",
    "`id`",
    "; rm -rf /",
    "*",
    "\\",
]
NASTY += ["ä€😀", os.fsdecode(b"caf\xe9\xff"), "{}", "%s", "\r\n", "\x01", "a=b", "@file", "#"]


def test_arguments_arrive_byte_for_byte(place):
    done = place.launch("import sys, os\nsys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv)))", *NASTY)
    assert done.stdout.split(b"\0") == [os.fsencode(word) for word in ["train.py", *NASTY]]


DESCRIBE = """
    import sys, os, inspect, linecache
    import sibling
    def here():
        return 1
    class Thing: pass
    print(sys.argv, __name__, __file__, __doc__, __package__, __spec__, type(__loader__).__name__, __loader__.path)
    print(sorted(globals()), globals() is sys.modules["__main__"].__dict__, __builtins__)
    print(os.getcwd(), sys.path[0], sys.path[1:], sys.orig_argv[-2:], sorted(sys.modules))
    print(inspect.getsource(here), inspect.getsource(Thing), inspect.getfile(here), Thing.__module__, Thing)
    print(sys.flags, sys.gettrace(), sys.excepthook is sys.__excepthook__)
"""


@pytest.mark.parametrize("script", ["train.py", "jobs/train.py"])
def test_a_script_finds_the_world_as_it_knows_it(place, script):
    place.write(script.replace("train", "sibling"), "")
    done = place.launch(DESCRIBE, "a", script=script, watch=False)
    plain = place.plain("a", script=script)
    assert plain.returncode == 0, plain.stderr.decode()
    helpers = ("'__future__', ", "'_json', ")  # what the launcher imports itself
    ours, theirs = done.stdout.decode(), plain.stdout.decode()
    for name in helpers:
        ours, theirs = ours.replace(name, ""), theirs.replace(name, "")
    assert ours == theirs


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit",
        "raise SystemExit(0)",
        "import sys; sys.exit(42)",
        "import sys; sys.exit('a message')",
        "import sys; sys.exit(-1)",
        "import os; os._exit(7)",
        "1 / 0",
        "def f():\n    raise KeyError('x')\ntry:\n    f()\nexcept KeyError as e:\n    raise RuntimeError('y') from e",
        "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
        "def (",
        "x = 1\n  y = 2",
        "import helper",
        "import sys\nsys.excepthook = lambda k, e, t: print(k, e, t.tb_frame.f_code.co_name, t.tb_lineno)\n1 / 0",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\n1 / 0",
        "import atexit\natexit.register(print, 'bye')\nprint('hi')",
        "import threading\nthreading.Thread(target=lambda: 1 / 0).start()",
        "raise KeyboardInterrupt",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    raise OSError(5, 'io')\nasyncio.run(f())",
        "import sys\nsys.setrecursionlimit(60)\ndef f(): f()\nf()",
    ],
)
def test_it_ends_as_it_would_plainly(place, source):
    place.write("helper.py", "def f():\n    return 1 / 0\nf()\n")
    done, plain = place.launch(source), place.plain()
    assert done.returncode == plain.returncode
    assert done.stdout == plain.stdout
    assert _without_repeats(done.stderr) == _without_repeats(plain.stderr)
    assert b"launcher" not in done.stderr


@pytest.mark.parametrize("source", ["s = '\0'", "# coding: nonsense"])
def test_unreadable_sources_fail_with_the_readers_words(place, source):
    done = place.launch(source)
    assert (done.returncode, b"SyntaxError" in done.stderr, b"launcher" in done.stderr) == (1, True, False)


def _without_repeats(text):
    """Return a traceback without the count of repeated lines, which depends on how deep the script started."""
    return [line for line in text.splitlines() if b"Previous line repeated" not in line and b"0x" not in line]


def test_an_interrupt_ends_it_by_signal(place):
    source = "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(300)"
    assert place.launch(source).returncode in (-signal.SIGINT, 130)


def test_a_compiled_launcher_does_the_same(place):
    compiled = py_compile.compile(str(LAUNCHER), cfile=str(place.top / "launcher.pyc"))
    place.launch("print(__file__, type(__loader__).__name__); 1 / 0")
    command = [sys.executable, compiled, str(place.top / "spec.json")]
    done = subprocess.run(command, env=place.environment, capture_output=True, check=False)
    plain = place.plain()
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_a_missing_script(place):
    place.launch("", script="other.py")
    (place.cwd / "other.py").unlink()
    command = [sys.executable, str(LAUNCHER), str(place.top / "spec.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "can't open file" in done.stderr) == (2, True)


def test_classes_of_the_script_are_pickled_by_name(place):
    source = """
        import pickle
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: int
        assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
        open("point.pkl", "wb").write(pickle.dumps(Point(1)))
    """
    assert place.launch(source).returncode == 0
    assert b"__main__" in (place.cwd / "point.pkl").read_bytes()
    with pytest.raises(AttributeError):
        pickle.loads((place.cwd / "point.pkl").read_bytes())


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing(place, method):
    source = """
        import multiprocessing, sys, os
        class Box:
            def __init__(self, value): self.value = value
        def work(box):
            return Box((box.value * 2, sys.argv[1:], __name__ in ("__main__", "__mp_main__")))
        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
                print([box.value for box in pool.map(work, [Box(1), Box(2)])])
    """
    done = place.launch(source, method)
    assert done.stdout.decode() == f"[(2, ['{method}'], True), (4, ['{method}'], True)]\n", done.stderr.decode()


def test_modules_beside_the_launcher_are_not_the_scripts(place):
    place.write("lib/extra.py", "value = 5")
    source = (
        "import sys, extra\nprint(extra.value)\ntry:\n    import fingerprint\nexcept ImportError:\n    print('none')"
    )
    assert place.launch(source, module_path=[place.cwd / "lib"]).stdout == b"5\nnone\n"


def test_a_local_module_wins_over_the_standard_library(place):
    for name in ("json", "re", "typing", "enum", "argparse"):
        place.write(f"{name}.py", "local = True")
    done = place.launch("import json, re, argparse\nprint(json.local, re.local, argparse.local)", flags=["-S"])
    assert done.stdout == b"True True True\n", done.stderr.decode()


def test_a_spec_may_come_through_a_descriptor(place):
    place.write("train.py", "import sys, os\nprint(sys.argv, os.path.exists(f'/dev/fd/{sys.argv[1]}'))")
    reader, writer = os.pipe()
    spec = {"script": "train.py", "argv": [str(reader)], "cwd": str(place.cwd), "module_path": [], "watch": False}
    os.write(writer, json.dumps(spec).encode())
    os.close(writer)
    command = [sys.executable, str(LAUNCHER), f"/dev/fd/{reader}"]
    done = subprocess.run(command, pass_fds=[reader], capture_output=True, text=True, check=False)
    os.close(reader)
    assert done.stdout == f"['train.py', '{reader}'] False\n", done.stderr


# Watching -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        "open('data.json').read()",
        "import json; json.load(open('data.json'))",
        "import pathlib; pathlib.Path('data.json').read_bytes()",
        "import os; os.read(os.open('data.json', os.O_RDONLY), 9)",
        "import os; open(os.fsencode(os.path.abspath('data.json')))",
        "import io; io.FileIO('data.json')",
        "open('./sub/../data.json'); open('data.json')",
        "open('link.json')",
        "import os; os.chdir('sub'); open('../data.json')",
        "open('data.json', 'r+').read()",
        "open('data.json', 'a+').read()",
        "open('data.json', 'a').write('x'); open('data.json').read()",
        "import fileinput; list(fileinput.input('data.json'))",
        "import shutil; shutil.copyfile('data.json', 'copy.json'); open('copy.json')",
        "import os; os.rename('data.json', 'moved.json'); open('moved.json')",
        "import os; os.link('data.json', 'linked.json'); open('linked.json')",
        "import os; open('data.json'); os._exit(0)",
        "import threading; t = threading.Thread(target=open, args=('data.json',)); t.start(); t.join()",
        "import os\nif os.fork() == 0:\n    open('data.json')\n    os._exit(0)\nos.wait()",
        "import os; os.closerange(3, 50); open('data.json')",
        "import sqlite3; sqlite3.connect('data.json').close()",
        "import subprocess; subprocess.run(['cat', 'data.json'])",
        "import subprocess; subprocess.run('cat < \"data.json\" | wc', shell=True)",
        "import subprocess; subprocess.run(['true', '--file=../data.json'], cwd='sub')",
        "import os; os.system('cat data.json')",
        "import os; os.posix_spawn('/bin/cat', ['cat', 'data.json'], {})",
        "import os; os.execv('/bin/cat', ['cat', 'data.json'])",
        "import os\nos.getcwd = os.stat = os.open = os.write = None\nopen('data.json')",
    ],
)
def test_reads_are_noted(place, read):
    place.write("data.json", "{}")
    place.write("sub/nothing.txt")
    (place.cwd / "link.json").symlink_to("data.json")
    assert place.noted(read) == {"data.json"}


@pytest.mark.parametrize(
    "act",
    [
        "open('train.py').read()",
        "open('new.txt', 'w').write('x'); open('new.txt').read()",
        "open('old.txt', 'w').write('x'); open('old.txt').read()",
        "open('empty.txt', 'a').write('x'); open('empty.txt').read()",
        "open('new.txt', 'x').write('x'); open('../work/new.txt').read()",
        "import pathlib; p = pathlib.Path('a/b'); p.mkdir(parents=True); p /= 'c'; p.write_text('x'); p.read_text()",
        "import os\nopen('t', 'w').write('x')\nos.replace('t', 'new.txt')\nopen('new.txt')",
        "import os\nos.mkdir('made')\nos.system('echo x > made/file')\nopen('made/file')",
        "import os\nos.mkdir('m')\nopen('m/f', 'w')\nos.rename('m', 'n')\nopen('n/f')",
        "import tempfile\ntempfile.TemporaryFile()\nwith tempfile.NamedTemporaryFile() as f: open(f.name)",
        "import os; os.open('.', os.O_RDONLY)",
        "try:\n    open('.')\nexcept OSError:\n    pass",
        "import json.tool, decimal, sqlite3, ctypes",
        "open('/etc/passwd'); open('/proc/self/stat'); open('/dev/null')",
        "import os; os.makedirs(os.environ['HOME'] + '/.cache', exist_ok=True)\nopen(os.environ['HOME'] + '/.cache/x')",
        "import site, os; open(os.__file__)",
        "open('quiet/file'); open('../quiet.txt')",
        "import subprocess; subprocess.run(['echo', '.', 'missing', '-n', '', 'a' * 99999], stdout=-3)",
        "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()",
        "import os; r, w = os.pipe(); open(r)",
        "from sys import audit; audit('open'); audit('open', object(), 1, 2, 3); audit('os.rename', 1, 2); audit('x')",
    ],
)
def test_nothing_is_noted(place, act):
    place.write("old.txt", "old")
    place.write("empty.txt")
    place.write("quiet/file")
    place.write("../quiet.txt")
    place.write("../home/.cache/x", "x")
    assert place.noted(act, quiet=[place.cwd / "quiet", place.top / "quiet.txt"]) == set()


def test_files_outside_are_noted_by_their_real_path(place):
    side = place.write("../side/data.txt", "x")
    (place.top / "alias").symlink_to("side")
    assert place.noted("open('../alias/data.txt'); open('../side/data.txt')") == {str(side.resolve())}


def test_a_quiet_alias_silences_and_so_does_its_target(place):
    place.write("../store/data.txt", "x")
    (place.top / "mount").symlink_to("store")
    assert place.noted("open('../mount/data.txt')", quiet=[place.top / "mount"]) == set()
    assert place.noted("open('../mount/data.txt')", quiet=[place.top / "store"]) == set()


def test_imports_are_noted_as_sources_even_from_bytecode(place):
    place.environment.pop("PYTHONDONTWRITEBYTECODE")
    place.write("helper.py", "")
    place.write("pack/__init__.py", "")
    place.write("pack/late.py", "")
    place.write("tool.py", "print('tool')")
    place.write("lib/extra.py", "")
    source = """
        import helper, importlib, runpy, extra
        importlib.import_module("pack.late")
        runpy.run_path("tool.py")
    """
    for _ in range(2):
        noted = place.noted(source, module_path=[place.cwd / "lib"])
        assert noted == {"helper.py", "pack/__init__.py", "pack/late.py", "tool.py", "lib/extra.py"}
    assert (place.cwd / "__pycache__").is_dir()


def test_names_that_are_not_utf8(place):
    name = os.fsdecode(b"caf\xe9")
    (place.cwd / name).write_text("x")
    assert place.noted("import sys; open(sys.argv[1])", name) == {name}


def test_work_below_a_folder_of_settings_is_watched(tmp_path):
    (tmp_path / "home" / ".tool").mkdir(parents=True)
    place = Place(tmp_path / "home" / ".tool")
    place.environment["HOME"] = str(tmp_path / "home")
    place.write("data.txt", "x")
    assert place.noted("open('data.txt'); open('../../.netrc', 'w'); open('../../.netrc')") == {"data.txt"}


def test_libraries_that_read_in_python(place):
    pytest.importorskip("pandas")
    pytest.importorskip("numpy")
    place.write("t.csv", "a,b\n1,2\n")
    source = """
        import sys, numpy
        numpy.save("made.npy", [1])
        numpy.load("made.npy")
        numpy.load("given.npy")
        import pandas
        pandas.read_csv("t.csv")
    """
    place.write("given.npy").write_bytes(
        (b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<i8', 'fortran_order': False, 'shape': (0,), }").ljust(127) + b"\n"
    )
    assert place.noted(source) == {"given.npy", "t.csv"}


def test_watching_changes_no_errors_and_survives_its_file(place):
    place.write("data.txt", "x")
    source = (
        "import shutil, os\nos.remove(os.path.dirname(os.getcwd()) + '/spec.json')\nopen('data.txt')\nopen('missing')"
    )
    done = place.launch(source)
    assert b"FileNotFoundError" in done.stderr
    assert place.lines() == {"data.txt", "missing/."}


def test_listed_folders_and_missing_files_are_noted_but_not_what_python_looks_through_itself(place):
    place.write("data/a.csv", "x")
    place.write("other.py", "")
    source = "import os, glob, other\nglob.glob('data/*.csv')\nos.listdir('.')\ntry:\n    open('no')\nexcept OSError:\n    pass"
    assert place.noted(source) == {"data/", "./", "no/.", "other.py"}


LOOKS = [
    "os.path.exists({0!r})",
    "os.path.isfile({0!r})",
    "os.path.isdir({0!r})",
    "os.path.lexists({0!r})",
    "os.access({0!r}, os.R_OK)",
    "os.access(path={0!r}, mode=os.W_OK)",
    "pathlib.Path({0!r}).exists()",
    "pathlib.Path({0!r}).is_file()",
    "pathlib.Path({0!r}).resolve().is_dir()",
    "glob.glob({0!r})",
    "os.path.exists(os.fsencode(os.path.abspath({0!r})))",
    "os.chdir('data'), os.path.exists('../' + {0!r})",
    "os.posix_spawn('/bin/true', ['true'], {{}}), os.path.islink({0!r})",
    "threading.Thread(target=os.path.exists, args=({0!r},)).run()",
    "os.path.exists({0!r}), os.path.exists({0!r}), os.path.exists('./' + {0!r})",
]


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_whether_something_is_there_is_noted(place, look):
    place.write("data/a.csv", "x")
    place.write("there.txt", "x")
    start = "import os, pathlib, glob, threading\n"
    assert place.noted(start + look.format("missing.txt")) == {"missing.txt/."}
    assert b'"missing": true' in place.reads.read_bytes()
    assert place.noted(start + look.format("there.txt")) == {"there.txt/."}
    assert b"missing" not in place.reads.read_bytes()


def test_sizes_and_times_are_read_like_content(place):
    place.write("there.txt", "x")
    for look in ("os.path.getsize('there.txt')", "os.stat('there.txt')", "pathlib.Path('there.txt').stat()"):
        assert place.noted(f"import os, pathlib\n{look}") == {"there.txt"}


def test_looks_and_listings_outside_are_noted_too(place):
    place.write("../side/a.csv", "x")
    side = str(place.top / "side")
    source = f"import os, glob\nglob.glob({side!r} + '/*.csv')\nos.path.exists({side!r} + '/b.csv')"
    assert place.noted(source) == {f"{side}/", f"{side}/b.csv/."}


@pytest.mark.parametrize(
    "act",
    [
        "import importlib.metadata as m; m.version('pip'); list(m.entry_points()); list(m.distributions())",
        "import importlib.metadata as m\ntry:\n    m.version('nonesuch')\nexcept m.PackageNotFoundError:\n    pass",
        "import importlib.util; importlib.util.find_spec('nonesuch'); importlib.util.find_spec('numpy')",
        "try:\n    import nonesuch\nexcept ImportError:\n    pass",
        "import warnings; warnings.filterwarnings('ignore', category=DeprecationWarning)\nimport pkg_resources",
        "import pkgutil; list(pkgutil.iter_modules()); pkgutil.find_loader('nonesuch')",
        "import inspect, mod; inspect.getsource(mod.f); inspect.getmodule(mod.f)",
        "import linecache; linecache.getline('nonesuch.py', 1); linecache.checkcache(); linecache.getline('mod.py', 1)",
        "import warnings; warnings.warn_explicit('w', UserWarning, 'nonesuch.py', 3)",
        "import traceback\ntry:\n    exec(compile('1 / 0', 'nonesuch.py', 'exec'))\nexcept Exception:\n    traceback.print_exc()",
        "import logging; logging.getLogger('x').warning('hi')",
        "import os; os.makedirs('new/deeper', exist_ok=True); os.makedirs('new', exist_ok=True); os.path.realpath('mod.py')",
        "import shutil; shutil.rmtree('nonesuch', ignore_errors=True)",
    ],
)
def test_what_python_looks_for_itself_is_not_noted(place, act):
    place.write("mod.py", "def f():\n    return 1\n")
    place.write("own.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    place.write("own.egg-info/entry_points.txt", "[console_scripts]\nown = mod:f\n")
    assert place.noted(act) - {"mod.py"} == set()


def test_imports_are_no_listings_in_a_python_that_starts_bare(place, tmp_path):
    """Without a `.pth` file that imports `importlib`, what searches for modules goes by its frozen names."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    source = (
        "try:\n    import nonesuch\nexcept ImportError:\n    pass\nimport sys\nassert 'importlib' not in sys.modules"
    )
    assert place.noted(source, flags=("-S",), module_path=(bundle,)) == set()


def test_a_folder_of_modules_that_is_quiet_is_never_listed(place, tmp_path):
    bundle, other = tmp_path / "bundle", tmp_path / "other"
    bundle.mkdir()
    other.mkdir()
    source = "import os, sys\nfor folder in sys.path[-2:]:\n    os.listdir(folder), os.path.exists(folder + '/x')"
    assert place.noted(source, module_path=(bundle, other), quiet=(bundle,)) == {f"{other}/", f"{other}/x/."}


def test_plugins_of_the_scripts_own_are_data(place):
    place.write("plugins/one.py", "")
    source = "import pkgutil; print([m.name for m in pkgutil.iter_modules(['plugins'])])"
    assert place.noted(source) == {"plugins/"}


def test_functions_that_look_are_what_they_were(place):
    source = """
        import copy, inspect, os, pickle, shutil, sys
        class Accessor:
            stat = os.stat
        assert Accessor().stat("data.txt").st_size == 1
        assert pickle.loads(pickle.dumps(os.stat)) is os.stat is copy.deepcopy(os.stat)
        assert "follow_symlinks" in inspect.signature(os.stat).parameters
        assert os.stat in os.supports_dir_fd and os.stat in os.supports_fd and os.stat in os.supports_follow_symlinks
        assert os.access in os.supports_effective_ids and os.stat.__name__ == "stat" and "stat" in repr(os.stat)
        os.makedirs("a/b")
        shutil.rmtree("a")
        for wrong in (lambda: os.stat(), lambda: os.stat("\\0"), lambda: os.stat([]), lambda: os.access("x")):
            try:
                wrong()
            except (TypeError, ValueError):
                continue
            raise AssertionError
        os.stat("missing.txt")
    """
    place.write("data.txt", "x")
    done, plain = place.launch(source), place.plain()
    assert done.stderr == plain.stderr
    assert b"No such file" in done.stderr and done.returncode == 1


def test_without_a_watch_nothing_is_written(place):
    place.write("data.txt", "x")
    assert place.noted("open('data.txt')", watch=False) == set()
    assert not place.reads.exists()


def test_the_launcher_needs_no_package():
    source = LAUNCHER.read_text()
    assert "import stepwell" not in source
    assert "from stepwell" not in source


# Children -----------------------------------------------------------------------------------------------------------

NESTED = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'tool'], check=True)"
CHILDREN = {
    "command": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(chr(100) + chr(97)).read()'], check=True)",
    "module": NESTED,
    "shell": "import os, sys; assert os.system(sys.executable + ' -m tool') == 0",
    "grandchild": f"import subprocess, sys; subprocess.run([sys.executable, '-c', {NESTED!r}], check=True)",
    **{
        method: f"""
            import multiprocessing, os
            def work(name):
                return os.path.exists(name[::-1]) and len(open(name[::-1]).read())
            if __name__ == "__main__":
                with multiprocessing.get_context("{method}").Pool(1) as pool:
                    assert pool.map(work, ["ad"]) == [1]
        """
        for method in ("spawn", "fork", "forkserver")
    },
    "joblib": """
        import joblib
        def load(name):
            return len(open(name[::-1]).read())
        if __name__ == "__main__":
            assert joblib.Parallel(2)(joblib.delayed(load)(name) for name in ["ad", "ad"]) == [1, 1]
    """,
}


@pytest.mark.parametrize("way", CHILDREN)
def test_pythons_that_a_script_starts_are_watched_too(place, way):
    if way == "joblib":
        pytest.importorskip("joblib")
    place.write("da", "x")
    place.write("tool.py", "open(chr(100) + chr(97)).read()")
    done = place.launch(CHILDREN[way])
    assert done.returncode == 0, done.stderr.decode()
    notes = map(json.loads, place.reads.read_text().splitlines())
    noted = {note["path"] for note in notes if not note.get("made")}
    assert "da" in noted and noted <= {"da", "da/.", "tool.py"}


@pytest.mark.parametrize("flags", [[], ["-S"], ["-I"], ["-E"]])
def test_a_child_is_what_it_would_be(place, flags):
    place.write("lib/sitecustomize.py", "import sys\nsys.customized = __name__\n")
    tell = """if True:
        import sys
        helpers = {"marshal", "__future__", "_json"}
        path = [folder for folder in sys.path if not folder.endswith("/script/children")]  # Python with -S keeps it
        print(path, sorted(set(sys.modules) - helpers), getattr(sys, "customized", None))
    """
    source = f"import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:], '-c', {tell!r}], check=True)"
    for own in ({}, {"PYTHONPATH": str(place.cwd / "lib")}):
        place.environment = {**place.environment, **own}
        done, plain = place.launch(source, *flags), place.plain(*flags)
        assert (plain.returncode, done.stderr, done.stdout) == (0, plain.stderr, plain.stdout)


def test_what_one_process_wrote_is_no_read_of_another(place):
    side = place.top / "side.txt"
    place.write("tool.py", f"open({str(side)!r}).read()")
    source = f"open({str(side)!r}, 'w').write('x')\n{NESTED}"
    assert place.launch(source).returncode == 0
    notes = [json.loads(line) for line in place.reads.read_text().splitlines()]
    assert [note.get("made", False) for note in notes if note["path"] == str(side)] == [True, False]
