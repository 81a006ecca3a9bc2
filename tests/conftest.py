"""One real Prefect server for all tests of a process, in a home of its own; and which tests may run beside which."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = False  # or each worker would rewrite and compile all tests again

import pytest
from forked import submitted_runs_are_forked
from hypothesis import settings
from projects import Project
from savings import FIRST_SERVER, own_workspace, remember_results_of_prefect, sharing_of_first_server
from waiting import PATIENCE, ended_with_us

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("STEPWELL_RESIDENT", "0")  # commands of tests start by themselves
os.environ.setdefault(
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "false"
)  # each client would ask for a token that there is not
# Prefect's client reads all certificates again for each of its calls; no test needs any.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "fixtures" / "certificate.pem")
# Spark's Java runs for seconds here: what compiles and collects garbage for hours costs more than it gives.
for name in ("SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS"):
    os.environ.setdefault(name, "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData")
settings.register_profile("search", deadline=None)  # a busy machine is no failure
settings.register_profile("repeat", deadline=None, derandomize=True)  # the same cases for the same code
settings.load_profile("repeat")

Workspace = Any  # what follows is imported late, so that tests without a server don't wait for Prefect

LONGEST = [
    "docker",
    "tests/blocks/store/shared/test_contract.py",
    "tests/blocks/server/test_connection.py",
    "tests/blocks/compute/test_compute_contract.py",
    "tests/deployments/test_published_end_to_end.py",
    "tests/flows/task_runs/test_served.py",
    "tests/deployments/test_spark_examples.py",
    "tests/drivers/test_spark_notebook.py",
    "tests/flows/engine/test_sharing.py",
    "tests/flows/steps/fan_out/test_hyperdrive_step.py",
    "tests/flows/runs/test_flow_run.py",
    "tests/flows/steps/data/test_databricks_step.py",
    "tests/flows/engine/test_tasks.py",
    "tests/blocks/store/test_store.py",
    "tests/attack/test_server_guard.py",
    "tests/deployments/endpoint/test_fuzz.py",
    "tests/blocks/environments/test_virtual_environment.py",
    "tests/flows/engine/test_looks.py",
    "tests/blocks/compute/databricks/test_remote_job.py",
    "tests/flows/steps/fan_out/test_parallel_run_step.py",
    "tests/deployments/cli/test_runs.py",
    "tests/blocks/compute/dask/test_dask_compute.py",
    "tests/deployments/endpoint/test_app.py",
    "tests/flows/engine/test_scheduler.py",
    "tests/test_typing.py",
    "tests/flows/keys/test_environment_rows.py",
    "tests/blocks/compute/dask/clusters/test_batch_jobs.py",
    "tests/flows/public/test_experiment.py",
    "tests/blocks/server/test_documents.py",
    "tests/flows/task_runs/test_performed.py",
    "tests/flows/engine/test_reuse.py",
    "tests/flows/engine/test_execution.py",
    "tests/flows/runs/elsewhere/test_two_machines.py",
    "tests/blocks/compute/dask/test_cuda_compute.py",
]
"""The groups of tests that several workers begin with, so that none is left with a long one at the end."""

_DOCKER = ("/docker/", "[DockerCompute", "tests/attack/test_links.py", "test_docker_worker.py", "test_compose.py")
"""What stands in the id of a test that needs the Docker engine; a second one takes two minutes to start."""


def pytest_configure() -> None:
    """Let interrupts count: a shell's background jobs, and all that they start, would ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several workers begin with the groups that take longest."""
    if hasattr(config, "workerinput"):
        ranks = {group: rank for rank, group in enumerate(LONGEST)}
        items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives until the end, here and in the processes that tests fork."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that failed show what the server was at that did not answer and was replaced."""
    report = yield
    log = Path(os.environ.get("STEPWELL_HOME", "")) / "server" / "server.log.old"
    if report.failed and log.exists():
        report.sections.append(("Log of the server that was replaced", log.read_text(errors="replace")[-8000:]))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let a group of tests be one worker's."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


def group_of(nodeid: str) -> str:
    """Return the file of the test, or what it shares with tests of other files."""
    return "docker" if any(sign in nodeid for sign in _DOCKER) else nodeid.partition("::")[0]


@pytest.fixture(scope="session", autouse=True)
def stepwell_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a temporary STEPWELL_HOME, and no server of the user's."""
    folder = tmp_path_factory.mktemp("home")
    session = tmp_path_factory.getbasetemp()
    session = session.parent if "PYTEST_XDIST_WORKER" in os.environ else session
    with pytest.MonkeyPatch.context() as patch:
        for name in [
            name
            for name in os.environ
            if name.startswith(("PREFECT_API_", "STEPWELL_OWN_")) or name == "PREFECT_PROFILE"
        ]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(folder / "prefect"))
        patch.setenv("STEPWELL_HOME", str(folder))
        patch.setenv(FIRST_SERVER, str(session / "first-server"))
        yield folder


@pytest.fixture(scope="session")
def server(stepwell_home: Path) -> Iterator[str]:
    """Give the API URL of the session's server."""
    from stepwell.blocks.server import process as server_process
    from stepwell.blocks.server.connection import ensure_server, status, stop

    server_process._SECONDS_TO_START = PATIENCE
    with sharing_of_first_server(stepwell_home):
        url = ensure_server()
    remember_results_of_prefect()
    process = status().pid
    assert process is not None
    with ended_with_us(process), submitted_runs_are_forked():
        yield url
    stop()


@pytest.fixture(scope="module", autouse=True)
def no_clusters_left() -> Iterator[None]:
    """Clusters of Dask end with the module that used them: their threads are in the way of tests that fork."""
    yield
    clusters = sys.modules.get("stepwell.blocks.compute.dask.clusters.cluster")
    if clusters is not None:
        clusters.close_all()


@pytest.fixture
def workspace(server: str) -> Iterator[Workspace]:
    """Give a workspace of the test's own."""
    with own_workspace(server, "t") as workspace:
        yield workspace


@pytest.fixture(scope="module")
def shared_workspace(server: str) -> Iterator[Workspace]:
    """Give a workspace of the module's, for tests that leave it as it is."""
    with own_workspace(server, "m") as workspace:
        yield workspace


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory, shared_workspace: Workspace) -> Project:
    """Give a project of the module's, for runs that several tests read."""
    return Project(tmp_path_factory.mktemp("project"), shared_workspace)


@pytest.fixture
def project(tmp_path: Path, workspace: Workspace) -> Project:
    """Give a project in a workspace of its own."""
    return Project(tmp_path, workspace)


@pytest.fixture
def chain(project: Project) -> Callable[..., tuple[Any, Sequence[Any]]]:
    """Makes a pipeline of steps in a row, each adding its script's name to what the one before wrote."""
    from stepwell import PipelineData

    def make(*names: str, **more: Any) -> tuple[Any, Sequence[Any]]:
        steps: list[Any] = []
        before: Any = None
        for name in names:
            out = PipelineData(Path(name).stem)
            body = f"old = open(args[0]).read() if len(args) > 1 else ''\nopen(args[-1], 'w').write(old + '{name} ')\n"
            inputs = [before] if before else []
            steps.append(project.step(name, body, arguments=[*inputs, out], inputs=inputs, outputs=[out], **more))
            before = out
        return project.pipeline(*steps), steps

    return make


@pytest.fixture(scope="session")
def new_pid_namespace() -> list[str]:
    """Give what to put before a command so that it runs in a PID namespace of its own, as in another container."""
    command = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--pid", "--fork", "--mount-proc",
               "--kill-child"]  # fmt: skip
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the kernel gives us no PID namespace")
    return command


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Any]:
    """Give a real Docker engine with a base image; without one the test is skipped. It is this process's DOCKER_HOST."""
    import docker_daemon

    reason = docker_daemon.why_not()
    if reason:
        pytest.skip(f"no Docker engine: {reason}")
    with docker_daemon.daemon() as engine, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.address)
        patch.setattr("stepwell.blocks.compute.docker.engine._CONNECT_SECONDS", PATIENCE)
        yield engine
