"""The workspace that `with ws:` names for the steps of a user's own flow."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Self

from stepwell.blocks.workspace.workspace_store import WorkspaceStore

_ENTERED: ContextVar[tuple[WorkspaceStore, ...]] = ContextVar("stepwell_entered", default=())


class EnteredWorkspace(WorkspaceStore):
    """A workspace that can be entered: `with ws:` names it for every step that a flow calls meanwhile."""

    def __enter__(self) -> Self:
        """Name the workspace for the steps of flows until `__exit__`; one that is entered later goes before."""
        _ENTERED.set((*_ENTERED.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _ENTERED.set(_ENTERED.get()[:-1])


def entered_workspace() -> WorkspaceStore | None:
    """Return the workspace of the innermost `with ws:` around the caller, None if there is none."""
    return _ENTERED.get()[-1] if _ENTERED.get() else None
