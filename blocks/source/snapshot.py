"""The tree of a source directory: what of it counts, and which error a user gets when it can't be read."""

from __future__ import annotations

import heapq
import os
from pathlib import Path

from stepwell.blocks.source.ignore_rules import IGNORE_FILES, IgnoreRules, line_for
from stepwell.blocks.system.home import home
from stepwell.errors import SnapshotException, StoreException
from stepwell.model.tree import DigestFile, Skip, Tree, plain_digest, scan

SIZE_TO_WARN = 300 << 20
"""Bytes; v1 refused more."""

LARGE_FILE = 50 << 20
"""Bytes above which a file is named, and the line that leaves it out."""

_NAMED = 3


def source_tree(directory: Path, digest_file: DigestFile = plain_digest) -> Tree:
    """Return the tree of a source directory without what its ignore file lists.

    Links that stay inside are kept as links, also loops and those that lead nowhere. A link that leads out is not
    followed, since a change of its target would go unseen on another machine: it raises SnapshotException, and so do
    pipes, sockets, devices and what can't be read, each unless the ignore file lists it.
    """
    if not os.path.isdir(directory):
        found = "a file" if os.path.exists(directory) else "nothing"
        facts = {"source_directory": _printable(str(directory)), "found": found}
        raise SnapshotException("The source directory isn't a folder", facts, "Name the folder that holds the script.")
    rules = IgnoreRules.read(directory)
    ignore_file = rules.source or IGNORE_FILES[0]
    try:
        return scan(directory, digest_file, skip=_without(home(), directory, rules))
    except StoreException as error:
        facts = {name: _printable(value) for name, value in error.facts.items()}
        hint = f"Put the file itself there, or list the link in {ignore_file}."
        raise SnapshotException(error.title, facts, hint if "link" in facts else _list_it(ignore_file)) from error
    except FileNotFoundError as error:
        facts = {"missing": _printable(_named(error))}
        raise SnapshotException("A file vanished while it was read", facts, "Start again.") from error
    except OSError as error:
        facts = {"path": _printable(_named(error)), "reason": str(error.strerror)}
        hint = f"Make it readable, or list it in {ignore_file}."
        raise SnapshotException("A file of the source directory can't be read", facts, hint) from error


def size_warning(directory: Path, tree: Tree) -> str | None:
    """Return a sentence that names what is large in a source directory, and the lines that leave it out; None if nothing is."""
    large = [entry for entry in tree.entries if entry.size > LARGE_FILE]
    if tree.size <= SIZE_TO_WARN and not large:
        return None
    biggest = heapq.nlargest(_NAMED, large or tree.entries, key=lambda entry: entry.size)
    files = ", ".join(f"{_printable(entry.path)} ({_megabytes(entry.size)})" for entry in biggest if entry.size)
    more = f" and {len(large) - len(biggest)} more above {_megabytes(LARGE_FILE)}" if len(large) > len(biggest) else ""
    ignore_file = IgnoreRules.read(directory).source or IGNORE_FILES[0]
    beginning = f"The source directory {_printable(str(directory))} holds {_megabytes(tree.size)}, most of it in"
    if not large:
        hint = f"list what the scripts don't read in its {ignore_file}, and keep data in a datastore."
        return f"{beginning} {files}: {hint}"
    lines = ", ".join(f"`{line_for(entry.path)}`" for entry in biggest)
    return (
        f"{beginning} {files}{more}, which every step copies: unless the scripts read {'them' if large[1:] else 'it'} there, "
        f"add {lines} to its {ignore_file}, and pass data as inputs."
    )


def _without(own: Path, directory: Path, rules: IgnoreRules) -> Skip:
    """Return what skips all that the rules exclude, and Stepwell's own home, which changes while it is read."""
    place = os.path.relpath(os.path.realpath(own), os.path.realpath(directory)).replace(os.sep, "/")
    return lambda path, is_folder: path == place or rules.excludes(path, is_folder)


def _list_it(ignore_file: str) -> str:
    return f"List it in {ignore_file}, or remove it."


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"


def _named(error: OSError) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
