"""Several processes of one script: their logs, what is shown of them, and the failure of one."""

from __future__ import annotations

import io
import sys

import pytest

from stepwell.drivers import ranks


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lines_of_several_processes_are_shown_with_their_names_as_they_come(folder):
    out = io.StringIO()
    logs = ranks.Logs(["0", "1"], out)
    shown = []

    def goes_on():
        shown.append(out.getvalue())
        if len(shown) == 1:
            (folder / "logs/70_driver_log_0.txt").write_bytes(b"one\nha")
        elif len(shown) == 2:
            with (folder / "logs/70_driver_log_0.txt").open("ab") as stream:
                stream.write(b"lf\n\xff")
            (folder / "logs/70_driver_log_1.txt").write_bytes(b"other\n")
        return len(shown) < 3

    logs.follow(goes_on)
    assert shown == ["", "[0] one\n", "[0] one\n[0] half\n[1] other\n"]
    assert out.getvalue() == "[0] one\n[0] half\n[1] other\n[0] \ufffd\n"


def test_a_single_process_is_shown_as_it_is_and_older_logs_are_not(folder):
    (folder / "logs").mkdir()
    (folder / "logs/70_driver_log_0.txt").write_text("old\n")
    out = io.StringIO()
    logs = ranks.Logs(["0"], out)
    (folder / "logs/70_driver_log_0.txt").write_text("new\n")
    logs.follow(lambda: False)
    assert out.getvalue() == "new\n"


@pytest.mark.parametrize(
    ("code", "words", "ends"), [(3, "failed with exit code 3", 3), (-9, "was ended by signal 9", 137)]
)
def test_the_failure_of_one_process_is_said_with_its_last_lines(folder, capsys, code, words, ends):
    (folder / "logs").mkdir()
    (folder / "logs/70_driver_log_1.txt").write_text("\n".join(map(str, range(20))))
    with pytest.raises(SystemExit) as ended:
        ranks.fail("1", 4, code)
    said = capsys.readouterr().err
    assert ended.value.code == ends and said.startswith(f"The process 1 of 4 {words}; its last lines:\n11\n")
    assert said.endswith("19\n")


def test_a_script_below_the_working_directory_finds_modules_there(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "first")
    monkeypatch.setattr(sys, "argv", ["a/b.py", "--x"])
    assert ranks.command_of("a/b.py") == [sys.executable, "a/b.py", "--x"]
    assert ranks.variables_for("a/b.py", {"A": "1"})["PYTHONPATH"] == f"first:{folder}"
    assert ranks.variables_for("b.py", {"A": "1"})["PYTHONPATH"] == "first"
