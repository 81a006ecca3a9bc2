"""The server knows when nobody asks it anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from stepwell.blocks.server import guarded_app


@pytest.mark.parametrize(
    ("asked_at", "quiet_at"),
    [([3.0], 4.0), ([3.0, 3.5, 4.25], 5.25), ([number / 2 for number in range(2, 80)], 11.0)],
    ids=["once", "some", "always"],
)
def test_it_waits_for_a_second_of_quiet_and_not_for_ever(
    asked_at: list[float], quiet_at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    async def app(*_: object) -> None:
        pass

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        for _ in due(now):
            asyncio.run(guard({"type": "lifespan"}, None, None))  # type: ignore[arg-type]

    def due(time: float) -> Iterator[float]:
        while asked_at and asked_at[0] <= time:
            yield asked_at.pop(0)

    asked_at = list(asked_at)
    guard = guarded_app.Guard(app, 4200, "me:secret")
    monkeypatch.setattr(guarded_app, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    guard.wait_for_quiet()
    assert now == quiet_at
