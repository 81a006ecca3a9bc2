"""Steps of several processes: by MPI, and by the other configurations of v1."""

from __future__ import annotations

import shutil

import pytest

from stepwell import (
    CommandStep,
    Environment,
    EstimatorStep,
    MpiConfiguration,
    MpiStep,
    PipelineParameter,
    PipelineRun,
    PyTorch,
    PyTorchConfiguration,
    PythonScriptStep,
    RunConfiguration,
    ScriptRunConfig,
    TensorflowConfiguration,
)
from stepwell.errors import UserErrorException


def driver(step):
    found = step.define(step_id="a", producers={}, ids={}).driver
    return found and (found.name, {name: value[0].value for name, value in found.settings.items()})


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="openmpi-bin is not installed")
def test_ranks_run_as_one_step_whose_logs_are_apart_and_whose_numbers_are_in_the_key(project):
    project.write("helper.py", "WORD = 'rank'")
    project.write(
        "sub/work.py",
        """
        import os, sys
        import helper
        from stepwell import Run
        rank = os.environ["OMPI_COMM_WORLD_RANK"]
        print(helper.WORD, rank, *sys.argv[1:])
        Run.get_context().log(f"rank {rank}", int(os.environ["OMPI_COMM_WORLD_SIZE"]))
        """,
    )
    count = PipelineParameter("ranks", 2)
    step = MpiStep("work", project.source, "sub/work.py", ["--x"], node_count=1, process_count_per_node=count)
    pipeline = project.pipeline(step)
    summary = project.run(pipeline)
    assert summary.steps[0].happened == "ran", summary.steps[0].error
    [found] = PipelineRun.get(project.workspace, summary.run_id).find_step_run("work")
    assert found.get_metrics() == {"rank 0": 2, "rank 1": 2}
    assert sorted(found.get_stdout_log().splitlines()) == ["[0] rank 0 --x", "[1] rank 1 --x"]
    assert found.get_file_names() == ["logs/70_driver_log_0.txt", "logs/70_driver_log_1.txt"]
    assert project.run(pipeline).steps[0].happened == "reused"
    project.write("helper.py", "WORD = 'Rank'")
    again = project.run(pipeline, ranks=1).steps[0]
    assert set(again.why) == {"module helper.py changed", "parameter ranks: 2 → 1"}


def test_a_rank_that_fails_is_the_error_of_the_step(project):
    project.script("work.py", "raise ValueError('no data')")
    config = ScriptRunConfig(project.source, "work.py", distributed_job_config=PyTorchConfiguration("Gloo", 2))
    step = PythonScriptStep("work.py", runconfig=config, source_directory=project.source)
    [failed] = project.run(project.pipeline(step)).steps
    assert "of 2 failed with exit code 1" in failed.error and "ValueError: no data" in failed.error


def test_several_processes_are_asked_for_in_all_of_v1s_ways():
    mpi = ("mpi", {"nodes": "2", "processes": "3"})
    named = RunConfiguration(communicator="OpenMpi", node_count=2)
    named.mpi.process_count_per_node = 3
    for config in (ScriptRunConfig(distributed_job_config=MpiConfiguration(3, 2)), named):
        assert driver(PythonScriptStep("a.py", runconfig=config)) == mpi
    estimator = PyTorch("src", entry_script="a.py", distributed_backend="mpi", node_count=2, process_count_per_node=3)
    assert driver(EstimatorStep("a", estimator, [])) == mpi
    assert driver(MpiStep(script_name="a.py", node_count=2, process_count_per_node=3)) == mpi
    torch = ScriptRunConfig(distributed_job_config=PyTorchConfiguration("Nccl", 4, 2))
    assert driver(PythonScriptStep("a.py", runconfig=torch))[1] == {"kind": "pytorch", "nodes": "2", "workers": "4"}
    flow = ScriptRunConfig(distributed_job_config=TensorflowConfiguration(2, 1))
    assert driver(PythonScriptStep("a.py", runconfig=flow))[1] == {"kind": "tensorflow", "workers": "2", "servers": "1"}
    assert driver(PythonScriptStep("a.py", runconfig=RunConfiguration())) is None
    assert driver(MpiStep(script_name="a.py")) == ("mpi", {"nodes": "1", "processes": "1"})


def test_a_communicator_asks_for_processes_also_in_v1s_files(tmp_path):
    config = RunConfiguration(communicator="OpenMpi", node_count=2)
    config.mpi.process_count_per_node = 3
    config.save(tmp_path, "ranks")
    loaded = RunConfiguration.load(tmp_path, "ranks")
    assert driver(PythonScriptStep("a.py", runconfig=loaded)) == ("mpi", {"nodes": "2", "processes": "3"})
    torch = RunConfiguration(communicator="Nccl", node_count=2)
    assert driver(PythonScriptStep("a.py", runconfig=torch))[1] == {"kind": "pytorch", "nodes": "2", "workers": "2"}
    (tmp_path / "v1.runconfig").write_text(
        "script: a.py\ncommunicator: ParameterServer\ntensorflow:\n  workerCount: 2\n  parameterServerCount: 1\nmpi:\n"
    )
    flow = RunConfiguration.load(tmp_path / "v1.runconfig")
    assert driver(PythonScriptStep("a.py", runconfig=flow))[1] == {"kind": "tensorflow", "workers": "2", "servers": "1"}
    assert "mpi" not in RunConfiguration().to_dict()


def test_an_mpi_step_has_the_packages_that_v1s_arguments_name():
    step = MpiStep(script_name="a.py", pip_packages=["six==1.16"], params={"p": 1}, use_gpu=True)
    definition = step.define(step_id="a", producers={}, ids={})
    assert definition.environment.requirements == ("six==1.16",) and list(definition.params) == ["p"]
    named = MpiStep(script_name="a.py", environment=["six==1.15"]).define(step_id="a", producers={}, ids={})
    assert named.environment.requirements == ("six==1.15",)
    assert MpiStep(script_name="a.py", environment_definition=Environment("e"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MpiStep("a"), "must name a script"),
        (lambda: MpiStep(script_name="a.ipynb"), "is a notebook"),
        (lambda: MpiStep(script_name="a.py", node_count=0), "`node_count` must be a whole number"),
        (
            lambda: CommandStep(runconfig=ScriptRunConfig(command="a", distributed_job_config=MpiConfiguration(2))),
            "Several processes are those of a script",
        ),
        (
            lambda: PythonScriptStep("a.py", runconfig=ScriptRunConfig(distributed_job_config=3)),
            "`distributed_job_config` can't be used",
        ),
    ],
)
def test_what_can_not_be_used_is_refused(make, words):
    with pytest.raises(UserErrorException, match=words):
        make()
