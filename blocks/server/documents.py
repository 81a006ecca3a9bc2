"""Prefect's block documents: save, load and list blocks by name in one round trip each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from pydantic import ValidationError

from stepwell.blocks.server.connection import ensure_server
from stepwell.blocks.server.settings import AUTH_STRING
from stepwell.errors import ServerException
from stepwell.model.digests import digest

B = TypeVar("B", bound=Block)
_PAGE = 200


@cache
def _client_of(_url: str, _auth_string: str | None) -> SyncPrefectClient:
    return get_client(
        {}, sync_client=True
    )  # with settings, lest it be the one that a run of Prefect's closes at its end


@contextmanager
def client() -> Iterator[SyncPrefectClient]:
    """Provide a client of the server in force; raise ServerException if it can't be reached, or lets nobody in."""
    url = ensure_server()
    try:
        yield _client_of(url, os.environ.get(AUTH_STRING))
    except httpx.TransportError as error:
        raise ServerException(
            "Prefect's server does not answer",
            {"url": url, "reason": str(error) or type(error).__name__},
            "Check that it runs with `stepwell server status`.",
        ) from error
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            raise
        hint = f"Set {AUTH_STRING} to the USER:PASSWORD that the server was started with."
        raise ServerException("Prefect's server asks for another password", {"url": url}, hint) from None


def ui_url(path: str = "") -> str:
    """Return the address of a page of Prefect's UI."""
    return (get_current_settings().ui_url or ensure_server().removesuffix("/api")) + path


def document_name(*names: str) -> str:
    """Return a document's name for `names`: lower-case letters, digits and dashes, distinct for distinct names."""
    joined = "-".join(names)
    slug = re.sub(r"[^a-z0-9]+", "-", joined.lower()).strip("-")
    return slug if slug == joined else f"{slug}-{digest('document-name', list(names))[:8]}"


def save(block: Block, name: str) -> None:
    """Save `block` as the document `name`, in place of what the document held."""
    with client():
        block.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]  # (what Prefect's decorator takes)


def load(cls: type[B], name: str) -> B | None:
    """Return the block saved as `name`, or None."""
    with client() as api:
        try:
            document = api.read_block_document_by_name(name, cls.get_block_type_slug(), include_secrets=True)
        except ObjectNotFound:
            return None
    return _block_from(cls, document)


def load_all(cls: type[B], **fields: str) -> list[B]:
    """Return every saved block of the class whose fields have these values."""
    with client() as api:
        try:
            documents = api.read_block_documents_by_type(
                cls.get_block_type_slug(), include_secrets=True
            )  # no server pages them
        except PrefectHTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return []
    found = [_block_from(cls, document) for document in documents]
    return [block for block in found if all(getattr(block, field) == value for field, value in fields.items())]


def load_any(classes: Iterable[type[B]], **fields: str) -> list[B]:
    """Return every saved block of any of the classes whose fields have these values, in one round trip for each 200."""
    by_slug = {cls.get_block_type_slug(): cls for cls in classes}
    body: dict[str, Any] = {"block_types": {"slug": {"any_": list(by_slug)}}, "include_secrets": True}
    documents: list[BlockDocument] = []
    with client() as api:
        while True:
            page = api.request("POST", "/block_documents/filter", json={**body, "offset": len(documents)}).json()
            documents += [BlockDocument.model_validate(document) for document in page]
            if len(page) < _PAGE:
                break
    found = []
    for document in documents:
        assert document.block_type
        with suppress(ValidationError):  # one that can't be read must not be in the way of the others
            found.append(_block_from(by_slug[str(document.block_type.slug)], document))
    return [block for block in found if all(getattr(block, field) == value for field, value in fields.items())]


def _block_from(cls: type[B], document: BlockDocument) -> B:
    """Return the block of a document; Prefect's own way imports every installed collection first, a second's work."""
    block = cls(**{field: value for field, value in document.data.items() if field in cls.model_fields})
    block._block_document_id = document.id
    block._block_document_name = document.name
    return block


def saved_at(block: Block) -> tuple[str | None, str | None]:
    """Return when the block was first and last saved; None if it never was, or is no longer."""
    document_id = block._block_document_id  # noqa: SLF001  (Prefect has no public word for it)
    if document_id is None:
        return None, None
    with client() as api:
        try:
            document = api.read_block_document(document_id, include_secrets=False)
        except ObjectNotFound:
            return None, None
    return tuple(time and time.isoformat() for time in (document.created, document.updated))  # type: ignore[return-value]


def delete(cls: type[Block], name: str) -> bool:
    """Delete the document `name` and return whether there was one."""
    with client() as api:
        try:
            document = api.read_block_document_by_name(name, cls.get_block_type_slug(), include_secrets=False)
        except ObjectNotFound:
            return False
        api.delete_block_document(document.id)
    return True
