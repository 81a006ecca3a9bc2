"""Files sent to a workspace and fetched from it: whole folders, large ones in blocks, none cut and no block twice."""

import pytest
from databricks_workspace import TOKEN

from stepwell.blocks.compute.databricks import workspace_files
from stepwell.blocks.compute.databricks.connection import Address, connect
from stepwell.blocks.compute.databricks.workspace_files import WorkspaceFiles
from stepwell.errors import StepFailedException


@pytest.fixture
def files(dbx, clock):
    return WorkspaceFiles(connect(Address("dbx", dbx.address, TOKEN), clock()))


@pytest.mark.parametrize("root", ["dbfs:/tmp/x", "/Volumes/main/default/x"])
def test_a_folder_goes_there_and_back(files, dbx, tmp_path, root):
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "empty.txt").touch()
    (source / "a/b/large.bin").write_bytes(bytes(range(256)) * 9000)  # more than two blocks
    (source / "link.txt").symlink_to("a/b/large.bin")
    (source / "a/loop").symlink_to("..")
    files.upload(source, root)
    assert files.download(root, tmp_path / "back")
    sizes = {str(path.relative_to(tmp_path / "back")): path.stat().st_size for path in (tmp_path / "back").rglob("*.*")}
    assert sizes == {"empty.txt": 0, "a/b/large.bin": 2304000, "link.txt": 2304000}
    assert (tmp_path / "back/a/b/large.bin").read_bytes() == (source / "a/b/large.bin").read_bytes()
    files.remove(root)
    assert files.look(root) is None and not files.download(root, tmp_path / "none") and not (tmp_path / "none").exists()


def test_a_block_that_arrives_twice_as_its_answer_was_lost_is_noticed(files, dbx, tmp_path):
    (tmp_path / "a.txt").write_text("once")
    dbx.cut("add-block", "after")
    files.upload(tmp_path / "a.txt", "dbfs:/a.txt")
    assert dbx.dbfs("dbfs:/a.txt").read_text() == "once" and len(dbx.calls("/dbfs/create")) == 2


def test_a_file_that_never_arrives_whole_is_told(files, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("once")
    monkeypatch.setattr(workspace_files._Dbfs, "size", lambda self, path: 3)
    with pytest.raises(StepFailedException, match="did not arrive whole"):
        files.upload(tmp_path / "a.txt", "dbfs:/a.txt")


def test_a_small_file_is_written_and_read(files, dbx):
    files.write(b"text", "dbfs:/deep/er/a.txt")
    assert files.read("dbfs:/deep/er/a.txt") == b"text" and files.read("dbfs:/deep/er") is None
    assert files.read("dbfs:/none") is None and files.state("dbfs:/none") == "" != files.state("dbfs:/deep/er/a.txt")
