"""Prefect's block documents: save, load and list blocks by name in one round trip each."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate, BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from pydantic import Field, PrivateAttr, ValidationError

from stepwell.blocks.arguments.checked import unchecked
from stepwell.blocks.server.connection import distrust, ensure_server
from stepwell.blocks.server.patience import client_of, does_not_answer, patient_calls
from stepwell.blocks.server.retry import cannot_answer
from stepwell.blocks.server.settings import AUTH_STRING
from stepwell.blocks.system.disk import told_in_words
from stepwell.blocks.system.home import home
from stepwell.blocks.system.locks import KeyLocks
from stepwell.errors import ServerException, UserErrorException
from stepwell.model.names import beginning_of_joined_names, earlier_joined_name, joined_name

_PAGE = 200
_SAVE_ATTEMPTS, _SAVE_PAUSE = 6, 0.05
_SECONDS_FOR_OTHERS = 30.0
_slug = cache(Block.get_block_type_slug.__func__)  # type: ignore[attr-defined]  # Prefect makes it anew each time


class NamedBlock(Block):
    """A block that is known by some of its fields: its document's name is made of them, for it alone."""

    named_by: ClassVar[tuple[str, ...]] = ("workspace", "name")

    @property
    def own_names(self) -> tuple[str, ...]:
        """The values of these fields."""
        return tuple(str(getattr(self, field)) for field in self.named_by)


class DatedBlock(Block):
    """A block that knows when it was first saved, by the server's clock."""

    created: float = Field(default=0, description="When it was made, in seconds since 1970.")
    _first_saved: float | None = PrivateAttr(default=None)

    @property
    def first_saved(self) -> float:
        """When it was first saved, in seconds since 1970; if it was not loaded, when it says that it was made."""
        return self.created if self._first_saved is None else self._first_saved


B = TypeVar("B", bound=Block)
N = TypeVar("N", bound=NamedBlock)


@contextmanager
def client() -> Iterator[SyncPrefectClient]:
    """Provide a client of the server in force; raise ServerException if it can't be reached, or lets nobody in."""
    url = ensure_server()
    api = client_of(url, os.environ.get(AUTH_STRING))
    try:
        yield api
    except httpx.TransportError as error:
        distrust()
        raise does_not_answer(api, error) from error
    except PrefectHTTPStatusError as error:
        if error.response.is_server_error:
            raise cannot_answer(error) from None
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            raise
        hint = f"Set {AUTH_STRING} to the USER:PASSWORD that the server was started with."
        raise ServerException("Prefect's server asks for another password", {"url": url}, hint) from None


def ui_url(path: str = "") -> str:
    """Return the address of a page of Prefect's UI."""
    return (get_current_settings().ui_url or ensure_server().removesuffix("/api")) + path


def create_artifact(
    kind: str,
    key: str,
    description: str,
    data: str,
    run_id: str = "",
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Create an artifact, on the page of the run if its id is given; Prefect's own functions do it within a run alone.

    `tell` is called with what the server returned, and has to tell of its creation, what Prefect's client does otherwise.
    """
    flow_run = UUID(run_id) if run_id else None
    made = ArtifactCreate(key=key, type=kind, description=description, data=data, flow_run_id=flow_run)
    with client() as api:
        if tell is None:
            api.create_artifact(made)
        else:
            tell(api.request("POST", "/artifacts/", json=made.model_dump(mode="json", exclude_unset=True)).json())


def save(block: Block, name: str) -> None:
    """Save `block` as the document `name`, in place of what the document held."""
    if _document_of(block) != name:
        block._block_document_id = None  # noqa: SLF001  (else Prefect would overwrite the document that it came from)
    _save(block, name, overwrite=True)


def create(block: Block, name: str) -> bool:
    """Save `block` as the new document `name`; return whether it is the one that has the name from now on.

    Of all who try that at once, on any machines, one has it: the server decides.
    """
    block._block_document_id = None  # noqa: SLF001  (it is another one's)
    try:
        _save(block, name, overwrite=False)
    except ValueError as error:
        if not isinstance(error.__cause__, ObjectAlreadyExists):
            raise
        return False
    return True


def _save(block: Block, name: str, *, overwrite: bool) -> None:
    with registering("blocks"), client(), patient_calls():
        for attempt in range(_SAVE_ATTEMPTS):
            try:
                block.save(name, overwrite=overwrite, _sync=True)  # type: ignore[call-arg]  # (what Prefect's decorator takes)
            except (ObjectAlreadyExists, ObjectNotFound):  # whoever has another home was faster, or deleted it again
                if attempt == _SAVE_ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, _SAVE_PAUSE * 2**attempt))  # noqa: S311  (lest all come back at once)
            else:
                return


class DeletedException(UserErrorException):
    """Something in hand was deleted meanwhile."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The {what} was deleted", hint="Make it anew, or take another one.")


def replace(block: Block, what: str) -> None:
    """Save `block` in place of the document that it came from; raise DeletedException about `what` if that is gone."""
    if isinstance(block, NamedBlock) and not _is_in_place(block):  # where earlier releases kept it
        newest(block, what)
        save_named(block)
        return
    document_id = block._block_document_id  # noqa: SLF001  (Prefect has no public word for it)
    assert document_id is not None
    with registering("blocks"), client() as api, patient_calls():
        block.register_type_and_schema(_sync=True)  # type: ignore[call-arg]  # (what Prefect's decorator takes)
        known = block._to_block_document(_document_of(block), include_secrets=True)  # noqa: SLF001
        changed = BlockDocumentUpdate(**known.model_dump(include={"block_schema_id", "data"}))
        try:
            api.update_block_document(document_id, changed)
        except ObjectNotFound:
            raise DeletedException(what) from None


def newest(block: B, what: str) -> B:
    """Return the block as it is saved by now; raise DeletedException if it is not, whatever has its name since."""
    document_id = block._block_document_id  # noqa: SLF001
    assert document_id is not None
    with client() as api:
        try:
            return _block_from(type(block), api.read_block_document(document_id, include_secrets=True))
        except ObjectNotFound:
            raise DeletedException(what) from None


@contextmanager
def registering(what: str) -> Iterator[None]:
    """Let nobody else of this home look for what is missing and make it while the block runs: two would make it twice.

    Who waits for too long, since a server is silent perhaps, goes on without.
    """
    ensure_server()
    locks, holder = KeyLocks(home() / "locks"), uuid.uuid4().hex
    with told_in_words("Stepwell's home can't be written", home()):
        held = locks.acquire_lock(what, holder, acquire_timeout=_SECONDS_FOR_OTHERS)
    try:
        yield
    finally:
        if held:
            locks.release_lock(what, holder)


def load(cls: type[B], name: str) -> B | None:
    """Return the block saved as `name`, or None."""
    with client() as api:
        try:
            document = api.read_block_document_by_name(name, _slug(cls), include_secrets=True)
        except ObjectNotFound:
            return None
    return _block_from(cls, document)


# Blocks that are known by their fields ----------------------------------------------------------------------------------


def save_named(block: NamedBlock) -> None:
    """Save `block` under the name that its fields make; where earlier releases kept it, there is nothing left."""
    names = block.own_names
    save(block, joined_name(*names))
    _delete(document for document in _documents_of(type(block), names) if document.name != joined_name(*names))


def create_named(block: NamedBlock) -> bool:
    """Save `block` as `create` does, under the name that its fields make."""
    return create(block, joined_name(*block.own_names))


def load_named(cls: type[N], *names: str) -> N | None:
    """Return the block whose fields have these values, or None; one of other values is never returned."""
    found = _documents_of(cls, names)
    return _block_from(cls, found[0]) if found else None


def delete_named(cls: type[NamedBlock], *names: str) -> bool:
    """Delete the block whose fields have these values, and return whether there was one."""
    return _delete(_documents_of(cls, names))


def _documents_of(cls: type[NamedBlock], names: tuple[str, ...]) -> list[BlockDocument]:
    """Return the documents of a block of these names: where it is saved now, then where it once was, as others were."""
    places = list(dict.fromkeys((joined_name(*names), earlier_joined_name(*names))))
    found = _read_documents([cls], {"block_documents": {"name": {"any_": places}}})
    own = [document for document in found if tuple(str(document.data.get(field)) for field in cls.named_by) == names]
    return sorted(own, key=lambda document: places.index(str(document.name)))


def _delete(found: Iterable[BlockDocument]) -> bool:
    """Delete the documents, and return whether any was still there."""
    deleted = False
    with client() as api:
        for document in found:
            with suppress(ObjectNotFound):
                api.delete_block_document(document.id)
                deleted = True
    return deleted


def came_first(block: DatedBlock, among: Iterable[DatedBlock]) -> bool:
    """Return whether the block was saved before all `among` which it is: of several of one name, the first has it."""
    first = min(among, key=lambda one: (one.first_saved, str(_document_of(one))), default=block)
    return _document_of(first) == _document_of(block)


class TakenVersion(NamedBlock):
    """A version number that somebody took: of two who publish or register at once, on whatever machines, each has another."""

    _block_type_name: ClassVar[str] = "Stepwell Taken Version"
    _block_type_slug: ClassVar[str] = "stepwell-taken-version"
    _description: ClassVar[str] = "A version number that is taken, so that no two machines give the same."
    named_by: ClassVar[tuple[str, ...]] = ("workspace", "kind", "name", "version")

    workspace: str = Field(description="The workspace that it is of.")
    kind: str = Field(description="What has versions.")
    name: str = Field(description="Whose version it is.")
    version: int = Field(description="The number.")
    holder: str = Field(description="Who took it.")


def take_version(workspace: str, kind: str, name: str, known: Iterable[int | str]) -> int:
    """Return the first number after the `known` ones that nobody has taken, and take it. Versions that are words don't count."""
    numbers = [int(text) for text in map(str, known) if text.isascii() and text.isdecimal()]
    version, holder = max(numbers, default=0) + 1, uuid.uuid4().hex
    while not create_named(TakenVersion(workspace=workspace, kind=kind, name=name, version=version, holder=holder)):
        version += 1
    return version


def give_version_back(workspace: str, kind: str, name: str, version: int | str) -> None:
    """Let the number be taken again, since nothing has it."""
    delete_named(TakenVersion, workspace, kind, name, str(version))


# Many blocks ------------------------------------------------------------------------------------------------------------


def load_all(cls: type[B], **fields: str) -> list[B]:
    """Return every saved block of the class whose fields have these values."""
    return load_any([cls], **fields)


def load_any(classes: Iterable[type[B]], **fields: str) -> list[B]:
    """Return every saved block of any of the classes whose fields have these values, in one round trip for each 200."""
    by_slug = {_slug(cls): cls for cls in classes}
    found = []
    for document in _read_documents(by_slug.values(), _narrowed(by_slug.values(), fields)):
        assert document.block_type
        with suppress(ValidationError):  # one that can't be read must not be in the way of the others
            found.append(_block_from(by_slug[str(document.block_type.slug)], document))
    return _those_of(found, fields)


def _narrowed(classes: Iterable[type[Block]], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a filter that leaves out documents of other workspaces, as far as their names tell."""
    named = all(issubclass(cls, NamedBlock) and cls.named_by[0] == "workspace" for cls in classes)
    beginning = beginning_of_joined_names(fields.get("workspace", "")) if named else ""
    return {"block_documents": {"name": {"like_": beginning}}} if beginning else {}


def _read_documents(classes: Iterable[type[Block]], wanted: Mapping[str, Any]) -> list[BlockDocument]:
    slugs = [_slug(cls) for cls in classes]
    body = {"block_types": {"slug": {"any_": slugs}}, "include_secrets": True, **wanted}
    found: list[BlockDocument] = []
    with client() as api:
        while True:
            page = api.request("POST", "/block_documents/filter", json={**body, "offset": len(found)}).json()
            found += [BlockDocument.model_validate(document) for document in page]
            if len(page) < _PAGE:
                return found


def _those_of(blocks: Iterable[B], fields: Mapping[str, str]) -> list[B]:
    """Return the blocks whose fields have these values, without what was left where earlier releases kept a block."""
    found = [block for block in blocks if all(getattr(block, field) == value for field, value in fields.items())]
    moved = {_identity(block) for block in found if _is_in_place(block)}
    return [block for block in found if _is_in_place(block) or _identity(block) not in moved]


def _identity(block: Block) -> tuple[object, ...]:
    return (type(block), *(block.own_names if isinstance(block, NamedBlock) else ()))


def _is_in_place(block: Block) -> bool:
    return not isinstance(block, NamedBlock) or _document_of(block) == joined_name(*block.own_names)


def _document_of(block: Block) -> str | None:
    return block._block_document_name  # noqa: SLF001  (Prefect has no public word for it)


def _block_from(cls: type[B], document: BlockDocument) -> B:
    """Return the block of a document; Prefect's own way imports every installed collection first, a second's work."""
    with unchecked():
        block = cls(**{field: value for field, value in document.data.items() if field in cls.model_fields})
    block._block_document_id = document.id
    block._block_document_name = document.name
    if isinstance(block, DatedBlock):
        block._first_saved = document.created.timestamp() if document.created else None
    return block


def delete_those_of(workspace: str) -> None:
    """Delete every block of ours that names the workspace in its field `workspace`."""
    with client() as api:
        types = api.request("POST", "/block_types/filter", json={"block_types": {"name": {"like_": "Stepwell"}}}).json()
        slugs = [kind["slug"] for kind in types if str(kind["slug"]).startswith("stepwell-")]
        found: list[dict[str, Any]] = []
        while True:
            body = {"block_types": {"slug": {"any_": slugs}}, "offset": len(found)}
            page = api.request("POST", "/block_documents/filter", json=body).json()
            found += page
            if len(page) < _PAGE:
                break
        for document in found:
            if document["data"].get("workspace") == workspace:
                with suppress(ObjectNotFound):
                    api.delete_block_document(document["id"])


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
            document = api.read_block_document_by_name(name, _slug(cls), include_secrets=False)
        except ObjectNotFound:
            return False
        api.delete_block_document(document.id)
    return True
