"""A model for each region, of as many regions as there are in a table; released if the worst of them is good enough.

stepwell plan examples/regions/pipeline.py
stepwell run examples/regions/pipeline.py
"""

from pathlib import Path

from stepwell import Pipeline, PipelineData, PythonScriptStep, Workspace

STEPS = Path(__file__).parent / "steps"

ws = Workspace.create("regions", exist_ok=True)
flats, model, table, released = map(PipelineData, ("flats", "model", "table", "released"))

split = PythonScriptStep(
    "split.py", "split", ["--to", flats], outputs=[flats], hash_paths=["flats.csv"], source_directory=STEPS
)
train = PythonScriptStep(
    "train.py", "train", ["--flats", flats, "--model", model], inputs=[flats], outputs=[model], source_directory=STEPS
).map(flats)  # once for each file in `flats`; `model` is then a folder with a model for each
compare = PythonScriptStep(
    "compare.py",
    "compare",
    ["--models", model, "--table", table],
    inputs=[model],
    outputs=[table],
    source_directory=STEPS,
)
release = PythonScriptStep(
    "release.py",
    "release",
    ["--table", table, "--released", released],
    inputs=[table],
    outputs=[released],
    source_directory=STEPS,
    run_if="compare/worst error < 5",
)

pipeline = Pipeline(ws, [split, train, compare, release], name="regions")
