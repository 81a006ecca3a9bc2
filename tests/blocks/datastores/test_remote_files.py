"""Files of a datastore that takes connections and never answers: who needs them is told so in bounded time."""

from __future__ import annotations

import socket

import pytest

from stepwell.blocks.datastores import datastore_files, remote_files
from stepwell.blocks.datastores.datastore_files import DatastoreBlock, DatastoreFiles
from stepwell.errors import DatastoreException


def test_who_needs_a_datastore_that_never_answers_is_told_so(tmp_path, monkeypatch):
    for module in (datastore_files, remote_files):
        monkeypatch.setattr(module, "SECONDS", 0.2)
    (tmp_path / "file").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        far = DatastoreFiles(DatastoreBlock(workspace="w", name="far", url="s3://team/data", options=options))
        retries = far.filesystem.retries
        for ask in (far.exists, far.listed, lambda path: far.put_file(tmp_path / "file", path)):
            with pytest.raises(DatastoreException) as failed:
                ask("a")
            assert "imeout" in str(failed.value.facts["reason"])
        assert far.objects("v1", rests=0.2).rests  # what is only shared is not tried, too
        assert far.filesystem.retries == retries  # a stream that breaks goes on by itself
