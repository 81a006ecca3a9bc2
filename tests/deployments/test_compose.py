"""The compose file for a team: its server's own settings, on a real PostgreSQL; images and volumes are Docker's business."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest
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


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
def test_a_pipeline_runs_on_prefects_server_as_compose_starts_it_with_postgresql(tmp_path):
    port, database = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    given = {"DATABASE_PASSWORD": PASSWORD, "PREFECT_AUTH": "team:secret", "PUBLIC_URL": url, "LISTEN": "127.0.0.1"}
    prefect = services(**given)["prefect"]
    settings = dict(prefect["environment"])
    address = settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = address.replace("prefect:", "me:", 1).replace(
        "@database:5432/prefect", f"@127.0.0.1:{database}/postgres"
    )
    assert settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] != address
    command = [word.replace("0.0.0.0", "127.0.0.1") for word in prefect["command"]]
    with postgres(database):
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port)],
            env=environment(tmp_path, **settings), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(lambda: answers(f"{url}/api/health"))  # as the health check of Compose asks: without a password
            assert httpx.post(f"{url}/api/flow_runs/filter", json={}).status_code == 401
            (tmp_path / "a.py").write_text("print('hello')")
            client = environment(
                tmp_path / "somebody", PREFECT_API_URL=f"{url}/api", PREFECT_API_AUTH_STRING="team:secret"
            )
            done = subprocess.run(
                [sys.executable, "-c", PIPELINE % str(tmp_path)],
                env=client,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            assert done.returncode == 0, done.stderr
            with psycopg.connect(
                f"host=127.0.0.1 port={database} user=me dbname=postgres", password=PASSWORD
            ) as connection:
                kept = connection.execute("select f.name, r.state_type from flow_run r join flow f on f.id = r.flow_id")
                assert kept.fetchall() == [("on_postgresql", "COMPLETED")]
        finally:
            server.terminate()
            server.wait(PATIENCE)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
