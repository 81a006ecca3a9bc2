"""Snapshots: what of a source directory counts, byte for byte, and which error a user gets otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.blocks.source import snapshot
from stepwell.blocks.source.ignore_rules import LITTER, NEVER_KEPT, IgnoreRules
from stepwell.blocks.source.snapshot import size_warning, source_tree
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.errors import SnapshotException
from stepwell.model.tree import Tree
from stepwell.model.trees.entries import Entry

LEFT_OUT = LITTER | NEVER_KEPT


def paths(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.entries]


def fill(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_ignored_files_are_out_and_ignored_folders_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "train.py", "lib/a.py", "lib/a.log", "node_modules/x/y.js", "__pycache__/a.pyc", ".git/HEAD")
    (tmp_path / ".amlignore").write_text("node_modules/\n*.log\n")
    entered: list[str] = []
    scandir = os.scandir

    def watched(folder: int) -> object:
        entered.append(os.path.relpath(os.readlink(f"/proc/self/fd/{folder}"), tmp_path))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", watched)
    assert paths(source_tree(tmp_path)) == [".amlignore", "lib/a.py", "train.py"]
    assert sorted(entered) == [".", "lib"]


def test_an_empty_folder_counts_and_so_does_one_with_nothing_but_ignored_files(tmp_path: Path) -> None:
    fill(tmp_path, "logs/a.log")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".amlignore").write_text("*.log\n")
    found = {entry.path: entry.kind for entry in source_tree(tmp_path).entries}
    assert found == {".amlignore": "file", "empty": "folder", "logs": "folder"}


def test_links_inside_stay_links(tmp_path: Path) -> None:
    fill(tmp_path, "lib/a.py")
    targets = {"link": "lib/a.py", "dangling": "nowhere", "loop": "loop", "self": ".", "lib/up": "../lib"}
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
    found = {entry.path: entry.digest for entry in source_tree(tmp_path).entries if entry.kind == "link"}
    assert found == targets


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "lib/../../outside", "/nowhere"])
def test_a_link_that_leads_out_is_named_unless_ignored(tmp_path: Path, target: str) -> None:
    root = fill(tmp_path / "root", "lib/a.py")
    fill(tmp_path, "outside")
    (root / "link").symlink_to(target)
    with pytest.raises(SnapshotException) as raised:
        source_tree(root)
    assert {str(root / "link"), target} <= set(raised.value.facts.values())
    assert ".amlignore" in raised.value.hint
    (root / ".amlignore").write_text("/link\n")
    assert paths(source_tree(root)) == [".amlignore", "lib/a.py"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_special_file_is_named_unless_ignored(kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as unix:
        root = Path(folder)
        os.mkfifo(root / "special") if kind == "pipe" else unix.bind(str(root / "special"))
        (root / ".gitignore").touch()
        with pytest.raises(SnapshotException, match="special") as raised:
            source_tree(root)
        assert ".gitignore" in raised.value.hint
        (root / ".gitignore").write_text("special\n")
        assert paths(source_tree(root)) == [".gitignore"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, error: OSError) -> None:
    def refuse(path: str, _: os.stat_result) -> str:
        raise type(error)(error.errno, error.strerror, path)

    with pytest.raises(SnapshotException, match=r"secret\.txt(.|\n)*" + str(error.strerror)):
        source_tree(fill(tmp_path, "secret.txt"), refuse)


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    def vanish(path: str, _: os.stat_result) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    with pytest.raises(SnapshotException, match=r"vanished(.|\n)*gone\.txt"):
        source_tree(fill(tmp_path, "gone.txt"), vanish)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "closed/a").joinpath("closed").chmod(0)
    with pytest.raises(SnapshotException, match="closed"):
        source_tree(tmp_path)


def test_a_missing_directory_and_a_file_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "file")
    for name in ("missing", "file", "file/below", "nul\0"):
        with pytest.raises(SnapshotException):
            source_tree(tmp_path / name)


def test_an_odd_name_in_a_message_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\xfe")).symlink_to("/etc")
    with pytest.raises(SnapshotException) as raised:
        source_tree(tmp_path)
    assert "\\udcff" in raised.value.message
    raised.value.message.encode()


names = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).map(str.encode),
    st.sampled_from([b"-rf", b"a b", b"a\nb", b'"', b"'", b"\\", "é".encode(), "e\u0301".encode(), b"a", b"A", b"~"]),
).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_")).filter(
    lambda name: len(name) <= 255 and name not in (b".", b"..", b".git", b"__pycache__", b".amlignore", b".gitignore")
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.one_of(st.binary(max_size=20), st.lists(names, max_size=2)), max_size=6))
def test_any_names_survive_byte_for_byte(content: dict[bytes, bytes | list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected: dict[bytes, str] = {}
        for name, inside in content.items():
            place = os.path.join(os.fsencode(folder), name)
            if isinstance(inside, bytes):
                Path(os.fsdecode(place)).write_bytes(inside)
                expected[name] = "file"
                continue
            os.mkdir(place)
            for child in inside:
                Path(os.fsdecode(os.path.join(place, child))).write_bytes(child)
            expected |= {name + b"/" + child: "file" for child in inside} or {name: "folder"}
        tree = source_tree(Path(folder))
        assert {os.fsencode(entry.path): entry.kind for entry in tree.entries} == expected
        assert Tree.from_json(tree.to_json()).digest == tree.digest == source_tree(Path(folder)).digest


def test_every_answer_agrees_with_git_and_the_disk(tmp_path: Path) -> None:
    fill(tmp_path, "a.py", "b.log", "deep/c.py", "deep/d.log", "out/e.py", "keep.log")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nout/\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert paths(source_tree(tmp_path)) == sorted(filter(None, listed.stdout.split("\0")))


def test_a_small_directory_warns_of_nothing(tmp_path: Path) -> None:
    assert size_warning(tmp_path, Tree((Entry("a", "file", "", snapshot.LARGE_FILE, False),))) is None


def test_a_large_directory_names_its_biggest_files_and_the_ignore_file_in_use(tmp_path: Path) -> None:
    sizes = {f"{name}.bin": 50 - number for number, name in enumerate("abcdefgh")}
    tree = Tree(tuple(Entry(name, "file", "", size << 20, False) for name, size in sizes.items()))
    text = size_warning(tmp_path, tree)
    assert text and "372 MB" in text and "a.bin (50 MB), b.bin (49 MB), c.bin (48 MB)" in text and "d.bin" not in text
    assert ".amlignore" in text and text.count(".amlignore") == 1
    (tmp_path / ".gitignore").touch()
    assert ".gitignore" in (size_warning(tmp_path, tree) or "")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8) | st.binary(
    min_size=1, max_size=6
).map(os.fsdecode)


@given(NAMES.filter(lambda name: name not in (".", "..") and "/" not in name and "\0" not in name), st.booleans())
def test_a_large_file_is_named_with_the_line_that_leaves_it_out(name: str, is_below: bool) -> None:
    path = f"data/{name}" if is_below else name
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        tree = Tree((Entry(path, "file", "", (50 << 20) + 1, False), Entry("train.py", "file", "", 9, False)))
        text = size_warning(directory, tree)
        assert text and "`" in text
        (directory / ".amlignore").write_text(text.partition("add `")[2].rpartition("` to its")[0] + "\n")
        rules = IgnoreRules.read(directory)
        assert rules.excludes(path, is_folder=False)
        assert not rules.excludes("train.py", is_folder=False) or path == "train.py"
        assert not rules.excludes(f"other/{path}", is_folder=False) or name in LEFT_OUT


def test_of_many_large_files_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    tree = Tree(tuple(Entry(f"{number}.bin", "file", "", (60 + number) << 20, False) for number in range(5)))
    text = size_warning(tmp_path, tree) or ""
    assert "4.bin (64 MB), 3.bin (63 MB), 2.bin (62 MB) and 2 more above 50 MB" in text
    assert "add `/4.bin`, `/3.bin`, `/2.bin` to its .amlignore" in text


def test_ten_thousand_files_and_a_large_ignored_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(100):
        folder = root / f"folder{number}"
        folder.mkdir(parents=True)
        for name in range(100):
            (folder / f"{name}.py").write_bytes(b"%d" % name)
    fill(root, "node_modules/deep/file.js").joinpath(".amlignore").write_text("node_modules/\n*.log\n")
    time.sleep(0.06)
    cache, seconds, found = StatCache(tmp_path / "digests.sqlite3"), [], set()
    for _ in range(2):
        started = time.process_time()
        with cache.under(root) as digest_file:
            found.add(source_tree(root, digest_file))
        seconds.append(time.process_time() - started)
    assert len(found) == 1 and len(found.pop().entries) == 10_001
    assert seconds[0] < 6 and seconds[1] < 2, seconds
