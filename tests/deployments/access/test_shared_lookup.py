from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stepwell.deployments.access.shared_lookup import SharedLookup


def test_no_answer_is_older_than_its_question():
    state, answered, looks = [0], [0], []

    def look():
        looks.append(1)
        seen = state[0]
        time.sleep(0.01)
        while state[0] < min(answered[0] + 16, 200):  # until all who can ask do
            time.sleep(0.001)
        return seen

    latest = SharedLookup(look)
    lock = threading.Lock()

    def ask(_):
        with lock:
            state[0] += 1
            mine = state[0]
        answer = latest.get()
        with lock:
            answered[0] += 1
        return answer >= mine

    with ThreadPoolExecutor(16) as several:
        assert all(several.map(ask, range(200)))
    assert len(looks) < 100


def test_one_looks_at_a_time():
    busy, most = [0], [0]

    def look():
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        time.sleep(0.005)
        busy[0] -= 1

    latest = SharedLookup(look)
    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda _: latest.get(), range(40)))
    assert most == [1]


def test_an_error_is_raised_and_the_next_look_is_new():
    outcomes = [ValueError("first"), 5]

    def look():
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    latest = SharedLookup(look)
    with pytest.raises(ValueError, match="first"):
        latest.get()
    assert latest.get() == 5
