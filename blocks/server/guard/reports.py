"""The report of a run, beside Prefect's UI and at the same address, for whom the browser keeps the UI's password.

GET  /stepwell/runs/ID/report   a page, which asks for the report and becomes it
POST /stepwell/runs/ID/report   with the auth string   → the report as it is now
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from stepwell.blocks.server.guard.sign_in import PATH, Receive, Scope, Send, answer

_RUNS = f"{PATH}runs/"
_PATH = re.compile(rf"{_RUNS}([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})/report")
_MOST_AT_ONCE, _SECONDS = 2, 120
_POLICY = "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
_SCRIPT = """
(async () => {
  const password = localStorage.getItem("prefect-password");
  if (!password) {
    document.body.textContent = "Sign in first: run `stepwell server open`, then open this page again.";
    return;
  }
  const answer = await fetch(location.pathname, {method: "POST", headers: {Authorization: "Basic " + password}});
  const text = await answer.text();
  if (!answer.ok) { document.body.textContent = text; return; }
  document.open();
  document.write(text);
  document.close();
})();
"""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Stepwell: the report of a run</title>
<body>Writing the report …<script nonce="{nonce}">{script}</script></body></html>
"""


def report_path(run_id: str) -> str:
    """Return where the UI's server has the report of a run."""
    return f"{_RUNS}{run_id}/report"


class Reports:
    """The ASGI app behind the paths of reports. Requests have passed the guard."""

    def __init__(self, auth_string: str) -> None:
        self._wanted = b"Basic " + base64.b64encode(auth_string.encode())
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)

    @staticmethod
    def has(path: str) -> bool:
        """Return whether a path is that of a report."""
        return _PATH.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        found = _PATH.fullmatch(scope["path"])
        assert found is not None
        sent = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if scope["method"] == "GET":
            nonce = secrets.token_urlsafe(16)
            policy = f"{_POLICY}; script-src 'nonce-{nonce}'"
            page = _PAGE.format(nonce=nonce, script=_SCRIPT)
            await answer(send, 200, page, "text/html", ("content-security-policy", policy))
        elif scope["method"] != "POST":
            await answer(send, 405, "Open this in a browser.\n")
        elif not (len(sent) == 1 and hmac.compare_digest(sent[0], self._wanted)):
            await answer(send, 401, "The auth string is missing or wrong. Sign in: run `stepwell server open`.\n")
        else:
            async with self._turns:
                await answer(send, *await _written(found[1]))


async def _written(run_id: str) -> tuple[int, str, str]:
    """Return status, text and kind of the report of a run, which a command writes."""
    with tempfile.TemporaryDirectory(prefix="stepwell-report-") as folder:
        target = Path(folder) / "report.html"
        command = (sys.executable, "-m", "stepwell.deployments.cli", "report", run_id, "-o", str(target))
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_variables(os.environ),
            cwd=folder,
        )
        try:
            _, told = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            return 504, f"The report took too long. Run `stepwell report {run_id}`.\n", "text/plain"
        if process.returncode or not target.is_file():
            return 404, told.decode(errors="replace") or "There is no report.\n", "text/plain"
        return 200, target.read_text("utf-8"), "text/html"


def _variables(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the command: without those that make this process Prefect's server."""
    return {name: value for name, value in ours.items() if not name.startswith("PREFECT_")}
