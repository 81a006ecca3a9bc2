"""Packages: which distributions stand behind imports, for this interpreter and for others, without importing any."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from stepwell.blocks.environments import packages
from stepwell.blocks.environments.packages import Packages
from stepwell.errors import UserErrorException


def install(site: Path, name: str, version: str = "1.0", *requires: str, **files: str) -> Path:
    """Make a distribution by hand and return its folder; the module files only stand in its RECORD."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needed = "".join(f"Requires-Dist: {line}\n" for line in requires)
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}\nName: not-this\nRequires-Dist: nor-this\n"
    )
    for file, text in {"METADATA": metadata, **files}.items():
        (info / file.replace("__", ".")).write_text(text)
    return info


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of packages that the interpreter looks into first."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), before])))
    return folder


def test_modules_lead_to_distributions_and_all_that_they_require(site: Path) -> None:
    install(
        site, "Alpha.One", "1.5", "beta-two (>=1)", "absent>=2", "gamma; python_version > '2'", top_level__txt="alpha\n"
    )
    install(site, "beta_two", "2.0", "alpha-one", "delta ; extra == 'all'", RECORD="beta/__init__.py,sha256=x,1\n")
    install(site, "gamma", "3", RECORD="gamma.cpython-311-x86_64-linux-gnu.so,,\n../../bin/gamma,,\n")
    install(site, "delta", "4", RECORD="delta.py,,\ndelta-4.dist-info/METADATA,,\n__pycache__/delta.pyc,,\n")
    expected = {"alpha-one": "1.5", "beta-two": "2.0", "gamma": "3"}
    assert Packages().distributions_of(["alpha.deep.module"]) == expected
    assert list(Packages().distributions_of(["gamma", "beta"])) == sorted(expected)
    assert Packages().distributions_of(["delta", "unknown", "os"]) == {"delta": "4"}
    assert Packages().distributions_of([]) == {}


def test_a_namespace_leads_to_all_its_distributions(site: Path) -> None:
    for name in ("space-a", "space-b"):
        install(site, name, RECORD=f"space/{name[-1]}/__init__.py,,\n")
    assert Packages().distributions_of(["space"]) == {"space-a": "1.0", "space-b": "1.0"}


def test_the_first_on_the_search_path_wins(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "alpha", "1", top_level__txt="alpha")
    install(tmp_path / "second", "alpha", "2", top_level__txt="alpha")
    monkeypatch.setenv("PYTHONPATH", f"{site}:{tmp_path / 'second'}")
    assert Packages().distributions_of(["alpha"]) == {"alpha": "1"}


def test_what_came_from_no_index_has_more_than_a_version(site: Path) -> None:
    origin = {"url": "x", "vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef"}}
    install(site, "checkout", top_level__txt="checkout", direct_url__json=json.dumps(origin))
    record = "local.py,sha256=one,1\nlocal-1.0.dist-info/METADATA,,\n"
    local = install(site, "local", RECORD=record, direct_url__json='{"url": "file:///x", "dir_info": {}}')
    install(site, "broken", top_level__txt="broken", direct_url__json="no json")
    found = Packages().distributions_of(["checkout", "local", "broken"])
    assert found["checkout"] == "1.0 0123456789ab" and found["broken"] == "1.0"
    assert re.fullmatch(r"1\.0 [0-9a-f]{12}", found["local"])
    (local / "RECORD").write_text(record.replace("METADATA", "INSTALLER"))
    assert Packages().distributions_of(["local"])["local"] == found["local"]
    (local / "RECORD").write_text(record.replace("one", "two"))
    assert Packages().distributions_of(["local"])["local"] != found["local"]


def test_editable_installs_are_marked_and_their_modules_found(site: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "flat").mkdir(parents=True)
    (project / "single.py").touch()
    (site / "_flat.pth").write_text(f"import os\n{project}\n")
    (site / "__editable___mapped_1_0_finder.py").write_text(
        "MAPPING: dict[str, str] = {'mapped': '/x', 'more': '/y'}\n"
    )
    editable = '{"url": "file:///x", "dir_info": {"editable": true}}'
    install(site, "flat", RECORD="_flat.pth,,\n", direct_url__json=editable)
    install(site, "mapped", RECORD="__editable___mapped_1_0_finder.py,,\n", direct_url__json=editable)
    for module in ("flat", "single"):
        assert Packages().distributions_of([module]) == {"flat": "1.0 editable"}
    for module in ("mapped", "more"):
        assert Packages().distributions_of([module]) == {"mapped": "1.0 editable"}


def test_old_metadata_is_read_and_leftovers_are_not(site: Path) -> None:
    (site / "old-1.0.egg-info").mkdir()
    (site / "old-1.0.egg-info" / "PKG-INFO").write_text("Name: old\nVersion: 1.0\n")
    (site / "old-1.0.egg-info" / "top_level.txt").write_text("old\n")
    (site / "old-1.0.egg-info" / "requires.txt").write_text("older>=1\n\n[extra]\nunwanted\n")
    (site / "older-0.1.egg-info").write_text("Name: older\nVersion: 0.1\n")
    (site / "unwanted-1.egg-info").write_text("Name: unwanted\nVersion: 1\n")
    (site / "~eftover-1.0.dist-info").mkdir()
    assert Packages().distributions_of(["old"]) == {"old": "1.0 editable", "older": "0.1"}


def test_missing_modules_are_neither_installed_nor_on_the_search_path(site: Path) -> None:
    install(site, "alpha", top_level__txt="alpha")
    (site / "loose.py").touch()
    (site / "folder").mkdir()
    asked = ["alpha.x", "loose", "folder", "os", "sys", "_ctypes", "zeta", "absent.module", "absent"]
    assert Packages().missing_modules(asked) == ("absent", "zeta")


def test_this_interpreter_agrees_with_importlib() -> None:
    found = Packages()
    assert found.python_version == sys.version.split()[0]
    for module, names in importlib.metadata.packages_distributions().items():
        installed = found.distributions_of([module])
        for name in names:
            normal = re.sub(r"[-_.]+", "-", name).lower()
            assert installed[normal].split()[0] == importlib.metadata.version(name)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a virtual environment with one distribution of its own."""
    root = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    install(next(root.glob("lib/python*/site-packages")), "only-there", top_level__txt="only_there")
    return root / "bin" / "python"


def test_another_interpreter_answers_for_itself(other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Packages(interpreter=str(other))
    assert found.distributions_of(["only_there", "pytest"]) == {"only-there": "1.0"}
    assert found.missing_modules(["only_there", "pytest", "json"]) == ("pytest",)
    assert Packages().distributions_of(["only_there"]) == {}
    monkeypatch.setenv("PATH", str(other.parent))
    assert Packages(interpreter="python").distributions_of(["only_there"]) == {"only-there": "1.0"}


def test_an_interpreter_that_talks_at_startup_is_understood(other: Path) -> None:
    site = next(other.parent.parent.glob("lib/python*/site-packages"))
    (site / "noise.pth").write_text("import sys; sys.stdout.write('hello')\n")
    try:
        assert Packages(interpreter=str(other)).distributions_of(["only_there"]) == {"only-there": "1.0"}
    finally:
        (site / "noise.pth").unlink()


@pytest.mark.parametrize("name", ["/nowhere/python", "no-such-python", "/bin/false", "/bin/true", "/tmp", "nul\0"])
def test_an_interpreter_that_cannot_be_used_is_named(name: str) -> None:
    with pytest.raises(UserErrorException) as raised:
        Packages(interpreter=name).python_version  # noqa: B018
    assert name in raised.value.facts["interpreter"]


@pytest.fixture
def surveys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the interpreters that were really asked, as they are."""
    asked: list[str] = []
    survey = packages._survey

    def counted(program: str) -> object:
        asked.append(program)
        return survey(program)

    monkeypatch.setattr(packages, "_survey", counted)
    return asked


def test_the_cache_answers_until_something_is_installed(site: Path, tmp_path: Path, surveys: list[str]) -> None:
    cache = tmp_path / "cache"
    alpha = install(site, "alpha", top_level__txt="alpha")
    time.sleep(0.07)
    for _ in range(3):
        assert Packages(cache).distributions_of(["alpha"]) == {"alpha": "1.0"}
    assert len(surveys) == 1
    alpha.rename(site / "alpha-2.0.dist-info")
    (site / "alpha-2.0.dist-info" / "METADATA").write_text("Name: alpha\nVersion: 2.0\n\n")
    assert Packages(cache).distributions_of(["alpha"]) == {"alpha": "2.0"}
    time.sleep(0.07)
    Packages(cache).missing_modules(["x"])
    (site / "more.pth").touch()
    time.sleep(0.07)
    Packages(cache).missing_modules(["x"])
    before = len(surveys)
    (site / "more.pth").write_text("# edited in place")
    Packages(cache).missing_modules(["x"])
    assert len(surveys) == before + 1


def test_a_survey_is_not_kept_while_something_is_being_installed(site: Path, tmp_path: Path) -> None:
    install(site, "alpha", top_level__txt="alpha")
    os.utime(site, ns=(time.time_ns() + 10**12,) * 2)
    assert Packages(tmp_path / "cache").distributions_of(["alpha"]) == {"alpha": "1.0"}
    assert not (tmp_path / "cache").exists()


def test_interpreters_and_search_paths_do_not_share_an_answer(
    other: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "alpha", top_level__txt="alpha")
    time.sleep(0.07)
    cache = tmp_path / "cache"
    assert Packages(cache).distributions_of(["alpha", "only_there"]) == {"alpha": "1.0"}
    monkeypatch.delenv("PYTHONPATH")
    assert Packages(cache, str(other)).distributions_of(["alpha", "only_there"]) == {"only-there": "1.0"}
    assert Packages(cache).distributions_of(["alpha", "only_there"]) == {}


@pytest.mark.parametrize(
    "content", ["", "no json", "[]", "{}", '{"marks": {}, "survey": {}}', '{"marks": 1}', '{"marks": {"x": 1}}']
)
def test_a_damaged_cache_is_replaced(site: Path, tmp_path: Path, surveys: list[str], content: str) -> None:
    install(site, "alpha", top_level__txt="alpha")
    time.sleep(0.07)
    cache = tmp_path / "cache"
    Packages(cache).missing_modules(["x"])
    (file,) = cache.iterdir()
    file.write_text(content)
    for _ in range(2):
        assert Packages(cache).distributions_of(["alpha"]) == {"alpha": "1.0"}
    assert len(surveys) == 2


def test_a_cache_that_cannot_be_written_is_done_without() -> None:
    assert Packages(Path("/proc/nowhere")).python_version == Packages(Path("/dev/null/x")).python_version


def test_the_second_process_is_fast(tmp_path: Path) -> None:
    Packages(tmp_path).missing_modules(["pytest"])
    seconds = []
    for _ in range(5):
        started = time.process_time()
        assert "pytest" in Packages(tmp_path).distributions_of(["pytest"])
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.03


def test_nothing_is_imported(site: Path) -> None:
    (site / "explosive.py").write_text("raise SystemExit('imported')")
    install(site, "explosive", RECORD="explosive.py,,\n")
    assert Packages().distributions_of(["explosive"]) == {"explosive": "1.0"}


# Where modules stand that people work on ------------------------------------------------------------------------------------


def hook(site: Path, name: str, folder: Path) -> None:
    """Let the interpreter find a package by an import hook, as editable installs do, beside the folder `site`."""
    (site / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        "class Hook:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {name!r}:\n"
        f"            return importlib.util.spec_from_file_location(name, {str(folder / '__init__.py')!r})\n"
        "sys.meta_path.insert(0, Hook)\n"
    )


def test_what_stands_on_the_path_and_is_not_installed_has_places(site: Path, tmp_path: Path) -> None:
    for file in ("own/__init__.py", "single.py", "spread/part.py", "held/__init__.py"):
        (site / file).parent.mkdir(exist_ok=True)
        (site / file).write_text("")
    install(site, "holder", RECORD="held/__init__.py,,\n")
    found = Packages().places_of(["own.part", "single", "spread", "held", "pytest", "json", "absent"])
    assert found == {
        "own": (str(site / "own"),),
        "single": (str(site / "single.py"),),
        "spread": (str(site / "spread"),),
    }
    assert Packages(known_places={"absent": ["/was/here"]}).places_of(["absent", "json"]) == {"absent": ("/was/here",)}


def test_the_first_place_on_the_path_counts_unless_it_is_part_of_a_namespace(site: Path, monkeypatch) -> None:
    second = site.parent / "second"
    for folder in (site, second):
        for file in ("own/__init__.py", "spread/part.py"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{second}")
    found = Packages().places_of(["own", "spread"])
    assert found == {"own": (str(site / "own"),), "spread": (str(site / "spread"), str(second / "spread"))}


def test_a_hooks_package_is_no_missing_one_and_belongs_to_a_distribution(site: Path, tmp_path: Path) -> None:
    package = tmp_path / "dev" / "hooked"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    hook(site, "hooked", package)
    origin = {"dir_info": {"editable": True}, "url": (tmp_path / "dev").as_uri()}
    install(
        site, "hooked-dist", "1.0", "numpy-like", RECORD="hooked-editable.pth,,\n", direct_url__json=json.dumps(origin)
    )
    install(site, "numpy-like", "2.0", top_level__txt="numpylike\n")
    found = Packages()
    assert found.missing_modules(["hooked", "absent"]) == ("absent",)
    assert found.places_of(["hooked"]) == {"hooked": (str(package),)}
    assert found.distributions_of(["hooked"]) == {"hooked-dist": "1.0 editable", "numpy-like": "2.0"}
    assert found.owners_of(["hooked"]) == {"hooked-dist"}


def test_an_archive_on_the_path_provides_its_modules(site: Path, tmp_path: Path, monkeypatch) -> None:
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("zipped/__init__.py", "")
        written.writestr("flat.py", "")
    monkeypatch.setenv("PYTHONPATH", str(archive))
    assert Packages().missing_modules(["zipped", "flat", "absent"]) == ("absent",)
    assert Packages().places_of(["zipped", "flat"]) == {"zipped": (str(archive),), "flat": (str(archive),)}


def test_nobody_is_asked_about_what_is_known(site: Path, monkeypatch) -> None:
    hook(site, "hooked", site)
    monkeypatch.setattr(packages, "ask", lambda *asked: pytest.fail(f"asked {asked}"))
    assert Packages().missing_modules(["pytest", "json"]) == ()
    assert Packages().places_of(["pytest", "json"]) == {}
    (site / "sitecustomize.py").write_text(
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'frozen' in repr(f)]"
    )
    assert Packages().places_of(["absent"]) == {}  # there is no hook that could find it
