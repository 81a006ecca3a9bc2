"""The pipeline that is measured: as many trivial steps as the environment says, side by side or one after the other."""

from __future__ import annotations

import os
from pathlib import Path

from stepwell import Pipeline, PipelineData, PythonScriptStep, Workspace

HERE = Path(__file__).resolve().parent


def build(count: int, shape: str, salt: str, **more: str) -> Pipeline:
    """`count` steps in the shape `flat` or `chain`; another `salt` makes other steps, whose results nobody knows. Steps also get `more`."""
    outputs = [PipelineData(f"out{number}") for number in range(count)]
    steps = []
    for number, output in enumerate(outputs):
        inputs = outputs[number - 1 : number] if shape == "chain" and number else []
        arguments = [f"{salt}{number}{os.environ.get('BENCH_MORE', '')}", output, *inputs]
        ports = {"inputs": inputs, "outputs": [output]}
        name, source = f"{salt}{shape}{number}", HERE / "steps"
        steps.append(PythonScriptStep("step.py", name, arguments, **ports, source_directory=source, **more))
    return Pipeline(Workspace.create("bench", exist_ok=True), steps=steps, name="bench")


def pipeline() -> Pipeline:
    """Return what `stepwell run pipeline.py` runs."""
    return build(int(os.environ["BENCH_STEPS"]), os.environ["BENCH_SHAPE"], os.environ["BENCH_SALT"])
