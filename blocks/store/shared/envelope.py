"""Signed envelopes: what a home tells others of a result, and why another one's words are not believed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from stepwell.model.digests import encode

FORMAT = 1
_TAG = b"stepwell shared record 1\0"


class Key(Protocol):
    """What signs."""

    @property
    def key_id(self) -> str:
        """The name of the key."""
        ...

    def sign(self, data: bytes) -> str:
        """Return the signature of the bytes."""
        ...


class Keys(Protocol):
    """The keys that a workspace knows."""

    def own(self) -> Key:
        """Return this home's key, which the others know."""
        ...

    def owner_of(self, key_id: str) -> str:
        """Return whose key it is."""
        ...

    def are_others(self) -> bool:
        """Return whether there may be keys of other homes."""
        ...

    def distrust(self, key_id: str) -> str:
        """Return why nothing that the key signs is believed; '' if it is."""
        ...

    def refusal(self, key_id: str, data: bytes, signature: str) -> str:
        """Return why bytes that the key is said to have signed are not believed; '' if they are."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """Why what was found is not believed. `newer`: it is of a format that this version doesn't know."""

    reason: str
    newer: bool = False


def seal(payload: dict[str, Any], key: Key) -> bytes:
    """Return the payload as an object that says who signed it."""
    signature = key.sign(_TAG + encode(payload))
    return encode({"format": FORMAT, "key_id": key.key_id, "signature": signature, "payload": payload})


def unseal(data: bytes, keys: Keys) -> tuple[dict[str, Any], str] | Refused:
    """Return the payload and the name of the key that signed it, or why it is not believed."""
    try:
        found = json.loads(data)
        if found["format"] != FORMAT:
            return Refused("has a format of another version", newer=True)
        payload, key_id, signature = found["payload"], str(found["key_id"]), str(found["signature"])
        signed = _TAG + encode(payload)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Refused("was damaged")
    refused = keys.refusal(key_id, signed, signature)
    if refused or not isinstance(payload, dict):
        return Refused(refused or "was damaged")
    return payload, key_id
