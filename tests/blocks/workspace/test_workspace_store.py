"""A workspace is one place: a home that has other data under its name is refused, and told what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from stepwell import Datastore, Workspace
from stepwell.blocks.server import documents
from stepwell.blocks.system.home import home
from stepwell.blocks.workspace import workspace_store
from stepwell.blocks.workspace.store_identity import keep_id, read_id
from stepwell.blocks.workspace.workspace_store import WorkspaceBlock
from stepwell.errors import WorkspaceException


@pytest.fixture
def other_home(server, tmp_path, monkeypatch):
    """Lets the process be one of another home that works with the same Prefect, or of its own home again."""
    own = str(home())
    monkeypatch.setattr(documents, "ensure_server", lambda: server)  # a home looks for a server of its own first
    monkeypatch.setattr(workspace_store, "server_status", lambda: SimpleNamespace(managed=False))

    def switch(to: str | Path = tmp_path / "other") -> None:
        monkeypatch.setenv("STEPWELL_HOME", str(to or own))

    return switch


def saved(workspace: Workspace) -> WorkspaceBlock:
    block = documents.load_named(WorkspaceBlock, workspace.name)
    assert block is not None
    return block


def as_earlier_releases_saved(workspace: Workspace) -> None:
    block = saved(workspace)
    block.store_id = block.store_place = block.folders_id = ""
    documents.save_named(block)
    (workspace.folder / "store.id").unlink()
    (home() / "workspaces" / workspace.name / "store.id").unlink()


def test_the_document_names_the_store_and_its_home_finds_it(workspace):
    assert saved(workspace).store_id == read_id(workspace.folder) != ""
    assert str(workspace.folder) in saved(workspace).store_place
    assert Workspace.get(workspace.name).is_here
    assert "store_id" not in workspace.get_details()


def test_another_home_is_refused_with_what_to_do(workspace, other_home):
    other_home()
    for open_it in (Workspace.get, lambda name: Workspace.create(name, exist_ok=True)):
        with pytest.raises(WorkspaceException, match="belongs to another Stepwell home") as error:
            open_it(workspace.name)
        assert str(workspace.folder) in error.value.facts["its store"]
        assert "STEPWELL_HOME" in error.value.hint
    listed = Workspace.list()[workspace.name]
    assert not listed.is_here
    for look in (lambda: listed.store, lambda: listed.get_default_datastore().filesystem):
        with pytest.raises(WorkspaceException):
            look()
    other_home("")
    assert Workspace.get(workspace.name).is_here


def test_a_home_that_shares_the_folder_is_let_in(workspace, other_home, tmp_path):
    Datastore.register(workspace, "shared", f"file://{tmp_path / 'shared'}").set_as_default()
    other_home()
    assert Workspace.get(workspace.name).store.root == tmp_path / "shared" / ".stepwell"
    with pytest.raises(WorkspaceException):
        Datastore(Workspace.get(workspace.name), "workspacefilestore").exists("a")


def test_a_remote_store_is_everybodys_but_folders_of_a_home_are_not(workspace, other_home):
    Datastore.register(workspace, "remote", f"memory://{workspace.name}").set_as_default()
    other_home()
    opened = Workspace.get(workspace.name)
    assert opened.store.root.is_relative_to(home())
    with pytest.raises(WorkspaceException):
        Datastore(opened, "workspaceblobstore").exists("a")


def test_the_home_that_made_a_workspace_of_an_earlier_release_adopts_it_whoever_comes_first(workspace, other_home):
    as_earlier_releases_saved(workspace)
    other_home()
    with pytest.raises(WorkspaceException):
        Workspace.get(workspace.name)
    assert saved(workspace).store_id == ""
    other_home("")
    assert Workspace.get(workspace.name).is_here
    assert saved(workspace).store_id == read_id(workspace.folder) != ""


def test_whoever_removes_the_folder_of_a_workspace_keeps_the_workspace(workspace, other_home):
    named = saved(workspace).store_id
    shutil.rmtree(workspace.folder)
    other_home()
    with pytest.raises(WorkspaceException):
        Workspace.get(workspace.name)
    other_home("")
    assert Workspace.get(workspace.name).is_here
    assert read_id(workspace.folder) == named


def test_a_workspace_is_taken_over_when_told_so(workspace, other_home):
    other_home()
    Workspace.list()[workspace.name].adopt()
    assert Workspace.get(workspace.name).is_here
    other_home("")
    with pytest.raises(WorkspaceException):
        Workspace.get(workspace.name)


@pytest.mark.parametrize("damaged", [b"", b"x" * 32, b"\0"])
def test_an_id_is_kept_once_and_mended(damaged, tmp_path):
    first = keep_id(tmp_path)
    assert (len(first), keep_id(tmp_path), keep_id(tmp_path, "f" * 32)) == (32, first, first)
    (tmp_path / "store.id").write_bytes(damaged)
    assert keep_id(tmp_path, "f" * 32) == "f" * 32
    assert [path.name for path in tmp_path.iterdir()] == ["store.id"]


def test_an_id_is_kept_where_files_have_one_name_only_and_not_where_nothing_can_be_written(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)
    assert keep_id(tmp_path, "f" * 32) == "f" * 32
    (tmp_path / "file").touch()
    assert keep_id(tmp_path / "file" / "below") == ""
