"""What is new in a log, however it is written."""

from __future__ import annotations

import pytest

from stepwell.blocks.processes.output import Text, open_log, unchanged
from stepwell.blocks.store.log_tail import LogTail


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_lines_come_once_and_whole(tmp_path, log):
    tail = LogTail(tmp_path, "log")
    assert tail.lines() == []
    log.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"] and tail.lines() == []
    with open(log, "ab") as file:
        file.write(b"o\r\n\nthr\xff\xc3")
    assert tail.lines() == ["two", ""]
    assert (tail.lines(to_end=True), tail.update) == (["thr\ufffd\ufffd"], "")
    assert tail.lines(to_end=True) == []


def test_a_progress_bar_is_an_update_until_it_is_a_line(tmp_path, log):
    tail, seen = LogTail(tmp_path, "log"), []
    with open_log(log) as file:
        bar, lines = Text((file,), unchanged), Text((file,), unchanged)
        for text, data in ((bar, b"\r10%"), (bar, b"\r20%"), (lines, b"epoch 1\n"), (bar, b"\r30%\r40%"), (bar, b"\n")):
            text.take(data)
            seen.append((tail.lines(), tail.update))
    assert seen == [([], ""), ([], "10%"), (["epoch 1"], "10%"), ([], "30%"), (["40%"], "")]


def test_updates_that_were_written_raw_are_shown_as_a_terminal_does(tmp_path, log):
    tail = LogTail(tmp_path, "log")
    log.write_bytes(b"a\r\nx 1\rx 2\rx 3\n\r4\r5\r")
    assert (tail.lines(), tail.update) == (["a", "x 3"], "5")


def test_another_attempt_begins_anew_and_a_copy_goes_on(tmp_path, log):
    tail = LogTail(tmp_path, "log")
    log.write_bytes(b"first\n")
    assert tail.lines() == ["first"]
    (tmp_path / "copy").write_bytes(b"first\nsecond\n")
    (tmp_path / "copy").replace(log)
    assert tail.lines() == ["second"]
    (tmp_path / "copy").write_bytes(b"other\n")
    (tmp_path / "copy").replace(log)
    assert tail.lines() == ["other"]


def test_of_a_log_whose_middle_was_cut_nothing_comes_twice(tmp_path, log, monkeypatch):
    monkeypatch.setenv("STEPWELL_LOG_BYTES", "4096")
    tail = LogTail(tmp_path, "log")
    with open_log(log) as file:
        text, seen = Text((file,), unchanged), []
        for number in range(400):
            text.take(b"%06d %s\n" % (number, b"x" * 20))
            seen += tail.lines()
    numbers = [line.split()[0] for line in seen if line.endswith("x")]
    assert len(set(numbers)) == len(numbers) > 390


def test_a_link_is_no_log(tmp_path, log):
    (tmp_path / "elsewhere").write_text("secret\n")
    log.symlink_to(tmp_path / "elsewhere")
    assert LogTail(tmp_path, "log").lines() == []
