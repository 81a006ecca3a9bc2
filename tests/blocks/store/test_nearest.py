"""The nearest record is found with as little reading as can be, and is one that can be believed."""

from __future__ import annotations

import json
from pathlib import Path

from keeping import commit, fingerprint, open_store

from stepwell.blocks.store import nearest


def test_what_can_not_be_believed_is_no_nearest_record_and_the_search_ends_with_one_changed_row(tmp_path, monkeypatch):
    store = open_store(tmp_path / "store")
    for number in range(6):
        commit(store, fingerprint(number, "b"))
    believed, read = list[str](), list[str]()
    whole, reading = store.read_record, nearest.read_bytes
    monkeypatch.setattr(store, "read_record", lambda key: (believed.append(key), whole(key))[1])
    monkeypatch.setattr(nearest, "read_bytes", lambda path: (read.append(Path(path).stem), reading(path))[1])
    found = store.nearest("train.py", fingerprint(9, "b"))
    assert found and found.fingerprint == fingerprint(5, "b")
    assert believed == read == [found.key]
    path = next((store.root / "records").glob(f"*/{found.key}.json"))
    path.write_text(path.read_text().replace('"seconds"', '"seconds" '))  # still claims the same rows
    path.write_text(path.read_text().replace(json.loads(path.read_text())["signature"], "0" * 64))
    found = store.nearest("train.py", fingerprint(9, "b"))
    assert found and found.fingerprint == fingerprint(4, "b")
    far = store.nearest("train.py", fingerprint(9, "c"))
    assert far and far.fingerprint == fingerprint(4, "b")
