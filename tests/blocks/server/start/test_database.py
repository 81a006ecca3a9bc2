"""The database of Prefect's server is copied before a migration, put back after one that broke, and refused if it is too new."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stepwell.blocks.server.start import database as module
from stepwell.blocks.server import process
from stepwell.blocks.server.start.database import MOST_BACKUPS, check, database, finish, is_migrating, prepare, restore
from stepwell.errors import ServerException, StepwellError, UserErrorException

OLD = module._Prefect("3.8", frozenset({"a", "b"}), "b")
NEW = module._Prefect("3.9", frozenset({"a", "b", "c", "d"}), "d")
UNTOLD = module._Prefect("4.0", frozenset(), "")
Use = Callable[[module._Prefect], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Install a Prefect."""
    return lambda prefect: monkeypatch.setattr(module, "_installed", lambda: prefect)


def write(folder: Path, revision: str, runs: int = 1) -> None:
    """Let the database have a revision, and so many runs."""
    with closing(sqlite3.connect(database(folder))) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
        connection.execute("CREATE TABLE IF NOT EXISTS flow_run (id INTEGER)")
        connection.execute("DELETE FROM alembic_version")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        connection.executemany("INSERT INTO flow_run VALUES (?)", [(number,) for number in range(runs)])


def read(path: Path) -> tuple[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        return revision, connection.execute("SELECT count(*) FROM flow_run").fetchone()[0]


def start(folder: Path, revision: str, runs: int = 0) -> None:
    """Do what a start of the server does, up to an answer of Prefect's."""
    prepare(folder, lambda _: None)
    write(folder, revision, runs)
    finish(folder)


def backups(folder: Path) -> list[Path]:
    return sorted((folder / "backups").glob("*.db"))


def refusal(folder: Path) -> str:
    with pytest.raises(ServerException) as raised:
        prepare(folder, lambda _: None)
    return str(raised.value)


def test_installed_prefect_is_known_without_importing_it() -> None:
    import importlib.metadata

    found = module._installed()
    assert found.version == importlib.metadata.version("prefect") and found.head in found.revisions
    assert len(found.revisions) > 50 and found.can_use(found.head) and not found.can_use("0123456789ab")


def test_database_is_copied_before_each_migration_and_no_other_time(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 3)
    start(folder, "b")
    assert backups(folder) == [] and not is_migrating(folder)
    use(NEW)
    start(folder, "d", 1)
    (copy,) = backups(folder)
    assert read(copy) == ("b", 3) and "3.8" in copy.name and not is_migrating(folder)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    start(folder, "d")
    assert backups(folder) == [copy]


def test_older_prefect_is_told_which_one_is_needed_and_can_go_back(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(NEW)
    start(folder, "d", 1)
    use(OLD)
    words = refusal(folder)
    assert "written by Prefect 3.9, and the installed Prefect 3.8 can't" in words
    assert "pip install 'prefect==3.9'" in words and "`stepwell server restore`" in words
    said = restore(folder)
    assert "again" in said and read(database(folder)) == ("b", 3)
    start(folder, "b")
    use(NEW)  # which is not locked out either
    start(folder, "d")
    (kept,) = [path for path in backups(folder) if "replaced" in path.name]
    assert read(kept) == ("d", 4) and str(kept) in said


def test_home_of_an_earlier_release_says_no_version_and_is_copied_too(folder: Path, use: Use) -> None:
    write(folder, "d")
    use(OLD)
    words = refusal(folder)
    assert "a newer Prefect" in words and "'prefect>3.8'" in words and "restore --empty" in words
    write(folder, "b")
    use(NEW)
    start(folder, "d")
    assert ["unknown" in path.name for path in backups(folder)] == [True]


def test_last_prefect_on_a_revision_is_the_one_that_is_named(folder: Path, use: Use) -> None:
    use(NEW)
    start(folder, "d")
    use(module._Prefect("3.9.4", NEW.revisions, "d"))
    start(folder, "d")
    use(OLD)
    assert "3.9.4" in refusal(folder) and backups(folder) == []


def test_interrupted_migration_begins_again_from_the_copy(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(NEW)
    for _ in range(5):  # killed again and again
        prepare(folder, lambda _: None)
        assert read(database(folder)) == ("b", 3)
        write(folder, "c", 100)
    assert len([path for path in backups(folder) if "prefect" in path.name]) == 1
    use(OLD)  # which can use what the newer one left, too
    start(folder, "b")
    assert read(database(folder)) == ("b", 3) and not is_migrating(folder)


def test_damage_that_an_interrupted_migration_left_is_mended(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(NEW)
    prepare(folder, lambda _: None)
    database(folder).write_bytes(b"half a page" * 1000)
    start(folder, "d")
    assert read(database(folder)) == ("d", 3)


def test_first_start_that_was_interrupted_begins_anew(folder: Path, use: Use) -> None:
    use(NEW)
    prepare(folder, lambda _: None)
    write(folder, "a")
    prepare(folder, lambda _: None)
    assert not database(folder).exists()


def test_migration_whose_starter_was_killed_is_over_once_it_is(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(NEW)
    prepare(folder, lambda _: None)
    write(folder, "d", 5)
    use(OLD)
    assert "written by Prefect 3.9" in refusal(folder)
    use(NEW)
    start(folder, "d")
    assert read(database(folder)) == ("d", 8)


def test_lost_copy_of_an_interrupted_migration_is_told(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b")
    use(NEW)
    prepare(folder, lambda _: None)
    write(folder, "c")
    for path in backups(folder):
        path.unlink()
    words = refusal(folder)
    assert "interrupted" in words and "gone" in words and "restore --empty" in words
    restore(folder, empty=True)
    start(folder, "d")


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be one" * 100])
def test_damaged_database_is_told_and_can_be_left_behind(folder: Path, use: Use, content: bytes) -> None:
    use(OLD)
    start(folder, "b", 3)
    database(folder).write_bytes(content)
    assert "damaged" in refusal(folder) and "restore --empty" in refusal(folder)
    assert "empty" in restore(folder, empty=True) and not database(folder).exists()
    start(folder, "b", 3)
    use(NEW)
    start(folder, "d")
    database(folder).write_bytes(content)
    assert "`stepwell server restore`" in refusal(folder)
    restore(folder)
    start(folder, "d")
    assert read(database(folder)) == ("d", 3)


def test_damage_within_is_found_by_who_looks_for_it(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 50_000)
    check(folder)
    with closing(sqlite3.connect(database(folder))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(database(folder), "r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(40 * 4096))
    with pytest.raises(ServerException, match="damaged"):
        check(folder)


def test_only_the_newest_copies_stay(folder: Path, use: Use) -> None:
    known, names = ["a"], []
    for number in range(MOST_BACKUPS + 3):
        use(module._Prefect(f"3.{number}", frozenset(known), known[-1]))
        start(folder, known[-1])
        known.append(f"r{number}")
        names = [path.name for path in backups(folder)]
    assert len(names) == MOST_BACKUPS and [name[-8:] for name in names] == ["t-3.2.db", "t-3.3.db", "t-3.4.db"]


def test_full_disk_means_no_migration(folder: Path, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(NEW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    words = refusal(folder)
    assert "No space left" in words and "Free 0 MB there" in words and "'prefect==3.8'" in words
    assert not is_migrating(folder) and os.listdir(folder / "backups") == [] and read(database(folder)) == ("b", 3)


def test_full_disk_leaves_the_database_that_was_to_be_replaced(
    folder: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(NEW)
    start(folder, "d", 2)
    use(OLD)

    def full(_: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    before = sorted(os.listdir(folder))
    with monkeypatch.context() as patch, pytest.raises(StepwellError, match="Free space"):
        patch.setattr(module, "copy_file", full)
        restore(folder)
    assert sorted(os.listdir(folder)) == before and read(database(folder)) == ("d", 5)
    use(NEW)
    monkeypatch.setattr(module, "write_atomically", lambda *_, **__: full(folder, folder / "x"))
    finish(folder)  # of no concern to who waits for the server


def test_prefect_whose_migrations_are_not_found_copies_when_its_version_is_new(folder: Path, use: Use) -> None:
    use(OLD)
    start(folder, "b", 3)
    use(UNTOLD)
    prepare(folder, lambda _: None)
    write(folder, "z", 0)
    prepare(folder, lambda _: None)  # nobody can tell that it wasn't over
    start(folder, "z")
    assert read(database(folder)) == ("z", 3) and len(backups(folder)) == 1
    use(OLD)
    assert "written by Prefect 4.0" in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"b": 3}', b"[" * 100_000])
@pytest.mark.parametrize("name", ["versions.json", "migration.json"])
def test_damaged_notes_stop_nothing(folder: Path, use: Use, content: bytes, name: str) -> None:
    use(OLD)
    start(folder, "b", 3)
    (folder / name).write_bytes(content)
    start(folder, "b")
    use(NEW)
    start(folder, "d")
    assert read(database(folder)) == ("d", 3)


def test_command_that_needs_the_server_is_told_and_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    (tmp_path / "server").mkdir()
    write(tmp_path / "server", "0123456789ab")
    for _ in range(2):
        with pytest.raises(StepwellError, match="a newer Prefect"):
            process.running(lambda _: None)
    assert process.recorded() is None
    assert "is empty" in process.restore(empty=True)


def test_database_is_not_replaced_under_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path))
    lock = module.lock(process._folder(), 1)
    assert lock is not None
    process._record(process.ServerProcess("http://127.0.0.1:1/api", 1, "", locked=True))
    with pytest.raises(UserErrorException, match="stepwell server stop"):
        process.restore(empty=True)
    (tmp_path / "server" / "server.json").unlink()
    monkeypatch.setattr(process, "_SECONDS_TO_STOP", 0.1)
    with pytest.raises(ServerException, match="another container"):
        process.restore(empty=True)
    os.close(lock)
    process.restore(empty=True)
