"""A server that speaks the documented REST of Kusto queries (v2), with failures as the documentation has them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COLUMNS = [("id", "string"), ("rent", "real"), ("seen", "datetime"), ("more", "dynamic")]
ROWS = [["007", 500.5, "2026-01-31T00:00:00Z", {"a": 1}], ["ü, 8", None, None, None]]


class KustoServer:
    """What it was asked, and which answers, a status and a body each, come before the rows."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.failures: list[tuple[int, Any]] = []


def frames(columns: list[tuple[str, str]] = COLUMNS, rows: list[list[Any]] = ROWS) -> list[dict[str, Any]]:
    """Return the frames of an answer."""

    def table(number: int, kind: str, name: str, columns: Any, rows: Any) -> dict[str, Any]:
        return {
            "FrameType": "DataTable",
            "TableId": number,
            "TableKind": kind,
            "TableName": name,
            "Columns": [{"ColumnName": column, "ColumnType": type} for column, type in columns],
            "Rows": rows,
        }

    return [
        {"FrameType": "DataSetHeader", "IsProgressive": False, "Version": "v2.0"},
        table(
            0,
            "QueryProperties",
            "@ExtendedProperties",
            [("TableId", "int"), ("Key", "string"), ("Value", "dynamic")],
            [],
        ),
        table(1, "PrimaryResult", "PrimaryResult", columns, rows),
        table(2, "QueryCompletionInformation", "QueryCompletionInformation", [("Timestamp", "datetime")], []),
        {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False},
    ]


def error(code: str, message: str, *, permanent: bool) -> dict[str, Any]:
    """Return the body of a refusal."""
    return {
        "error": {
            "code": code,
            "message": message,
            "@type": f"Kusto.{code}",
            "@message": message,
            "@permanent": permanent,
        }
    }


@contextmanager
def kusto() -> Iterator[KustoServer]:
    """Let a cluster answer on this machine while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append({"path": self.path, **body})
            status, answer = server.failures.pop(0) if server.failures else (200, frames())
            sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = KustoServer(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
