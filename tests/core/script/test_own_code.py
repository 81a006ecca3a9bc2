"""Own code comes from its copy whatever leads to where it is edited, in scripts and in the Pythons that they start."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "src" / "stepwell" / "script"

SETUPTOOLS = """
import importlib.util, os, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] == "own":
            folder = {live!r} + "/src/" + name.replace(".", "/")
            for file, places in ((folder + "/__init__.py", [folder]), (folder + ".py", None)):
                if os.path.isfile(file):
                    return importlib.util.spec_from_file_location(name, file, submodule_search_locations=places)
def install():
    sys.meta_path.append(Finder)
"""
MESON = SETUPTOOLS.replace("[folder]", "['/no/such/place']").replace("append(Finder)", "insert(0, Finder)")
NAMESPACE = """
import importlib.machinery, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "own":
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [{live!r} + "/src/own"]
            return spec
def install():
    sys.meta_path.append(Finder)
"""
WAYS = {
    "path": "",
    "pth": "{live}/src\n",
    "setuptools": "import _hook; _hook.install()\n",
    "meson": "import _hook; _hook.install()\n",
    "namespace": "import _hook; _hook.install()\n",
}


class Place:
    """A project where people work, its copy, and an environment that leads to the former."""

    def __init__(self, top):
        self.top, self.live, self.copy, self.site = top, top / "live", top / "copy", top / "site"
        self.site.mkdir()
        for folder, text in ((self.live, "edited"), (self.copy, "kept")):
            (folder / "src" / "own" / "sub").mkdir(parents=True)
            for name in ("__init__", "part", "sub/__init__", "sub/deep"):
                (folder / "src" / "own" / f"{name}.py").write_text(f"VALUE = {text!r}\n")
        self.environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def lead(self, way):
        """Let the environment lead to where people work."""
        if way == "path":
            self.environment["PYTHONPATH"] = str(self.live / "src")
            return
        if way == "namespace":
            for folder in (self.live, self.copy):
                (folder / "src" / "own" / "__init__.py").unlink()
        text = {"setuptools": SETUPTOOLS, "meson": MESON, "namespace": NAMESPACE}.get(way, "")
        (self.site / "_hook.py").write_text(text.replace("{live!r}", repr(str(self.live))))
        (self.site / "own.pth").write_text(WAYS[way].format(live=self.live))
        (self.site / "sitecustomize.py").write_text(
            f"import os, site; site.addsitedir({str(self.site)!r}); os.environ['SITE_RAN'] = 'yes'\n"
        )
        self.environment["PYTHONPATH"] = str(self.site)

    def run(self, code, *argv, pairs=None, modules=(), module="", flags=()):
        """Run code as the launcher does, in the copy, and return what it printed."""
        script = "" if module else "script.py"
        if script:
            (self.copy / script).write_text(code)
        own_code = {
            "pairs": [[str(self.live), str(self.copy)]] if pairs is None else pairs,
            "modules": dict(modules),
            "notes": str(self.top / "notes.txt"),
        }
        spec = {"script": script, "module": module, "argv": argv, "cwd": str(self.copy), "module_path": []}
        spec |= {"watch": True, "quiet": [], "reads": str(self.top / "reads.jsonl"), "own_code": own_code}
        (self.top / "spec.json").write_text(json.dumps(spec))
        command = [sys.executable, *flags, str(SCRIPT / "launcher.py"), str(self.top / "spec.json")]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def read_live(self):
        """Return what was read from where people work."""
        notes = self.top / "reads.jsonl"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [path for path in (json.loads(line)["path"] for line in lines) if path.startswith(str(self.live))]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


PRINT = "import own.part, own.sub.deep; print(own.part.VALUE, own.sub.VALUE, own.sub.deep.VALUE)\n"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PRINT!r}], check=True)\n"
SPAWN = f"""
import multiprocessing
def work(): exec({PRINT!r})
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    child.join()
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [PRINT, CHILD, SPAWN], ids=["script", "child", "spawned"])
def test_imports_lead_into_the_copy(place, way, code):
    place.lead(way)
    assert place.run(code) == ["kept"] * 3
    assert place.read_live() == []


def test_the_path_holds_the_copy_in_place_of_the_project(place):
    place.lead("pth")
    place.environment["PYTHONPATH"] += os.pathsep + str(place.live)
    found = place.run("import sys; print(*sys.path)")
    assert [path for path in found if path.startswith(str(place.live))] == []
    assert {str(place.copy), str(place.copy / "src")} <= set(found)


def test_what_the_copy_lacks_is_found_where_it_is_and_noted(place):
    place.lead("setuptools")
    (place.live / "src" / "own" / "_version.py").write_text("VALUE = 'made by a build'\n")
    (place.live / "src" / "own" / "part.py").write_text("VALUE = 'edited again'\n")
    code = "from own import _version, part; print(part.VALUE); print(_version.VALUE.replace(' ', '_'))"
    assert place.run(code) == ["kept", "made_by_a_build"]
    assert place.read_live() == [str(place.live / "src" / "own" / "_version.py")]


@pytest.mark.parametrize("code", [PRINT, CHILD], ids=["script", "child"])
def test_modules_are_found_where_nothing_leads_to_them(place, code):
    assert place.run(code, pairs=[], modules={"own": str(place.copy / "src" / "own")}) == ["kept"] * 3


def test_a_module_and_an_archive_elsewhere_have_copies_too(place):
    for folder, text in ((place.live, "edited"), (place.copy, "kept")):
        (folder / "single.py").write_text(f"VALUE = {text!r}\n")
        with zipfile.ZipFile(folder / "lib.zip", "w") as archive:
            archive.writestr("zipped/__init__.py", f"VALUE = {text!r}\n")
    place.environment["PYTHONPATH"] = os.pathsep.join([str(place.live), str(place.live / "lib.zip")])
    pairs = [[str(place.live / name), str(place.copy / name)] for name in ("single.py", "lib.zip")]
    code = "import single, zipped; print(single.VALUE, zipped.VALUE)\n"
    assert place.run(code, pairs=pairs) == ["kept", "kept"]
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    assert place.run(child, pairs=pairs) == ["kept", "kept"]


def test_a_sitecustomize_of_the_environment_still_runs_in_children(place):
    place.lead("pth")
    place.environment.pop("SITE_RAN", None)
    code = "import os; del os.environ['SITE_RAN']; import subprocess, sys; subprocess.run([sys.executable, '-c', TEXT])"
    shown = "import os, sys; print(os.environ.get('SITE_RAN'), [p for p in sys.path if p.endswith('start')])"
    assert place.run(code.replace("TEXT", repr(shown))) == ["yes", "[]"]


def test_a_module_runs_as_python_m_would(place):
    (place.copy / "tool").mkdir()
    (place.copy / "tool" / "__main__.py").write_text(
        "import sys, helper; print(__name__, __package__, __file__, sys.argv, sys.path[0] or 'none', sys.orig_argv[1:])"
    )
    (place.copy / "helper.py").write_text("")
    plain = subprocess.run(
        [sys.executable, "-m", "tool", "a", "b"], cwd=place.copy, env=place.environment, capture_output=True, text=True
    )
    assert place.run("", "a", "b", module="tool") == plain.stdout.split()


def test_installed_modules_are_noted_at_the_end_of_each_python(place):
    installed = place.top / "lib" / "site-packages"
    (installed / "bundle").mkdir(parents=True)
    for name in ("one.py", "two.py", "bundle/__init__.py", "three.py"):
        (installed / name).write_text("")
    place.environment["PYTHONPATH"] = str(installed)
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import three, json'], check=True)\n"
    assert place.run("import one, bundle, json\n" + child) == []
    assert set((place.top / "notes.txt").read_text().split()) == {"one", "bundle", "three"}
