"""Two machines, each with a home of its own, one Prefect server and one datastore: what one made, the other reuses."""

from __future__ import annotations

import os

from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect import flow
from far_away import ftp_server
from object_stores import KINDS, Place, place
from projects import Project

from stepwell import Datastore, Model, PipelineData, Workspace
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.server import process
from stepwell.blocks.server.connection import client_settings
from stepwell.blocks.store.runs import telling
from stepwell.blocks.store.runs.words import Subject
from stepwell.blocks.store.shared import uploads
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.system import living
from stepwell.blocks.workspace import workspace_store
from stepwell.deployments.lookup.runs import find_run
from stepwell.flows.public.pipeline_run import all_runs
from stepwell.flows.runs.elsewhere.saying import say


SIZE = 100_000


class Team:
    """Machines that work on the same project; `on` lets this process be one of them."""

    def __init__(self, tmp_path, monkeypatch, at) -> None:
        self._folder, self._patch, self._at = tmp_path, monkeypatch, at
        self.name = f"team{os.urandom(4).hex()}"
        self.project: Project | None = None

    def on(self, machine: str) -> Project:
        self._patch.setenv("STEPWELL_HOME", str(self._folder / machine))
        self._patch.setenv(living.NAME, f"user@{machine}")
        if self.project is None:
            workspace = Workspace.create(self.name)
            shared = self._at.kind == "folder"
            options = self._at.options or None
            Datastore.register(workspace, "team", self._at.url, options, shared=shared).set_as_default()
            self.project = Project(self._folder, workspace)
        self.project.workspace = Workspace.get(self.name)
        assert isinstance(self.project.workspace.store, SharedStore)
        return self.project

    def pipeline(self, *, outputs: int = 2):
        """Return a pipeline of a step that writes its argument, and of others that each add to what the one before wrote."""
        steps, before = [], None
        for number in range(outputs):
            out = PipelineData(f"out{number}")
            body = f"old = open(args[1]).read() if len(args) > 1 else '1' * {SIZE}\nopen(args[0], 'w').write(old + '{number}')\n"
            arguments = [out, before] if before else [out]
            inputs = [before] if before else []
            step = self.project.step(f"s{number}.py", body, arguments=arguments, inputs=inputs, outputs=[out])
            steps.append(step)
            before = out
        return self.project.pipeline(*steps)


def team_at(kind, server, tmp_path, monkeypatch):
    auth_string = process.own_auth_string()
    monkeypatch.setattr(process, "running", lambda *_: SimpleNamespace(url=server))
    monkeypatch.setattr(process, "own_auth_string", lambda: auth_string)
    monkeypatch.setattr(workspace_store, "server_status", lambda: SimpleNamespace(managed=False))
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    return place(kind, tmp_path)


@pytest.fixture(params=KINDS)
def any_team(request, server, tmp_path, monkeypatch):
    with team_at(request.param, server, tmp_path, monkeypatch) as at:
        yield Team(tmp_path, monkeypatch, at)


@pytest.fixture
def team(server, tmp_path, monkeypatch):
    with team_at("folder", server, tmp_path, monkeypatch) as at:
        yield Team(tmp_path, monkeypatch, at)


@pytest.fixture
def asked(any_team, monkeypatch):
    """Give what anybody in this process asks the team's datastore for; a run at work gives no sign of life between its first and last."""
    for name in ("BEAT_SECONDS", "_STATE_SECONDS", "_NEWS_SECONDS"):
        monkeypatch.setattr(telling, name, float("inf"))
    made = []

    def counting(name, real):
        def call(self, *arguments):
            if self.url.startswith(any_team._at.url):
                made.append((name, *arguments[:1]))
            return real(self, *arguments)

        return call

    for name in ("get", "get_to", "put", "create", "swap", "stat", "list", "delete", "now"):
        monkeypatch.setattr(RemoteObjects, name, counting(name, getattr(RemoteObjects, name)))
    return made


@pytest.fixture
def calls_of_s3(monkeypatch):
    """Give the names of the operations that anybody in this process asks S3 for."""
    from aiobotocore.client import AioBaseClient

    made, call = [], AioBaseClient._make_api_call

    async def counted(self, name, arguments):
        made.append(f"{name} {arguments.get('Key', arguments.get('Prefix'))}")
        return await call(self, name, arguments)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", counted)
    return made


def test_a_run_of_reused_steps_moves_records_only_and_bytes_come_when_somebody_needs_them(any_team, asked, calls_of_s3):
    team = any_team
    project = team.on("machine-a")
    assert project.run(team.pipeline()).headline == "Finished: 2 ran, 2 shared, 0 waiting"
    project = team.on("machine-b")
    store, runs = project.workspace.store.traffic, project.workspace.shared_runs.objects.traffic
    asked.clear()
    calls_of_s3.clear()
    summary = project.run(team.pipeline())
    assert summary.headline.startswith("Finished: 2 reused (2 from user@machine-a), 0 shared, 0 waiting")
    assert "of user@machine-a" in summary.steps[0].why[0]
    assert len(asked) == 2 + 5, asked  # a record each; reads, uses, that it begins, its place in the list, its end
    if team._at.kind == "s3":
        assert len(calls_of_s3) == len(asked)  # nobody asks past what counts
    if team._at.kind in ("s3", "azure"):
        assert store.requests + runs.requests == len(asked)  # of SFTP and files, an operation is several requests
    assert store.sent < 1000  # which results were used
    assert store.received < 2 * 3000  # records only
    assert runs.received == 0
    before = store.received
    for _ in range(2):  # what is known here is not asked for again
        asked.clear()
        assert project.run(team.pipeline()).headline.startswith("Finished: 2 reused")
        assert len(asked) == 3, asked
    assert store.received == before
    artifact = project.workspace.store.read_record(summary.steps[1].key).outputs["out1"]
    assert project.workspace.path_of(artifact).read_text() == "1" * SIZE + "01"
    # A step that runs needs the bytes of what it reads.
    assert project.run(team.pipeline(outputs=3)).headline.startswith(
        "Finished: 1 ran, 2 reused (2 from user@machine-a)"
    )
    project = team.on("machine-a")
    assert project.run(team.pipeline(outputs=3)).headline.startswith("Finished: 3 reused (1 from user@machine-b)")
    assert project.executions == {"s0.py": 1, "s1.py": 1, "s2.py": 1}


def test_lost_bytes_make_their_step_run_again_in_the_same_run(team):
    project = team.on("machine-a")
    project.run(team.pipeline())
    store = project.workspace.store
    for entry in list(store.remote.objects.list("blobs/")):
        store.remote.objects.delete([entry.name])
    project = team.on("machine-b")
    summary = project.run(team.pipeline(outputs=3))
    assert summary.status == "Finished"
    assert [step.happened for step in summary.steps] == ["ran", "ran", "ran"]
    assert project.executions == {"s0.py": 2, "s1.py": 2, "s2.py": 1}
    project = team.on("machine-c")
    artifact = project.workspace.store.lookup(summary.steps[2].key).outputs["out2"]
    assert project.workspace.path_of(artifact).read_text() == "1" * SIZE + "012"


def test_lost_bytes_are_made_anew_in_a_flow_of_the_users_own(team):
    def happened(project):
        made, used, data, ws = PipelineData("made"), PipelineData("used"), PipelineData("data"), project.workspace
        text = "open(args[0], 'w').write('made')\n"
        make = project.step("make.py", text, arguments=[made], outputs=[made], workspace=ws)
        text = "open(args[1], 'w').write(open(args[0]).read() + ' and used')\n"
        use = project.step("use.py", text, arguments=[data, used], inputs=[data], outputs=[used], workspace=ws)

        def body():
            return use(data=make())

        with client_settings():
            result = flow(name="own")(body)()
        return project.workspace.path_of(result["used"]).read_text()

    project = team.on("machine-a")
    assert happened(project) == "made and used"
    objects = project.workspace.store.remote.objects
    objects.delete([entry.name for entry in objects.list("blobs/")])
    objects.delete([entry.name for entry in objects.list("records/") if b"use.py" in objects.get(entry.name)])
    assert happened(team.on("machine-b")) == "made and used"
    assert project.executions == {"make.py": 2, "use.py": 2}


def test_without_the_datastore_a_run_goes_on_and_shares_later(team, monkeypatch):
    project = team.on("machine-a")

    def away(self):
        raise ConnectionError("no route to it")

    with monkeypatch.context() as patch:
        patch.setattr(RemoteObjects, "_opened", away)
        summary = project.run(team.pipeline())
    assert summary.headline == "Finished: 2 ran, 0 shared, 2 waiting"
    (told,) = [warning for warning in summary.warnings if "no route" in warning]
    assert "results of others are not used; 2 results wait for a later run" in told
    project = team.on("machine-a")
    assert project.run(team.pipeline()).headline.startswith("Finished: 2 reused, 2 shared, 0 waiting")
    project = team.on("machine-b")
    assert project.run(team.pipeline()).headline.startswith("Finished: 2 reused (2 from user@machine-a)")


def test_of_a_step_that_is_not_deterministic_the_first_result_counts_and_it_is_said(team):
    project = team.on("machine-a")
    out = PipelineData("out")
    step = project.step(
        "s.py", "import os\nopen(args[0], 'w').write(os.urandom(4).hex())\n", arguments=[out], outputs=[out]
    )
    first = project.run(project.pipeline(step))
    project = team.on("machine-b")
    again = project.run(project.pipeline(step), regenerate_outputs=True)
    (warning,) = [warning for warning in again.warnings if warning.startswith("Not deterministic")]
    assert "user@machine-a" in warning
    assert first.steps[0].key == again.steps[0].key
    assert project.workspace.store.origin(again.steps[0].key) == "user@machine-a"


def test_models_are_had_on_every_machine(team, tmp_path):
    project = team.on("machine-a")
    (tmp_path / "weights").write_bytes(b"0123")
    Model.register(project.workspace, str(tmp_path / "weights"), "digits")
    project.workspace.store.finish_sharing()
    project = team.on("machine-b")
    assert Path(Model(project.workspace, "digits").download(str(tmp_path / "copy"))).read_bytes() == b"0123"


def test_a_machine_may_only_read_or_not_share_at_all(team, monkeypatch):
    project = team.on("machine-a")
    monkeypatch.setenv("STEPWELL_SHARED", "off")
    assert not Workspace.get(team.name).store.shares
    monkeypatch.setenv("STEPWELL_SHARED", "read")
    project = team.on("machine-a")
    assert project.run(team.pipeline()).headline == "Finished: 2 ran, 0 shared, 0 waiting"
    assert list(project.workspace.store.remote.known_keys()) == []


@pytest.fixture
def ftp_team(server, tmp_path, monkeypatch):
    pytest.importorskip("pyftpdlib")
    with ftp_server(tmp_path / "served") as url:
        at = Place("ftp", f"{url}data", {"username": "u", "password": "hidden"})
        with team_at("folder", server, tmp_path, monkeypatch):
            yield Team(tmp_path, monkeypatch, at)


def test_by_ftp_results_runs_logs_and_words_of_one_machine_are_had_on_the_other(ftp_team, tmp_path):
    project = ftp_team.on("machine-a")
    made = project.run(ftp_team.pipeline())
    assert made.headline == "Finished: 2 ran, 2 shared, 0 waiting"
    project = ftp_team.on("machine-b")
    (run,) = all_runs(project.workspace)
    assert (run.id, run.get_status(), run.folder.machine_name) == (made.run_id, "Finished", "user@machine-a")
    assert [step.get_job_log() is not None for step in run.get_steps()] == [True, True]
    say(project.workspace, run.folder, {Subject("tag", "best"): None})
    assert project.run(ftp_team.pipeline()).headline.startswith("Finished: 2 reused (2 from user@machine-a)")
    assert project.run(ftp_team.pipeline(outputs=3)).headline.startswith(
        "Finished: 1 ran, 2 reused (2 from user@machine-a)"
    )
    assert run.download(tmp_path / "copies") == 2
    ftp_team.on("machine-a")
    assert project.run(ftp_team.pipeline(outputs=3)).headline.startswith("Finished: 3 reused (1 from user@machine-b)")
    assert find_run(made.run_id, project.workspace.name).get_tags() == {"best": None}
