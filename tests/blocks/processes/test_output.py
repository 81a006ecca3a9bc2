"""The output of a process: complete in the files, whole lines to a listener, and no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from process_bench import Bench, bench  # noqa: F401

from stepwell.blocks.processes.output import Text, open_log, unchanged
from stepwell.errors import StepFailedException


def test_output_goes_to_three_files_and_is_forwarded_in_whole_lines(bench: Bench) -> None:
    bench.python("""
        import os, sys, time
        parts = (("stdout", "one ", 0), ("stderr", "two\\n", 4), ("stdout", "three\\nla", 14), ("stderr", "four\\n", 19), ("stdout", "st", 19))
        for name, text, written in parts:
            stream = getattr(sys, name); stream.write(text); stream.flush()
            while os.path.getsize("both.txt") < written: time.sleep(0.01)
    """)
    assert bench.read("out.txt") == "one three\nlast"
    assert bench.read("err.txt") == "two\nfour\n"
    assert bench.read("both.txt") == "two\none three\nfour\nlast"
    assert bench.texts == ["two\n", "one three\n", "four\n", "last"]


def test_bytes_that_are_no_text_stay_in_the_files(bench: Bench) -> None:
    code = "import os; os.write(1, bytes(range(256)) + b'\\n')"
    bench.python(code)
    raw = (bench.folder / "out.txt").read_bytes()
    bench.python(code, redact=lambda text: text.replace("nothing", ""))
    assert (bench.folder / "out.txt").read_bytes() == raw == bytes(range(256)) + b"\n"
    assert "\ufffd" in bench.texts[-1]


def test_much_output_is_complete(bench: Bench) -> None:
    bench.python("for i in range(200_000): print(i)")
    expected = "".join(f"{i}\n" for i in range(200_000))
    assert "".join(bench.texts) == bench.read("out.txt") == bench.read("both.txt") == expected
    assert all(text.endswith("\n") for text in bench.texts)


def test_endless_line_comes_in_pieces(bench: Bench) -> None:
    bench.python("import sys; sys.stdout.write('x' * 3_500_000)")
    assert "".join(bench.texts) == bench.read("out.txt") == "x" * 3_500_000
    assert 3 <= len(bench.texts) <= 5


def test_long_line_is_one_text(bench: Bench) -> None:
    bench.python("print('x' * 900_000)")
    assert bench.texts == ["x" * 900_000 + "\n"]


def test_progress_bar_does_not_flood(bench: Bench) -> None:
    bench.python("""
        import sys
        print("begin")
        for i in range(20_001):
            sys.stderr.write(f"\\r{i}"); sys.stderr.flush()
        sys.stderr.write("\\n")
        print("end\\r")
    """)
    assert bench.read("err.txt") == "20000\n"  # one line
    assert sorted(bench.read("both.txt").splitlines()) == ["20000", "begin", "end"]
    assert len(bench.texts) < 1_000  # ten a second
    assert all(part in "".join(bench.texts) for part in ("begin\n", "20000\n", "end\r\n"))


def test_last_update_of_a_progress_bar_arrives(bench: Bench) -> None:
    bench.python("import sys\nfor i in range(500): sys.stdout.write(f'{i}\\r'); sys.stdout.flush()")
    assert bench.texts[-1].startswith("499")
    assert bench.read("out.txt") == bench.read("both.txt") == "499\n"


def test_a_progress_bar_stands_at_the_end_of_the_log_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open_log(path) as log:
        bar, lines = Text((log,), unchanged), Text((log,), unchanged)
        for data in (b"\r10%", b"\r20%", b"\r30%"):
            bar.take(data)
        assert path.read_bytes() == b"20%\r"  # of the next it is not known whether it is whole
        lines.take(b"epoch 1\n")
        assert path.read_bytes() == b"epoch 1\n20%\r"
        bar.take(b"\rdone\n")
        assert path.read_bytes() == b"epoch 1\ndone\n"
        bar.take(b"\r50%\r60%\r")
        bar.finish()
    assert path.read_bytes() == b"epoch 1\ndone\n60%\n"


def test_windows_line_ends_are_no_progress_bars(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        text = Text((log,), unchanged)
        for data in (b"a\r", b"\nb\r\nc", b"\r\n"):
            text.take(data)
        text.finish()
    assert (tmp_path / "log").read_bytes() == b"a\r\nb\r\nc\r\n"


@pytest.mark.parametrize("before", [0, 1, 65_530, 131_065, 70_000])
def test_secrets_are_redacted_before_they_reach_a_file_even_in_long_lines(bench: Bench, before: int) -> None:
    code = """
        import os, sys, time
        os.write(1, b"x" * int(sys.argv[1]) + b"hunter"); time.sleep(0.1)
        os.write(1, b"22" + b"y" * 100_000); os.write(2, b"hunter22\\n")
    """
    bench.python(code, str(before), redact=lambda text: text.replace("hunter22", "***"))
    for text in (bench.read("out.txt"), bench.read("both.txt"), "".join(bench.texts)):
        assert "hunter" not in text and "***" in text
    assert bench.read("out.txt") == "x" * before + "***" + "y" * 100_000


def test_log_that_can_not_be_written_ends_the_process(bench: Bench) -> None:
    with pytest.raises(StepFailedException, match="log can't be written"):
        bench.run("sh", "-c", "echo a; sleep 987", stdout=Path("/dev/full"))


@pytest.mark.parametrize("chunk", [1, 100, 3000])
def test_of_a_long_log_beginning_and_end_stay_and_the_cut_is_told(tmp_path, monkeypatch, chunk):
    monkeypatch.setenv("STEPWELL_LOG_BYTES", "8192")
    lines = [f"line {number:05}\n".encode() for number in range(5000)]
    with open_log(tmp_path / "log") as log:
        for at in range(0, len(lines), chunk):
            Text((log,), unchanged).take(b"".join(lines[at : at + chunk]))
            assert (tmp_path / "log").stat().st_size <= 8192
    found = (tmp_path / "log").read_bytes()
    (told,) = [line for line in found.splitlines() if line.startswith(b"[stepwell: ")]
    head, _, tail = found.partition(told + b"\n")
    whole = b"".join(lines)
    assert whole.startswith(head) and whole.endswith(tail) and len(head) > 4000 and tail
    assert f"{len(whole) - len(head) - len(tail)} bytes were cut".encode() in told


def test_a_short_log_and_one_without_lines_are_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_LOG_BYTES", "1")
    with open_log(tmp_path / "log") as log:
        log.write(b"x" * 4096)
        assert (tmp_path / "log").read_bytes() == b"x" * 4096
        log.write(b"y" * 4096)
    found = (tmp_path / "log").read_bytes()
    assert found.startswith(b"x" * 2048 + b"[stepwell: ") and found.endswith(b"y" * 1024) and len(found) < 4096
