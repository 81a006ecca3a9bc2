"""Which snapshots the store keeps for published pipelines, however long nobody runs them."""

from __future__ import annotations

import json
from typing import Any

from stepwell.blocks.store.store import Store
from stepwell.blocks.system.files import write_atomically
from stepwell.errors import StoreException
from stepwell.model.regular_files import read_bytes


def claim(store: Store, published_id: str, facts: dict[str, Any]) -> None:
    """Keep the collector of garbage from removing the snapshots that `facts` name."""
    write_atomically(store.written / "published" / f"{published_id}.json", json.dumps(facts, indent=1).encode())


def disclaim(store: Store, published_id: str) -> None:
    """Let the collector remove the snapshots that only this published pipeline claims."""
    (store.root / "published" / f"{published_id}.json").unlink(missing_ok=True)


def claimed(store: Store) -> set[str]:
    """Return the digests of the snapshots that published pipelines claim.

    A claim that can't be read raises StoreException.
    """
    found: set[str] = set()
    for path in (store.root / "published").glob("*.json"):
        try:
            found |= set(json.loads(read_bytes(path))["snapshots"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise StoreException(
                "What a published pipeline needs can't be read, so nothing is removed",
                {"file": path, "reason": error},
                "Restore the file, or delete it if the pipeline is no longer called.",
            ) from error
    return found
