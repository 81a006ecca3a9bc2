"""Signatures of what machines tell of runs: at the end of a head, and as the comment of an archive.

Both are read by releases that know no signatures, and what those wrote is read as not signed.
"""

from __future__ import annotations

import re
from contextlib import suppress

from stepwell.blocks.store.shared.envelope import Keys
from stepwell.errors import StepwellError

UNSIGNED = "is not signed"
FORGED = "was damaged or forged"
_TAG = b"stepwell told of a run 1\0"
_SIGNATURE = rb',"key_id":"([0-9a-f]{1,64})","signature":"([A-Za-z0-9+/=]{1,200})"\}'
_AT_THE_END = re.compile(_SIGNATURE + rb"\Z")
_NO_COMMENT = b"\0\0"


def signed_document(name: str, data: bytes, keys: Keys | None) -> bytes:
    """Return the JSON object `data`, which is to have that name, with its signature as its last members."""
    made = _sign(name, data, keys)
    return data if made is None else data[:-1] + b',"key_id":"%s","signature":"%s"}' % made


def why_no_trust(name: str, data: bytes, keys: Keys | None) -> tuple[str, str]:
    """Return why a document of that name is not believed, '' if it is, and the name of the key that signed it."""
    if keys is None:
        return "", ""
    found = _AT_THE_END.search(data)
    return (UNSIGNED, "") if found is None else _judged(name, data[: found.start()] + b"}", found[1], found[2], keys)


def signed_archive(name: str, data: bytes, keys: Keys | None) -> bytes:
    """Return the zip archive, which is to have that name and has no comment, with its signature as its comment."""
    made = _sign(name, data, keys) if data.endswith(_NO_COMMENT) else None
    if made is None:
        return data
    comment = b'{"of":"archive","key_id":"%s","signature":"%s"}' % made
    return data[:-2] + len(comment).to_bytes(2, "little") + comment


def why_no_trust_in_archive(name: str, data: bytes, keys: Keys | None) -> str:
    """Return why an archive of that name is not believed; '' if it is."""
    if keys is None:
        return ""
    found = re.search(rb'\{"of":"archive"' + _SIGNATURE + rb"\Z", data[-400:])
    if found is None:
        return UNSIGNED
    body = data[: len(data) - len(found[0]) - 2] + _NO_COMMENT
    return _judged(name, body, found[1], found[2], keys)[0]


def _sign(name: str, data: bytes, keys: Keys | None) -> tuple[bytes, bytes] | None:
    if keys is not None:
        with suppress(StepwellError):  # without Prefect's server nobody is told of a new key
            key = keys.own()
            return key.key_id.encode(), key.sign(_signed(name, data)).encode()
    return None


def _judged(name: str, data: bytes, key_id: bytes, signature: bytes, keys: Keys) -> tuple[str, str]:
    try:
        return keys.refusal(key_id.decode(), _signed(name, data), signature.decode()), key_id.decode()
    except StepwellError:
        return "has a signature that can't be checked without Prefect's server", ""


def _signed(name: str, data: bytes) -> bytes:
    return b"%s%s\0%s" % (_TAG, name.encode(), data)
