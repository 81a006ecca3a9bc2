"""What the tests pay for once: Prefect's work that has the same result each time, workspaces, and the tables of a new server's database."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from document_rows import DocumentRows
from waiting import eventually

FIRST_SERVER = "STEPWELL_TEST_FIRST_SERVER"
"""The variable that names the folder with the files of the session's first server."""


def remember_results_of_prefect() -> None:
    """Let Prefect make no schema of a class twice, nor settings of the same variables and changes: half of a run's time."""
    from prefect.blocks.core import Block
    from prefect.settings import Settings

    if hasattr(Block.get_block_type_slug, "cache_info"):
        return
    schema, slug, updated = (
        Block.model_json_schema.__func__,
        Block.get_block_type_slug.__func__,
        Settings.copy_with_update,
    )
    schema_of, has_secrets = functools.cache(schema), Block._field_has_secrets
    settings: dict[Any, tuple[Settings, Settings]] = {}

    @functools.wraps(schema)
    def model_json_schema(cls: type[Block], *args: Any, **more: Any) -> dict[str, Any]:
        return copy.deepcopy(schema_of(cls, *args, **more))

    @functools.cache
    def field_has_secrets(cls: type[Block], name: str) -> bool:
        return has_secrets(cls.model_construct(), name)

    @functools.wraps(updated)
    def copy_with_update(self: Settings, updates: Any = None, *args: Any, **more: Any) -> Settings:
        values = {getattr(setting, "name", setting): value for setting, value in (updates or {}).items()}
        if args or more or not all(isinstance(value, bool | int | float | str | None) for value in values.values()):
            return updated(self, updates, *args, **more)
        variables = frozenset(item for item in os.environ.items() if item[0].upper().startswith("PREFECT"))
        key = (id(self), frozenset(values.items()), variables, os.getcwd())
        if key not in settings:
            if len(settings) > 99:
                settings.clear()
            settings[key] = self, updated(self, updates)  # the first lives on, lest another get its id
        return settings[key][1]

    Block.model_json_schema = classmethod(model_json_schema)  # type: ignore[method-assign,assignment]
    Block.get_block_type_slug = classmethod(functools.cache(slug))  # type: ignore[method-assign,assignment]
    Block._field_has_secrets = lambda block, name: field_has_secrets(type(block), name)  # type: ignore[method-assign]
    Settings.copy_with_update = copy_with_update  # type: ignore[method-assign]


@contextmanager
def answers_are_remembered() -> Iterator[None]:
    """Let Prefect's server be asked each question once while the block runs, which changes nothing there."""
    send, answers = httpx.Client.send, {}

    def remembering(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        key = (request.method, request.url, request.content)
        if key not in answers:
            answers[key] = send(self, request, **more)
        return answers[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", remembering)
        yield


# Workspaces ---------------------------------------------------------------------------------------------------------------

_registered: dict[tuple[type, str], tuple[Any, Any]] = {}


@contextmanager
def own_workspace(server: str, letter: str) -> Iterator[Any]:
    """Provide a new workspace, which no command on all workspaces of the server visits after the block."""
    rows = DocumentRows.of(server)
    workspace = _new_workspace(letter, rows)
    if rows is None:  # the first one of a server is made as users make theirs
        rows = DocumentRows.of(server)
    else:
        rows.keep()
    yield workspace
    if rows is not None:
        with suppress(httpx.HTTPError, sqlite3.Error):  # the server may have ended
            rows.remove(workspace._block)


def _new_workspace(letter: str, rows: DocumentRows | None) -> Any:
    """Return a new workspace, asking the server neither again for the classes of its blocks nor for documents of a name that is new."""
    from prefect.blocks.core import Block

    from stepwell import Workspace
    from stepwell.blocks.server import documents
    from stepwell.model.names import joined_name

    remember_results_of_prefect()
    register = Block.register_type_and_schema.__func__

    def register_once(cls: type[Block], *args: Any, **more: Any) -> Any:
        key = (cls, os.environ["PREFECT_API_URL"])
        if key not in _registered:
            register(cls, *args, **more)
            _registered[key] = cls._block_type_id, cls._block_schema_id
        cls._block_type_id, cls._block_schema_id = _registered[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Block, "register_type_and_schema", classmethod(register_once))
        patch.setattr(documents, "save_named", lambda block: documents.save(block, joined_name(*block.own_names)))
        if rows is not None:
            made: dict[tuple[Any, ...], Block] = {}

            def insert(block: Block, name: str, *, overwrite: bool) -> None:
                block.register_type_and_schema(_sync=True)
                rows.add(block, name)
                made[(type(block), *block.own_names)] = block

            def find(*wanted: Any) -> Block | None:
                return made[wanted].model_copy() if wanted in made else None

            patch.setattr(documents, "_save", insert)
            patch.setattr(documents, "load_named", find)
        return Workspace.create(f"{letter}-{uuid.uuid4().hex[:12]}")


# Servers ------------------------------------------------------------------------------------------------------------------

FILES = ("prefect.db", "versions.json", "block_types.json")


@contextmanager
def sharing_of_first_server(home: Path) -> Iterator[None]:
    """Let whoever comes first start a server in `home` during the block, and give those who follow what that one wrote."""
    from stepwell.blocks.system.locks import exclusive

    kept = Path(os.environ[FIRST_SERVER])
    with exclusive(kept.with_suffix(".lock")):
        if kept.exists():
            start_from_first_server(home)
        else:
            yield
            eventually((home / "server" / FILES[-1]).exists)  # once nobody asks the server anything
            draft = kept.with_suffix(".draft")
            draft.mkdir()
            for name in FILES[1:]:
                shutil.copy(home / "server" / name, draft / name)
            with (
                closing(sqlite3.connect(home / "server" / FILES[0])) as its,
                closing(sqlite3.connect(draft / FILES[0])) as ours,
            ):
                its.backup(ours)
            draft.rename(kept)
            return
    yield


def start_from_first_server(home: Path) -> None:
    """Let a server that will be the first of its home find the tables that Prefect makes, half of the work of its start."""
    kept = Path(os.environ.get(FIRST_SERVER, "/nowhere"))
    if kept.exists() and not (home / "server").exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "server").mkdir(mode=0o700)
        for name in FILES:
            shutil.copy(kept / name, home / "server" / name)
