"""A user's script that uses every public name: type checkers must know them all. It is never run."""

from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow

from stepwell import (
    AdlaCompute,
    AdlaStep,
    AmlCompute,
    AutoMLConfig,
    AutoMLRun,
    AutoMLStep,
    AutoMLStepRun,
    AzureBatchStep,
    AzureCliAuthentication,
    BanditPolicy,
    BatchCompute,
    BayesianParameterSampling,
    Chainer,
    CommandStep,
    ComputeTarget,
    CondaDependencies,
    CudaCompute,
    DaskCompute,
    DataFactoryCompute,
    DataPath,
    DataPathComputeBinding,
    DataReference,
    LocalData,
    DataTransferStep,
    DataType,
    DatabricksCompute,
    DatabricksStep,
    Dataset,
    DatasetConsumptionConfig,
    Datastore,
    DockerCompute,
    DockerConfiguration,
    EggLibrary,
    Environment,
    Estimator,
    EstimatorStep,
    Experiment,
    FileDataset,
    FileEncoding,
    GridParameterSampling,
    HDFSOutputDatasetConfig,
    HyperDriveConfig,
    HyperDriveRun,
    HyperDriveStep,
    HyperDriveStepRun,
    InputPortDef,
    InteractiveLoginAuthentication,
    JarLibrary,
    KustoCompute,
    KustoStep,
    LinkedService,
    LocalCompute,
    MavenLibrary,
    MedianStoppingPolicy,
    Model,
    Module,
    ModuleStep,
    ModuleVersion,
    MpiConfiguration,
    MpiStep,
    MsiAuthentication,
    NoTerminationPolicy,
    NotebookRunConfig,
    NotebookRunnerStep,
    OutputFileDatasetConfig,
    OutputPortDef,
    OutputTabularDatasetConfig,
    ParallelRunConfig,
    ParallelRunStep,
    Pipeline,
    PipelineData,
    PipelineDraft,
    PipelineEndpoint,
    PipelineOutputFileDataset,
    PipelineOutputTabularDataset,
    ParameterFile,
    PipelineParameter,
    PipelineRun,
    PrimaryMetricGoal,
    PromoteHeadersBehavior,
    PublishedPipeline,
    PyPiLibrary,
    PyTorch,
    PyTorchConfiguration,
    PythonScriptStep,
    RCranLibrary,
    RScriptStep,
    RandomParameterSampling,
    Run,
    RunConfiguration,
    SKLearn,
    Schedule,
    ScheduleRecurrence,
    ScriptRunConfig,
    ServicePrincipalAuthentication,
    SparkCompute,
    SqlDataReference,
    StepRun,
    StepSequence,
    StepValue,
    StepwellError,
    StoredProcedureParameter,
    StoredProcedureParameterType,
    SynapseCompute,
    SynapseSparkStep,
    SynapseWorkspaceLinkedServiceConfiguration,
    TabularDataset,
    TensorFlow,
    TensorflowConfiguration,
    TimeZone,
    TokenAuthentication,
    TrainingOutput,
    TruncationSelectionPolicy,
    Workspace,
    __version__,
    choice,
    lognormal,
    loguniform,
    metric,
    normal,
    qlognormal,
    qloguniform,
    qnormal,
    quniform,
    randint,
    uniform,
)

ws: Workspace = Workspace.create("typed", exist_ok=True)
store: Datastore = Datastore.register(ws, "raw", "file:///tmp/raw", overwrite=True, trust_times=False, shared=False)
uploaded: DataReference = store.upload_files(["a.csv"], target_path="in", overwrite="changed")
local_flats: LocalData = LocalData("data/flats.csv", name="flats").as_download()
default: Datastore = ws.get_default_datastore()
print(__version__, store.url, [name for name in ws.datastores], uploaded.path("a.csv").as_download())

pictures: FileDataset = Dataset.File.from_files((store, "pictures/**/*.png"))
flats: TabularDataset = Dataset.Tabular.from_delimited_files(
    [(store, "flats/*.csv")],
    set_column_types={"rent": DataType.to_float()},
    header=PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS,
    encoding=FileEncoding.UTF8,
)
cheap: TabularDataset = flats.filter((flats["rent"] < 900) & ~flats["town"].is_null()).keep_columns(["rent", "town"])
training, testing = cheap.random_split(0.8, seed=1)
known: TabularDataset = training.register(ws, "flats", tags={"area": "north"}, create_new_version=True)
named: DatasetConsumptionConfig = pictures.as_named_input("pictures").as_mount()
print(testing.to_pandas_dataframe(), known.version, named.name, pictures.to_path(), Dataset.get_by_name(ws, "flats"))

packages = CondaDependencies.create(pip_packages=["numpy"], conda_packages=["python=3.11"])
environment = Environment("numbers")
environment.python.conda_dependencies = packages
configuration = RunConfiguration()
configuration.environment = environment
configuration.docker = DockerConfiguration(use_docker=True, shm_size="1g")

targets: list[Any] = [
    ComputeTarget.attach(ws, "here", LocalCompute(cpus=2)),
    ComputeTarget.attach(ws, "boxes", DockerCompute(image="python:3.11")),
    ComputeTarget.attach(ws, "workers", DaskCompute(max_nodes=4)),
    ComputeTarget.attach(ws, "gpus", CudaCompute()),
    ComputeTarget.attach(ws, "lake", AdlaCompute.attach_configuration("group", "account")),
    ComputeTarget.create(ws, "aml", AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=2)),
    ComputeTarget.attach(ws, "bricks", DatabricksCompute.attach_configuration("group", "workspace", access_token="t")),
    DatabricksCompute(ws, "bricks"),
]
print([target.name for target in targets], ws.compute_targets["here"].get_status())

rate = PipelineParameter("rate", 10)
settings = ParameterFile("params.yaml")
keyed = PythonScriptStep(
    "train.py", arguments=[settings["rate"]], params=["train", settings, settings["rate"], {"n": rate}]
)
source = PipelineParameter("source", DataPath(datastore=store, path_on_datastore="in"))
table, model = PipelineData("table"), PipelineData("model", datastore=default)
report = OutputFileDatasetConfig(name="report", destination=(store, "reports/{run-id}"))

prepare = PythonScriptStep(
    "prepare.py",
    arguments=["--in", (source, DataPathComputeBinding(mode="download")), "--out", table],
    inputs=[(source, DataPathComputeBinding(mode="download"))],
    outputs=[table],
    source_directory="scripts",
    environment=["numpy==2.4.6"],
)
train = PythonScriptStep(
    "train.py",
    arguments=["--table", table, "--rate", rate, "--out", model, "--report", report.as_upload()],
    inputs=[table.as_download()],
    outputs=[model],
    runconfig=ScriptRunConfig("scripts", script="train.py", run_config=configuration).run_config,
    hash_paths=["conf"],
    retries=2,
    timeout_seconds=60.0,
    strict=True,
)
check = CommandStep(name="check", command=["python", "check.py", model], inputs=[model])
scores = PipelineData("scores")
batches = ParallelRunConfig(
    environment=environment, entry_script="score.py", error_threshold=-1, output_action="append_row",
    compute_target="local", node_count=1, mini_batch_size=PipelineParameter("size", "10"), source_directory="scripts",
)  # fmt: skip
batches.save_to_yaml("batches.yml")
score = ParallelRunStep(
    name="score", parallel_run_config=ParallelRunConfig.load_yaml(ws, "batches.yml"), inputs=[report.as_input("rows")],
    output=scores, side_inputs=[model], arguments=["--model", model], reuse_mini_batches=False, retries=1,
)  # fmt: skip
usql = AdlaStep("totals.usql", inputs=[uploaded], params={"least": 6}, degree_of_parallelism=2, compute_target="lake")
copy = DataTransferStep(
    name="copy",
    source_data_reference=uploaded,
    destination_data_reference=DataReference(store, data_reference_name="copied", path_on_datastore="out"),
)
report_notebook = NotebookRunnerStep(
    notebook_run_config=NotebookRunConfig("notebooks", "report.ipynb", parameters={"rate": 0.5}), inputs=[model]
)
fitted = EstimatorStep("fit", Estimator("scripts", entry_script="fit.py"), ["--table", table], inputs=[table])
ranked = MpiStep(script_name="ranks.py", source_directory="scripts", node_count=2, process_count_per_node=2)
modelled = RScriptStep("model.R", source_directory="scripts", cran_packages=["jsonlite"])
batched = AzureBatchStep(
    "copy", executable="copy.sh", source_directory="scripts", compute_target=BatchCompute.attach_configuration("g", "a")
)
print(batched.name, modelled.name, report_notebook.name, fitted.name, ranked.name)
pipeline = Pipeline(ws, steps=StepSequence([prepare, train, check, copy]), name="typed")
decisions = [(decision.step, decision.action, decision.why) for decision in pipeline.plan(rate=20)]
results = {step: result["model"].digest for step, result in pipeline(rate=20).items()}
print(decisions, results, pipeline.validate())


@flow
def own() -> str:
    """Use steps as Prefect tasks."""
    written = prepare()
    future = train.submit(table=written["table"], rate=20)
    return str(ws.path_of(future.result()["model"]))


experiment = Experiment(ws, "typing")
compared: list[dict[str, object]] = experiment.compare(sort="accuracy", ascending=True)
estimators: list[Estimator | SKLearn | PyTorch | TensorFlow | Chainer] = [
    Estimator("scripts", entry_script="train.py", script_params={"--rate": 0.1}, pip_packages=["numpy"]),
    SKLearn("scripts", entry_script="train.py", framework_version="1.5.0"),
    PyTorch("scripts", entry_script="train.py", distributed_training=MpiConfiguration(2, node_count=2)),
    PyTorch("scripts", entry_script="train.py", distributed_training=PyTorchConfiguration("Gloo", 4, 2)),
    TensorFlow("scripts", entry_script="train.py", distributed_training=TensorflowConfiguration(2, 1)),
    Chainer("scripts", entry_script="train.py"),
]
trained = experiment.submit(estimators[0])
run: PipelineRun = experiment.submit(pipeline, tags={"by": "me"}, pipeline_parameters={"rate": 20})
status: str = run.wait_for_completion(show_output=False)
newest: list[tuple[str, bool]] = list(run.find_step_run("train.py")[0].follow_log(until=0.0))
for step_run in run.get_steps():
    one: StepRun = step_run
    print(one.name, one.get_status(), one.get_metrics(), one.get_output_data("model").download("here"))

registered: Model = Model.register(ws, "model.pkl", "typed", tags={"area": "north"}, description="All names")
print(
    registered.id,
    registered.download("here", exist_ok=True),
    [one.name for one in Model.list(ws, latest=True)],
    ws.models["typed"].tags,
)

published: PublishedPipeline = pipeline.publish("typed", description="All names", version="1")
endpoint = PipelineEndpoint.publish(ws, "typed-endpoint", "One name over versions", published)
page: Path = run.report("digits.html")
again: PipelineRun = published.submit(ws, "typing", pipeline_parameters={"rate": 30})
recurrence = ScheduleRecurrence(
    frequency="Day", interval=1, hours=[6], minutes=[0], time_zone=TimeZone.UTC, start_time=datetime.now()
)
schedule = Schedule.create(ws, "daily", published.id, experiment_name="typing", recurrence=recurrence)
print(endpoint.default_version, again.id, schedule.status)

for authentication in (
    InteractiveLoginAuthentication(),
    AzureCliAuthentication(),
    MsiAuthentication(),
    ServicePrincipalAuthentication("tenant", "id", "password"),
    TokenAuthentication(lambda audience: "token"),
):
    headers: dict[str, str] = authentication.get_authentication_header()

script_side: Run = Run.get_context()
script_side.log("accuracy", 0.97)
if script_side.parent is not None:
    script_side.parent.log("best", 0.97)

try:
    ws.get_run("nope")
except StepwellError as error:
    print(error.message, error.facts, error.hint)

made: PipelineOutputFileDataset = PipelineData("made").as_dataset()
rows: PipelineOutputTabularDataset = made.parse_parquet_files()
kept: OutputTabularDatasetConfig = OutputFileDatasetConfig("kept").read_delimited_files()

module: Module = Module.create(ws, "shared", "A step that pipelines share")
version: ModuleVersion = module.publish_python_script(
    "train.py", "first", [InputPortDef("rows")], [OutputPortDef("model")], params={"rate": 0.5}, is_default=True
)
shared = ModuleStep(
    module, inputs_map={"rows": table}, outputs_map={"model": PipelineData("trained")}, params={"rate": 1}
)
print(version.version, module.get_default().status, shared.module_version)

draft: PipelineDraft = PipelineDraft.create(ws, pipeline, name="idea", tags={"dev": True})
print(draft.update(description="better").submit_run({"rate": 1}).id, draft.clone().id, draft.publish().version)

database: Datastore = Datastore.register_azure_postgre_sql(ws, "rents", "server", "rents", "me", "password")
cheapest = SqlDataReference(
    database,
    sql_stored_procedure="cheapest",
    sql_stored_procedure_params=[StoredProcedureParameter("most", 900, StoredProcedureParameterType.Int)],
)
factory = DataFactoryCompute.provisioning_configuration(location="westeurope")
rented = DataTransferStep("rented", cheapest, DataReference(store, "rented", "rented.csv"), factory)

cluster = KustoCompute.attach_configuration(kusto_connection_string="https://flats.westeurope.kusto.windows.net")
question = KustoStep("ask", cluster, "flats", "query", PipelineData("answer"), parameter_dict={"most": rate})

config = AutoMLConfig("regression", training_data=training, label_column_name="rent", experiment_timeout_hours=0.25)
learning = AutoMLStep("search", config)
searched = AutoMLStepRun(run.find_step_run("search")[0])
print(learning.get_default_model_output(), searched.get_output()[1], AutoMLRun(run.experiment, run.id).get_output())
spark = ComputeTarget.attach(ws, "spark-2", SparkCompute(master="local[2]", conf={"spark.sql.shuffle.partitions": "4"}))
counts: PipelineData = PipelineData("counts")
bricks = DatabricksStep(
    "count",
    inputs=[table],
    outputs=[counts],
    num_workers=2,
    notebook_path="/Users/me/count",
    notebook_params={"rate": rate, "word": "yes"},
    maven_libraries=[MavenLibrary("group:artifact:1", exclusions=["a:b"])],
    pypi_libraries=[PyPiLibrary(package="numpy")],
    egg_libraries=[EggLibrary("dbfs:/a.egg")],
    jar_libraries=[JarLibrary("dbfs:/a.jar")],
    rcran_libraries=[RCranLibrary("ada")],
    compute_target=spark,
)
link = LinkedService.register(ws, "linked", SynapseWorkspaceLinkedServiceConfiguration("s", "g", "synapse"))
pool = ComputeTarget.attach(ws, "pool", SynapseCompute.attach_configuration(link, "SynapseSpark", "pool"))
written: HDFSOutputDatasetConfig = HDFSOutputDatasetConfig("written")
double = SynapseSparkStep("double.py", ".", pool, "1g", 1, "1g", 1, 1, arguments=["--out", written], conf={"a": 1})
print(Pipeline(ws, [bricks, double]).name, LinkedService.list(ws))
link.unregister()

space = {
    "--rate": loguniform(-6, 0),
    "--width": quniform(1, 64, 8),
    "--noise": normal(0, 0.1),
    "--layers": randint(4),
}
others = [uniform(0, 1), lognormal(0, 1), qnormal(0, 1, 1), qlognormal(0, 1, 1), qloguniform(0, 1, 1), choice(1, "a")]
policies = [MedianStoppingPolicy(2), TruncationSelectionPolicy(20, exclude_finished_jobs=True), NoTerminationPolicy()]
samplings = [GridParameterSampling({"a": choice([1, 2])}), BayesianParameterSampling({"b": uniform(0, 1)}, seed=1)]
search = HyperDriveConfig(
    RandomParameterSampling(space, seed=3),
    "loss",
    PrimaryMetricGoal.MINIMIZE,
    max_total_runs=20,
    policy=BanditPolicy(slack_factor=0.1),
    run_config=ScriptRunConfig("scripts", script="train.py"),
)
best_model = PipelineData("best_model", training_output=TrainingOutput("Model", model_file="outputs/model.pkl"))
sweep = HyperDriveStep("search", search, ["--table", table], [table], [best_model], PipelineData("sweep_metrics"))
trials = HyperDriveStepRun(run.find_step_run("search")[0])
print(others, policies, samplings, trials.get_best_run_by_primary_metric(), trials.get_hyperparameters())
alone = experiment.submit(search)
if isinstance(alone, HyperDriveRun):
    print(alone.get_children_sorted_by_primary_metric(top=3), alone.cancel())

parts, scores = PipelineData("parts"), PipelineData("scores")
listed: StepValue = parts.items("*.csv")
split = PythonScriptStep("split.py", "split", [parts], outputs=[parts])
score = PythonScriptStep("score.py", "score", [parts, scores], inputs=[parts], outputs=[scores]).map(listed)
good = metric("split", "rows") > 100
last = PythonScriptStep("last.py", inputs=[scores], run_if=[good, scores.count() >= 2, "split/rows < 1000"])
either = CommandStep("echo done", name="either", run_if=split.metric("rows") > 1, run_after_skipped=True)
print(Pipeline(ws, [score, last, either]).plan())
