"""Names of the shared objects. All that a name tells of an object's content is checked when that is read.

records/<aa>/<key>.json           a signed record, written last and once
trees/<aa>/<tree>.json            what a tree consists of; written after its bytes
blobs/<aa>/<sha256>               the bytes of one file
packs/<aa>/<tree>.tar             instead, those of a tree of many small files
index/<step>/<key>                empty; finds the records of a step
partial/<rows>/<key>              empty; finds records that differ in the content of inputs at most
observed/<code>/<path>            a file that a step with this code was seen to read
leases/<key>                      who runs a step now
touch/<day>/…, gc/                which results were used when, and what a collection of garbage condemned
"""

from __future__ import annotations

import base64

from stepwell.model.digests import digest

_LONGEST = 180
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
