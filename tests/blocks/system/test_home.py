"""The home's folders belong to its owner alone, whoever made the home and whatever the umask."""

from __future__ import annotations

import os
import stat

import pytest

from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home, make_folder
from stepwell.blocks.system.locks import exclusive


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_below_a_home_that_was_there_are_their_owners_alone(tmp_path, monkeypatch, umask):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    given = mode(folder)
    monkeypatch.setenv("STEPWELL_HOME", str(folder))
    root = home() / "workspaces" / "w" / ".stepwell"
    store = Store(root, "0" * 64, StatCache(home() / "cache" / "digests.sqlite3"))
    store.scratch_folder()
    RunFolder(store.run_folder("r")).append({"status": "Running"})
    RunFolder(store.run_folder("s")).describe({"id": "s"})
    write_atomically(home() / "deep" / "er" / "file", b"")
    store.digests.digest_file(str(tmp_path / "open" / "deep" / "er" / "file"), os.stat(folder / "deep" / "er" / "file"))
    with exclusive(home() / "locks" / "x"):
        made = [path for path in folder.rglob("*") if path.is_dir()]
        assert {"work", "runs", "r", "er", "locks"} <= {path.name for path in made}
        assert {path: oct(mode(path)) for path in made if mode(path) != 0o700} == {}
    assert mode(folder) == given


def test_folders_elsewhere_follow_the_umask(tmp_path, monkeypatch, umask):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    for _ in range(2):
        make_folder(tmp_path / "else" / "where")
    assert mode(tmp_path / "else") == mode(tmp_path / "else" / "where") == 0o777 & ~umask
    assert not (tmp_path / "home").exists()
    with pytest.raises(FileExistsError):
        (tmp_path / "file").touch()
        make_folder(tmp_path / "file")
