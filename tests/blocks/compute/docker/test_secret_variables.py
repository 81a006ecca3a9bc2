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


NAMES = ["MY-SECRET", "my.token", "9 lives", "ä", "TOKEN"]


@pytest.mark.parametrize("value", VALUES)
def test_no_engine_sees_a_secret_whatever_its_name(tmp_path, value):
    out, words = str(tmp_path / "out"), ["", "a b", "new\nline", "$0", "*"]
    plain = {"OUT": out, "PLAIN": "plain", "A-B": "plain", "PATH": os.defpath}
    argv = (sys.executable, "-c", DUMP, *words)
    process = without_secrets(argv, {**plain, **dict.fromkeys(NAMES, value)}, b"the input\n", Redactor([value]).redact)
    assert value not in repr(process.argv) and process.variables == plain
    subprocess.run(process.argv, env=process.variables, input=process.stdin, check=True)
    found, arguments, stdin = json.loads((tmp_path / "out").read_text())
    assert {name: found.get(name) for name in NAMES} == dict.fromkeys(NAMES, value)
    assert arguments == words and stdin == "the input\n"
    assert not {"STEPWELL_SECRET_VARIABLES", "stepwell_python"} & set(found)


def test_names_that_sound_secret_are_hidden_whatever_their_value():
    process = without_secrets(("a",), {"my.token": "dev", "DB_PASSWORD": "", "X": "dev"}, None, lambda text: text)
    assert process.variables == {"DB_PASSWORD": "", "X": "dev"}


def test_an_image_without_python_is_told_what_is_missing(tmp_path):
    process = without_secrets(("/bin/true",), {"MY-SECRET": "secret-1"}, None, Redactor(["secret-1"]).redact)
    done = subprocess.run(process.argv, env={"PATH": str(tmp_path)}, input=process.stdin, capture_output=True)
    assert done.returncode == 127
    assert b"MY-SECRET" in done.stderr and b"no Python" in done.stderr and b"secret-1" not in done.stderr
