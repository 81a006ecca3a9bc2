import subprocess
import sys

import pytest

from stepwell.drivers.hyperdrive.sampling import sampler_of

SAMPLING = {
    "name": "bayesian",
    "seed": 0,
    "space": [["x", "uniform", [-1, 1]], ["k", "choice", [["a", "b"]]], ["q", "quniform", [1, 16, 5]]],
}


def search(count, concurrent):
    pytest.importorskip("optuna")
    sampler, found, results = sampler_of(SAMPLING, "minimize"), [], {}
    for number in range(count):
        ended = {one: results[one] for one in range(sampler.waits_for(number, concurrent))}
        found.append(sampler.propose(number, ended))
        results[number] = (found[-1]["x"] - 0.3) ** 2 + (found[-1]["k"] == "a")
    return found


def test_bayesian_trials_are_the_same_each_time_and_more_of_them_go_on_from_there():
    assert search(16, 2)[:12] == search(12, 2)


def test_bayesian_sampling_learns_from_what_has_ended():
    found = search(30, 2)
    first, last = (sum(abs(one["x"] - 0.3) for one in part) for part in (found[:10], found[-10:]))
    assert last < first / 2
    assert all(one["q"] in (0, 5, 10, 15) and one["k"] in ("a", "b") for one in found)


def test_bayesian_sampling_takes_trials_without_a_value():
    pytest.importorskip("optuna")
    sampler = sampler_of(SAMPLING, "maximize")
    sampler.propose(0, {})
    assert sampler.propose(1, {0: None}) and sampler.propose(2, {0: None, 1: float("nan")})


def test_without_optuna_bayesian_sampling_names_the_extra():
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from stepwell.drivers.hyperdrive.bayesian import BayesianSampler\n"
        "BayesianSampler([], 0, 'maximize')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Bayesian sampling needs optuna: install `stepwell[hyperdrive]`\n"
