"""The password of the home's server: one for all who ask, never readable by others, told when it is damaged."""

from __future__ import annotations

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stepwell.blocks.system.auth_string import auth_string
from stepwell.errors import StepwellError


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    link = os.link
    monkeypatch.setattr(os, "link", lambda draft, path: (modes.append(os.stat(draft).st_mode), link(draft, path)))
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: auth_string(tmp_path), range(8)))
    finally:
        os.umask(before)
    assert len(found) == 1 and re.fullmatch("stepwell:[0-9a-f]{64}", found.pop())
    assert {stat.S_IMODE(mode) for mode in (*modes, (tmp_path / "password").stat().st_mode)} == {0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


@pytest.mark.parametrize("text", ["", "short", "x" * 64, "0" * 65, "0" * 63 + "é"])
def test_a_damaged_one_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "password").write_text(text)
    with pytest.raises(StepwellError) as caught:
        auth_string(tmp_path)
    assert caught.value.facts["file"] == str(tmp_path / "password")
