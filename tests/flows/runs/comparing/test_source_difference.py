"""Differences of snapshots: texts line by line, others in words, what is gone by name."""

from __future__ import annotations

from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import remove
from stepwell.flows.runs.comparing.source_difference import snapshot_differences


def snapshots(tmp_path):
    store = Store(tmp_path / "store", "key", StatCache(tmp_path / "digests"))
    sides = []
    for name, files in {
        "one": {
            "a.py": b"x = 1\ny = 2\n",
            "gone.py": b"old\n",
            "data.bin": b"\0\xff",
            "same.py": b"s\n",
            "run.sh": b"r\n",
        },
        "two": {
            "a.py": b"x = 1\ny = 3\n",
            "new.py": b"new\n",
            "data.bin": b"\0\xfe",
            "same.py": b"s\n",
            "run.sh": b"r\n",
        },
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
        (folder / "run.sh").chmod(0o755 if name == "two" else 0o644)
        tree = store.tree_at(folder)
        store.add_snapshot(folder, tree)
        sides.append((store, tree.digest, f"digits#{len(sides) + 1}"))
    return sides


def test_each_file_that_differs_is_told_as_what_it_is(tmp_path):
    found, problem = snapshot_differences(*snapshots(tmp_path))
    assert problem == ""
    assert {file.path: (file.what, len(file.lines) > 0) for file in found} == {
        "a.py": ("changed", True),
        "gone.py": ("removed", True),
        "new.py": ("added", True),
        "data.bin": ("changed", False),
        "run.sh": ("executable in one of them only", False),
    }
    lines = {file.path: file.lines for file in found}
    assert lines["a.py"] == ("--- digits#1/a.py", "+++ digits#2/a.py", "@@ -1,2 +1,2 @@", " x = 1", "-y = 2", "+y = 3")
    assert lines["new.py"][:2] == ("--- /dev/null", "+++ digits#2/new.py")
    assert lines["gone.py"][:2] == ("--- digits#1/gone.py", "+++ /dev/null")


def test_secrets_in_source_are_masked(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICE_PASSWORD", "x = 1")
    monkeypatch.setenv("API_TOKEN", "hunter2hunter2")
    sides = snapshots(tmp_path)
    (tmp_path / "two" / "a.py").write_text("token = 'hunter2hunter2'\n")
    tree = sides[0][0].tree_at(tmp_path / "two")
    sides[0][0].add_snapshot(tmp_path / "two", tree)
    found, _ = snapshot_differences(sides[0], (sides[0][0], tree.digest, "digits#3"))
    text = "\n".join(line for file in found for line in file.lines)
    assert "hunter2" not in text and "token = '***'" in text


def test_what_the_store_no_longer_has_is_named(tmp_path):
    one, two = snapshots(tmp_path)
    store = one[0]
    for entry in store.manifest(two[1]).entries:
        if entry.path in ("a.py", "new.py"):
            remove(store.root / "blobs" / entry.digest[:2] / entry.digest)
    found, problem = snapshot_differences(one, two)
    assert problem.startswith("The files of digits#2 can't be read") and len(found) == 5
    found, problem = snapshot_differences((store, "0" * 64, "digits#0"), one)
    assert not found and problem == "The snapshot of digits#0 is gone: the store no longer knows its files"
    found, problem = snapshot_differences((store, "", "digits#0"), one)
    assert {file.what for file in found} == {"added"} and not problem
