from xml.etree import ElementTree

from stepwell.drivers.hyperdrive.picture import parallel_coordinates

SVG = "{http://www.w3.org/2000/svg}"


def drawn(names, rows):
    return ElementTree.fromstring(parallel_coordinates(names, rows, "accuracy & more"))


def test_each_trial_is_a_line_through_its_values_and_each_hyperparameter_an_axis():
    rows = [("trial 0", [0.001, "relu<"], 0.8), ("trial 1", [1.0, "tanh"], 0.9), ("trial 2", [0.1, "tanh"], None)]
    root = drawn(["lr", "activation"], rows)
    lines = root.findall(f"{SVG}polyline")
    assert [line.find(f"{SVG}title").text for line in lines] == ["trial 0", "trial 1", "trial 2"]
    assert [len(line.get("points").split()) for line in lines] == [3, 3, 2]
    assert lines[2].get("stroke") == "#b0b0b0" and lines[0].get("stroke") != lines[1].get("stroke")
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert {"lr", "activation", "accuracy & more", "relu<", "tanh", "0.001"} <= set(texts)
    assert "0.03162" in texts  # the middle of a logarithmic axis


def test_one_trial_one_value_and_no_metric_can_be_drawn():
    assert drawn(["x"], [("t", [1], float("nan"))]).findall(f"{SVG}polyline")
    axis = [text.text for text in drawn(["n"], [("a", [1], 0.5), ("b", [4], 1.0)]).findall(f"{SVG}text")]
    assert axis[:3] == ["n", "1", "4"]
    assert drawn(["x"], [("t", [True], 0.5)]).findall(f"{SVG}polyline")
