"""The Azure ML SDK's names in scripts of steps, wherever these run."""

from __future__ import annotations

from stepwell import Environment, PipelineData, RunConfiguration
from stepwell.model.records import StepRecord

NOT_ITS_BUSINESS = ("azureml", "stepwell", "stepwell-azureml", "prefect", "lazy-loader")


def test_scripts_find_the_names_and_so_does_what_they_start(project) -> None:
    made = PipelineData("made")
    (project.source / "azureml").mkdir()
    (project.source / "azureml" / "notes.txt").touch()
    body = """
        import subprocess
        from azureml.core import Run
        run = Run.get_context()
        run.log("rate", 0.5)
        run.parent.log("all", 1)
        child = "from azureml.core.run import Run, _OfflineRun; print(isinstance(Run.get_context(), _OfflineRun))"
        told = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout
        assert told == "False\\n", told
        assert not [name for name in sys.modules if name.split(".")[0] in ("prefect", "pydantic", "lazy_loader")]
        open(args[0], "w").write("x")
    """
    step = project.step("log.py", body, arguments=[made], outputs=[made], strict=True)
    summary = project.run(project.pipeline(step))
    assert [one.happened for one in summary.steps] == ["ran"], summary
    [record] = [record for _, record in project.workspace.store.records() if isinstance(record, StepRecord)]
    assert not [row for row in record.fingerprint.rows if row.name in NOT_ITS_BUSINESS]
    assert project.happened(project.pipeline(step)) == {"log.py": "reused"}


def test_an_environment_of_its_own_has_the_names_too(project) -> None:
    configuration = RunConfiguration()
    configuration.environment = Environment("own")
    configuration.environment.python.conda_dependencies.add_pip_package("azureml-defaults")
    step = project.step(
        "own.py", "from azureml.core import Run; Run.get_context().log('rate', 1)", runconfig=configuration
    )
    assert project.happened(project.pipeline(step)) == {"own.py": "ran"}
