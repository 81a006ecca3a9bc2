"""What an input of a step holds, as the host knows it before the step runs: names and digests of files, no bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class FileFacts(NamedTuple):
    """A file of an input: its name below the input's folder ('' for a lone file), its content's digest and its size."""

    name: str
    digest: str
    size: int


class Contents(NamedTuple):
    """An input: its files, the dataset that it is as JSON text ('' if it is none), and where it stands ('' if unknown)."""

    files: tuple[FileFacts, ...]
    document: str = ""
    path: str = ""


def facts_of(entries: Iterable[Any]) -> tuple[FileFacts, ...]:
    """Return the files among the entries of a tree, or of its plain values; links and folders have no content of their own."""
    return tuple(
        FileFacts(str(path), str(digest), int(size)) for path, kind, digest, size, *_ in entries if kind == "file"
    )
