"""The workspaces that a command line means, and a look at each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from stepwell.blocks.system.config_file import CONFIG_NAMES, find_config, name_in
from stepwell.blocks.workspace.store_identity import default_workspace
from stepwell.errors import ServerException, StepwellError, UserErrorException, WorkspaceException
from stepwell.flows.public.workspace import Workspace

T = TypeVar("T")


def _tell(words: str) -> None:
    print(words, file=sys.stderr)


def find_workspaces(name: str) -> list[Workspace]:
    """Return the workspace of that name; without a name the nearest config's, or that of `stepwell use`, or all that there are."""
    if name:
        return [Workspace.get(name)]
    try:
        return [Workspace.from_config()]
    except UserErrorException:
        known, chosen = Workspace.list(), default_workspace()
        return [known[chosen]] if chosen in known else list(known.values())


def of_name(name: str) -> Workspace:
    """Return the workspace of that name, also if its store is another home's."""
    known = Workspace.list()
    return known[name] if name in known else Workspace.get(name)


def seen_workspaces(name: str) -> list[Workspace]:
    """Return what `find_workspaces` does, also workspaces whose store is another home's."""
    if name:
        return [of_name(name)]
    try:
        return find_workspaces("")
    except WorkspaceException:  # the nearest config names one of another home
        return [of_name(name_in(find_config(Path("."), CONFIG_NAMES)))]


def find_stores(name: str, tell: Callable[[str], None] = _tell) -> list[Workspace]:
    """Return what `find_workspaces` does, without those whose store is another home's, or can't be opened."""
    return of_each(find_workspaces(name), is_here, tell)


def is_here(workspace: Workspace) -> list[Workspace]:
    """Return the workspace if its store is this home's, as a list for `of_each`."""
    return [workspace] if workspace.is_here and workspace.store else []


def of_each(
    workspaces: Iterable[Workspace], look: Callable[[Workspace], Iterable[T]], tell: Callable[[str], None] = _tell
) -> list[T]:
    """Return what `look` finds in the workspaces; one of several that is broken costs no more than its own line."""
    found: list[T] = []
    known = list(workspaces)
    for workspace in known:
        try:
            found += look(workspace)
        except (StepwellError, OSError) as error:
            if len(known) == 1 or isinstance(error, ServerException):
                raise
            words = error.title if isinstance(error, StepwellError) else str(error)
            tell(f"The workspace {workspace.name} is left out: {words}")
    return found
