"""What the host reads of what was logged: whole events, kept files, and nothing of garbage, links and pipes."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.model.redaction import Redactor
from stepwell.script.events import files_of, masked_events, read_events
from stepwell.script.log import FolderLog
from stepwell.script.metrics import metrics_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just("$float"), inner, max_size=3),
    max_leaves=8,
)
GOOD = {"type": "metric", "scope": "step", "name": "n", "kind": "scalar", "value": 1, "time": 1.5}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        *(
            json.dumps({**GOOD, **change}).encode()
            for change in [
                *({"type": "x"}, {"type": []}, {"scope": "host"}, {"scope": {}}, {"name": 1}, {"name": None}),
                *({"kind": "x"}, {"kind": []}, {"kind": None}, {"kind": "row"}, {"kind": "list", "value": {}}),
                *({"value": math.nan}, {"time": math.inf}, {"time": "now"}, {"time": True}, {"step": "a"}),
                *({"type": "file"}, {"type": "file", "value": "../x"}, {"type": "image", "value": "/x"}),
                *({"type": "file", "value": "a\0b"}, {"type": "tag"}, {"type": "property"}, {"description": 1}),
            ]
        ),
        json.dumps(GOOD).encode().replace(b" 1,", b" 1e999,"),
    ],
)
def test_garbage_is_left_out(tmp_path, line):
    (tmp_path / "events.jsonl").write_bytes(
        line + b"\n" + json.dumps(GOOD | {"foreign": 1}).encode() + b"\n" + line[:-1]
    )
    assert read_events(tmp_path) == [GOOD]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "step", "description"]), VALUES), st.binary(max_size=20))
def test_whatever_is_read_can_be_kept_and_shown(tmp_path_factory, changes, junk):
    control = tmp_path_factory.mktemp("control")
    (control / "events.jsonl").write_bytes(json.dumps({**GOOD, **changes}).encode() + b"\n" + junk)
    events = read_events(control)
    json.dumps(events, allow_nan=False, ensure_ascii=False).encode()
    metrics_of(events)
    metrics_of(events, "parent")
    files_of(control, events)


def test_a_torn_line_takes_no_other_along(tmp_path):
    log = FolderLog(str(tmp_path))
    log.append(GOOD)
    with (tmp_path / "events.jsonl").open("ab") as stream:
        stream.write(b'{"type": "metr')
    log.append(GOOD)
    assert log.events() == [GOOD, GOOD]


def test_nothing_logged(tmp_path):
    assert read_events(tmp_path) == read_events(tmp_path / "missing") == []


def test_links_and_pipes_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "real.jsonl").write_text(json.dumps(GOOD))
    events = tmp_path / "events.jsonl"
    events.symlink_to("real.jsonl")
    assert read_events(tmp_path) == []
    events.unlink()
    os.mkfifo(events)
    assert read_events(tmp_path) == []
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "link").symlink_to("../secret")
    (tmp_path / "files" / "up").symlink_to("..")
    claims = [{**GOOD, "type": "file", "value": name} for name in ("link", "up/secret", "missing")]
    assert files_of(tmp_path, claims) == {}


def test_half_a_surrogate_becomes_a_mark(tmp_path):
    FolderLog(str(tmp_path)).append({**GOOD, "name": "caf\udce9 \N{GRINNING FACE}"})
    assert read_events(tmp_path)[0]["name"] == "caf? \N{GRINNING FACE}"


# Secrets --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret_log(tmp_path, monkeypatch):
    """A log of a process whose environment holds a secret token, and a short value that was declared secret."""
    (tmp_path / "context.json").write_text(json.dumps({"secret_variables": ["AML_PARAMETER_code"]}))
    monkeypatch.setenv("SOME_TOKEN", "hunter2-pw")
    monkeypatch.setenv("AML_PARAMETER_code", "4711")
    return FolderLog(str(tmp_path))


def test_secrets_are_masked_when_they_are_logged(tmp_path, secret_log, monkeypatch):
    event = {"type": "metric", "scope": "step", "kind": "scalar", "time": 1.5}
    secret_log.append({**event, "name": "hunter2-pw", "value": {"a": ["x hunter2-pw", 4711, 47110, 0.5]}})
    secret_log.append({**event, "type": "tag", "name": "t", "value": "4711", "description": "hunter2-pw"})
    monkeypatch.delenv("SOME_TOKEN")
    monkeypatch.setenv("LATER_TOKEN", "hunter3-pw")
    secret_log.append({**event, "type": "tag", "name": "t", "value": "hunter2-pw hunter3-pw"})
    written = (tmp_path / "events.jsonl").read_text()
    assert "hunter" not in written and '"4711"' not in written and " 4711," not in written
    found = read_events(tmp_path)
    assert [(e["name"], e["value"]) for e in found] == [
        ("***", {"a": ["x ***", "***", 47110, 0.5]}), ("t", "***"), ("t", "*** ***"),
    ]  # fmt: skip


def test_a_property_that_holds_a_secret_can_be_set_again(secret_log):
    from stepwell.script.run import Run

    run = Run(secret_log, "id")
    run.add_properties({"p": "hunter2-pw", "q": "4711"})
    run.add_properties({"p": "hunter2-pw", "q": "4711"})
    assert run.get_properties() == {"p": "***", "q": "***"}


def test_secrets_that_others_logged_are_masked_when_they_are_read_and_when_the_step_ends(tmp_path):
    redact = Redactor(["hunter2-pw", "123456"]).redact
    lines = [
        json.dumps({**GOOD, "value": {"a": "hunter2-pw"}, "foreign": "hunter2-pw", "time": 1.123456}),
        json.dumps({**GOOD, "value": 123456}), "torn hunter2-pw", json.dumps(["hunter2-pw"]), json.dumps(GOOD),
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    expected = [{**GOOD, "value": {"a": "***"}, "time": 1.123456}, {**GOOD, "value": "***"}, GOOD]
    assert read_events(tmp_path, redact) == expected
    clean = masked_events(tmp_path, redact)
    assert clean is not None and b"hunter2" not in clean
    (tmp_path / "events.jsonl").write_bytes(clean)
    assert read_events(tmp_path) == expected
    assert masked_events(tmp_path, redact) is None


def test_masking_follows_no_link(tmp_path):
    (tmp_path / "other").write_text("hunter2-pw")
    (tmp_path / "events.jsonl").symlink_to(tmp_path / "other")
    assert masked_events(tmp_path, Redactor(["hunter2-pw"]).redact) is None
    assert masked_events(tmp_path / "missing", Redactor(["hunter2-pw"]).redact) is None
