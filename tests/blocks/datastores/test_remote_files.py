"""Files of a datastore that takes connections and never answers: who needs them is told so in bounded time."""

from __future__ import annotations

import socket

import pytest

from stepwell.blocks.datastores import datastore_files, remote_files
from stepwell.blocks.datastores import remote_files
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


def test_several_that_ask_once_leave_the_tries_of_a_file_system_as_they_were():
    class Storage:
        retries = 5

    storage = Storage()
    one, other = remote_files._asked_once(storage), remote_files._asked_once(storage)
    one.__enter__()
    other.__enter__()
    assert storage.retries == 1
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert storage.retries == 5
