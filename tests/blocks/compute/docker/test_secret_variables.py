"""Secret variables reach a process though no engine that starts it sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from stepwell.blocks.compute.docker.secret_variables import without_secrets
from stepwell.model.redaction import Redactor

DUMP = (
    "import json, os, sys; json.dump([dict(os.environ), sys.argv[1:], sys.stdin.read()], open(os.environ['OUT'], 'w'))"
)
VALUES = [
    "simple-secret",
    "two\nlines of it\n",
    'it\'s "quoted"',
    "back\\slash \\n",
    "$HOME `id` $(id) *",
    "end-of ü→\U0001f600",
    " blanks  ",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_process_finds_its_secrets_arguments_and_standard_input_unchanged(tmp_path, value):
    out, words = str(tmp_path / "out"), ["", "a b", "new\nline", "$0", "*"]
    variables = {"OUT": out, "TOKEN": value, "PLAIN": "plain", "PATH": os.defpath}
    argv = (sys.executable, "-c", DUMP, *words)
    process = without_secrets(argv, variables, b"the input\nof two lines", Redactor([value]).redact)
    assert value not in process.argv and process.variables == {"OUT": out, "PLAIN": "plain", "PATH": os.defpath}
    subprocess.run(process.argv, env=process.variables, input=process.stdin, check=True)
    found, arguments, stdin = json.loads((tmp_path / "out").read_text())
    assert {name: found.get(name) for name in variables} == variables
    assert arguments == words and stdin == "the input\nof two lines"
    assert not {"code", "line"} & set(found)


def test_a_process_without_secrets_is_started_as_it_is():
    assert without_secrets(("a", "b"), {"X": "1"}, b"input", lambda text: text) == (("a", "b"), {"X": "1"}, b"input")


def test_a_name_that_no_shell_knows_stays_with_the_others():
    process = without_secrets(
        ("a",), {"X-Y": "secret-1", "Z": "secret-2"}, None, Redactor(["secret-1", "secret-2"]).redact
    )
    assert process.variables == {"X-Y": "secret-1"} and b"secret-2" in process.stdin
