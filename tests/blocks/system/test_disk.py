"""Trouble with a disk is told in words, and other trouble is not taken for it."""

from __future__ import annotations

import errno
import os

import pytest

from stepwell.blocks.system.disk import told_in_words
from stepwell.errors import StoreException


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "Free space"), (errno.EDQUOT, "Free"), (errno.EROFS, "Make it writable"), (errno.EACCES, "Make it"),
     (errno.EIO, "Look after the disk")],
)  # fmt: skip
def test_a_disk_that_fails_is_told_in_words(number, hint):
    with (
        pytest.raises(StoreException, match="The run can't be recorded") as caught,
        told_in_words("The run can't be recorded", "/x"),
    ):
        raise OSError(number, os.strerror(number), "/full/run.json")
    assert caught.value.facts == {"place": "/full/run.json", "reason": os.strerror(number)}
    assert caught.value.hint.startswith(hint)


def test_the_place_is_named_though_the_error_names_none():
    with pytest.raises(StoreException) as caught, told_in_words("Full", "/x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.facts["place"] == "/x"


def test_other_errors_pass():
    for error in (
        FileNotFoundError(errno.ENOENT, "x"),
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
        ValueError("x"),
    ):
        with pytest.raises(type(error)), told_in_words("Full", "/x"):
            raise error
