import math

import pytest

from stepwell.drivers.hyperdrive.policies import best_of, is_due, why_stopped

ALWAYS = {"evaluation_interval": 1, "delay_evaluation": 0}


def stopped(policy, curves, interval, goal="maximize", finished=()):
    """Return the numbers of the trials that the policy stops at the interval."""
    policy = {**ALWAYS, **policy}
    return [n for n in curves if why_stopped(policy, goal, curves, n, interval, frozenset(finished))]


def test_a_policy_looks_at_multiples_of_its_interval_that_are_not_before_the_delay():
    policy = {"evaluation_interval": 2, "delay_evaluation": 5}
    assert [interval for interval in range(1, 12) if is_due(policy, interval)] == [6, 8, 10]
    assert [interval for interval in range(1, 4) if is_due(ALWAYS, interval)] == [1, 2, 3]


def test_a_bandit_stops_what_is_beyond_the_slack_of_the_best():
    curves = {0: [0.8], 1: [0.67], 2: [0.66]}
    assert stopped({"name": "bandit", "slack_factor": 0.2}, curves, 1) == [2]  # 0.8 / 1.2
    assert stopped({"name": "bandit", "slack_amount": 0.135}, curves, 1) == [2]
    lower = {0: [1.0], 1: [1.19], 2: [1.21]}
    assert stopped({"name": "bandit", "slack_factor": 0.2}, lower, 1, "minimize") == [2]


def test_a_bandit_compares_the_best_values_up_to_the_interval():
    curves = {0: [0.9, 0.1, 0.1], 1: [0.1, 0.1, 0.95], 2: [0.5, 0.5]}
    assert stopped({"name": "bandit", "slack_amount": 0.3}, curves, 2) == [1, 2]
    assert stopped({"name": "bandit", "slack_amount": 0.3}, curves, 3) == []  # trial 2 has not come so far


def test_a_bandit_never_stops_the_best_trial_whatever_the_sign_of_its_values():
    for goal in ("maximize", "minimize"):
        curves = {0: [-2.0], 1: [-1.0]}
        best = 1 if goal == "maximize" else 0
        assert best not in stopped({"name": "bandit", "slack_factor": 0.1}, curves, 1, goal)
        assert stopped({"name": "bandit", "slack_factor": 0.1}, curves, 1, goal) == [1 - best]


def test_the_median_policy_compares_the_best_value_with_the_median_of_averages():
    curves = {0: [0.2, 0.4], 1: [0.5, 0.7], 2: [0.8, 0.6], 3: [0.1]}
    assert stopped({"name": "median"}, curves, 2) == [0]  # averages 0.3, 0.6, 0.7
    assert stopped({"name": "median"}, {0: [1, 3], 1: [2, 2], 2: [5, 5]}, 2, "minimize") == [2]


def test_truncation_stops_the_worst_share_at_the_interval():
    curves = {number: [number / 10] for number in range(10)}
    assert stopped({"name": "truncation", "truncation_percentage": 20}, curves, 1) == [0, 1]
    assert stopped({"name": "truncation", "truncation_percentage": 20}, curves, 1, "minimize") == [8, 9]
    assert stopped({"name": "truncation", "truncation_percentage": 20}, {0: [1.0], 1: [2.0]}, 1) == []


def test_truncation_leaves_finished_trials_out_if_asked():
    curves = {0: [0.0], 1: [0.1], 2: [0.2], 3: [0.3], 4: [0.4]}
    policy = {"name": "truncation", "truncation_percentage": 25}
    assert stopped(policy, curves, 1, finished=[0]) == [0]
    assert 1 in stopped({**policy, "exclude_finished_jobs": True}, curves, 1, finished=[0])


@pytest.mark.parametrize("name", ["bandit", "median"])
def test_a_trial_that_logs_nan_is_the_worst(name):
    curves = {0: [math.nan], 1: [0.5], 2: [0.6]}
    assert 0 in stopped({"name": name, "slack_amount": 0.3}, curves, 1)


def test_no_policy_stops_nothing_and_none_stops_what_has_no_value_yet():
    assert stopped({"name": "none"}, {0: [0.1], 1: [1.0]}, 1) == []
    assert stopped({"name": "bandit", "slack_amount": 0.1}, {0: [], 1: [1.0]}, 1) == []


def test_the_best_value_is_none_without_any():
    assert (best_of("maximize", [1, 3, math.nan, 2]), best_of("minimize", [1, 3]), best_of("minimize", [])) == (
        3,
        1,
        None,
    )
    assert best_of("maximize", [math.nan]) is None
