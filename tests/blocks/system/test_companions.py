"""Packages that go with Stepwell: named by entry points, found installed for good or where people work on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.blocks.system import companions as subject


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of packages that comes before all others."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    subject._found_along.cache_clear()
    subject._companions.cache_clear()


def write(folder: Path, name: str, text: str = "") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def install(site: Path, *files: str) -> None:
    write(site, "Old_Names-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Old_Names\nVersion: 1.0\n")
    write(site, "Old_Names-1.0.dist-info/entry_points.txt", "[stepwell.companions]\noldnames = oldnames\n")
    write(site, "Old_Names-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))


def found() -> subject.Companion | None:
    return next((one for one in subject.companions() if one.name == "oldnames"), None)


def test_of_an_installed_one_only_what_its_distribution_brought_goes_along(site: Path) -> None:
    install(site, "oldnames/__init__.py", "oldnames/inner/__init__.py", "other/__init__.py", "oldnames/data.bin")
    for name in ("oldnames/__init__.py", "oldnames/inner/__init__.py", "oldnames/others.py", "other/__init__.py"):
        write(site, name)
    one = found()
    assert one is not None and (one.distribution, one.folder) == ("old-names", site / "oldnames")
    assert sorted(one.files) == ["oldnames/__init__.py", "oldnames/inner/__init__.py"]
    assert "oldnames" in subject.companion_names() and "old-names" in subject.companion_distributions()


def test_of_one_that_people_work_on_all_its_modules_go_along(site: Path) -> None:
    install(site)
    write(site, "oldnames/__init__.py")
    write(site, "oldnames/more.py")
    one = found()
    assert one is not None and one.files["oldnames/more.py"] == site / "oldnames" / "more.py"


def test_one_that_is_not_there_does_not_count(site: Path) -> None:
    install(site, "oldnames/__init__.py")
    assert found() is None
    write(site, "oldnames/no_package.py")  # a folder of that name is no package
    assert found() is None


def test_another_first_place_of_modules_is_looked_at_anew_if_it_has_distributions(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found() is None
    own = tmp_path / "own"
    install(own, "oldnames/__init__.py")
    write(own, "oldnames/__init__.py")
    looks: list[object] = []
    inner = subject.entry_points
    monkeypatch.setattr(subject, "entry_points", lambda **which: looks.append(1) or inner(**which))
    for first in ("bin", ""):
        monkeypatch.setattr(sys, "path", [str(tmp_path / first), *sys.path[1:]])
        (tmp_path / "bin").mkdir(exist_ok=True)
        subject.companions()
    assert len(looks) <= 1
    monkeypatch.setattr(sys, "path", [str(own), *sys.path[1:]])
    one = found()
    assert one is not None and one.folder == own / "oldnames"
