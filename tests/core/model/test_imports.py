"""Which modules a script imports, against packages of every shape, and against what Python itself loads."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.model.imports import find_imports


def find(files, script="train.py"):
    """Find the imports of a script in a snapshot given as paths to source."""
    sources = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
    return find_imports(script, sources, sources.__getitem__)


def local(files, script="train.py"):
    return set(find(files, script).local)


PACKAGE = {"a/__init__.py": "", "a/b/__init__.py": "", "a/b/c.py": "", "a/b/d.py": "", "a/x.py": "", "other.py": ""}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os, json", set()),
        ("import other", {"other.py"}),
        ("import a", {"a/__init__.py"}),
        ("import a.b.c", {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"}),
        ("import a.b.c as short", {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"}),
        ("from a import x", {"a/__init__.py", "a/x.py"}),
        ("from a import anything", {"a/__init__.py"}),
        ("from a.b import c, d", {"a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/b/d.py"}),
        ("from a.b.c import name", {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"}),
        ("from a import *", {"a/__init__.py", "a/x.py", "a/b/__init__.py"}),
        ("from other import *", {"other.py"}),
        ("def f():\n    import other", {"other.py"}),
        ("class C:\n    async def f(self):\n        with x:\n            import other", {"other.py"}),
        ("try:\n    import nothing\nexcept ImportError:\n    import other", {"other.py"}),
        ("try:\n    pass\nfinally:\n    import other", {"other.py"}),
        ("for _ in x:\n    pass\nelse:\n    import other", {"other.py"}),
        ("match x:\n    case 1:\n        import other", {"other.py"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import other", {"other.py"}),
        ("import importlib\nimportlib.import_module('a.x')", {"a/__init__.py", "a/x.py"}),
        ("import importlib as i\nf(lambda: i.import_module(name='other'))", {"other.py"}),
        ("from importlib import import_module as load\nload('other')", {"other.py"}),
        ("import importlib\nimportlib.import_module('.x', 'a')", {"a/__init__.py", "a/x.py"}),
        ("import importlib\nimportlib.import_module('..x', package='a.b')", {"a/__init__.py", "a/x.py"}),
        ("m = __import__('other')", {"other.py"}),
        ("name = 'other'\n__import__(name)", set()),
        ("__import__(), __import__(1), __import__('...')", set()),
        ("import train, other", {"other.py"}),
        ("'import other'  # import other", set()),
    ],
)
def test_every_form_of_import(source, expected):
    assert local({**PACKAGE, "train.py": source}) == expected


def test_relative_imports_of_modules():
    files = {
        "train.py": "import p.q.m",
        "p/__init__.py": "from . import top",
        "p/top.py": "",
        "p/near.py": "",
        "p/q/__init__.py": "",
        "p/q/m.py": "from .n import y\nfrom .. import near\nfrom ..r import s\nfrom .... import out",
        "p/q/n.py": "import importlib\nimportlib.import_module('.late', __package__)",
        "p/q/late.py": "",
        "p/r.py": "",
        "out.py": "",
    }
    assert local(files) == set(files) - {"train.py", "out.py"}


def test_imports_are_transitive_and_cycles_end():
    files = {"train.py": "import a", "a.py": "import b", "b.py": "import a, train, numpy", "unused.py": ""}
    found = find(files)
    assert found.local == ("a.py", "b.py")
    assert found.foreign == ("numpy",)


def test_the_script_folder_comes_before_the_root():
    files = {"jobs/train.py": "import helper, rooted", "jobs/helper.py": "", "helper.py": "", "rooted.py": ""}
    assert local(files, "jobs/train.py") == {"jobs/helper.py", "rooted.py"}
    assert local(files, "./jobs/../jobs/train.py") == {"jobs/helper.py", "rooted.py"}


def test_a_local_module_wins_over_libraries():
    found = find({"train.py": "import json, numpy, yaml.x", "json.py": "", "numpy.py": "", "yaml/__init__.py": ""})
    assert found.local == ("json.py", "numpy.py", "yaml/__init__.py")
    assert found.foreign == ()


def test_namespace_packages():
    files = {"train.py": "import space.deep.mod\nfrom space import near", "space/deep/mod.py": "", "space/near.py": ""}
    assert find(files).local == ("space/deep/mod.py", "space/near.py")
    assert find(files).foreign == ()


def test_a_namespace_package_spreads_over_both_folders_but_a_real_package_wins():
    spread = {"jobs/train.py": "from s import a, b", "jobs/s/a.py": "", "s/b.py": ""}
    assert local(spread, "jobs/train.py") == {"jobs/s/a.py", "s/b.py"}
    assert local({**spread, "s/__init__.py": ""}, "jobs/train.py") == {"s/__init__.py", "s/b.py"}


def test_a_folder_without_modules_is_no_package():
    found = find({"train.py": "import yaml, logging.config", "yaml/settings.yml": "", "logging/config.py": ""})
    assert found.local == ()
    assert found.foreign == ("yaml",)


def test_extension_modules_count_and_stubs_do_not():
    files = {
        "train.py": "import fast, plain, both",
        "fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF",
        "plain.so": b"\0",
        "both.abi3.so": b"",
        "both.py": "import numpy",
        "fast.pyi": "",
    }
    assert local(files) == {"fast.cpython-311-x86_64-linux-gnu.so", "plain.so", "both.abi3.so", "both.py"}
    assert find(files).foreign == ("numpy",)


def test_foreign_names_are_top_level_and_not_of_the_standard_library():
    source = (
        "from __future__ import annotations\nimport os.path, numpy.linalg, __main__, PIL\nfrom sklearn.svm import SVC"
    )
    assert find({"train.py": source}).foreign == ("PIL", "numpy", "sklearn")


@pytest.mark.parametrize(
    "broken",
    [
        "def (",
        "print 'two'",
        b"\xff\xfe\xfa",
        b"a = '\xe4'",
        b"# coding: nonsense\n",
        b"\0",
        "(" * 3000,
        "x = " + "-" * 100_000 + "1",
    ],
)
def test_what_cannot_be_parsed_is_named(broken):
    found = find({"train.py": "import bad, good", "bad.py": broken, "good.py": "import numpy"})
    assert found == type(found)(("bad.py", "good.py"), ("numpy",), ("bad.py",))
    assert find({"train.py": broken}).unparsed == ("train.py",)


def test_a_file_that_vanished_is_unparsed():
    def read(path):
        raise FileNotFoundError(path)

    assert find_imports("train.py", ["train.py"], read).unparsed == ("train.py",)


@pytest.mark.parametrize(
    "source",
    [b"\xef\xbb\xbfimport other", b"# -*- coding: latin-1 -*-\ns = '\xe4'\nimport other", b"import other\r\nx = 1\r\n"],
)
def test_encodings(source):
    assert local({"train.py": source, "other.py": ""}) == {"other.py"}


def test_bad_escapes_stay_silent(recwarn):
    find({"train.py": r"x = '\d'"})
    escapes = (SyntaxWarning, DeprecationWarning)  # others may come from what earlier tests left to be collected
    assert not [warning for warning in recwarn if issubclass(warning.category, escapes)]


def test_every_file_is_read_once():
    files = {"train.py": b"import a, b", "a.py": b"import b, c", "b.py": b"import c, a", "c.py": b"import a"}
    read = []
    find_imports("train.py", files, lambda path: read.append(path) or files[path])
    assert sorted(read) == sorted(files)


MODULES = ["m0", "m1", "pk", "pk.m0", "pk.m1", "pk.sub", "pk.sub.m0"]
PATHS = dict(
    zip(MODULES, ["m0.py", "m1.py", "pk/__init__.py", "pk/m0.py", "pk/m1.py", "pk/sub/__init__.py", "pk/sub/m0.py"])
)
LINES = [f"import {name}" for name in MODULES]
LINES += [f"from {name.rpartition('.')[0]} import {name.rpartition('.')[2]}" for name in MODULES if "." in name]
LOADED = f"""
NAMES = {MODULES}
import os, runpy, sys
sys.path[0] = "."
runpy.run_path("train.py")
print(*(os.path.relpath(module.__file__) for name, module in list(sys.modules.items()) if name in NAMES))
"""


@settings(max_examples=12, deadline=None)
@given(st.dictionaries(st.sampled_from(["train.py", *PATHS.values()]), st.lists(st.sampled_from(LINES), max_size=2)))
def test_whatever_python_loads_is_found(tmp_path_factory, bodies):
    folder = tmp_path_factory.mktemp("source")
    files = {path: "\n".join(bodies.get(path, [])) for path in ("train.py", *PATHS.values())}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    done = subprocess.run([sys.executable, "-S", "-c", LOADED], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 0:  # else a cycle that Python refuses
        assert set(done.stdout.split()) <= local(files)  # `from package import name` may mean either


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["train.py", "a.py", "a/b.py", "a/__init__.py"]), st.binary(max_size=60)))
def test_it_never_raises(files):
    find_imports("train.py", files, lambda path: files.get(path, b"import a.b"))


@pytest.mark.parametrize(
    ("files", "required"),
    [
        ({"train.py": "import numpy, os\nfrom pandas.x import y"}, {"numpy": "train.py", "pandas": "train.py"}),
        ({"train.py": "import a", "a.py": "import b", "b.py": "import numpy"}, {"numpy": "b.py"}),
        ({"train.py": "try:\n import a\nexcept ImportError: pass", "a.py": "import numpy"}, {}),
        ({"train.py": "if x:\n import numpy\ndef f():\n import pandas"}, {}),
        ({"train.py": "with quiet():\n import numpy\nclass A:\n import pandas"}, {}),
        ({"train.py": "import sys\nsys.path.append('lib')\nimport numpy"}, {}),
        ({"train.py": "import a, numpy", "a.py": "import os\nos.system('pip install numpy')"}, {}),
        ({"train.py": "import deep", "lib/deep.py": ""}, {}),
        ({"train.py": "from pk import *", "pk/__init__.py": "", "pk/x.py": "import numpy"}, {}),
        ({"train.py": "import a, numpy", "a.py": "this is no Python"}, {}),
    ],
)
def test_only_what_a_script_cant_start_without_is_required(files, required):
    assert dict(find(files).required) == required


# Modules that stand where an interpreter looks ------------------------------------------------------------------------


def located(files, places, script="jobs/train.py"):
    asked = []

    def locate(names):
        asked.append(set(names))
        return {name: places[name] for name in names if name in places}

    return find_imports(script, files, lambda path: files[path].encode(), locate), asked


def test_modules_inside_the_files_are_local_and_those_outside_are_told():
    files = {
        "jobs/train.py": "import own.deep, alias, numpy, other\n",
        "src/own/__init__.py": "",
        "src/own/deep.py": "from own import side\nimport single",
        "src/own/side.py": "",
        "python/impl/__init__.py": "from . import inner",
        "python/impl/inner.py": "import pandas",
        "lib/single.py": "",
        "src/unrelated/__init__.py": "",
    }
    places = {"own": ["src/own"], "alias": ["python/impl"], "single": ["lib/single.py"], "other": ["/elsewhere/other"]}
    found, asked = located(files, places)
    assert found.local == tuple(sorted(set(files) - {"jobs/train.py", "src/unrelated/__init__.py"}))
    assert found.foreign == ("numpy", "other", "pandas")
    assert ("other", "/elsewhere/other") in found.places and ("own", "src/own") in found.places
    assert asked == [{"own", "alias", "numpy", "other"}, {"single", "pandas"}]
    assert dict(found.required).keys() == {"numpy", "other", "pandas"}


def test_a_module_beside_the_script_wins_over_places():
    files = {"jobs/train.py": "import own", "jobs/own.py": "", "src/own/__init__.py": ""}
    assert located(files, {"own": ["src/own"]})[0].local == ("jobs/own.py",)


def test_a_namespace_is_local_in_part():
    files = {"jobs/train.py": "import space.mine, space.theirs", "src/space/mine.py": ""}
    found, _ = located(files, {"space": ["src/space"]})
    assert (found.local, found.foreign) == (("src/space/mine.py",), ("space",))


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import absent\nexcept ImportError:\n    absent = None\n",
        "try:\n    import absent\nexcept (ModuleNotFoundError, OSError):\n    pass\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import absent\n",
        "import typing as t\nif t.TYPE_CHECKING:\n    from absent import x\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import absent\n",
        "import sys\nif sys.version_info < (3, 8):\n    import absent\n",
        "def work():\n    import absent\n",
        "import importlib.util\nif importlib.util.find_spec('absent'):\n    import absent\n",
    ],
)
def test_an_import_that_may_not_happen_is_not_required(text):
    found = find_imports("train.py", {"train.py"}, lambda _: text.encode())
    assert "absent" in found.foreign and "absent" not in dict(found.required)
