"""Handwritten digits: prepare them, train three models side by side, compare, report on the best.

    stepwell run examples/digits/pipeline.py                  # everything runs
    stepwell run examples/digits/pipeline.py                  # nothing does
    stepwell run examples/digits/pipeline.py -p gamma=0.01    # the SVC, the comparison and the report

A changed script or parameter of one model leaves the other two alone.
"""

from functools import partial
from pathlib import Path

from stepwell import Experiment, Pipeline, PipelineData, PipelineParameter, PythonScriptStep, Workspace

ws = Workspace.create("digits", exist_ok=True)

gamma = PipelineParameter("gamma", 0.001)
trees = PipelineParameter("trees", 50)

digits = PipelineData("digits")
svc, logistic, forest = models = [PipelineData(name) for name in ("svc", "logistic", "forest")]
comparison = PipelineData("comparison")
report = PipelineData("report")

script = partial(PythonScriptStep, source_directory=str(Path(__file__).resolve().parent / "steps"))
train = partial(script, inputs=[digits])

steps = [
    script("prepare.py", arguments=["--out", digits], outputs=[digits]),
    train("train_svc.py", arguments=["--digits", digits, "--gamma", gamma, "--out", svc], outputs=[svc]),
    train("train_logistic.py", arguments=["--digits", digits, "--out", logistic], outputs=[logistic]),
    train("train_forest.py", arguments=["--digits", digits, "--trees", trees, "--out", forest], outputs=[forest]),
    script("compare.py", arguments=["--out", comparison, "--models", *models], inputs=models, outputs=[comparison]),
    script("report.py", arguments=["--comparison", comparison, "--out", report], inputs=[comparison], outputs=[report]),
]

pipeline = Pipeline(workspace=ws, steps=steps, name="digits")
flow = pipeline.flow

if __name__ == "__main__":
    Experiment(ws, "digits").submit(pipeline).wait_for_completion(show_output=True)
