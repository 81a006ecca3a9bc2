"""The worker's side of a job: a script that ends together with its node is told from one that something else ended."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stepwell.blocks.compute.dask import worker as module
from stepwell.model.records import Exit


@pytest.mark.parametrize(
    ("status", "exit", "taken"),
    [
        ("closing", Exit(-15, 1.0), True),
        ("closed", Exit(-9, 1.0), True),
        ("running", Exit(-9, 1.0), False),  # for its memory, say
        ("closing", Exit(1, 1.0), False),
        ("closing", Exit(0, 1.0), False),
        ("closing", Exit(-15, 1.0, timed_out=True), False),
    ],
)
def test_who_ends_a_node_ends_its_scripts_too(monkeypatch, status, exit, taken):
    monkeypatch.setattr(module, "_LAST_MOMENTS_SECONDS", 0.05)
    assert module._is_taken_away(SimpleNamespace(status=SimpleNamespace(name=status)), exit) is taken
