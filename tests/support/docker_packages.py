"""Packages for the images of tests: wheels made on the spot, and an index of them that wants a password."""

from __future__ import annotations

import base64
import contextlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

USER, PASSWORD = "someone", "p4ssw0rd-of-the-index"


def write_wheel(folder: Path, name: str, version: str, code: str) -> Path:
    """Write a wheel with one module, and return its path."""
    wheel, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


@contextlib.contextmanager
def index(folder: Path) -> Iterator[str]:
    """Serve an index of the wheels in the folder, and yield its address, password included."""
    login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, kind = self._answer()
            self.send_response(401 if body is None else 200)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def _answer(self) -> tuple[bytes | None, str]:
            name = Path(self.path).name
            if self.headers.get("Authorization") != login:
                return None, "text/plain"
            if name.endswith(".whl"):
                return (folder / name).read_bytes(), "application/octet-stream"
            links = "".join(f'<a href="/files/{w.name}">{w.name}</a>' for w in folder.glob(f"{name}-*.whl"))
            return links.encode(), "text/html"

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()
