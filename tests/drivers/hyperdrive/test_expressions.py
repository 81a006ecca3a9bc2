import pytest

from stepwell.drivers.hyperdrive.expressions import argument_text, option_name, quantized, value_at


@pytest.mark.parametrize(
    ("expression", "at_zero", "at_half", "below_one"),
    [
        (["choice", [["a", "b", "c"]]], "a", "b", "c"),
        (["randint", [10]], 0, 5, 9),
        (["uniform", [1, 3]], 1, 2, 3),
        (["quniform", [1, 100, 5]], 0, 50, 100),
        (["quniform", [0, 1, 0.1]], 0, 0.5, 1),
        (["loguniform", [-2, 2]], 0.1353352832, 1, 7.389056099),
        (["qloguniform", [0, 4, 2]], 0, 8, 54),
        (["normal", [10, 2]], -6.3, 10, 26.3),
        (["normal", [3, 0]], 3, 3, 3),
        (["qnormal", [10, 2, 4]], -8, 8, 28),
        (["lognormal", [0, 1]], 0.00028, 1, 3500),
        (["qlognormal", [1, 1, 1]], 0, 3, 9540),
    ],
)
def test_an_expression_has_a_value_at_each_point(expression, at_zero, at_half, below_one):
    found = [value_at(expression, point) for point in (0.0, 0.5, 1 - 2**-53)]
    for value, wanted in zip(found, [at_zero, at_half, below_one]):
        assert value == (wanted if isinstance(wanted, str) else pytest.approx(wanted, rel=0.1, abs=1e-4))


def test_whole_quanta_make_whole_numbers_and_others_no_long_ones():
    assert repr(quantized(7.4, 5)) == "5"
    assert repr(quantized(0.31, 0.1)) == "0.3"


def test_scripts_get_hyperparameters_as_options():
    assert [option_name("lr"), option_name("--lr"), option_name("-l")] == ["--lr", "--lr", "-l"]
    assert [argument_text(value) for value in ("a b", 0.1, 3, True, [1, 2])] == ["a b", "0.1", "3", "True", "[1, 2]"]
