"""The compose file for a team: its server's own settings, on a real PostgreSQL; images and volumes are Docker's business."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import docker_daemon
import httpx
import psycopg
import pytest
from ports import port_for_later
import yaml
from postgres_server import PASSWORD, postgres, programs
from server_processes import environment
from waiting import PATIENCE, eventually

FOLDER = Path(__file__).resolve().parents[2] / "deployments" / "compose"

PIPELINE = """
from stepwell import Pipeline, PythonScriptStep, Workspace
workspace = Workspace.create("team")
Pipeline(workspace, [PythonScriptStep("a.py", source_directory=%r)], name="on_postgresql")()
"""


def services(**variables: str) -> dict[str, dict[str, object]]:
    """Return the services of the compose file, its variables replaced as Compose does."""
    text = re.sub(
        r"\$\{(\w+)(?::[-?][^}]*)?\}", lambda found: variables[found[1]], (FOLDER / "compose.yaml").read_text()
    )
    return yaml.safe_load(text)["services"]


def example() -> dict[str, str]:
    lines = (FOLDER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_sets_every_variable_and_no_service_is_open():
    found = services(**example())
    assert set(found) == {"database", "prefect", "worker"}
    assert found["prefect"]["ports"] == ["127.0.0.1:4200:4200"] and "ports" not in found["database"]
    assert found["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"] == example()["PREFECT_AUTH"]
    assert found["worker"]["environment"]["PREFECT_API_AUTH_STRING"] == example()["PREFECT_AUTH"]
    assert found["worker"]["command"] == ["stepwell", "worker", "--pool", "team"]


@contextmanager
def as_process(words, settings, folder):
    """Run Prefect's server as a process of this machine while the block runs; return how to ask whether it is healthy."""
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [sys.executable, "-m", *words], env=environment(folder, **settings), cwd=folder, **output
    )
    try:
        yield lambda check: subprocess.run([sys.executable, *check[1:]], capture_output=True).returncode == 0
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def as_container(engine, words, settings):
    """Run it in a container of the engine's, with this Python in place of that of Prefect's image."""
    places = sorted({sys.prefix, sys.base_prefix, str(FOLDER.parents[1])})
    given = [word for place in places for word in ("--volume", f"{place}:{place}:ro")]
    variables = {**settings, "PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    given += [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    name = engine.docker("run", "--detach", "--network", "host", *given, engine.image, *words).strip()
    try:
        yield (
            lambda check: (
                "healthy"
                in engine.docker("exec", name, "sh", "-c", f"{shlex.join(check)} && echo healthy", check=False)
            )
        )
    finally:
        engine.docker("rm", "--force", name)


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
def test_a_pipeline_runs_on_prefects_server_as_compose_starts_it_with_postgresql(tmp_path, request):
    engine = None if docker_daemon.why_not() else request.getfixturevalue("docker_engine")
    port, database = port_for_later(), port_for_later()
    url = f"http://127.0.0.1:{port}"
    given = {"DATABASE_PASSWORD": PASSWORD, "PREFECT_AUTH": "team:secret", "PUBLIC_URL": url, "LISTEN": "127.0.0.1"}
    prefect = services(**given)["prefect"]
    settings = dict(prefect["environment"])
    address = settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = address.replace("prefect:", "me:", 1).replace(
        "@database:5432/prefect", f"@127.0.0.1:{database}/postgres"
    )
    assert settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] != address
    words = [*(word.replace("0.0.0.0", "127.0.0.1") for word in prefect["command"]), "--port", str(port)]
    check = [word.replace(":4200", f":{port}") for word in prefect["healthcheck"]["test"][1:]]
    with postgres(database):
        started = as_container(engine, words, settings) if engine else as_process(words, settings, tmp_path)
        with started as is_healthy:
            eventually(lambda: is_healthy(check))  # without a password
            assert httpx.post(f"{url}/api/flow_runs/filter", json={}).status_code == 401
            (tmp_path / "a.py").write_text("print('hello')")
            client = environment(
                tmp_path / "somebody", PREFECT_API_URL=f"{url}/api", PREFECT_API_AUTH_STRING="team:secret"
            )
            code = PIPELINE % str(tmp_path)
            done = subprocess.run(
                [sys.executable, "-c", code], env=client, capture_output=True, text=True, timeout=PATIENCE
            )
            assert done.returncode == 0, done.stderr
            with psycopg.connect(
                f"host=127.0.0.1 port={database} user=me dbname=postgres", password=PASSWORD
            ) as connection:
                kept = connection.execute("select f.name, r.state_type from flow_run r join flow f on f.id = r.flow_id")
                assert kept.fetchall() == [("on_postgresql", "COMPLETED")]
