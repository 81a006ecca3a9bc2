"""One name made of several: the only place that joins names, so that different ones can't come out alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stepwell.model.digests import digest

_LONGEST_SLUG = 160
_DIGITS = 32
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


def folder_names(names: Iterable[str]) -> dict[str, str]:
    """Return a folder's name for each of `names`: itself, or if it can't be one with `_` for `/`, and more if need be."""
    found: dict[str, str] = {}
    for name in sorted(set(names), key=lambda name: (not _is_folder_name(name), name)):
        folder = name.replace("/", "_")
        while not _is_folder_name(folder) or folder in found.values():
            folder += "_"
        found[name] = folder
    return found


def _is_folder_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name


def _slug(names: Iterable[str]) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")
