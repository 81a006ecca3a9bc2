"""Values in lines for a shell: whatever quotes are open where one stands, the shell reads the value."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.blocks.processes.shell_quoting import line_of, quote_after

LINES = [
    "printf %s VALUE/x",
    'printf %s "VALUE/x"',
    "printf %s 'VALUE/x'",
    "# don't\nprintf %s VALUE/x",
    "printf %s \\''VALUE/x' | tail -c +2",
    'printf %s a#"\'"VALUE/x | tail -c +4',
]


def shown(line: str) -> str:
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True).stdout


def put(line: str, value: str) -> str:
    before, after = line.split("VALUE")
    return line_of([("text", before), ("output", value), ("text", after)])


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("value", ["/plain/path-1.csv", "/a b/'c'", '/"$HOME"', "/`id`/\\n", "/a'\"b", "/*"])
def test_a_shell_reads_the_value_whatever_quotes_are_around_it(line: str, value: str) -> None:
    assert shown(put(line, value)) == f"{value}/x"


@settings(max_examples=25)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12))
def test_any_text_is_read_as_it_is(value: str) -> None:
    assert [shown(put(line, value)) for line in LINES[:3]] == [f"{value}/x"] * 3


def test_plain_values_are_put_in_as_they_are() -> None:
    assert put("cat <<'END'\nVALUE/x\nEND", "/plain") == "cat <<'END'\n/plain/x\nEND"
    assert [quote_after(text) for text in ("a", "'a", "\"'", "\\'", "# '")] == ["", "'", '"', "", ""]
