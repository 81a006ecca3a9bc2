"""What a store of results says about sharing: one that shares nothing says so here; `store.shared` has one that does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from stepwell.errors import StoreException, UserErrorException
from stepwell.model.records import StepRecord

Mode = Literal["on", "read", "off"]
VARIABLE = "STEPWELL_SHARED"


def sharing_mode() -> Mode:
    """Return what STEPWELL_SHARED says of this machine: to share (`on`, by default), to `read` only, or neither (`off`).

    Another word raises UserErrorException.
    """
    given = os.environ.get(VARIABLE, "").strip() or "on"
    if given not in get_args(Mode):
        facts = {"variable": VARIABLE, "value": given}
        raise UserErrorException("Whether results are shared is not clear", facts, "Set it to on, read or off.")
    mode: Mode = given  # type: ignore[assignment]
    return mode


class LostBytes(StoreException):
    """The bytes of a result that others made can't be had; `tree` names them."""

    def __init__(self, tree: str, reason: str) -> None:
        facts = {"tree": tree, "reason": reason}
        super().__init__(
            "The bytes of a shared result can't be had", facts, "Run the pipeline again: they will be made anew."
        )
        self.tree = tree

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.tree, str(self.facts["reason"]))


@dataclass(frozen=True)
class SharingReport:
    """What became of results that were to be shared: how many are, how many wait and why, and what is worth a warning.

    `away`: the datastore did not answer, so that those of others were not used either.
    """

    shared: int = 0
    waiting: int = 0
    reason: str = ""
    away: bool = False
    warnings: tuple[str, ...] = ()


class Waiter(Protocol):
    """Who waits for another machine: a step of a run."""

    @property
    def stopped(self) -> bool:
        """Whether there is to be no further wait."""
        ...

    def tell(self, words: str) -> None:
        """Tell the run's user, in a sentence, what is waited for."""
        ...


WAITER: ContextVar[Waiter | None] = ContextVar("stepwell_waiter", default=None)
"""Who looks up a result, and may have to wait for it."""


Told = Mapping[str, tuple[str, str]]
"""Of files, by path: what a listing tells of the version, and the SHA-256 of its bytes."""


class Versions(Protocol):
    """What is known of versions of files on other machines."""

    def recall(self, place: str, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the SHA-256 of those of the files of a place, by path, whose versions somebody has read."""
        ...

    def remember(self, place: str, found: Told) -> None:
        """Let others know what files of a place hold, in the background."""
        ...


class NoVersions:
    """The versions of a store whose knowledge is this machine's alone: none."""

    def recall(self, place: str, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return nothing."""
        return {}

    def remember(self, place: str, found: Told) -> None:
        """Do nothing."""


class NotShared:
    """The answers of a store whose results are this machine's alone."""

    tree_path: Callable[[str], Path]
    shares = False
    """Whether other machines have its results, too."""

    versions: Versions = NoVersions()
    """What other machines know of files of datastores."""

    is_away = False
    """Whether the datastore that passes results on did not answer a moment ago."""

    def bring(self, tree: str) -> Path:
        """Return where the bytes of a kept tree are; those that others made are fetched if they are not here.

        Bytes that can't be had raise LostBytes, and their record is no longer reused.
        """
        return self.tree_path(tree)

    def is_promised(self, tree: str) -> bool:
        """Return whether the bytes of the tree are not needed here, since they can be fetched."""
        return False

    def is_delivered(self, key: str) -> bool:
        """Return whether who made the result has put it at its usual places a moment ago, as this process was told."""
        return False

    def origin(self, key: str) -> str:
        """Return who made a result elsewhere, as `user@machine`; '' if it was made here."""
        return ""

    def label_of(self, record: StepRecord) -> str:
        """Return the name of the run elsewhere that made the result, '' if it was made here."""
        return ""

    def foresee(self, name: str, steps: int) -> None:
        """Expect a run of so many steps under a name of earlier ones."""

    def share(self, record: StepRecord) -> None:
        """Let others have the result, in the background."""

    def share_tree(self, tree: str) -> None:
        """Let others have the bytes of a kept tree that is no result, such as a model's, in the background."""

    def finish_sharing(self) -> SharingReport:
        """Wait until what is to be shared is, or can't be for now, and return what became of it since the last call."""
        return SharingReport()
