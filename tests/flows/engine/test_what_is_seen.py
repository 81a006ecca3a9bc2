"""The page "What a result depends on" is true: each row of its table, in the source directory and elsewhere."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from stepwell import PipelineData

PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "dependencies.md"
HERE, ELSEWHERE = "in the source directory", "elsewhere"

CHILD = "subprocess.run([sys.executable, {flags}'-c', 'import sys; open(sys.argv[1] + \"/x.txt\").read()', folder], check=True)"
IN_C = """
    import ctypes
    libc = ctypes.CDLL(None)
    libc.read(libc.open(path.encode(), 0), ctypes.create_string_buffer(9), 8)
"""
WRITES = "open(path, 'w').write('mine'); open(path).read()"
ROWS = {
    "opens a file in Python": ("open(path).read()", "change"),
    "opens a file in C code: Parquet or HDF5 by path, images, databases": (IN_C, "change"),
    "starts a program that reads a file": ("subprocess.run(['sh', '-c', 'cat $0/x*', folder], check=True)", "change"),
    "lets a worker process or a child Python read a file": (CHILD.format(flags=""), "change"),
    "lets a child Python started with `-I` or `-E` read a file": (CHILD.format(flags="'-I', "), "change"),
    "opens a file relative to an open folder (`dir_fd`)": (
        "os.read(os.open('x.txt', os.O_RDONLY, dir_fd=os.open(folder, os.O_RDONLY)), 9)",
        "change",
    ),
    "asks for the size of a file": ("os.path.getsize(path)", "change"),
    "fails to open a file, which comes later": ("try:\n        open(path)\n    except OSError:\n        pass", "come"),
    "looks whether a file is there, which comes later": ("os.path.exists(path)", "come"),
    "looks whether a file is there, which goes later": ("os.path.exists(path)", "go"),
    "lists a folder in Python, to which a file comes": ("os.listdir(folder)", "more"),
    "starts a program that lists a folder, to which a file comes": (
        "subprocess.run(['ls', folder], check=True)",
        "more",
    ),
    "writes a file, and reads it then": (WRITES, "change"),
    "asks Python for versions and entry points, and a file comes beside the script": (
        "import importlib.metadata as m; m.entry_points(); m.version('pip')",
        "beside",
    ),
    "reads a variable of the environment": ("os.environ.get('NOT_SEEN')", "variable"),
    "opens a file of a system folder": ("open(path).read()", "change"),
}


def table():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows[0] == ("a script …", HERE, ELSEWHERE)
    return {text: dict(zip((HERE, ELSEWHERE), said, strict=True)) for text, *said in rows[1:]}


def test_every_row_has_a_case():
    assert list(table()) == list(ROWS)


@pytest.fixture
def system_folder():
    folder = tempfile.mkdtemp(dir="/dev/shm")
    yield Path(folder)
    shutil.rmtree(folder)


def test_each_row_says_what_is_seen(project, tmp_path, system_folder, monkeypatch):
    from stepwell.blocks.compute.access_times import mark

    if not mark(tmp_path):
        pytest.skip("this file system keeps no access times")
    monkeypatch.setenv("NOT_SEEN", "1")
    steps, changes, expected = [], {}, {}
    for number, (text, said) in enumerate(table().items()):
        body, change = ROWS[text]
        for place in (HERE, ELSEWHERE):
            if said[place] == "–":
                continue
            name = f"{number}{place[0]}"
            system = "system folder" in text
            folder = (
                project.source / f"d{name}" if place == HERE else (system_folder if system else tmp_path) / f"d{name}"
            )
            folder.mkdir()
            (folder / "other.txt").write_text("1")
            if change != "come":
                (folder / "x.txt").write_text("1")
            given = folder.name if place == HERE else str(folder)
            code = f"""
    import os, subprocess
    folder, path = args[1], args[1] + "/x" + ".txt"
    {body.strip()}
    open(args[0], "w").write("done")
"""
            out = PipelineData(f"out{number}{place[0]}")
            steps.append(project.step(f"s{name}.py", code, name=name, arguments=[out, given], outputs=[out]))
            changes[name] = (change, folder)
            expected[name] = {"seen": "run", "not seen": "reuse"}[said[place]]
    pipeline = project.pipeline(*steps)
    pipeline()
    again = {decision.step for decision in pipeline.plan() if decision.action == "run"}
    if again:  # what they made elsewhere is there from now on
        pipeline()
    assert {decision.action for decision in pipeline.plan()} == {"reuse"}
    for change, folder in changes.values():
        if change == "go":
            (folder / "x.txt").unlink()
        elif change == "more":
            (folder / "more.txt").write_text("1")
        elif change == "beside":
            (project.source / "NOTES.md").write_text("1")
        elif change == "variable":
            monkeypatch.setenv("NOT_SEEN", "2")
        else:
            (folder / "x.txt").write_text("2")
    assert {decision.step: decision.action for decision in pipeline.plan()} == expected
