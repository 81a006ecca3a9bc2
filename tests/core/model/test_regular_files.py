"""What is no regular file is refused, whenever it takes the place of one."""

from __future__ import annotations

import os
import socket

import pytest

from stepwell.model import regular_files
from stepwell.model.regular_files import read_bytes, read_text, regular_only

pytestmark = pytest.mark.timeout(60, func_only=True)


def test_a_regular_file_is_read_through_links_too(tmp_path):
    (tmp_path / "file").write_bytes(b"a\r\nb\xff")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link") == b"a\r\nb\xff"
    assert read_text(tmp_path / "file", "utf-8", "replace") == "a\nb\ufffd"
    with open(tmp_path / "file", "rb", opener=regular_only) as stream:
        assert not os.get_inheritable(stream.fileno())


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder", "link to a pipe", "missing"])
def test_anything_else_is_an_error_at_once(tmp_path, kind):
    place = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
    elif kind == "device":
        place.symlink_to("/dev/zero")
    elif kind == "folder":
        place.mkdir()
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to("pipe")
    with pytest.raises(OSError) as raised:
        read_bytes(place)
    assert raised.value.filename is not None and raised.value.strerror


def test_a_pipe_that_takes_the_place_after_the_look_is_not_waited_for(tmp_path, monkeypatch):
    place = tmp_path / "x"
    place.write_text("x")
    look, before = os.stat, len(os.listdir("/proc/self/fd"))

    def then_replaced(path):
        found = look(path)
        os.unlink(path)
        os.mkfifo(path)
        return found

    monkeypatch.setattr(regular_files.os, "stat", then_replaced)
    with pytest.raises(OSError, match="pipe"):
        read_bytes(place)
    assert len(os.listdir("/proc/self/fd")) == before
