"""Pipes, devices and links without end where a user's files are read: every reader goes on, with an error or without."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from stepwell import CondaDependencies, Environment, RunConfiguration, Workspace
from stepwell.blocks.environments.requirements import asked_for, read_requirements
from stepwell.blocks.environments.sections import text_of
from stepwell.blocks.source import provenance
from stepwell.blocks.source.provenance import git_provenance
from stepwell.blocks.source.snapshot import source_tree
from stepwell.blocks.store import untold
from stepwell.blocks.store.deliveries import Deliveries
from stepwell.blocks.store.maintenance import collect
from stepwell.blocks.store.retention import Limits, collect_runs
from stepwell.blocks.store.run_folder import RunFolder
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Miss, Store
from stepwell.blocks.system.files import copy_file
from stepwell.errors import SnapshotException, StepwellError, StoreException, UserErrorException
from stepwell.model.fingerprint import Fingerprint, Row
from stepwell.model.tree import plain_digest

pytestmark = pytest.mark.timeout(60, func_only=True)
KINDS = ["pipe", "link to a pipe", "device"]


def put(kind: str, place: Path) -> Path:
    """Put something there that a reader waits for, or reads for ever."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        os.mkfifo(place.with_name(".pipe"))
        place.symlink_to(".pipe")
    return place


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [".amlignore", ".gitignore"])
def test_an_ignore_file(tmp_path, kind, name):
    put(kind, tmp_path / name)
    with pytest.raises(SnapshotException) as raised:
        source_tree(tmp_path)
    assert raised.value.facts == {"file": str(tmp_path / name), "reason": "It is a pipe, socket or device"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "HEAD", "config", "packed-refs", "index"])
@pytest.mark.parametrize("program", ["git", "GitPython"])
def test_a_file_of_the_repository(tmp_path, monkeypatch, kind, name, program):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    place = tmp_path / ".git" / name
    place.rename(tmp_path / "away") if place.exists() else None
    put(kind, place)
    if program == "GitPython":
        monkeypatch.setenv("PATH", str(tmp_path))
    assert "azureml.git.commit" not in git_provenance(tmp_path)


def test_a_reference_or_an_included_file_of_the_repository(tmp_path, monkeypatch):
    for name in ("SECONDS", "_READER_SECONDS"):
        monkeypatch.setattr(provenance, name, 0.5)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    put("pipe", tmp_path / ".git" / "refs" / "heads" / "main")
    put("pipe", tmp_path / ".git" / "more")
    assert "azureml.git.commit" not in git_provenance(tmp_path)
    (tmp_path / ".git" / "refs" / "heads" / "main").unlink()
    with open(tmp_path / ".git" / "config", "a") as config:
        config.write("[include]\npath = more\n")
    assert "azureml.git.commit" not in git_provenance(tmp_path)
    for thread in threading.enumerate():  # let those that wait go
        if thread.name == "stepwell-provenance":
            os.close(os.open(tmp_path / ".git" / "more", os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "read",
    [
        lambda place: RunConfiguration.load(place),
        lambda place: CondaDependencies(conda_dependencies_file_path=str(place)),
        lambda place: Environment.from_conda_specification("e", str(place)),
        lambda place: Environment.from_pip_requirements("e", str(place)),
        lambda place: read_requirements([f"-r {place.name}"], place.parent),
        lambda place: Workspace.from_config(place),
    ],
)
def test_a_file_that_is_named_by_its_path(tmp_path, kind, read):
    with pytest.raises(UserErrorException):
        read(put(kind, tmp_path / "x"))


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_looked_for(tmp_path, kind):
    put(kind, tmp_path / ".azureml" / "config.json")
    put(kind, tmp_path / "aml_config" / "run.runconfig")
    put(kind, tmp_path / "e" / "azureml_environment.json")
    for read in (
        lambda: Workspace.from_config(tmp_path),
        lambda: RunConfiguration.load(tmp_path, "run"),
        lambda: Environment.load_from_directory(tmp_path / "e"),
    ):
        with pytest.raises(StepwellError):
            read()
    assert text_of(str(put(kind, tmp_path / "d" / "Dockerfile"))) == str(tmp_path / "d" / "Dockerfile")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_for_its_content(tmp_path, kind):
    place = put(kind, tmp_path / "x")
    status = os.stat(place)
    cache = StatCache(tmp_path / "cache.sqlite3")
    for read in (
        lambda: plain_digest(str(place), status),
        lambda: cache.digest_file(str(place), status),
        lambda: copy_file(place, tmp_path / "copy"),
    ):
        with pytest.raises(OSError, match="pipe, socket or device|Not a regular file"):
            read()
    cache.close()


def test_an_archive_of_a_package(tmp_path):
    put("pipe", tmp_path / "a-1.tar.gz")
    with pytest.raises(UserErrorException, match="can't be read"):
        asked_for([f"a @ {(tmp_path / 'a-1.tar.gz').as_uri()}"])


def test_requirements_that_name_one_another_many_times(tmp_path):
    (tmp_path / "r.txt").write_text("-r r.txt\n" * 10)
    with pytest.raises(UserErrorException, match="name each other"):
        read_requirements(["-r r.txt"], tmp_path)
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n" * 10)
    (tmp_path / "9.txt").write_text("numpy\n")
    with pytest.raises(UserErrorException, match="name each other"):
        read_requirements(["-r 0.txt"], tmp_path)


def test_what_a_step_read_once_is_a_pipe_now(project):
    table = project.folder / "table"
    table.write_text("1")
    pipeline = project.pipeline(project.step("a.py", f"open({str(table)!r}).read()"))
    assert project.happened(pipeline) == {"a.py": "ran"}
    table.unlink()
    os.mkfifo(table)
    assert [decision.action for decision in pipeline.plan()] == ["run"]


RUN = "0b1c2d3e-0000-4000-8000-000000000000"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_a_file_of_a_run(tmp_path, kind, name):
    store = Store(tmp_path / "store", "5" * 64, StatCache(tmp_path / "digests.sqlite3"))
    run = RunFolder(store.run_folder(RUN))
    run.describe({"name": "x", "number": 1})
    (run.path / name).unlink(missing_ok=True)
    put(kind, run.path / name)
    assert not run.is_legible()
    assert (run.facts() or run.journal()) == (run.facts() if name != "run.json" else [])
    if name == "journal.jsonl" and kind == "pipe":
        with pytest.raises(OSError, match="No such device or address"):
            run.append({"status": "Running"})
    collect(store, days=0)
    collect_runs(store, Limits(0, 0, 0))
    assert os.path.lexists(run.path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_store(tmp_path, kind):
    store = Store(tmp_path / "store", "5" * 64, StatCache(tmp_path / "digests.sqlite3"))
    (tmp_path / "data").write_text("x")
    tree, key, fingerprint = store.tree_at(tmp_path / "data"), "a" * 64, Fingerprint((Row("script", "a.py", "1"),))
    deliveries = Deliveries(store, "file:///x", "y")
    deliveries.end("me", tree)
    for place in (
        store.root / "records" / key[:2] / f"{key}.json",
        store.root / "manifests" / tree.digest[:2] / f"{tree.digest}.json",
        store._observed_path(store.root, fingerprint),
        store.root / "runs" / "counter",
        deliveries._path,
    ):
        place.unlink(missing_ok=True)
        put(kind, place)
    assert isinstance(store.lookup(key), Miss) and store.manifest(tree.digest) is None
    assert store.observed(fingerprint) == () and deliveries.by("me") == {} and store.next_run_number() == 1
    assert store.root / "records" / key[:2] / f"{key}.json" in collect(store, days=0).unreadable
    put(kind, store.root / "published" / "x.json")
    with pytest.raises(StoreException, match="nothing is removed"):
        collect(store, days=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_of_a_run_that_a_server_missed(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    put(kind, tmp_path / "untold" / RUN)
    put(kind, tmp_path / "unanswered" / "abc")
    assert list(untold.untold()) == [] and untold.unanswered("") == []
