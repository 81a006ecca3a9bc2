"""GPUs of a Docker target: how many a step gets, and which."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stepwell.model.definitions import StepDefinition

DeviceRequest = dict[str, Any]
"""A device request, as the engine's API has it."""


class Gpus:
    """The GPUs of a target. `named`: `all`, numbers or ids such as `0,1`, or '' for those that a step asks for."""

    def __init__(self, named: str) -> None:
        self.all = named == "all"
        self.ids = [] if self.all else [name.strip() for name in named.split(",") if name.strip()]
        self._users = Counter[str]()
        self._lock = threading.Lock()

    def count(self, step: StepDefinition) -> int:
        """Return how many whole GPUs the step gets; -1 is all."""
        if step.resources is not None:
            return math.ceil(step.resources.gpus)
        return -1 if self.all else len(self.ids)

    @contextmanager
    def assigned(self, step: StepDefinition) -> Iterator[list[DeviceRequest]]:
        """Assign GPUs to the step while the block runs, of those with ids the least used, and yield the requests."""
        count = self.count(step)
        request: DeviceRequest = {"Driver": "", "Capabilities": [["gpu"]], "Options": {}}
        if not count or not self.ids:
            yield [{**request, "Count": count}] if count else []
            return
        with self._lock:
            taken = sorted(self.ids, key=lambda name: self._users[name])[:count]
            self._users.update(taken)
        try:
            yield [{**request, "DeviceIDs": taken}]
        finally:
            with self._lock:
                self._users.subtract(taken)
