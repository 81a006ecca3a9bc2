"""Conditions, moments, states and tags as a command line writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stepwell.errors import UserErrorException
from stepwell.conditions import MetricName, read_condition
from stepwell.flows.runs.comparing.run_filter import read_moment, read_status, read_tag

METRICS = {
    MetricName("train.py", "accuracy"): 0.93,
    MetricName("", "kind"): "tree",
    MetricName("a", "loss"): [3.0, 1.0],
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("accuracy>0.9", True),
        ("accuracy > .95", False),
        ("train.py/accuracy>=0.93", True),
        ("evaluate.py/accuracy>=0.93", False),
        ("loss<2", True),
        ("loss==1", True),
        ("loss!=1", False),
        ("kind=tree", True),
        ("kind!=forest", True),
        ("accuracy!=high", True),
        ("kind>1", False),
        ("nothing>0", False),
    ],
)
def test_a_condition_holds_for_a_metric_whose_last_value_is_so(text, holds):
    assert read_condition(text).holds(METRICS) is holds


@pytest.mark.parametrize("text", ["", "accuracy", ">0.9", "accuracy>", "accuracy>high", "0.9"])
def test_what_is_no_condition_is_said_so(text):
    with pytest.raises(UserErrorException, match="is no"):
        read_condition(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01", "2026-05-01T00:00:00+00:00"),
        ("2026-05-01 14:30", "2026-05-01T14:30:00+00:00"),
        ("2026-05-01T14:30:00+02:00", "2026-05-01T12:30:00+00:00"),
        ("3d", "2026-05-07T12:00:00+00:00"),
        ("12 hours", "2026-05-10T00:00:00+00:00"),
        ("30min ago", "2026-05-10T11:30:00+00:00"),
        ("2 weeks", "2026-04-26T12:00:00+00:00"),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(text, moment):
    now = datetime(2026, 5, 10, 12, tzinfo=UTC)
    assert read_moment(text, now) == datetime.fromisoformat(moment).timestamp()


def test_what_is_no_moment_state_or_tag_is_said_so():
    for read, text in ((read_moment, "soon"), (read_moment, "5 parsecs"), (read_status, "sleeping"), (read_tag, "=1")):
        with pytest.raises(UserErrorException, match="is no|names no"):
            read(text)
    assert [read_status(word) for word in ("failed", "cancelled", "Completed", "not started")] == [
        "Failed",
        "Canceled",
        "Finished",
        "NotStarted",
    ]
    assert [read_tag(text) for text in ("a", "a=", "a=b=c")] == [("a", None), ("a", ""), ("a", "b=c")]
