"""`stepwell doctor`: each check on what is really there, and on what is not."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest
from ports import port_for_later
from typer.testing import CliRunner

from stepwell import DaskCompute
from stepwell.blocks.compute.compute_target import ComputeTarget
from stepwell.deployments.cli.first_steps import checks
from stepwell.deployments.cli.main import app
from stepwell.errors import StepwellError


def doctor(*words):
    done = CliRunner().invoke(app, ["doctor", "--json", *words])
    return {one["name"]: one for one in json.loads(done.stdout)}, done.exit_code


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def test_an_empty_home_is_well_and_nothing_is_started(empty_home):
    found, code = doctor()
    assert (found["server"]["state"], code) == ("off", 0)
    assert found["versions"]["state"] == found["home"]["state"] == "works"
    assert not (empty_home / "server" / "server.json").exists() and not list(empty_home.rglob("*.lock"))
    printed = CliRunner().invoke(app, ["doctor"])
    assert printed.exit_code == 0 and printed.stdout.splitlines()[0].startswith("works    versions")


def test_a_server_that_is_named_and_does_not_answer_is_broken(empty_home, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port_for_later()}/api")
    found, code = doctor()
    assert (found["server"]["state"], code) == ("broken", 1)
    assert found["server"]["advice"] == "Start it, or unset PREFECT_API_URL."


def test_a_home_that_can_not_be_is_broken(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "file" / "home"))
    assert checks._home().state == "broken"


def test_workspaces_stores_and_targets_that_are_in_use_are_looked_at(project, monkeypatch):
    monkeypatch.setattr(checks, "_docker", lambda *, used: checks.Finding("Docker", "works", ""))
    name = project.workspace.name
    found, code = doctor()
    assert found["server"]["state"] == found[f"store of {name}"]["state"] == "works"
    assert str(project.workspace.store.root) in found[f"store of {name}"]["words"]
    port = port_for_later()
    target = ComputeTarget.attach(project.workspace, "far", DaskCompute(address=f"tcp://127.0.0.1:{port}"))
    try:
        found, code = doctor()
        assert (found["target far"]["state"], code) == ("broken", 1)
        with socket.create_server(("127.0.0.1", port)):
            assert next(checks._scheduler(target)).state == "works"
    finally:
        target.delete()


@pytest.mark.parametrize(("used", "state"), [(True, "broken"), (False, "missing")])
def test_what_nothing_uses_is_missing_and_what_something_uses_is_broken(tmp_path, monkeypatch, used, state):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    for found in (checks._docker(used=used), checks._java(used=used)):
        assert found.state == state and found.advice.split()[0] in ("Start", "Install")


def test_programs_that_are_not_there_are_told_of(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks._git().state == checks._r().state == "missing"
    (tmp_path / "git").write_text("#!/bin/sh\nexit 3\n")
    os.chmod(tmp_path / "git", 0o755)
    assert checks._git().state == "missing"


def test_a_package_that_does_not_fit_is_named(monkeypatch):
    usual = checks.metadata.version
    monkeypatch.setattr(checks.metadata, "version", lambda name: "0.1" if name == "fastapi" else usual(name))
    assert checks._versions().state == "works"
    monkeypatch.setattr(checks.metadata, "version", lambda name: "9.0" if name == "fastapi" else usual(name))
    assert "fastapi<" in checks._versions().words and checks._versions().state == "broken"


def test_what_hangs_or_fails_is_a_finding(monkeypatch):
    monkeypatch.setattr(checks, "_SECONDS", 0.01)
    never = threading.Event()
    hangs = checks._guarded("x", lambda: never.wait() and checks.Finding("x", "works", ""))
    never.set()
    assert hangs.state == "broken" and "does not answer" in hangs.words

    def fails():
        raise StepwellError("It is gone", {"place": "there"}, "Find it.")

    told = checks._looked("x", fails)
    assert (told.state, told.words, told.advice) == ("broken", "It is gone (place there)", "Find it.")
