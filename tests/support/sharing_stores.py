"""Stores of several machines that share results by one datastore, with keys that all know."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import keeping
import pytest
from object_stores import KINDS, Place, place

from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.store.shared import uploads
from stepwell.blocks.store.shared.shared_store import SharedStore
from stepwell.blocks.store.stat_cache import StatCache
from stepwell.blocks.store.store import Miss
from stepwell.model.records import StepRecord


class Keys:
    """Keys of machines, each known to all; `distrusted` are not."""

    def __init__(self, owner: str, distrusted: tuple[str, ...] = ()) -> None:
        self.key_id = owner
        self.distrusted = distrusted

    def own(self):
        return self

    def sign(self, data: bytes) -> str:
        return hmac.new(self.key_id.encode(), data, "sha256").hexdigest()

    def owner_of(self, key_id: str) -> str:
        return f"user@{key_id}"

    def are_others(self) -> bool:
        return True

    def distrust(self, key_id: str) -> str:
        return "is of somebody else" if key_id in self.distrusted else ""

    def refusal(self, key_id: str, data: bytes, signature: str) -> str:
        if self.distrust(key_id):
            return self.distrust(key_id)
        return "" if Keys(key_id).sign(data) == signature else "was damaged or forged"


def open_shared(folder: Path, url: str, options=None, *, keys: Keys | None = None, **more) -> SharedStore:
    """Open the store of a machine, named like its folder."""
    digests = StatCache(folder / "digests.sqlite3")
    objects = partial(RemoteObjects, url, options, pauses=())
    return SharedStore(folder / "store", keeping.SIGNING_KEY, digests, objects, keys or Keys(folder.name), **more)


@pytest.fixture(scope="module", params=KINDS)
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a place of each kind of datastore."""
    with place(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def machine(
    at: Place, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SharedStore]:
    """Give what opens the store of a machine, by the machine's name."""
    monkeypatch.setenv("STEPWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)
    own = f"{at.url}/{request.node.originalname}"

    def opened(name: str, url: str = own, **more) -> SharedStore:
        return open_shared(tmp_path / name, url, at.options, **more)

    return opened


def share(store: SharedStore, *args, **more) -> StepRecord:
    record = keeping.commit(store, *args, **more)
    store.share(record)
    report = store.finish_sharing()
    assert (report.shared, report.waiting, report.reason) == (1, 0, "")
    return record


def brought(store: SharedStore, record: StepRecord | Miss) -> keeping.Outputs:
    assert isinstance(record, StepRecord), record
    return {
        name: keeping.strategies.read_folder(store.bring(artifact.digest)) for name, artifact in record.outputs.items()
    }
