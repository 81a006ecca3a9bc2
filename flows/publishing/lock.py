"""The lock under which a workspace's publications change: two processes at once must not lose each other's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stepwell.blocks.system.locks import exclusive
from stepwell.blocks.workspace.base_workspace import BaseWorkspace


@contextmanager
def publications_locked(workspace: BaseWorkspace) -> Iterator[None]:
    """Keep other processes of this machine from publishing in the workspace while the block runs."""
    with exclusive(workspace.store.written / "published.lock"):
        yield
