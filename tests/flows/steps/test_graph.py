"""Which steps belong together and in which order they run."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepwell.errors import UserErrorException
from stepwell.flows.steps.scripts.command_step import CommandStep
from stepwell.flows.steps.graph import Graph, flatten
from stepwell.flows.steps.outputs import PipelineData
from stepwell.flows.steps.sequence import StepSequence


def step(name, inputs=(), outputs=()):
    return CommandStep(["true"], name=name, inputs=list(inputs), outputs=list(outputs))


def names(graph):
    return [graph.ids[step] for step in graph.steps]


def test_a_step_brings_all_that_it_needs():
    a, b = PipelineData("a"), PipelineData("b")
    first = step("first", outputs=[a])
    second = step("second", [a], [b])
    last, apart = step("last", [b]), step("apart")
    apart.run_after(first)
    assert names(Graph([last])) == ["first", "second", "last"]
    assert names(Graph(b)) == ["first", "second"]
    assert names(Graph([[apart], ([last],)])) == ["first", "apart", "second", "last"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_step_comes_after_what_it_waits_for_however_they_are_listed(count, randomly: random.Random):
    data = [PipelineData(f"d{i}") for i in range(count)]
    steps = [step(f"s{i}", [data[j] for j in range(i) if randomly.random() < 0.3], [data[i]]) for i in range(count)]
    for i in range(1, count):
        if randomly.random() < 0.2:
            steps[i].run_after(steps[randomly.randrange(i)])
    listed = randomly.sample(steps, count)
    defined = Graph(listed).define(Path("/"))
    assert sorted(d.id for d in defined) == sorted(s.name for s in steps)
    done = set()
    for definition in defined:
        assert done >= set(definition.upstream)
        done.add(definition.id)


def test_a_circle_is_refused_with_its_steps():
    one, two = step("one"), step("two")
    one.run_after(two)
    two.run_after(one)
    with pytest.raises(UserErrorException, match="in a circle") as caught:
        Graph([one, step("innocent")])
    assert caught.value.facts["steps"] == "one, two"


def test_data_that_nobody_writes_is_refused_with_its_reader():
    with pytest.raises(UserErrorException, match="No step of the pipeline writes 'lost'") as caught:
        Graph([step("reader", [PipelineData("lost")])])
    assert caught.value.facts["read by"] == "reader"


def test_one_output_has_one_writer():
    data = PipelineData("data")
    with pytest.raises(UserErrorException, match="already an output of step 'one'"):
        Graph([step("one", outputs=[data]), step("two", outputs=[data])])


def test_steps_of_one_name_get_ids_of_their_own():
    assert sorted(names(Graph([step("a"), step("a"), step("a-2"), step("a")]))) == ["a", "a-2", "a-2-2", "a-3"]


def test_the_stages_of_a_sequence_follow_one_another():
    a, b, c, d = (step(name) for name in "abcd")
    defined = {s.id: set(s.upstream) for s in Graph(StepSequence([a, [b, c], d])).define(Path("/"))}
    assert defined == {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}


@pytest.mark.parametrize("thing", ["train.py", 3, None, [["x"]]])
def test_what_is_no_step_is_refused(thing):
    with pytest.raises(UserErrorException, match="Can not add object of type"):
        flatten(thing)


def test_steps_keep_the_order_in_which_they_are_listed():
    steps = [step(f"{name}.py") for name in "abcde"]
    steps[1].run_after(steps[0])
    steps[3].run_after(steps[2])
    steps[0].run_after(steps[4])
    assert [step.name for step in Graph(steps).steps] == ["c.py", "d.py", "e.py", "a.py", "b.py"]


def test_a_long_chain_is_ordered_without_delay_or_depth():
    steps = [step(str(number)) for number in range(600)]
    for before, after in zip(steps, steps[1:], strict=False):
        after.run_after(before)
    assert [step.name for step in Graph(list(reversed(steps))).steps] == [str(number) for number in range(600)]


def test_steps_of_one_name_are_told_apart_by_numbers_in_time_that_grows_with_their_count():
    steps = [step(name) for name in ("a", "a-2", "a", "a", "b", "a-2")]
    assert names(Graph(steps)) == ["a", "a-2", "a-3", "a-4", "b", "a-2-2"]
    many = [step("same") for _ in range(3000)]
    before = time.process_time()
    assert names(Graph(many))[-1] == "same-3000"
    assert time.process_time() - before < 5  # a look at every name before it for each number takes minutes


def test_a_step_is_told_of_the_outputs_and_steps_that_it_needs_alone(monkeypatch):
    define, told = CommandStep.define, []
    monkeypatch.setattr(CommandStep, "define", lambda self, **more: told.append((len(more["producers"]), len(more["ids"]))) or define(self, **more))  # fmt: skip
    data = [PipelineData(f"d{i}") for i in range(20)]
    steps = [step(f"s{i}", data[max(0, i - 1) : i], [data[i]]) for i in range(20)]
    steps[-1].run_after(steps[0])
    assert [d.upstream for d in Graph(steps).define(Path("/"))][1:3] == [("s0",), ("s1",)]
    assert told == [(0, 0), *[(1, 0)] * 18, (1, 1)]
