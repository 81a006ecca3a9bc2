"""Where scripts may read and write: in their folder, and in the step's inputs and outputs."""

from __future__ import annotations

import os

import pytest

from stepwell.drivers.usql.paths import Paths, plain

READ = '@r = EXTRACT a string FROM {} USING Extractors.Csv();\nOUTPUT @r TO "@@out@@/r.csv" USING Outputters.Csv();'
WRITE = "@r = SELECT a FROM (VALUES (1)) AS t(a);\nOUTPUT @r TO {} USING Outputters.Csv();"


@pytest.fixture
def beside(usql, tmp_path_factory):
    """Return a folder with a file that the script has nothing to do with."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / "x.csv").write_text("secret\n")
    return folder


@pytest.mark.parametrize(
    "path", ["../x.csv", "a/../../x.csv", "{}/x.csv", "link/x.csv", "@@out@@/../../x.csv", "file.csv"]
)
def test_no_output_leaves_the_folder(usql, beside, path):
    os.symlink(beside, "link")
    os.symlink(beside / "x.csv", "file.csv")
    said = usql.error(WRITE.format(f'"{path.format(beside)}"'))
    assert said.startswith("s.usql, line 2, column 14: The path of OUTPUT is in no output of the step")
    assert 'write "@@name@@"' in said and (beside / "x.csv").read_text() == "secret\n"


@pytest.mark.parametrize(
    "path", ["../x.csv", "{}/x.csv", "{}/{{*}}.csv", "link/x.csv", "link/{{*}}.csv", "folder/{{*}}.csv", "file.csv"]
)
def test_nothing_outside_is_read(usql, beside, path):
    os.symlink(beside, "link")
    os.symlink(beside / "x.csv", "file.csv")
    os.mkdir("folder")
    os.symlink(beside / "x.csv", "folder/x.csv")
    said = usql.error(READ.format(f'"{path.format(beside)}"'))
    assert said.startswith("s.usql, line 1, column 28: ") and "leads out of what the step has" in said


def test_what_stays_inside_is_read_and_written(usql):
    usql.write("a/x.csv", "1\n")
    assert usql.run(READ.format('"b/../a/x.csv"')) == {"r.csv": b'"1"\r\n'}
    assert usql.run(READ.format(f'"{usql.folder}/a/{{*}}.csv"')) == {"r.csv": b'"1"\r\n'}
    usql.run(WRITE.format('"new/y.csv"'))
    assert (usql.folder / "new/y.csv").read_bytes() == b"1\r\n"


def test_links_in_an_input_are_the_steps_own(tmp_path, monkeypatch):
    for name in ("work", "input", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere/x.csv").write_text("1\n")
    (tmp_path / "input/x.csv").symlink_to(tmp_path / "elsewhere/x.csv")
    monkeypatch.chdir(tmp_path / "work")
    paths = Paths([str(tmp_path / "input")], [])
    assert paths.may_read(str(tmp_path / "input/x.csv")) and not paths.may_read(str(tmp_path / "elsewhere/x.csv"))
    assert not paths.may_write(str(tmp_path / "input/new.csv")) and paths.may_write("new.csv")
    assert plain("a/b/../c") == "a/c" and plain("./a//b") == "./a//b"
