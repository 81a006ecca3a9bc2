"""Where Stepwell stands and keeps what is its own, and where people's data are within."""

from __future__ import annotations

from types import SimpleNamespace

import stepwell.flows.engine.reuse
from stepwell.blocks.system import own_places
from stepwell.blocks.system.home import home
from stepwell.blocks.system.own_places import OwnPlaces


def test_packages_that_go_with_stepwell_are_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(own_places, "companions", lambda: (SimpleNamespace(folder=tmp_path / "azureml"),))
    own_places._code.cache_clear()
    held = [OwnPlaces().hold(str(tmp_path / name)) for name in ("azureml/names.py", "azureml_data/x.csv")]
    own_places._code.cache_clear()
    assert held == [True, False]


def test_code_and_home_are_stepwells_and_the_innermost_folder_decides(tmp_path):
    store, data, link = tmp_path / "data" / ".stepwell", tmp_path / "data", tmp_path / "link"
    link.symlink_to(home())
    places = OwnPlaces([store, link], [data, home() / "workspaces" / "w" / "d"])
    own = (
        stepwell.flows.engine.reuse.__file__,
        stepwell.__file__,
        home(),
        home() / "prefect.db",
        store / "trees",
        link / "x",
    )
    for path in own:
        assert places.hold(str(path)) and places.hold(f"{path}/"), path
    for path in (
        data,
        data / "x.csv",
        home() / "workspaces" / "w" / "d" / "x",
        f"{home()}-other",
        tmp_path,
        "config.json",
        "/",
    ):
        assert not places.hold(str(path)), path
