"""The server learns of block types when what brings them has changed, and when its database is another one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import prefect_api
import pytest
from waiting import eventually

from stepwell.blocks.server.start import block_types, database

LEARN = """
import sys
from pathlib import Path
from stepwell.blocks.server.start import block_types

async def learn():
    print("learns", flush=True)

block_types._learn = learn
block_types.learn_after({wait}, Path())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    block_types.note(tmp_path)
    assert block_types.known(tmp_path)
    return tmp_path


def test_it_learns_of_them_after_an_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_types, "_installed", lambda: [["prefect", "4.0"]])
    assert not block_types.known(folder)
    block_types.note(folder)
    assert block_types.known(folder)


def test_it_learns_of_them_when_its_database_is_replaced(folder: Path) -> None:
    database.restore(folder, empty=True)
    assert not block_types.known(folder)


def test_it_learns_of_them_when_its_database_is_gone(folder: Path) -> None:
    database.prepare(folder, print)
    assert not block_types.known(folder)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[" * 100_000])
def test_damaged_notes_count_for_nothing(folder: Path, content: bytes) -> None:
    (folder / "block_types.json").write_bytes(content)
    assert not block_types.known(folder)


def test_a_note_that_can_not_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "block_types.json").mkdir()
    block_types.note(tmp_path)
    assert not block_types.known(tmp_path)


def test_it_learns_when_it_is_let_and_beside_what_else_it_does(tmp_path: Path) -> None:
    code = LEARN.format(wait="sys.stdin.read") + "print('goes on', flush=True)\nsys.stdin.read()\nimport threading\n"
    code += "[thread.join() for thread in threading.enumerate() if thread.name == 'block types']"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "goes on\n"
        assert not block_types.known(tmp_path)
        assert process.communicate()[0] == "learns\n"
    assert block_types.known(tmp_path)


def test_what_keeps_it_from_learning_is_logged_and_tried_again(tmp_path: Path) -> None:
    code = LEARN.format(wait="dict").replace('print("learns", flush=True)', 'raise ValueError("no such package")')
    code += "import threading\n[one.join() for one in threading.enumerate() if one.name == 'block types']"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "ValueError: no such package" in done.stderr
    assert not block_types.known(tmp_path)


def test_one_that_ends_before_leaves_nothing_that_waits(tmp_path: Path) -> None:
    code = LEARN.format(wait="__import__('threading').Event().wait")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == ""  # whose end the learner, which has it open too, has reached
    assert not block_types.known(tmp_path)


def test_its_database_has_those_that_prefect_brings(server: str) -> None:
    with httpx.Client(base_url=server, auth=prefect_api.auth(), trust_env=False) as api:
        for slug in ("secret", "slack-webhook", "docker-host"):
            assert eventually(lambda: api.get(f"/block_types/slug/{slug}").is_success), slug  # noqa: B023  (called at once)
