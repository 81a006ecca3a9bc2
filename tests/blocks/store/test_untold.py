from __future__ import annotations

import os

import pytest

from stepwell.blocks.store import untold
from stepwell.blocks.store.run_folder import RunFolder


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))


def noted():
    return [(run.run_id, server) for run, server in untold.untold()]


def test_a_run_is_noted_until_it_is_forgotten(tmp_path):
    assert noted() == []
    for name, server in (("b", ""), ("a", "http://x/api")):
        (tmp_path / name).mkdir()
        untold.note(RunFolder(tmp_path / name), server)
    assert noted() == [("a", "http://x/api"), ("b", "")]
    untold.forget("a")
    untold.forget("a")
    assert noted() == [("b", "")]


def test_what_names_no_run_is_dropped(tmp_path):
    (tmp_path / "gone").mkdir()
    untold.note(RunFolder(tmp_path / "gone"), "")
    (tmp_path / "gone").rmdir()
    folder = tmp_path / "home" / "untold"
    for name, text in (("x", "no json"), ("y", "[]"), ("z", '{"path": "/", "server": ""}')):
        (folder / name).write_text(text)
    assert noted() == [] and list(folder.iterdir()) == []


def test_what_was_asked_for_in_vain_is_noted_for_its_server_until_that_has_come_to_it(tmp_path):
    assert untold.unanswered("") == []
    untold.note_unanswered("ab12", "")
    untold.note_unanswered("cd34", "http://x/api")
    assert (untold.unanswered(""), untold.unanswered("http://x/api")) == (["ab12"], ["cd34"])
    untold.forget_unanswered("")
    assert untold.unanswered("") == ["ab12"]  # the server may be about to do what it was asked
    for path in (tmp_path / "home" / "unanswered").iterdir():
        os.utime(path, (0, 0))
    untold.forget_unanswered("")
    assert (untold.unanswered(""), untold.unanswered("http://x/api")) == ([], ["cd34"])
