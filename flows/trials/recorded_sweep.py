"""A `HyperDriveConfig` as the record of a run has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stepwell.errors import UserErrorException
from stepwell.flows.configurations.script_run_config import ScriptRunConfig
from stepwell.flows.steps.fan_out import hyperdrive_policies as policies
from stepwell.flows.steps.fan_out import hyperdrive_sampling as samplings
from stepwell.flows.steps.fan_out.hyperdrive_config import HyperDriveConfig, PrimaryMetricGoal
from stepwell.flows.trials.definition import run_definition

_SAMPLINGS = {
    "random": samplings.RandomParameterSampling,
    "grid": samplings.GridParameterSampling,
    "bayesian": samplings.BayesianParameterSampling,
}
_POLICIES: dict[str, type[Any]] = {
    "bandit": policies.BanditPolicy,
    "median": policies.MedianStoppingPolicy,
    "truncation": policies.TruncationSelectionPolicy,
}


def config_of(step: Mapping[str, Any]) -> HyperDriveConfig:
    """Return the search that a step of a pipeline's definition, as plain values, makes; raise UserErrorException if it makes none."""
    driver = step.get("driver") or {}
    if driver.get("name") != "hyperdrive":
        raise UserErrorException(
            "The step makes no sweep", {"step": step.get("id", "")}, "Pass a step that is a HyperDriveStep."
        )
    settings = {
        name: json.loads("".join(text for _, text in argument))
        for name, argument in driver["settings"].items()
        if not name.startswith("output ")
    }
    goal, metric = settings["primary_metric"]
    policy = dict(settings.get("policy") or {"name": ""})
    sampling, kind = settings["sampling"], policy.pop("name")
    asked = run_definition({"pipeline": {"steps": [step]}})
    return HyperDriveConfig(
        _SAMPLINGS[sampling["name"]](
            {name: expression for name, *expression in settings["hyperparameters"]}, seed=sampling.get("seed", 0)
        ),
        metric,
        PrimaryMetricGoal(goal),
        settings["max_total_runs"],
        settings.get("max_concurrent_runs"),
        settings["max_duration_minutes"],
        _POLICIES[kind](**policy) if kind in _POLICIES else None,
        run_config=ScriptRunConfig(
            step.get("source_directory"),
            asked["script"],
            asked["arguments"],
            compute_target=asked["target"],
            command=asked["command"],
            max_run_duration_seconds=settings.get("trial_seconds"),
        ),
    )
