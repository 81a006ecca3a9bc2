"""What the host reads of what was logged: whole events, kept files, and nothing of garbage, links and pipes."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.script.events import files_of, read_events
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
