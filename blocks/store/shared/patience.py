"""Questions to a datastore that may be away: after a few without an answer none is asked for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from stepwell.errors import DatastoreException, ServerException

_T = TypeVar("_T")
_ATTEMPTS, _AWAY_SECONDS = 2, 60.0


class Patience:
    """What is known of whether a datastore answers; `note_away` is told why it does not."""

    def __init__(self, note_away: Callable[[str], None]) -> None:
        self._note_away = note_away
        self._failures = 0
        self._away_until = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the datastore did not answer a moment ago."""
        return time.monotonic() < self._away_until

    def ask(self, question: Callable[[], _T], otherwise: _T) -> _T:
        """Return the datastore's answer, or `otherwise` if it has none in time: then it counts as away for a while."""
        if self.is_over:
            return otherwise
        try:
            answer = question()
        except (DatastoreException, ServerException) as error:
            self._failures += 1
            if self._failures >= _ATTEMPTS:
                self._away_until = time.monotonic() + _AWAY_SECONDS
                self._note_away(str(error.facts.get("reason") or error.title))
            return otherwise
        self._failures = 0
        return answer
