"""The server learns of block types when what brings them has changed, and when its database is another one."""

from __future__ import annotations

from pathlib import Path

import httpx
import prefect_api
import pytest

from stepwell.blocks.server import block_types, database

KNOWN = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false", "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    block_types.note(tmp_path)
    assert block_types.settings(tmp_path) == KNOWN
    return tmp_path


def test_it_learns_of_them_after_an_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_types, "_installed", lambda: [["prefect", "4.0"]])
    assert block_types.settings(folder) == {}
    block_types.note(folder)
    assert block_types.settings(folder) == KNOWN


def test_it_learns_of_them_when_its_database_is_replaced(folder: Path) -> None:
    (folder / "memo_store.toml").touch()
    database.restore(folder, empty=True)
    assert block_types.settings(folder) == {}
    assert not (folder / "memo_store.toml").exists()  # or Prefect would take the types for known


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[" * 100_000])
def test_damaged_notes_count_for_nothing(folder: Path, content: bytes) -> None:
    (folder / "block_types.json").write_bytes(content)
    assert block_types.settings(folder) == {}


def test_a_note_that_can_not_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "block_types.json").mkdir()
    block_types.note(tmp_path)
    assert block_types.settings(tmp_path) == {}


def test_its_database_has_those_that_prefect_brings(server: str) -> None:
    with httpx.Client(base_url=server, auth=prefect_api.auth(), trust_env=False) as api:
        for slug in ("secret", "slack-webhook", "docker-host"):
            assert api.get(f"/block_types/slug/{slug}").is_success, slug
