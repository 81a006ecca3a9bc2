"""Which packages' block types this home's server knows: it imports them all to learn of them, so only when they changed.

block_types.json   the packages, and Prefect, as they were when the server last learned of their types
memo_store.toml    what Prefect itself remembers of that
"""

from __future__ import annotations

import json
from contextlib import suppress
from importlib.metadata import entry_points, version
from pathlib import Path

from stepwell.blocks.system.files import write_atomically

_FILES = ("block_types.json", "memo_store.toml")
_KNOWN = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false", "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false"}


def settings(folder: Path) -> dict[str, str]:
    """Return the variables of a server that is about to start in the folder: it learns of no types that its database has."""
    try:
        known = json.loads((folder / _FILES[0]).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return dict(_KNOWN) if known == _installed() else {}


def note(folder: Path) -> None:
    """Remember that a server has started, and so knows the types of what is installed."""
    if not settings(folder):
        with suppress(OSError):  # it answers; without this it learns of them again
            write_atomically(folder / _FILES[0], json.dumps(_installed()).encode())


def forget(folder: Path) -> None:
    """Have the next server learn of all types: its database is another one."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def _installed() -> list[list[str]]:
    """Return what brings block types: Prefect, and each package that says so."""
    points = entry_points(group="prefect.collections")
    found = {(one.name, one.value, one.dist.name, one.dist.version) for one in points if one.dist is not None}
    return [["prefect", version("prefect")], *map(list, sorted(found))]
