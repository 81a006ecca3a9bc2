"""Limits, on a clock that only the tests move."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.deployments.access.rate_limits import FailedAttempts, RateLimit


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_burst_goes_through_then_the_rate(clock):
    limit = RateLimit(2, 5, clock)
    assert [limit.wait("a") for _ in range(6)] == [0, 0, 0, 0, 0, pytest.approx(0.5)]
    clock.now += 0.4
    assert limit.wait("a") == pytest.approx(0.1)
    clock.now += 0.1
    assert limit.wait("a") == 0
    assert limit.wait("a") == pytest.approx(0.5)


def test_a_bucket_is_never_fuller_than_full(clock):
    limit = RateLimit(2, 3, clock)
    limit.wait("a")
    clock.now += 3600
    assert [limit.wait("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_calls_that_wait_are_not_counted(clock):
    limit = RateLimit(1, 1, clock)
    assert limit.wait("a") == 0
    assert {limit.wait("a") for _ in range(100)} == {1.0}
    clock.now += 1
    assert limit.wait("a") == 0


def test_each_key_has_its_own(clock):
    limit = RateLimit(1, 1, clock)
    assert limit.wait("a") == 0 and limit.wait("b") == 0 and limit.wait("a") == 1


def test_looking_counts_nothing(clock):
    limit = RateLimit(1, 1, clock)
    assert [limit.peek("a") for _ in range(3)] == [0, 0, 0]
    assert limit.wait("a") == 0 and limit.peek("a") == 1


@given(
    st.floats(0.01, 1000), st.integers(1, 50),
    st.lists(st.floats(0, 100, allow_subnormal=False) | st.just(None), min_size=1, max_size=60),
)  # fmt: skip
def test_never_more_than_the_burst_and_the_rate_and_a_wait_is_long_enough(rate, burst, pauses):
    clock = Clock(0.0)
    limit, passed = RateLimit(rate, burst, clock), []
    for pause in pauses:
        wait = limit.wait("a")
        if wait == 0:
            passed.append(clock.now)
            for index, start in enumerate(passed):
                assert len(passed) - index <= burst + (clock.now - start) * rate + 1e-6
        elif pause is None:
            clock.now += wait
            assert limit.wait("a") == 0, "after the wait that was told, the call goes ahead"
            passed.append(clock.now)
        clock.now += pause or 0


def test_memory_is_bounded_and_the_busy_are_remembered(clock):
    limit = RateLimit(0.001, 2, clock, most_keys=100)
    limit.wait("busy")
    for number in range(10_000):
        limit.wait(f"k{number}")
        if number == 50:
            assert limit.wait("busy") == 0
        if number < 140:
            assert len(limit._full_at) <= 100
        if number == 120:
            assert limit.wait("busy") > 0
    assert len(limit._full_at) == 100


class SlowKey(str):
    """A key that lets other threads run whenever it is looked up, so between a look and a count as well."""

    def __hash__(self):
        time.sleep(0.001)
        return super().__hash__()


def test_threads_get_no_more_than_the_burst(clock):
    limit, through = RateLimit(1, 5, clock), []
    start = threading.Barrier(8)

    def call():
        start.wait()
        through.extend(1 for _ in range(4) if limit.wait(SlowKey("a")) == 0)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == 5


@pytest.mark.parametrize("arguments", [(0, 1), (-1, 1), (1, 0)])
def test_a_limit_that_lets_nothing_through_is_a_mistake(arguments):
    with pytest.raises(ValueError, match="something"):
        RateLimit(*arguments)


def test_thirty_guesses_a_minute(clock):
    attempts = FailedAttempts(30, clock)
    assert [attempts.count("10.0.0.1") for _ in range(30)] == [0] * 30
    assert attempts.wait("10.0.0.1") == pytest.approx(2)
    assert attempts.count("10.0.0.1") == pytest.approx(2)
    assert attempts.wait("10.0.0.2") == 0
    clock.now += 2
    assert attempts.wait("10.0.0.1") == 0
    clock.now += 58
    assert [attempts.count("10.0.0.1") for _ in range(31)][-2:] == [0, pytest.approx(2)]


def test_who_never_fails_never_waits(clock):
    attempts = FailedAttempts(1, clock)
    assert {attempts.wait("10.0.0.1") for _ in range(100)} == {0}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("127.0.0.1", "127.9.9.9", True),
        ("127.0.0.1", "::1", True),
        ("::ffff:127.0.0.2", "127.0.0.1", True),
        ("testclient", "testclient", True),
        ("testclient", "", False),
    ],
)
def test_who_counts_as_one_client(clock, one, other, same):
    attempts = FailedAttempts(1, clock)
    attempts.count(one)
    assert (attempts.wait(other) > 0) is same
