"""Reports of runs at the address of Prefect's UI: for who is signed in, as they are now, linked from the run's page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from uuid import UUID

import chromium
import httpx
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from stepwell.blocks.server import connection
from stepwell.blocks.server.documents import client
from stepwell.blocks.server.guard.reports import Reports, report_path

UNKNOWN = "0" * 8 + "-0000" * 3 + "-" + "0" * 12


def test_only_runs_have_reports() -> None:
    assert Reports.has(report_path(UNKNOWN))
    for path in (
        "/stepwell/runs/last/report",
        f"{report_path(UNKNOWN)}/x",
        "/stepwell/runs/../report",
        f"/x{report_path(UNKNOWN)}",
    ):
        assert not Reports.has(path)


def test_a_report_is_for_who_has_the_password(server: str) -> None:
    address = server.removesuffix("/api") + report_path(UNKNOWN)
    page = httpx.get(address)
    assert page.status_code == 200 and "script-src 'nonce-" in page.headers["content-security-policy"]
    assert [httpx.post(address).status_code, httpx.put(address).status_code] == [401, 405]
    assert httpx.post(address, headers={"Authorization": "Basic eDp5"}).status_code == 401
    assert httpx.post(address, headers={"Origin": "http://evil.example"}).status_code == 403
    token = base64.b64encode(connection.password().encode()).decode()
    missing = httpx.post(address, headers={"Authorization": f"Basic {token}"}, timeout=120)
    assert missing.status_code == 404 and f"There is no run '{UNKNOWN}'" in missing.text and "Hint: " in missing.text


def test_the_page_of_a_run_links_its_report_in_a_real_browser(project: Any, tmp_path: Path) -> None:
    pipeline = project.pipeline(project.step("look.py", "print('seen')"), name="flats")
    run = project.run(pipeline)
    path = report_path(run.run_id)
    with client() as api:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run.run_id)]))
        texts = [one for one in api.read_artifacts(flow_run_filter=of_run) if path in str(one.data)]
    assert len(texts) == 1
    page = f"/artifacts/artifact/{texts[0].id}"
    chromium.dom_showing(f'href="{path}"', tmp_path / "owner", lambda: connection.ui_link(path=page))
    report = chromium.dom(tmp_path / "owner", connection.ui_link().partition("/stepwell")[0] + path)
    assert "look.py" in report and 'name="generator" content="Stepwell"' in report
    assert "Sign in first" in chromium.dom(tmp_path / "stranger", connection.ui_link().partition("/stepwell")[0] + path)


def test_a_server_that_was_named_has_no_reports(monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "_users_url", lambda: "http://prefect.example/api")
    assert connection.report_link(UNKNOWN) == ""
