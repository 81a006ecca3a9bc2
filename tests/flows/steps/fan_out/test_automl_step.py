"""`AutoMLStep` in a pipeline: a table in, metrics and the best model out, used again when nothing changed."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from stepwell import AutoMLConfig, AutoMLStep, AutoMLStepRun, Dataset, Experiment, PipelineData
from stepwell.errors import UserErrorException
from stepwell.flows.public.pipeline_run import all_runs
from stepwell.flows.steps.training_output import TrainingOutput


def test_a_search_is_a_step_whose_model_the_next_one_uses(project) -> None:
    size = np.linspace(20, 120, 60)
    table = pd.DataFrame({"size": size, "dear": np.where(size > 70, "yes", "no")})
    store = project.workspace.get_default_datastore()
    rows = Dataset.Tabular.register_pandas_dataframe(table, (store, "rows"), "flats", show_progress=False)

    def pipeline(**more):
        metrics = PipelineData(
            "metrics_data", pipeline_output_name="metrics", training_output=TrainingOutput("Metrics")
        )
        config = AutoMLConfig(
            "classification",
            training_data=rows,
            label_column_name="dear",
            allowed_models=["LightGBM", "RandomForest"],
            **{"iterations": 2, "n_cross_validations": 2, **more},
        )
        search = AutoMLStep("search", config, outputs=[metrics])
        model = search.get_default_model_output()
        use = project.step(
            "use.py",
            "import pickle, pandas; model = pickle.load(open(args[0], 'rb'));"
            "print(*model.predict(pandas.DataFrame({'size': [25.0, 110.0]})))",
            arguments=[model],
            inputs=[model],
        )
        return project.pipeline(search, use)

    summary = project.run(pipeline())
    assert {step.id: step.happened for step in summary.steps} == {"search": "ran", "use.py": "ran"}
    run = next(iter(all_runs(project.workspace)))
    assert run.find_step_run("use.py")[0].get_stdout_log().strip() == "no yes"
    found = AutoMLStepRun(run.find_step_run("search")[0])
    assert "PySpark" not in run.find_step_run("search")[0].get_job_log()
    best, fitted = found.get_output()
    assert best is found and list(fitted.predict(table[["size"]])[[0, -1]]) == ["no", "yes"]
    assert len(json.loads(found.get_default_metrics_output().local_path.read_text())) == 2
    assert pickle.loads(found.get_default_model_output().local_path.read_bytes()).best_estimator in ("lgbm", "rf")
    assert found.get_metrics()["best_accuracy"] > 0.8 and "outputs/requirements.txt" in found.get_file_names()
    assert project.happened(pipeline()) == {"search": "reused", "use.py": "reused"}
    decision = pipeline(iterations=3).plan()[0]
    assert decision.action == "run" and any("config" in reason for reason in decision.why), decision
    alone = AutoMLConfig("classification", iterations=1, training_data=rows, label_column_name="dear")
    submitted = Experiment(project.workspace, "searches").submit(alone, tags={"by": "me"}, show_output=True)
    assert submitted.status == "Completed" and submitted.get_tags() == {"by": "me"}
    assert list(submitted.get_output()[1].predict(table[["size"]])[[0, -1]]) == ["no", "yes"]


def test_what_is_no_output_of_a_search_is_refused() -> None:
    table = PipelineData("made").as_dataset().parse_parquet_files()
    config = AutoMLConfig("regression", training_data=table, label_column_name="rent")
    with pytest.raises(UserErrorException, match="does not say what it holds"):
        AutoMLStep("search", config, outputs=[PipelineData("model")])
    with pytest.raises(UserErrorException, match="another model than the best one"):
        AutoMLStep("search", config, outputs=[PipelineData("m", training_output=TrainingOutput("Model", iteration=1))])
    files = AutoMLConfig("regression", training_data=PipelineData("files"), label_column_name="rent")
    with pytest.raises(UserErrorException, match="must be a table, not files"):
        AutoMLStep("search", files)
