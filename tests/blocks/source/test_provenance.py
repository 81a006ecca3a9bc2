"""Git properties: v1's names, whatever state the repository is in, and never a credential."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stepwell.blocks.source import provenance
from stepwell.blocks.source.provenance import git_provenance, without_credentials

URI, BRANCH, COMMIT, DIRTY = (f"azureml.git.{name}" for name in ("repository_uri", "branch", "commit", "dirty"))


def git(folder: Path, *words: str) -> str:
    settings = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always", "-c", "gc.auto=0"]
    return subprocess.run(
        ["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AZUREML_GIT_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "source").mkdir(parents=True)
    (root / "source" / "train.py").touch()
    git(root, "init", "-q", "-b", "main")
    git(root, "remote", "add", "origin", "https://user:secret@example.com/team/code.git")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    return root


def test_a_clean_repository_has_all_properties(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    uri = "https://example.com/team/code.git"
    assert git_provenance(repository / "source") == {
        URI: uri,
        BRANCH: "main",
        COMMIT: commit,
        DIRTY: "False",
        "mlflow.source.git.repoURL": uri,
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.commit": commit,
    }


def test_only_changes_below_the_directory_are_dirt(repository: Path) -> None:
    (repository / "elsewhere").touch()
    assert git_provenance(repository / "source")[DIRTY] == "False"
    assert git_provenance(repository)[DIRTY] == "True"
    (repository / "source" / "train.py").write_text("changed")
    assert git_provenance(repository / "source")[DIRTY] == "True"


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    found = git_provenance(repository)
    assert BRANCH not in found and "mlflow.source.git.branch" not in found and found[COMMIT]


def test_a_repository_without_commits_or_remote_has_a_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "empty")
    assert git_provenance(tmp_path / "empty") == {BRANCH: "main", DIRTY: "False", "mlflow.source.git.branch": "main"}


def test_a_worktree_and_a_submodule_are_repositories(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "worktree"))
    assert git_provenance(tmp_path / "worktree")[BRANCH] == "side"
    git(tmp_path, "init", "-q", "-b", "outer", "outer")
    git(tmp_path / "outer", "submodule", "add", "-q", str(repository), "module")
    found = git_provenance(tmp_path / "outer" / "module")
    assert found[COMMIT] == git(repository, "rev-parse", "HEAD") and found[DIRTY] == "False"


def test_outside_a_repository_and_in_a_bare_one_there_is_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    (tmp_path / "file").touch()
    for name in ("bare.git", ".", "missing", "file", "nul\0"):
        assert git_provenance(tmp_path / name) == {}, name


def test_a_broken_repository_is_no_error(repository: Path) -> None:
    (repository / ".git" / "HEAD").write_bytes(b"\xff\xfe nonsense")
    assert COMMIT not in git_provenance(repository)


@pytest.mark.parametrize("trouble", ["no git", "another owner", "too slow"])
def test_without_gits_help_all_but_dirty_is_known(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    expected = git_provenance(repository)
    del expected[DIRTY]
    if trouble == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif trouble == "another owner":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    else:
        (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 3000\n")
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(provenance, "SECONDS", 0.2)
    assert git_provenance(repository / "source") == expected


def test_a_fresh_process_without_git_binary_is_no_error(repository: Path) -> None:
    code = "import sys, pathlib, os; from stepwell.blocks.source.provenance import git_provenance as g\n"
    code += "print(g(pathlib.Path(sys.argv[1]))['azureml.git.branch'], 'GIT_PYTHON_REFRESH' in os.environ)"
    command = [sys.executable, "-c", code, str(repository)]
    path = os.pathsep.join(sys.path)
    completed = subprocess.run(command, env={"PATH": "/nowhere", "PYTHONPATH": path}, capture_output=True, text=True)
    assert (completed.stdout, completed.stderr) == ("main False\n", "")


def test_a_packed_detached_repository_is_read_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "pack-refs", "--all")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert git_provenance(repository)[COMMIT] == commit
    (repository / ".git" / "HEAD").write_text(commit + "\n")
    found = git_provenance(repository)
    assert found[COMMIT] == commit and BRANCH not in found


def test_no_program_that_the_repository_names_is_started(repository: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for setting in ("core.fsmonitor", "core.sshCommand", "core.askPass", "core.pager", "core.editor"):
        git(repository, "config", setting, str(trap))
    (repository / ".git" / "hooks").mkdir(exist_ok=True)
    (repository / ".git" / "hooks" / "post-index-change").symlink_to(trap)
    os.utime(repository / "source" / "train.py", (1, 1))
    assert git_provenance(repository)[DIRTY] == "False"
    assert not (tmp_path / "sprung").exists()


def test_the_index_is_left_alone(repository: Path) -> None:
    index = repository / ".git" / "index"
    os.utime(repository / "source" / "train.py", (1, 1))
    before = index.stat().st_mtime_ns
    git_provenance(repository)
    assert index.stat().st_mtime_ns == before


def test_a_hooks_surroundings_do_not_lead_elsewhere(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = git_provenance(repository)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert git_provenance(repository) == expected


def test_variables_win(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"REPOSITORY_URI": URI, "BRANCH": BRANCH, "COMMIT": COMMIT, "DIRTY": DIRTY}
    names |= {"BUILD_ID": "azureml.git.build_id", "BUILD_URI": "azureml.git.build_uri"}
    for name in names:
        monkeypatch.setenv(f"AZUREML_GIT_{name}", f"https://me:secret@host/{name}" if "URI" in name else name)
    expected = {row: f"https://host/{name}" if "URI" in name else name for name, row in names.items()}
    for folder in (repository, tmp_path):
        found = git_provenance(folder)
        assert {name: found[name] for name in expected} == expected
        assert found["mlflow.source.git.branch"] == "BRANCH"


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://host/team/code.git", "https://host/team/code.git"),
        ("https://token@host/code", "https://host/code"),
        ("https://user:pass@host:8443/code", "https://host:8443/code"),
        ("https://user:p%40ss@host/code", "https://host/code"),
        ("https://user:p@ss@host/code", "https://host/code"),
        ("https://user:p/a#s?s@host/code?x=token", "https://host/code"),
        ("https://host/code?private_token=secret#secret", "https://host/code"),
        ("https://host/@scope/code", "https://host/@scope/code"),
        ("https://host:443/a@b", "https://host:443/a@b"),
        ("https://user:pass@[::1]:80/code", "https://[::1]:80/code"),
        ("https://[::1/code", "https://[::1/code"),
        ("HTTPS://token@host/code", "HTTPS://host/code"),
        ("ssh://git@host:22/code", "ssh://git@host:22/code"),
        ("ssh://git:pass@host/code", "ssh://git@host/code"),
        ("git@host:team/code", "git@host:team/code"),
        ("git:pass@host:team/code", "git@host:team/code"),
        ("codecommit::https://token@host/code", "codecommit::https://host/code"),
        ("/srv/code@2", "/srv/code@2"),
        ("../code", "../code"),
        ("file:///srv/code", "file:///srv/code"),
        ("", ""),
    ],
)
def test_credentials_are_removed(url: str, clean: str) -> None:
    assert without_credentials(url) == clean


def test_an_ordinary_repository_takes_milliseconds(repository: Path) -> None:
    seconds = []
    for _ in range(5):
        started = sum(os.times()[:4])
        git_provenance(repository)
        seconds.append(sum(os.times()[:4]) - started)  # of processors, ours and git's
    assert min(seconds) < 0.2
