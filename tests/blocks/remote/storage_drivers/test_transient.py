"""Failures that pass by themselves are told from those that stay, and waited for."""

from __future__ import annotations

import pytest

from stepwell.blocks.remote.storage_drivers import transient
from stepwell.blocks.datastores.remote_files import RemoteFiles
from stepwell.blocks.remote.storage_drivers.transient import is_transient, patiently
from stepwell.errors import DatastoreException


class HttpError(Exception):
    def __init__(self, status: int) -> None:
        self.status_code = status


class ServiceRequestError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (HttpError(429), True),
        (HttpError(503), True),
        (ServiceRequestError(), True),
        (HttpError(403), False),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (ValueError("timeout"), False),
    ],
)
def test_what_may_pass_is_known(error, passes) -> None:
    assert is_transient(error) is passes


def test_what_passes_is_tried_again_and_what_stays_is_not(monkeypatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(transient.time, "sleep", waits.append)
    left = [HttpError(503), ConnectionResetError(), None]

    def action() -> str:
        error = left.pop(0)
        if error:
            raise error
        return "done"

    assert patiently(action) == "done" and waits == [0.0, 1.0]
    left[:] = [HttpError(403)]
    with pytest.raises(HttpError):
        patiently(action)
    left[:] = [HttpError(503)] * 4
    with pytest.raises(HttpError):
        patiently(action)
    assert waits == [0.0, 1.0, 0.0, 1.0, 4.0]


def test_a_datastore_that_is_busy_is_asked_again(monkeypatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(transient.time, "sleep", waits.append)
    busy = [HttpError(503)] * 3
    opened: list[object] = []

    class Files:
        def invalidate_cache(self) -> None: ...

        def info(self, place: str) -> dict[str, object]:
            if busy:
                raise busy.pop()
            return {"name": place, "type": "file"}

    remote = RemoteFiles("far", "s3://far", lambda **_: opened.append(Files()) or opened[-1])
    assert remote.facts("a") == {"name": "a", "type": "file"} and waits == [1.0, 4.0] and len(opened) == 4
    busy[:] = [HttpError(403)] * 9
    with pytest.raises(DatastoreException):
        remote.facts("a")
    assert len(busy) == 7 and waits == [1.0, 4.0]
