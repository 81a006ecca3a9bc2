"""One real Prefect server for all tests, in a home of its own, and projects whose scripts tell when they were run."""

from __future__ import annotations

import os
import sys
import textwrap
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

Workspace = Any  # what follows is imported late, so that tests without a server don't wait for Prefect


@pytest.fixture(scope="session", autouse=True)
def stepwell_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary STEPWELL_HOME, and no server of the user's."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [
            name for name in os.environ if name in ("PREFECT_API_URL", "STEPWELL_OWN_API_URL", "PREFECT_PROFILE")
        ]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(folder / "prefect"))
        patch.setenv("STEPWELL_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def server(stepwell_home: Path) -> Iterator[str]:
    """The API URL of the session's server."""
    from stepwell.blocks.server.connection import ensure_server, stop

    yield ensure_server()
    stop()


@pytest.fixture(scope="module", autouse=True)
def no_clusters_left() -> Iterator[None]:
    """Clusters of Dask end with the module that used them: their threads are in the way of tests that fork."""
    yield
    clusters = sys.modules.get("stepwell.blocks.compute.dask.cluster")
    if clusters is not None:
        clusters.close_all()


@pytest.fixture
def workspace(server: str) -> Workspace:
    """A workspace of the test's own."""
    from stepwell import Workspace

    return Workspace.create(f"t-{uuid.uuid4().hex[:12]}")


class Project:
    """A source directory, and pipelines over it whose scripts note each execution in a file outside of it."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.folder = folder
        self.workspace = workspace
        self.source = folder / "source"
        self.source.mkdir()
        self.log = folder / "executions"

    def write(self, name: str, text: str) -> Path:
        """The file `name` of the source directory, which holds `text` now."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def script(self, name: str, body: str = "") -> str:
        """The name of a script that notes its execution, then runs `body` with `sys` and its arguments as `args`."""
        note = f"import sys\nargs = sys.argv[1:]\nwith open({str(self.log)!r}, 'a') as log:\n    log.write({name!r} + '\\n')\n"
        self.write(name, note + textwrap.dedent(body))
        return name

    def step(self, script: str, body: str | None = None, /, **more: Any) -> Any:
        """A PythonScriptStep of the script, which is written first if there is a `body`."""
        from stepwell import PythonScriptStep

        if body is not None:
            self.script(script, body)
        return PythonScriptStep(script, source_directory=self.source, **more)

    def pipeline(self, *steps: Any, **more: Any) -> Any:
        """A pipeline of the steps."""
        from stepwell import Pipeline

        return Pipeline(self.workspace, list(steps), **more)

    def run(self, pipeline: Any, **parameters: Any) -> Any:
        """The summary of a run of the pipeline, however it ended."""
        from stepwell.blocks.store.run_folder import RunFolder
        from stepwell.blocks.server.connection import client_settings
        from stepwell.flows.runs.summary import summarize

        with client_settings():
            state = pipeline.flow(**parameters, return_state=True)
        return summarize(RunFolder(self.workspace.store.run_folder(str(state.state_details.flow_run_id))))

    def happened(self, pipeline: Any, **parameters: Any) -> dict[str, str]:
        """What happened to each step of a new run."""
        return {step.id: step.happened for step in self.run(pipeline, **parameters).steps}

    @property
    def executions(self) -> Counter[str]:
        """How often each script was run."""
        return Counter(self.log.read_text().split("\n")[:-1] if self.log.exists() else [])

    def records(self) -> list[Path]:
        """The files of the kept results."""
        return sorted((self.workspace.store.root / "records").glob("*/*.json"))


@pytest.fixture
def project(tmp_path: Path, workspace: Workspace) -> Project:
    """A project in a workspace of its own."""
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
def docker_engine() -> Iterator[Any]:
    """A real Docker engine with a base image; without one the test is skipped. It is this process's DOCKER_HOST."""
    import docker_daemon

    reason = docker_daemon.why_not()
    if reason:
        pytest.skip(f"no Docker engine: {reason}")
    with docker_daemon.daemon() as engine, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.address)
        yield engine
