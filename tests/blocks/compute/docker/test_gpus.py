"""GPUs of a Docker target: each is given to one step while there are enough."""

from __future__ import annotations

from stepwell.blocks.compute.docker.gpus import Gpus
from stepwell.model.definitions import Resources, StepDefinition


def step(gpus=None):
    return StepDefinition("s", "s", "t", "", resources=None if gpus is None else Resources(gpus=gpus))


def test_gpus_with_ids_are_given_to_one_step_each_while_there_are_enough():
    gpus = Gpus("0, 1,2")
    with gpus.assigned(step(1)) as first, gpus.assigned(step(1.5)) as second:
        assert sorted(first[0]["DeviceIDs"] + second[0]["DeviceIDs"]) == ["0", "1", "2"]
        with gpus.assigned(step(1)) as third:
            assert third[0]["DeviceIDs"] == first[0]["DeviceIDs"]
    with gpus.assigned(step()) as every:
        assert every[0]["DeviceIDs"] == ["0", "1", "2"] and "Count" not in every[0]


def test_all_is_all_and_a_number_is_that_many():
    for named, asked, count in (("all", None, -1), ("all", 2, 2), ("", 1, 1)):
        with Gpus(named).assigned(step(asked)) as given:
            assert [request["Count"] for request in given] == [count]


def test_who_asks_for_none_gets_none():
    for named, asked in (("", None), ("", 0), ("all", 0), ("0,1", 0)):
        with Gpus(named).assigned(step(asked)) as given:
            assert given == []
