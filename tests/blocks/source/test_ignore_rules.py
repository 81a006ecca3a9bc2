"""Ignore rules: v1's choice of file, and git's own answers to random patterns."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from stepwell.blocks.source.ignore_rules import LITTER, MARKS, IgnoreRules
from stepwell.errors import SnapshotException

SETS_OF_PATTERNS = 1200
NAMES = "a b foo bar foo.txt a.py ab B [x] a\\b #h !n -d 1 \udcff foo* ] ^ .h a-b é e\u0301".split() + [
    "a b",
    "c ",
    "x\ny",
    "z\t",
]
PIECES = (
    "a b foo bar foo.txt .txt .py ab B * * ** *** ? [ab] [!a] [^b] [a-f] [z-a] []] []a] [!]a] [a [a-] [-a] [a\\-b]"
    " [[:alpha:]] [[:space:]] [[:bad:]] [[:alpha:] [a[:digit:]] [[a] [[:] [:a:] [/] [a-\\f] [!\\]] [\\\\] [\udcff]"
    " \\ \\a \\* \\/ \\[x\\] # ! é e\u0301 \udcff [x] - 1 ^ ] h . .."
).split() + ["\\ ", " ", "  ", "\t", "\r"]

Paths = list[tuple[str, bool]]


def grow(root: Path, chance: random.Random, prefix: str = "") -> Paths:
    """Make files and folders at random, and return them with whether each is a folder."""
    paths: Paths = []
    for name in chance.sample(NAMES, 6 if prefix else 10):
        path = prefix + name
        is_folder = prefix.count("/") < 3 and chance.random() < 0.4
        paths.append((path, is_folder))
        if is_folder:
            (root / path).mkdir()
            paths += grow(root, chance, path + "/")
        else:
            (root / path).touch()
    return paths


def pattern(chance: random.Random) -> str:
    segments = [
        "".join(chance.choice(PIECES) for _ in range(chance.choice([1, 1, 1, 2, 2, 3])))
        for _ in range(chance.choice([1, 1, 1, 2, 2, 3]))
    ]
    before = chance.choice(["", "", "", "!"]) + chance.choice(["", "", "", "/"])
    return before + "/".join(segments) + chance.choice(["", "", "", "/"]) + chance.choice(["", "", "", "", " "])


def ignore_file(chance: random.Random) -> bytes:
    lines = [pattern(chance) for _ in range(chance.randint(1, 6))]
    text = chance.choice(["\n", "\n", "\r\n"]).join(lines) + chance.choice(["", "\n"])
    return (b"\xef\xbb\xbf" if chance.random() < 0.05 else b"") + os.fsencode(text)


def git_ignores(root: Path, paths: Paths) -> set[str]:
    command = ["git", "-c", "core.excludesFile=", "check-ignore", "--no-index", "--stdin", "-z"]
    asked = b"".join(os.fsencode(path) + b"\0" for path, _ in paths)
    completed = subprocess.run(command, cwd=root, input=asked, capture_output=True)
    assert completed.returncode in (0, 1), completed.stderr
    return {os.fsdecode(path) for path in completed.stdout.split(b"\0") if path}


def ours(root: Path, paths: Paths) -> set[str]:
    rules = IgnoreRules.read(root)
    return {path for path, is_folder in paths if rules.excludes(path, is_folder)}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Paths]:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", root], check=True)
    paths = grow(root, random.Random(11))
    assert 150 < len(paths) < 600
    return root, paths


def test_random_patterns_mean_what_git_says(repository: tuple[Path, Paths]) -> None:
    root, paths = repository
    chance = random.Random(2026)
    ignored = 0
    for _ in range(SETS_OF_PATTERNS):
        content = ignore_file(chance)
        (root / ".gitignore").write_bytes(content)
        expected = git_ignores(root, paths)
        assert ours(root, paths) == expected, content
        ignored += len(expected)
    assert ignored > SETS_OF_PATTERNS  # the patterns do hit something


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n\n", b"#foo\n", b"\\#h\n", b"\\!n\n", b"/\n", b"//\n", b"!\n", b"!/\n", b"**\n", b"**/\n", b"/**\n",
        b"*/\n", b"/*\n", b"*\n!*/\n!*.py\n", b"a\n!a/b\n", b"a/*\n!a/b\n", b"foo\\ \n", b"foo\\  \n", b"foo  \n",
        b"c\\ \n", b"foo\t\n", b"z\t\n", b"\xef\xbb\xbffoo\n", b"foo\r\nbar\r\n", b"\r\n", b"foo", b"fo\0o\n",
        b"\xff\n", b"[\xfe-\xff]\n", b"?\n", b"??\n", "é\n".encode(), "e\u0301\n".encode(), b"foo**/a\n",
        b"[f]oo**/a\n", b"a**b\n", b"a/**\n", b"**/a/**\n", b"a/**/b\n", b"\\\n", b"a\\\n", b"[a\n", b"x\\\ny\n",
        b"./a\n", b"../a\n", b"a/**\\/b\n", b"**/*/**/a/**/*\n", b"b/*\n", b"**/a/\n", b"[z-a]\n", b"[!]\n", b"[[::]]\n",
    ],
)  # fmt: skip
def test_corners_mean_what_git_says(repository: tuple[Path, Paths], content: bytes) -> None:
    root, paths = repository
    (root / ".gitignore").write_bytes(content)
    assert ours(root, paths) == git_ignores(root, paths)


def rules(root: Path, **files: str) -> IgnoreRules:
    for name, text in files.items():
        (root / f".{name}").write_text(text)
    return IgnoreRules.read(root)


def test_amlignore_is_used_alone(tmp_path: Path) -> None:
    found = rules(tmp_path, gitignore="a\n", amlignore="b\n")
    assert (found.source, found.excludes("a", False), found.excludes("b", False)) == (".amlignore", False, True)


def test_an_empty_amlignore_switches_gitignore_off(tmp_path: Path) -> None:
    assert not rules(tmp_path, gitignore="a\n", amlignore="").excludes("a", False)


def test_gitignore_is_used_without_amlignore_and_nothing_without_both(tmp_path: Path) -> None:
    assert not IgnoreRules.read(tmp_path).excludes("a", False)
    assert IgnoreRules.read(tmp_path).source == ""
    found = rules(tmp_path, gitignore="a\n")
    assert (found.source, found.excludes("a", False)) == (".gitignore", True)


def test_parents_and_nested_ignore_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("a\n")
    (tmp_path / "source" / "nested").mkdir(parents=True)
    (tmp_path / "source" / "nested" / ".gitignore").write_text("b\n")
    found = IgnoreRules.read(tmp_path / "source")
    assert not found.excludes("a", False) and not found.excludes("nested/b", False)


def test_the_ignore_file_counts_unless_it_lists_itself(tmp_path: Path) -> None:
    assert not rules(tmp_path, amlignore="a\n").excludes(".amlignore", False)
    assert rules(tmp_path, amlignore=".amlignore\n").excludes(".amlignore", False)


def test_a_file_below_an_ignored_folder_is_out_even_if_asked_for_alone(tmp_path: Path) -> None:
    found = rules(tmp_path, amlignore="data/\n!data/kept\n")
    assert found.excludes("data/deep/file", False) and found.excludes("data/kept", False)
    assert not found.excludes("data", False)  # a file or a link of that name


def test_what_tools_write_never_counts(tmp_path: Path) -> None:
    (tmp_path / "lib" / "env").mkdir(parents=True)
    (tmp_path / "lib" / "env" / "pyvenv.cfg").touch()
    found = rules(tmp_path, amlignore="!*\n")
    for path in (".git", "lib/.git", "lib/__pycache__", ".ipynb_checkpoints", "lib/env"):
        assert found.excludes(path, True), path
    assert found.excludes("module/.git", False)  # a submodule's pointer
    assert not found.excludes("lib", True) and not found.excludes("legacy.pyc", False)


def test_environments_and_caches_are_no_source_and_the_guide_lists_them(tmp_path: Path) -> None:
    for mark in MARKS:
        (tmp_path / "lib" / f"of {mark}" / mark).mkdir(parents=True)
    found = rules(tmp_path, amlignore="*.log\n!keep.log\n!*/\n!**\n!/*\n")
    for name in (*LITTER, "mine.egg-info", *(f"of {mark}" for mark in MARKS)):
        assert found.excludes(f"lib/{name}", True) and found.excludes(f"lib/{name}/inner/file.json", False), name
    assert not found.excludes("lib/of", True) and not found.excludes("conda", True)
    guide = (Path(__file__).parents[3] / "docs" / "concepts" / "snapshots.md").read_text()
    assert not [name for name in (*LITTER, *MARKS, "*.egg-info") if f"`{name}`" not in guide]


def test_a_line_of_the_ignore_file_brings_an_environment_or_cache_back(tmp_path: Path) -> None:
    for name in ("env", "other"):
        (tmp_path / name / "conda-meta").mkdir(parents=True)
    lines = "!node_modules\n!/lib/.tox/\n!*.egg-info\n!env\nnode_modules/*.map\n!.eggs\n.eggs\n"
    found = rules(tmp_path, amlignore=lines)
    for path in ("node_modules", "lib/node_modules/a", "lib/.tox", "a.egg-info", "env", "env/lib"):
        assert not found.excludes(path, True), path
    for path in (".tox", "other", "other/lib", ".eggs"):
        assert found.excludes(path, True), path
    assert found.excludes("node_modules/a.map", False) and not found.excludes("node_modules/a.js", False)


def test_an_ignore_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".amlignore").symlink_to(".amlignore")
    with pytest.raises(SnapshotException, match=r"\.amlignore"):
        IgnoreRules.read(tmp_path)


def test_a_folder_of_that_name_is_no_ignore_file(tmp_path: Path) -> None:
    (tmp_path / ".amlignore").mkdir()
    assert rules(tmp_path, gitignore="a\n").source == ".gitignore"


def test_ten_thousand_files_are_decided_quickly(tmp_path: Path) -> None:
    patterns = "\n".join(["*.log", "*.tmp", "/build/", "dist/", "!keep.log", "**/cache/**", "docs/*.pdf", "*~"] * 4)
    found = rules(tmp_path, amlignore=patterns)
    started = time.process_time()
    for number in range(10_000):
        found.excludes(f"folder{number % 100}/deep/file{number}.py", False)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("line", "path"), [("*a" * 12 + "*b", "a" * 250), ("**/*a*a/" * 12 + "b", "aaaa/" * 12 + "a" * 200)]
)
def test_many_stars_take_no_exponential_time(tmp_path: Path, line: str, path: str) -> None:
    found = rules(tmp_path, amlignore=f"{line}\n")
    started = time.process_time()
    assert not found.excludes(path, False)
    assert time.process_time() - started < 5
