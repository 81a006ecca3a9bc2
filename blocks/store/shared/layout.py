"""Names of the shared objects. All that a name tells of an object's content is checked when that is read.

records/<aa>/<key>.json           a signed record, written last and once
trees/<aa>/<tree>.json            what a tree consists of; written after its bytes
blobs/<aa>/<sha256>               the bytes of one file
packs/<aa>/<tree>.tar             instead, those of a tree of many small files
index/<step>/!<time>-<key>        empty; finds the records of a step, the latest first in any listing
partial/<rows>/!<time>-<key>      empty; finds records that differ in the content of inputs at most, in the same order
observed/<code>/<path>            a file that a step with this code was seen to read
leases/<key>                      who runs a step now
bundles/<name>/!<time>-<keys>      records of a run of many steps in one object: see `bundles`
versions/<place>/…                what files of a datastore's folder hold, as somebody read them: see `versions`
touch/<day>/…, gc/                which results were used when, and what a collection of garbage condemned
"""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime

from stepwell.model.digests import digest
from stepwell.model.fingerprint import partial_key
from stepwell.model.records import StepRecord

_LONGEST = 180
_END_OF_TIME = 10**14
_MANY, _SMALL = 200, 64 << 10


def record_name(key: str) -> str:
    """Return the name of a key's record."""
    return f"records/{key[:2]}/{key}.json"


def tree_name(tree: str) -> str:
    """Return the name of what tells of a tree."""
    return f"trees/{tree[:2]}/{tree}.json"


def blob_name(sha256: str) -> str:
    """Return the name of a file's bytes."""
    return f"blobs/{sha256[:2]}/{sha256}"


def pack_name(tree: str) -> str:
    """Return the name of a tree's bytes in one archive."""
    return f"packs/{tree[:2]}/{tree}.tar"


def index_folder(step: str) -> str:
    """Return where the records of a step are found."""
    return f"index/{digest('step-name', step)[:32]}/"


def partial_folder(partial: str) -> str:
    """Return where the records with these rows are found."""
    return f"partial/{partial[:32]}/"


def found_by(record: StepRecord) -> tuple[str, str]:
    """Return the names by which a record is found among those of its step, and of its rows."""
    milliseconds = 0
    with suppress(ValueError, OverflowError):
        milliseconds = int(datetime.fromisoformat(record.started).timestamp() * 1000)
    name = f"!{max(0, _END_OF_TIME - milliseconds):015d}-{record.key}"
    return index_folder(record.step) + name, partial_folder(partial_key(record.fingerprint)) + name


def found_key(name: str) -> str:
    """Return the key of the record that a name of `found_by` finds; earlier ones tell no time, and come after those."""
    return name.rpartition("/")[2].rpartition("-")[2]


def observed_folder(code: str) -> str:
    """Return where the reads of steps with this code are found."""
    return f"observed/{code[:32]}/"


def observed_name(code: str, path: str) -> str:
    """Return the name of one read, which tells the path unless that is too long."""
    written = base64.urlsafe_b64encode(path.encode("utf-8", "surrogateescape")).decode().rstrip("=")
    return observed_folder(code) + (written if len(written) <= _LONGEST else "." + digest("path", path))


def observed_path(name: str) -> str | None:
    """Return the path that the name of a read tells; None if its content does."""
    written = name.rpartition("/")[2]
    if written.startswith("."):
        return None
    try:
        return base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)).decode("utf-8", "surrogateescape")
    except ValueError:
        return ""


def is_packed(sizes: list[int]) -> bool:
    """Return whether files of these sizes travel in one archive: many small ones."""
    return sum(size < _SMALL for size in sizes) > _MANY
