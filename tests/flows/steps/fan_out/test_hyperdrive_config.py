"""What a search can't be made of is refused in a sentence, before anything runs."""

import math

import pytest

from stepwell import (
    BanditPolicy,
    BayesianParameterSampling,
    GridParameterSampling,
    HyperDriveConfig,
    HyperDriveStep,
    MedianStoppingPolicy,
    NoTerminationPolicy,
    PipelineData,
    PrimaryMetricGoal,
    RandomParameterSampling,
    ScriptRunConfig,
    TrainingOutput,
    TruncationSelectionPolicy,
    choice,
    lognormal,
    loguniform,
    normal,
    qlognormal,
    qloguniform,
    qnormal,
    quniform,
    randint,
    uniform,
)
from stepwell.errors import UserErrorException

SPACE = {"x": uniform(0, 1)}


def config(**more):
    given = {
        "hyperparameter_sampling": RandomParameterSampling(SPACE),
        "primary_metric_name": "loss",
        "primary_metric_goal": PrimaryMetricGoal.MINIMIZE,
        "max_total_runs": 3,
        "run_config": ScriptRunConfig(".", "train.py"),
    }
    return HyperDriveConfig(**{**given, **more})


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (lambda: choice(), "`choice` has no values"),
        (lambda: choice([]), "`choice` has no values"),
        (lambda: choice(object()), "can't be passed to a script"),
        (lambda: choice([{"a": object()}]), "can't be passed to a script"),
        (lambda: choice({1: 2}), "can't be passed to a script"),
        (lambda: choice(0.1, math.nan), "A hyperparameter can't be nan"),
        (lambda: choice([[-math.inf]]), "A hyperparameter can't be -inf"),
        (lambda: uniform(math.nan, 1), "`min_value` of uniform must be a number"),
        (lambda: RandomParameterSampling({"x": ["choice", [[math.nan]]]}), "A hyperparameter can't be nan"),
        (lambda: RandomParameterSampling({"x": ["choice", [[]]]}), "`choice` has no values"),
        (lambda: RandomParameterSampling({"x": ["uniform", [1, 0]]}), "`min_value` of uniform is larger"),
        (lambda: RandomParameterSampling({"lr": choice(1), "--lr": choice(2)}), "The hyperparameters 'lr' and '--lr' are one option"),
        (lambda: GridParameterSampling({"": choice(1)}), "A hyperparameter can't be called ''"),
        (lambda: GridParameterSampling({"--": choice(1)}), "A hyperparameter can't be called '--'"),
        (lambda: GridParameterSampling({"learning rate": choice(1)}), "A hyperparameter can't be called 'learning rate'"),
        (lambda: GridParameterSampling({"x=1": choice(1)}), "A hyperparameter can't be called 'x=1'"),
        (lambda: config(primary_metric_name=" "), "`primary_metric_name` is empty"),
        (lambda: config(max_duration_minutes=math.inf), "`max_duration_minutes` must be above 0"),
        (lambda: config(max_duration_minutes=math.nan), "`max_duration_minutes` must be above 0"),
        (lambda: BanditPolicy(slack_amount=math.nan), "A BanditPolicy needs one slack"),
        (lambda: BanditPolicy(slack_amount=math.inf), "A BanditPolicy needs one slack"),
        (lambda: randint(0), "`upper` of randint must be a whole number above 0"),
        (lambda: randint(2.5), "`upper` of randint"),
        (lambda: uniform(1, 0), "`min_value` of uniform is larger"),
        (lambda: uniform("a", 1), "`min_value` of uniform must be a number"),
        (lambda: uniform(0, math.inf), "`max_value` of uniform must be a number"),
        (lambda: quniform(0, 1, 0), "`q` of quniform must be above 0"),
        (lambda: loguniform(0.001, 1000), "`max_value` of loguniform is a natural logarithm"),
        (lambda: qloguniform(2, 1, 1), "`min_value` of qloguniform is larger"),
        (lambda: normal(0, -1), "`sigma` of normal must be at least 0"),
        (lambda: qnormal(0, 1, -1), "`q` of qnormal"),
        (lambda: lognormal(True, 1), "`mu` of lognormal must be a number"),
        (lambda: qlognormal(0, 1, math.nan), "`q` of qlognormal must be a number"),
        (lambda: RandomParameterSampling({}), "The parameter space has no hyperparameters"),
        (lambda: RandomParameterSampling({"x": 3}), "The hyperparameter 'x' has no parameter expression"),
        (lambda: RandomParameterSampling({"x": ["uniform", [1]]}), "`uniform` takes other arguments"),
        (lambda: GridParameterSampling(SPACE), "GridParameterSampling can't take the hyperparameter 'x': uniform"),
        (lambda: BayesianParameterSampling({"x": normal(0, 1)}), "can't take the hyperparameter 'x': normal"),
        (lambda: BanditPolicy(), "A BanditPolicy needs one slack"),
        (lambda: BanditPolicy(slack_factor=0.1, slack_amount=1), "A BanditPolicy needs one slack"),
        (lambda: BanditPolicy(slack_factor=-1), "A BanditPolicy needs one slack"),
        (lambda: MedianStoppingPolicy(0), "`evaluation_interval` must be a whole number of at least 1"),
        (lambda: MedianStoppingPolicy(1, -1), "`delay_evaluation` must be a whole number of at least 0"),
        (lambda: TruncationSelectionPolicy(100), "`truncation_percentage` must be from 1 to 99"),
        (lambda: config(run_config=None), "needs either `run_config` or `estimator`, and neither is given"),
        (lambda: config(estimator=ScriptRunConfig(".", "a.py")), "and both are given"),
        (lambda: config(run_config=ScriptRunConfig(".")), "neither a script nor a command"),
        (lambda: config(max_total_runs=0), "`max_total_runs` must be a whole number of at least 1"),
        (lambda: config(max_concurrent_runs=0), "`max_concurrent_runs` must be"),
        (lambda: config(max_duration_minutes=0), "`max_duration_minutes` must be above 0"),
        (lambda: config(resume_from=[1]), "takes no `resume_from`"),
        (lambda: config(policy="bandit"), "`policy` of HyperDriveConfig must be"),
        (lambda: config(primary_metric_goal="maximize"), "`primary_metric_goal` of HyperDriveConfig must be"),
        (lambda: PrimaryMetricGoal.from_str("best"), "A goal is `minimize` or `maximize`"),
        (lambda: TrainingOutput("Metrics", model_file="a"), "has those of all runs"),
        (lambda: TrainingOutput("Model", 1, "m"), "either an iteration or a metric"),
        (lambda: HyperDriveStep("s", config(), outputs=[PipelineData("m", training_output=TrainingOutput("Model", metric="x"))]), "Only AutoML chooses"),
        (lambda: HyperDriveStep("s", config(), metrics_output=PipelineData("m", training_output=TrainingOutput("Model"))), "has the metrics of the trials, and no model"),
    ],
)  # fmt: skip
def test_what_no_search_can_be_made_of_is_refused(make, title):
    with pytest.raises(UserErrorException) as refused:
        make()
    assert title in refused.value.title


def test_an_output_that_no_trial_writes_is_none_of_their_arguments():
    model = PipelineData("model", training_output=TrainingOutput("Model"))
    with pytest.raises(UserErrorException, match="No trial writes the output 'model'"):
        HyperDriveStep("s", config(), ["--model", model], outputs=[model])


def test_expressions_take_lists_ranges_and_numbers_of_other_libraries():
    numpy = pytest.importorskip("numpy")
    assert choice(range(3)) == choice([0, 1, 2]) == choice(0, 1, 2) == ["choice", [[0, 1, 2]]]
    assert choice({"b", "a"}) == ["choice", [["a", "b"]]]
    assert uniform(numpy.float64(0.5), numpy.int64(1)) == ["uniform", [0.5, 1]]


def test_the_sweep_has_a_limit_of_its_own_and_each_trial_that_of_the_script(tmp_path):
    run_config = ScriptRunConfig(tmp_path, "train.py", max_run_duration_seconds=60)
    step = HyperDriveStep("s", config(run_config=run_config, max_duration_minutes=10, policy=NoTerminationPolicy()))
    defined = step.define(step_id="s", producers={}, ids={})
    assert defined.timeout_seconds == 4200 and defined.driver.settings["trial_seconds"][0].value == "60"
    assert (
        HyperDriveStep("s", config(), timeout_seconds=5).define(step_id="s", producers={}, ids={}).timeout_seconds == 5
    )


def test_numbers_of_trials_are_settings_that_are_told_apart_when_they_change():
    settings = HyperDriveStep("s", config()).define(step_id="s", producers={}, ids={}).driver.settings
    assert {"hyperparameters", "sampling", "primary_metric", "max_total_runs", "max_duration_minutes"} <= set(settings)
    assert "policy" not in settings and settings["max_total_runs"][0].value == "3"
