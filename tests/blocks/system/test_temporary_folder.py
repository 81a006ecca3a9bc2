"""Temporary folders: private, at a short path, gone afterwards."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from stepwell.blocks.system.temporary_folder import temporary_folder


def test_a_folder_is_private_and_goes_with_all_that_is_in_it() -> None:
    with pytest.raises(ZeroDivisionError), temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700 and folder.stat().st_uid == os.getuid()
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("x")
        (folder / "inner").chmod(0o500)
        raise ZeroDivisionError
    assert not folder.exists()


def test_it_stands_where_the_user_says_unless_that_is_too_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        deep = Path(short) / ("deep" * 10)
        deep.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", short)
        with temporary_folder() as folder:
            assert folder.parent == Path(short)
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        with temporary_folder() as folder:
            assert len(str(folder)) < 48 and not folder.is_relative_to(deep)
