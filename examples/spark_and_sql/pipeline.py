"""Orders made by a script, added up on Spark by a Databricks notebook, the best of them picked by U-SQL.

    stepwell run examples/spark_and_sql/pipeline.py                  # everything runs
    stepwell run examples/spark_and_sql/pipeline.py -p minimum=2500  # the U-SQL step runs, and no Spark starts

It needs `pip install 'stepwell[spark,usql]'` and Java 17.
"""

from pathlib import Path

from stepwell import (
    AdlaStep,
    DatabricksStep,
    Experiment,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

ws = Workspace.create("spark-and-sql", exist_ok=True)
folder = str(Path(__file__).resolve().parent / "steps")

days = PipelineParameter("days", 10)
minimum = PipelineParameter("minimum", 1200)
orders, totals, best = PipelineData("orders"), PipelineData("totals"), PipelineData("best", pipeline_output_name="best")

make = PythonScriptStep(
    "orders.py", arguments=["--days", days, "--orders", orders], outputs=[orders], source_directory=folder
)
add_up = DatabricksStep(
    "totals",
    notebook_path="totals",
    notebook_params={"skip_days": 1},
    inputs=[orders],
    outputs=[totals],
    source_directory=folder,
    compute_target="spark",
)
pick = AdlaStep("best.usql", inputs=[totals], outputs=[best], params={"minimum": minimum}, source_directory=folder)

pipeline = Pipeline(workspace=ws, steps=[make, add_up, pick], name="spark-and-sql")
flow = pipeline.flow

if __name__ == "__main__":
    Experiment(ws, "spark-and-sql").submit(pipeline).wait_for_completion(show_output=True)
