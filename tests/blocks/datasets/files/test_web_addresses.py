"""Addresses on the web: shown without secrets, fetched once as long as they are the same."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from stepwell import Dataset
from stepwell.blocks.datasets.files import web_addresses
from stepwell.blocks.datasets.files.web_addresses import look, secret_texts, shown_address
from stepwell.blocks.server import documents
from stepwell.errors import DatasetException, DatasetExecutionError, UserErrorException

SECRET = "sv=2022-11-02&sp=r&sig=Zm9yZ2V0LW1lLW5vdC0xMjM0NTY%3D"


class Site(http.server.ThreadingHTTPServer):
    """Files by path, with ETags; `asked` are the requests, `served` those that were answered with the file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.served: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, Site)
        site.asked.append(self.path)
        body = site.files.get(self.path.partition("?")[0])
        tag = f'"{hash(body)}"'
        status = 404 if body is None else 304 if self.headers.get("If-None-Match") == tag else 200
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body or b"") if status == 200 else 0))
        self.end_headers()
        if status == 200:
            site.served.append(self.path)
            self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path, request) -> None:
    if "workspace" not in request.fixturenames:
        monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))


def test_secrets_are_not_shown() -> None:
    shown = shown_address(f"https://user:hidden-word@example.org/a/b.csv?{SECRET}#part")
    assert shown.startswith("https://example.org/a/b.csv?secret-") and "sig" not in shown and "hidden" not in shown
    other = shown_address(f"https://example.org/a/b.csv?{SECRET}1")
    assert other != shown
    plain = "https://example.org/a/b.csv?raw=true&version=3"
    assert shown_address(plain) == plain


@pytest.mark.parametrize("address", ["https://example.org/a/*.csv", "https:///a.csv"])
def test_an_address_is_that_of_one_file(address: str) -> None:
    with pytest.raises(UserErrorException, match="one file"):
        shown_address(address)


def test_what_did_not_change_is_not_fetched_again(site) -> None:
    site.files["/a.csv"] = b"x\n1\n"
    first, second = look(f"{site.url}/a.csv"), look(f"{site.url}/a.csv")
    assert first == second and first.path.read_bytes() == b"x\n1\n" and site.served == ["/a.csv"]
    site.files["/a.csv"] = b"x\n2\n"
    assert look(f"{site.url}/a.csv").path.read_bytes() == b"x\n2\n"
    first.path.write_bytes(b"spoilt")
    assert look(f"{site.url}/a.csv").path.read_bytes() == b"x\n2\n"


def test_what_is_not_there_is_told_without_secrets(site, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    shown = shown_address(f"{site.url}/none.csv?{SECRET}")
    with pytest.raises(DatasetExecutionError, match="can't be read") as caught:
        look(shown)
    assert "404" in caught.value.facts["reason"] and site.asked == [f"/none.csv?{SECRET}"]
    told = f"{caught.value} {caught.value.__cause__} {caplog.text}"
    assert not [secret for secret in secret_texts() if secret in told]


def test_a_table_of_the_web_needs_no_workspace(site) -> None:
    site.files["/data/a.csv"], site.files["/data/b.csv"] = b"x\n1\n", b"x\n2\n"
    table = Dataset.Tabular.from_delimited_files(
        [f"{site.url}/data/b.csv", f"{site.url}/data/a.csv"], include_path=True
    )
    assert table.to_pandas_dataframe()["x"].tolist() == [2, 1]
    assert Dataset.File.from_files(f"{site.url}/data/a.csv").to_path() == ["/a.csv"]
    [copy] = Dataset.File.from_files(f"{site.url}/data/a.csv").download()
    assert open(copy).read() == "x\n1\n"


def test_a_registered_dataset_finds_its_secret_again_and_shows_it_nowhere(site, workspace) -> None:
    site.files["/a.csv"] = b"x\n1\n"
    table = Dataset.Tabular.from_delimited_files(f"{site.url}/a.csv?{SECRET}").register(workspace, "secret")
    web_addresses._known.clear()
    with pytest.raises(DatasetException, match="not known here"):
        table.to_pandas_dataframe()
    found = Dataset.get_by_name(workspace, "secret")
    assert found.to_pandas_dataframe()["x"].tolist() == [1]
    with documents.client() as api:
        body = {"block_types": {"slug": {"any_": ["stepwell-dataset"]}}}
        saved = api.request("POST", "/block_documents/filter", json=body).text
    assert "secret-" in saved
    shown = f"{saved} {found!r} {found.definition}"
    assert not [secret for secret in secret_texts() if secret in shown]


@pytest.mark.parametrize(
    ("key", "below"),
    [
        ("https://demo.blob.core.windows.net/data/a.csv", ""),
        ("https://demo.blob.core.windows.net/data/", "a.csv"),
        ("demo/data", "a.csv"),
        ("*", "demo/data/a.csv"),
    ],
)
def test_addresses_can_be_laid_on_files_of_this_machine(tmp_path, monkeypatch, key, below) -> None:
    place = tmp_path / "laid" / below if below else tmp_path / "laid"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x\n7\n")
    monkeypatch.setenv("STEPWELL_DATASTORES", json.dumps({key: str(tmp_path / "laid"), "other/data": "/nowhere"}))
    address = f"https://demo.blob.core.windows.net/data/a.csv?{SECRET}"
    assert Dataset.Tabular.from_delimited_files(address).to_pandas_dataframe()["x"].tolist() == [7]
    place.unlink()
    with pytest.raises(DatasetException, match="where it was laid") as caught:
        Dataset.File.from_files(address)
    assert "sig=" not in str(caught.value)
