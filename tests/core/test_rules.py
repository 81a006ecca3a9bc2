"""Rules of pipelines: what each switches, and that older definitions have Stepwell's own."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from stepwell.errors import UserErrorException
from stepwell.model.definitions import PipelineDefinition, StepDefinition
from stepwell.rules import STEPWELL, V1, switches_of


def test_the_sdks_rules_switch_everything_on_and_stepwells_nothing():
    assert not any(asdict(switches_of(STEPWELL)).values()) and all(asdict(switches_of(V1)).values())
    with pytest.raises(UserErrorException, match="no rules 'v3'"):
        switches_of("v3")


def test_rules_travel_with_a_definition_and_are_stepwells_where_an_older_one_names_none():
    step = StepDefinition("s", "s", "t", "", rules=V1)
    pipeline = PipelineDefinition("p", "", "w", (step,), (), V1)
    assert PipelineDefinition.from_json(pipeline.to_json()) == pipeline
    assert pipeline.switches == step.switches == switches_of(V1)
    older = {name: value for name, value in pipeline.to_json().items() if name != "rules"}
    assert PipelineDefinition.from_json(older) == replace(pipeline, rules=STEPWELL)
