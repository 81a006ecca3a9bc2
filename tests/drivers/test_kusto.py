"""What a KustoStep runs: the query as the REST has it, the rows as a file, failures in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kusto_server import KustoServer, error, kusto

from stepwell.drivers import kusto as driver

RESULT = """id,rent,seen,more
007,500.5,2026-01-31T00:00:00Z,"{""a"": 1}"
"ü, 8",,,
"""


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[KustoServer]:
    monkeypatch.chdir(tmp_path)
    Path("rents.kql").write_text("declare query_parameters(most: int);\nRents | where rent < most")
    with kusto() as found:
        told = {"cluster": found.url, "application_id": "", "application_key": "", "tenant_id": ""}
        monkeypatch.setenv(driver.VARIABLE, json.dumps(told))
        yield found


def run() -> None:
    driver.main("rents.kql", {"database": "flats", "output": "out", "parameter most": "900"})


def test_a_query_is_sent_with_its_parameters_and_answered_by_a_file(server, capsys) -> None:
    run()
    (asked,) = server.asked
    assert asked["path"] == "/v2/rest/query" and asked["db"] == "flats" and asked["csl"].endswith("rent < most")
    properties = asked["properties"]
    properties = json.loads(properties) if isinstance(properties, str) else properties
    assert properties["Parameters"] == {"most": "900"}
    assert Path("out/result.csv").read_text() == RESULT
    assert "answered 2 rows" in capsys.readouterr().out


def test_a_busy_cluster_is_asked_again_and_one_that_refuses_is_not(server, monkeypatch, capsys) -> None:
    waits: list[float] = []
    monkeypatch.setattr(driver.time, "sleep", waits.append)
    server.failures = [(429, error("Throttled", "Too many", permanent=False)), (503, {"error": {"message": "busy"}})]
    run()
    assert waits == [1.0, 4.0] and capsys.readouterr().out.count("asking again") == 2
    told = {"cluster": server.url, "application_id": "", "application_key": "", "tenant_id": ""}
    monkeypatch.setenv(driver.VARIABLE, json.dumps(told))
    server.failures = [(400, error("BadRequest", "Semantic error: SEM0100: no table 'Rents'", permanent=True))]
    with pytest.raises(SystemExit) as caught:
        run()
    assert "SEM0100: no table 'Rents'" in str(caught.value) and "\n" not in str(caught.value) and len(waits) == 2


def test_without_a_cluster_or_its_client_a_sentence_says_so(server, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.kusto.data", None)
    with pytest.raises(SystemExit, match=r"Install stepwell\[kusto\]"):
        run()
    with pytest.raises(SystemExit, match="needs a Kusto cluster"):
        run()
