"""Two homes with one Prefect server, which stand for two machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from projects import Project


@contextmanager
def second_home(server: str, folder: Path) -> Iterator[Callable[[str], None]]:
    """Yield what lets this process be one of machine `here`, whose home is that of the tests, or of another one's home."""
    from stepwell.blocks.server import documents
    from stepwell.blocks.system.home import home
    from stepwell.blocks.workspace import workspace_store
    from stepwell.flows.runs.elsewhere import finding

    own = str(home())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "ensure_server", lambda *_: server)  # a home looks for a server of its own first
        patch.setattr(workspace_store, "server_status", lambda: SimpleNamespace(managed=False))
        patch.setattr(finding, "_PAUSE_SECONDS", 0.0)

        def switch(name: str) -> None:
            patch.setenv("STEPWELL_HOME", own if name == "me@here" else str(folder / name))
            patch.setenv("STEPWELL_MACHINE", name)
            patch.setenv("PREFECT_API_URL", server)

        switch("me@here")
        yield switch


@pytest.fixture
def machine(server: str, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Give what lets this process be one of another machine."""
    with second_home(server, tmp_path) as switch:
        yield switch


@pytest.fixture
def shared(project: Project, machine: Callable[[str], None]) -> Project:
    """Give a project whose workspace's default datastore is one that the machines share."""
    from stepwell import Datastore

    Datastore.register(project.workspace, "remote", f"memory://{project.workspace.name}").set_as_default()
    return project
