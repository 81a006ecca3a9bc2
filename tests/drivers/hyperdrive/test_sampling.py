from stepwell.drivers.hyperdrive.sampling import sampler_of

SPACE = [["lr", "loguniform", [-6, 0]], ["layers", "choice", [[1, 2, 3]]]]


def proposals(sampling, count, goal="maximize"):
    sampler = sampler_of(sampling, goal)
    return [sampler.propose(number, {}) for number in range(count)]


def test_a_grid_has_each_combination_once_and_then_ends():
    space = [["a", "choice", [[1, 2]]], ["b", "choice", [["x", "y", "z"]]]]
    found = proposals({"name": "grid", "space": space}, 7)
    assert [(one["a"], one["b"]) for one in found[:6]] == [(a, b) for a in (1, 2) for b in "xyz"]
    assert found[6] is None
    assert list(found[0]) == ["a", "b"]


def test_random_trials_are_the_same_each_time_and_more_of_them_go_on_from_there():
    sampling = {"name": "random", "space": SPACE, "seed": 0}
    ten, twenty = proposals(sampling, 10), proposals(sampling, 20)
    assert twenty[:10] == ten and twenty[10:] != ten
    assert len({str(one) for one in twenty}) == 20
    assert proposals({**sampling, "seed": 1}, 10) != ten


def test_a_random_draw_does_not_depend_on_the_other_hyperparameters():
    alone = proposals({"name": "random", "space": SPACE[:1]}, 5)
    both = proposals({"name": "random", "space": [["more", "uniform", [0, 1]], *SPACE]}, 5)
    assert [one["lr"] for one in alone] == [one["lr"] for one in both]


def test_random_sampling_proposes_nothing_twice_and_ends_with_a_finite_space():
    space = [["a", "choice", [[1, 2, 2]]], ["b", "randint", [3]]]
    found = proposals({"name": "random", "space": space}, 8)
    assert sorted((one["a"], one["b"]) for one in found[:6]) == [(a, b) for a in (1, 2) for b in range(3)]
    assert found[6:] == [None, None]


def test_random_sampling_ends_where_quanta_leave_few_values():
    found = proposals({"name": "random", "space": [["q", "quniform", [0, 2, 1]]]}, 5)
    assert sorted(one["q"] for one in found if one) == [0, 1, 2]


def test_random_draws_spread_over_the_whole_space():
    found = proposals({"name": "random", "space": [["x", "uniform", [0, 1]]]}, 400)
    counts = [sum(low <= one["x"] < low + 0.25 for one in found) for low in (0, 0.25, 0.5, 0.75)]
    assert min(counts) > 60
