"""What a machine knows of the shared store may be lost, and is then found out anew."""

from __future__ import annotations

import pytest

from stepwell.blocks.store.shared.ledger import Ledger


def known(ledger: Ledger) -> tuple[object, ...]:
    return ledger.is_shared("k"), ledger.origin("k"), ledger.waiting(), ledger.there(["n", "o"]), ledger.held("b")


NOTHING = (False, ("", "", ""), [], set(), "")


def fill(ledger: Ledger) -> None:
    ledger.note_shared("k", "ann", "run", "id")
    ledger.note_waiting("w")
    ledger.note_there(["n"])
    ledger.note_held([("b", "/path")])


def test_what_is_noted_is_known_to_the_next_process(tmp_path):
    fill(Ledger(tmp_path / "ledger"))
    assert known(Ledger(tmp_path / "ledger")) == (True, ("ann", "run", "id"), ["w"], {"n"}, "/path")


@pytest.mark.parametrize("damage", [b"no database at all", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_begun_anew(tmp_path, damage):
    (tmp_path / "ledger").write_bytes(damage)
    ledger = Ledger(tmp_path / "ledger")
    assert known(ledger) == NOTHING
    fill(ledger)
    assert known(ledger) != NOTHING


def test_what_can_not_be_written_is_forgotten(tmp_path):
    (tmp_path / "ledger").mkdir()
    ledger = Ledger(tmp_path / "ledger")
    fill(ledger)
    assert known(ledger) == NOTHING
