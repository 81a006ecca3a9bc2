"""Shell scripts with Windows line ends are recognised, whatever their names, and nothing else is."""

from __future__ import annotations

import pytest

from stepwell.blocks.source.shell_scripts import line_ends_hint, windows_script


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [("run.sh", b"set -e\r\necho\r\n", True), ("run", b"#!/bin/sh\r\necho\r\n", True), ("bin/run.bash", b"\r\n", True),
     ("run.sh", b"set -e\necho\r\n", False), ("table.csv", b"a,b\r\n", False), ("run.sh", b"", False)],
)  # fmt: skip
def test_windows_line_ends_of_shell_scripts_are_found(tmp_path, name, content, found):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert windows_script(lambda name: tmp_path / name, ["bash", "-e", f"./{name}", "{x}"]) == (name if found else "")
    for places in (lambda name: None, lambda name: tmp_path / "nothing"):
        assert windows_script(places, [name, "/etc/passwd", "../x", ""]) == ""


def test_the_hint_is_a_command_that_mends_the_file(tmp_path):
    assert line_ends_hint("run.sh").endswith("`sed -i 's/\\r$//' run.sh`.")
