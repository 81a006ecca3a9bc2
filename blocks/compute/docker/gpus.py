"""GPUs of a Docker target: how many a step gets, and which."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stepwell.model.definitions import StepDefinition

Request = dict[str, Any]
"""What an engine is asked for, in its own words."""


class Gpus:
    """The GPUs that `named` says: `all`, their numbers or ids such as `0,1`, or '' for none but those that a step asks for."""

    def __init__(self, named: str) -> None:
        self.all = named == "all"
        self.ids = [] if self.all else [name.strip() for name in named.split(",") if name.strip()]
        self._users = Counter[str]()
        self._lock = threading.Lock()

    def count(self, step: StepDefinition) -> int:
        """How many GPUs the step gets, in whole ones; -1 is all."""
        if step.resources is not None:
            return math.ceil(step.resources.gpus)
        return -1 if self.all else len(self.ids)

    @contextmanager
    def given_to(self, step: StepDefinition) -> Iterator[list[Request]]:
        """What the engine is asked for so that the step has its GPUs; of those with ids the ones that are used least."""
        count = self.count(step)
        asked: Request = {"Driver": "", "Capabilities": [["gpu"]], "Options": {}}
        if not count or not self.ids:
            yield [{**asked, "Count": count}] if count else []
            return
        with self._lock:
            taken = sorted(self.ids, key=lambda name: self._users[name])[:count]
            self._users.update(taken)
        try:
            yield [{**asked, "DeviceIDs": taken}]
        finally:
            with self._lock:
                self._users.subtract(taken)
