"""Names made of others: the only place that joins names and makes folders' names, so that no two come out alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stepwell.model.digests import digest

_LONGEST_SLUG = 160
_DIGITS = 32
_LONGEST_NAME = 200
_LONGEST_START = 160
_OWN_DIGEST = re.compile(r"--[0-9a-f]{32}\Z")
_EARLIER_DIGEST = re.compile("-[0-9a-f]{8}$")


def joined_name(*names: str) -> str:
    """Return one name for `names`, in lower-case letters, digits and dashes; distinct lists have distinct ones.

    A single name that consists of these already stays as it is; all others end in `--` and 128 bits of a digest.
    """
    slug = _slug(names)
    plain = len(names) == 1 and slug == names[0] and len(slug) <= _LONGEST_SLUG
    if plain and not _EARLIER_DIGEST.search(slug):  # for the sake of what `earlier_joined_name` made
        return slug
    return f"{slug[:_LONGEST_SLUG].rstrip('-')}--{digest('joined-name', list(names))[:_DIGITS]}"


def earlier_joined_name(*names: str) -> str:
    """Return the name that was made of `names` once; other lists may have the same one, so what has it must be looked at."""
    joined, slug = "-".join(names), _slug(names)
    return slug if slug == joined else f"{slug}-{digest('document-name', list(names))[:8]}"


def beginning_of_joined_names(name: str) -> str:
    """Return what `joined_name` and `earlier_joined_name` begin with for any list that begins with this name; '' if it may be anything."""
    return _slug([name])[:_LONGEST_SLUG].rstrip("-")


def folder_name(text: str) -> str:
    """Return a folder's or file's name for any text, in 200 bytes at most; distinct texts have distinct ones.

    What can be a name stays as it is; all other texts end in `--` and 128 bits of a digest.
    """
    if _is_folder_name(text):
        return text
    shown = "".join(mark if mark.isprintable() and mark != "/" else "_" for mark in text)
    start = shown.encode()[:_LONGEST_START].decode(errors="ignore").rstrip()
    return f"{start}--{digest('folder-name', text)[:_DIGITS]}"


def _is_folder_name(text: str) -> bool:
    return (
        text.isprintable()
        and "/" not in text
        and bool(text.strip(". "))
        and len(text.encode()) <= _LONGEST_NAME
        and not _OWN_DIGEST.search(text)
    )


def _slug(names: Iterable[str]) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")
