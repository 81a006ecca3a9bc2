"""Who steps are in a container: the caller, or nobody in particular if the caller is root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stepwell.blocks.system.files import change_owner
from stepwell.errors import ComputeTargetException

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class ContainerUser:
    """A user and a group by their numbers in the container. `is_caller`: they are the caller's own, here as there."""

    number: int
    group: int
    is_caller: bool = False

    @contextmanager
    def owns(self, *folders: Path) -> Iterator[None]:
        """Let the user own the folders, and all in them, while the block runs; afterwards the caller owns them."""
        if os.getuid() != 0 or self.is_caller:
            yield
            return
        try:
            for folder in folders:
                change_owner(folder, self.number, self.group)
            yield
        finally:
            for folder in folders:
                with suppress(OSError):
                    change_owner(folder, os.getuid(), os.getgid())


def container_user(wanted: str, *, rootless: bool, target: str) -> ContainerUser:
    """Return who steps are; raise ComputeTargetException if `wanted` could not write where the caller can read.

    Root in a container of a rootless engine is the caller outside, and nobody else has files there.
    """
    own = (os.getuid(), os.getgid())
    user, _, group = wanted.replace("root", "0").partition(":")
    numbers = (int(user), int(group or user)) if user else None
    if rootless:
        if numbers in (None, (0, 0)):
            return ContainerUser(0, 0)
    elif numbers is None:
        return ContainerUser(*own, is_caller=True) if own[0] else ContainerUser(NOBODY, NOBODY)
    elif own[0] == 0 or numbers == own:
        return ContainerUser(*numbers, is_caller=numbers == own)
    raise ComputeTargetException(
        f"The compute target {target!r} can't run steps as user {wanted!r}, whose files you could neither read nor remove",
        {
            "target": target,
            "user": wanted,
            "you": f"{own[0]}:{own[1]}",
            "engine": "rootless" if rootless else "of root",
        },
        "Leave `user` empty, or use a rootless engine.",
    )
