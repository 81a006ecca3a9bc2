"""Values on disk: what was put comes back, in the order it came or sorted, whatever the sizes and whoever reads."""

from __future__ import annotations

import os
import random

import pytest
from stepwell.model.datasets import on_disk
from stepwell.model.datasets.on_disk import Records, Spool, in_order

VALUES = [("name", 3, ("\udcff", b"x")), "", [1, 2, 3], "y" * 5000, None, ("z" * 200_000,), 7]


def test_records_are_found_by_their_places_while_others_are_put():
    records, places = Records(), []
    assert list(records.after(0)) == []
    for value in VALUES * 3:
        places.append(records.put(value))
        assert records.get(places[-1]) == value
    assert [records.get(place) for place in places] == VALUES * 3
    assert list(records.after(places[4])) == list(zip(places[4:], (VALUES * 3)[4:], strict=True))
    found = records.after(0)
    assert next(found) == (0, VALUES[0])
    records.put("late")
    assert [value for _, value in found] == [*VALUES[1:], *VALUES * 2, "late"]


def test_forked_processes_read_records_that_were_there():
    records = Records()
    place = records.put(("a", 1))
    records.flush()
    child = os.fork()
    if not child:
        os._exit(0 if records.get(place) == ("a", 1) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert records.get(records.put("after")) == "after"


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 2000])
def test_a_spool_has_all_in_order_and_is_read_as_often_as_wanted(count):
    spool = Spool(range(count))
    assert len(spool) == count
    assert [list(spool), list(zip(spool, spool, strict=True))] == [
        list(range(count)),
        [(number, number) for number in range(count)],
    ]


@pytest.mark.parametrize("most", [1, 7, 100, 1000])
@pytest.mark.parametrize("order", ["sorted", "reversed", "random", "same"])
def test_values_are_sorted_however_many_fit_in_memory(monkeypatch, most, order):
    monkeypatch.setattr(on_disk, "_IN_MEMORY", most)
    monkeypatch.setattr(on_disk, "_MERGED_RUNS", 3)
    values = [(f"{number:04}", number % 3) for number in range(100)]
    if order == "reversed":
        values.reverse()
    elif order == "random":
        random.Random(1).shuffle(values)
    elif order == "same":
        values = values[:3] * 20
    assert list(in_order(iter(values))) == sorted(values)
