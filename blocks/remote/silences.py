"""Servers of datastores that did not answer a moment ago: whoever asks them in this process knows, so that few wait in vain."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from stepwell.model.digests import digest

SECONDS = 60.0
"""For how long it is believed that a server does not answer."""


class Silence:
    """What is known of whether a server answers, and why that is believed."""

    def __init__(self) -> None:
        self._until = self._waited = 0.0
        self.reason = ""

    def is_worth(self, waited: float) -> bool:
        """Return whether somebody waited for that many seconds in vain a moment ago."""
        return time.monotonic() < self._until and waited <= self._waited

    def begin(self, waited: float, reason: str) -> None:
        """Note that somebody waited so long in vain; 0 if the server refused at once."""
        lasts = time.monotonic() < self._until
        self._waited = max(waited, self._waited if lasts else 0.0)
        self._until, self.reason = time.monotonic() + SECONDS, reason

    def end(self) -> None:
        """Note that the server answers."""
        self._until = 0.0


_KNOWN: WeakValueDictionary[str, Silence] = WeakValueDictionary()


def silence_of(url: str, options: Mapping[str, Any]) -> Silence:
    """Return what is known of the server of a place that fsspec opens with these options."""
    return _KNOWN.setdefault(server_of(url, options), Silence())


def server_of(url: str, options: Mapping[str, Any]) -> str:
    """Return the digest of the server and of how one signs in; of options without a text it is another one each time."""
    scheme, _, place = url.partition("://")  # a name may stand there that is none of a host
    try:
        known = json.dumps(options, sort_keys=True)
    except TypeError:
        known = os.urandom(16).hex()
    return digest("server", [scheme, place.partition("/")[0], known])
