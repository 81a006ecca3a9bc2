"""Commands: what a process is given, and the error if it can't be started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from process_bench import Bench, bench  # noqa: F401

from stepwell.errors import StepFailedException, UserErrorException

DUMP = "import json, os, sys; json.dump([list(a) for a in map(os.fsencode, sys.argv[1:])], open('argv.json', 'w'))"


def test_each_argument_arrives_as_one_element_byte_for_byte(bench: Bench) -> None:
    hard = [
        "",
        " ",
        "a b",
        "two\nlines",
        "'\"`",
        "$(id)",
        "; rm -rf /",
        "--help",
        "-x",
        "*",
        "ünï ☃",
        "\udcff\udc80",
        "x" * 100_000,
        "{payload}",
    ]
    assert bench.python(DUMP, *hard).ok
    assert [bytes(a) for a in json.loads(bench.read("argv.json"))] == [os.fsencode(a) for a in hard]


def test_environment_is_exactly_what_is_given_and_the_marker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    assert bench.run("/usr/bin/env", variables={"A": "1", "B": "\udcff"}).ok
    lines = (bench.folder / "out.txt").read_bytes().splitlines()
    assert sorted(lines) == [b"A=1", b"B=\xff", b"STEPWELL_MARKER=" + bench.marker.encode()]


def test_nested_markers_keep_the_words_of_their_hosts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_MARKER", "outer")
    bench.run("/usr/bin/env", variables={})
    assert bench.read("out.txt") == f"STEPWELL_MARKER=outer {bench.marker}\n"


def test_payload_is_read_from_a_path_without_a_name_on_disk(bench: Bench) -> None:
    payload = b"secret\x00" * 50_000
    ended = bench.python(
        "import sys; open('copy', 'wb').write(open(sys.argv[1], 'rb').read()); print(sys.argv[1:])",
        "{payload}",
        "{payload}",
        payload=payload,
    )
    assert ended.ok
    assert (bench.folder / "copy").read_bytes() == payload
    path, other = eval(bench.read("out.txt"))
    assert path.startswith("/dev/fd/") and other == "{payload}"


def test_standard_input_is_empty_and_no_descriptor_of_ours_is_open(bench: Bench) -> None:
    with open(bench.folder / "open", "w") as file:
        os.set_inheritable(file.fileno(), True)
        assert bench.python("import os, sys; print(repr(sys.stdin.read()), sorted(os.listdir('/proc/self/fd')))").ok
    assert bench.read("out.txt") == "'' ['0', '1', '2', '3']\n"  # 3 is the folder being listed


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("no-such-program",), ["'no-such-program' was not found", "PATH"]),
        (("/no/such/program",), ["'/no/such/program' was not found"]),
        (("./plain",), ["may not be executed", "chmod"]),
        (("./orphan",), ["interpreter of './orphan'", "Install the interpreter"]),
        (("./windows",), ["interpreter of './windows'", "not CR LF", "sed -i 's/\\r$//' ./windows"]),
        (("./nothing",), ["not in a format"]),
        (("true", "x" * 3_000_000), ["too long", "3000006 bytes", "file"]),
    ],
)
def test_what_can_not_be_started_is_explained(bench: Bench, argv: tuple[str, ...], words: list[str]) -> None:
    for name, text, mode in (
        ("plain", "", 0o644),
        ("orphan", "#!/no/such/interpreter\n", 0o755),
        ("windows", "#!/bin/sh\r\n", 0o755),
        ("nothing", "\0", 0o755),
    ):
        (bench.folder / name).write_text(text, newline="")
        (bench.folder / name).chmod(mode)
    with pytest.raises(StepFailedException) as caught:
        bench.run(*argv)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_folder_is_named(bench: Bench) -> None:
    with pytest.raises(StepFailedException, match="The folder '/no/such' was not found"):
        bench.run("true", folder=Path("/no/such"))


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ()},
        {"argv": ("true", "a\0b")},
        {"argv": ("true", "\ud800")},
        {"variables": {"A": "\0"}},
        {"variables": {"A=B": ""}},
        {"marker": "two words"},
        {"marker": ""},
    ],
)
def test_what_no_process_can_be_given_is_refused(bench: Bench, changes: dict[str, object]) -> None:
    with pytest.raises(UserErrorException):
        bench.run("true", **changes)  # type: ignore[arg-type]
