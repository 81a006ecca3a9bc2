"""Which packages' block types this home's server knows: who learns of them imports them all, so only when they changed.

That is a fork of the server from before its start, once nobody asks the server anything: so the first command does not wait,
and what was imported does not stay.

block_types.json   the packages, and Prefect, as they were when the server last learned of their types
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points, version
from pathlib import Path

from stepwell.blocks.system.files import write_atomically

_logger = logging.getLogger(__name__)

_FILE = "block_types.json"
SETTINGS = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false", "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false"}
"""The variables of a server that does not learn of them while it starts."""


def known(folder: Path) -> bool:
    """Return whether the database of the server in the folder has the types of what is installed."""
    try:
        return bool(json.loads((folder / _FILE).read_bytes()) == _installed())
    except (OSError, ValueError, RecursionError):
        return False


def note(folder: Path) -> None:
    """Remember that the types of what is installed are known."""
    with suppress(OSError):  # without this they are learned again
        write_atomically(folder / _FILE, json.dumps(_installed()).encode())


def forget(folder: Path) -> None:
    """Have the next server learn of all types: its database is another one."""
    (folder / _FILE).unlink(missing_ok=True)


def learn_after(wait: Callable[[], object], folder: Path) -> None:
    """Return at once, and learn of the types when `wait` has returned; call this while there are no other threads.

    What this process holds open, its locks among it, the learner holds until it is done, or this process has ended before.
    """
    hear, say = os.pipe()
    learner = os.fork()
    if learner == 0:
        try:
            os.close(say)
            if os.read(hear, 1):
                import asyncio

                asyncio.run(_learn())
                note(folder)
        except Exception:
            _logger.warning(
                "Prefect's server did not learn of all block types; the next start tries again", exc_info=True
            )
        finally:
            os._exit(0)
    os.close(hear)

    def tell() -> None:
        wait()
        with suppress(BrokenPipeError):
            os.write(say, b"!")
        os.close(say)
        os.waitpid(learner, 0)

    threading.Thread(target=tell, name="block types", daemon=True).start()


async def _learn() -> None:
    from prefect.plugins import load_prefect_collections
    from prefect.server.database import provide_database_interface
    from prefect.server.models.block_registration import run_block_auto_registration

    load_prefect_collections()
    async with await provide_database_interface().session() as session:
        await run_block_auto_registration(session=session)


def _installed() -> list[list[str]]:
    """Return what brings block types: Prefect, and each package that says so."""
    points = entry_points(group="prefect.collections")
    found = {(one.name, one.value, one.dist.name, one.dist.version) for one in points if one.dist is not None}
    return [["prefect", version("prefect")], *map(list, sorted(found))]
