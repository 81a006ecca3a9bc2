"""The pipeline of Microsoft's article "Create and run a machine learning pipeline", without Azure.

The code is the article's own, in its layout, `target=` of the last step included. It used `def_blob_store`,
`processed_data1`, `extractStep`, `comp_data1`, `comp_data2`, `out_data3` and `project_folder` undefined; they are
defined here. `from stepwell import` stands for the azureml imports, and the compute target is the machine at hand.

    stepwell run examples/article/pipeline.py
    stepwell run examples/article/pipeline.py -p pipeline_arg=20    # only compare.py runs
"""

# fmt: off
import runpy
from pathlib import Path

from stepwell import DataReference, Datastore, Experiment, Pipeline, PipelineData, PipelineParameter, PythonScriptStep, Workspace

here = Path(__file__).resolve().parent
project_folder = str(here / "project")
runpy.run_path(str(here / "make_data.py"), run_name="__main__")

# Prerequisites
ws = Workspace.create(name="article", exist_ok=True)

# Set up a datastore
def_data_store = ws.get_default_datastore()
def_blob_store = Datastore(ws, "workspaceblobstore")
def_file_store = Datastore(ws, "workspacefilestore")

def_blob_store.upload_files(
    [str(here / "data/20news.pkl")],
    target_path="20newsgroups",
    overwrite=True)

# Configure data reference
blob_input_data = DataReference(
    datastore=def_blob_store,
    data_reference_name="test_data",
    path_on_datastore="20newsgroups/20news.pkl")

output_data1 = PipelineData(
    "output_data1",
    datastore=def_blob_store,
    output_name="output_data1")

processed_data1 = PipelineData("processed_data1", datastore=def_blob_store)
out_data3 = PipelineData("out_data3", datastore=def_blob_store)

# Set up compute target
compute_target = "local"

# Construct your pipeline steps
trainStep = PythonScriptStep(
    script_name="train.py",
    arguments=["--input", blob_input_data, "--output", processed_data1],
    inputs=[blob_input_data],
    outputs=[processed_data1],
    compute_target=compute_target,
    source_directory=project_folder
)

extractStep = PythonScriptStep(
    script_name="extract.py",
    arguments=["--input", blob_input_data, "--output", output_data1],
    inputs=[blob_input_data],
    outputs=[output_data1],
    compute_target=compute_target,
    source_directory=project_folder
)

comp_data1, comp_data2 = processed_data1, output_data1

pipeline_param = PipelineParameter(
  name="pipeline_arg",
  default_value=10)

compareStep = PythonScriptStep(
  script_name="compare.py",
  arguments=["--comp_data1", comp_data1, "--comp_data2", comp_data2, "--output_data", out_data3, "--param1", pipeline_param],
  inputs=[ comp_data1, comp_data2],
  outputs=[out_data3],
  target=compute_target,
  source_directory=project_folder)

# list of steps to run
compareModels = [trainStep, extractStep, compareStep]

# Build the pipeline
pipeline1 = Pipeline(workspace=ws, steps=[compareModels])

pipeline = pipeline1

if __name__ == "__main__":
    # Submit the pipeline to be run
    pipeline_run1 = Experiment(ws, 'Compare_Models_Exp').submit(pipeline1)
    pipeline_run1.wait_for_completion()
    print(pipeline_run1.get_status())
