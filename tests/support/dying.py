"""Machines that die in the middle of what they do with a datastore, or are interrupted there by others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from keeping import in_child

from stepwell.blocks.remote.storage_drivers.driver import Traffic
from stepwell.blocks.remote.objects import RemoteObjects

OPERATIONS = ("get", "get_to", "put", "create", "swap", "stat", "list", "delete", "now")
_KILLED = 9


class Killed(BaseException):
    """Ends a machine in its thread: nothing of it reaches a storage any more."""


def deaths(action: Callable[[], object], *, forked: bool) -> Iterator[int]:
    """Do the action on a machine that dies before its first operation, its second and so on; yield the number after each.

    The last one comes to its end. `forked`: it is a process that ends at once, at a request of any operation; clients of clouds
    take too long to be made anew in each, so that a machine of theirs is only cut off.
    """
    for number in count(1):
        ended = _ends(action, number) if forked else _ends_here(action, number)
        yield number
        if ended:
            return


def _ends(action: Callable[[], object], number: int) -> bool:
    """Return whether the action came to its end before the request of that number."""

    def act() -> None:
        requests, real = count(1), Traffic.count

        def counted(self: Traffic, asked: int = 0, *, sent: int = 0, received: int = 0) -> None:
            if asked and next(requests) == number:
                os._exit(_KILLED)
            real(self, asked, sent=sent, received=received)

        Traffic.count = counted  # type: ignore[method-assign]
        action()

    code = in_child(act)
    assert code in (0, _KILLED), "the action failed by itself"
    return code == 0


def _ends_here(action: Callable[[], object], number: int) -> bool:
    operations = count(1)

    def act(_: str) -> None:
        if next(operations) >= number:
            raise Killed

    with before_all(act):
        try:
            action()
        except Killed:
            return False
    return next(operations) <= number


@contextmanager
def before_all(act: Callable[[str], object]) -> Iterator[None]:
    """Do something before each operation on any storage while the block runs; it is told which."""

    def hooked(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(self: RemoteObjects, *arguments: object) -> object:
            act(name)
            return real(self, *arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(RemoteObjects, name, hooked(name, getattr(RemoteObjects, name)))
        yield


@contextmanager
def before_each(act: Callable[[], object], *, only: int) -> Iterator[Callable[[], bool]]:
    """Do something before the operation of that number on any storage while the block runs; give whether there was one."""
    numbers, done = count(1), list[str]()

    def once(name: str) -> None:
        if not done and next(numbers) == only:
            done.append(name)
            act()

    with before_all(once):
        yield lambda: bool(done)
