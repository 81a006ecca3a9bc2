"""Prefect's reading of results: through a block that serves verified records and keeps nothing of its own.

Prefect's own result files can be edited, truncated or poisoned and are then served or executed. Here nothing that
Prefect would write is written, and what it reads is made on the spot from a record whose signature and
bytes were just checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any, ClassVar, Literal

from prefect.filesystems import WritableFileSystem
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]
from prefect.serializers import Serializer
from pydantic import PrivateAttr

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.base_workspace import BaseWorkspace
from stepwell.errors import StoreException
from stepwell.model.digests import encode
from stepwell.model.records import StepRecord, StepResult

Lookup = Callable[[str], "CacheHit"]
"""A result's key in; its checked record out, or StoreException."""

LOOKUP: ContextVar[Lookup | None] = ContextVar("stepwell_lookup", default=None)
"""How the running task looks its result up."""

_DOCUMENT = "results"


class StepResultSerializer(Serializer):  # type: ignore[type-arg]
    """Step results as JSON; nothing in it can execute."""

    type: Literal["stepwell"] = "stepwell"

    def dumps(self, obj: StepResult | BaseException) -> bytes:
        """Return the JSON text of a result; of an error, which Prefect hands over too, that of its message."""
        if isinstance(obj, BaseException):
            return encode({"error": str(obj)})
        return encode({"record": obj.record.to_json(), "workspace": obj.workspace})

    def loads(self, blob: bytes) -> StepResult:
        """Return the result that `dumps` wrote."""
        return StepResult(*_record(blob))


@lru_cache(maxsize=256)  # Prefect reads each result twice
def _record(blob: bytes) -> tuple[StepRecord, str]:
    found = json.loads(blob)
    return StepRecord.from_json(found["record"]), str(found["workspace"])


class CacheHit:
    """A checked record, and the bytes that Prefect reads it from, made once."""

    def __init__(self, record: StepRecord) -> None:
        self.record = record
        self._bytes = b""

    def for_prefect(self, path: str, block: ResultsBlock) -> bytes:
        """Return Prefect's own record of the result."""
        if not self._bytes:
            result = StepResult(self.record, path.partition(".")[0])
            self._bytes = ResultRecord(result=result, metadata=block.metadata(path)).serialize()
        return self._bytes


def result_path(workspace: str, key: str) -> str:
    """Return where Prefect reads the result of a key."""
    return f"{workspace}.{key}"


class ResultsBlock(WritableFileSystem):
    """Prefect's view of the results of all workspaces; a path is `<workspace>.<key>`."""

    _block_type_name: ClassVar[str | None] = "Stepwell Results"
    _block_type_slug: ClassVar[str | None] = "stepwell-results"
    _description: ClassVar[str | None] = "Serves results of steps after checking them. Made by Stepwell itself."
    _plain: dict[str, Any] = PrivateAttr(default_factory=dict)

    def metadata(self, path: str) -> ResultRecordMetadata:
        """Return what Prefect keeps of a result: where it is read, and how."""
        return ResultRecordMetadata(
            storage_key=path, serializer=StepResultSerializer(), storage_block_id=self._block_document_id
        )

    def plain_metadata(self, path: str) -> dict[str, Any]:
        """Return the same as plain values."""
        if not self._plain:
            self._plain = self.metadata("").model_dump(mode="json")
        return {**self._plain, "storage_key": path}

    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]
        """Return Prefect's record of a result, which was just checked; raise StoreException if there is none."""
        return (LOOKUP.get() or _look_up)(path).for_prefect(path, self)

    async def aread_path(self, path: str, **_: Any) -> bytes:
        """Return what `read_path` does."""
        return self.read_path(path)

    def write_path(self, path: str, content: bytes, **_: Any) -> None:  # type: ignore[override]
        """Write nothing: the step has committed its record already."""

    async def awrite_path(self, path: str, content: bytes, **_: Any) -> None:
        """Write nothing, as `write_path`."""


def _look_up(path: str) -> CacheHit:
    workspace, _, key = path.partition(".")
    found = BaseWorkspace.get(workspace).store.lookup(key)
    if isinstance(found, StepRecord):
        return CacheHit(found)
    raise StoreException("There is no such result", {"key": key, "reason": found.reason})


@cache
def results_block(_server: str) -> ResultsBlock:
    """Return the block, saved on the server at that URL if it was not yet."""
    found = documents.load(ResultsBlock, _DOCUMENT)
    if found is None:
        documents.save(ResultsBlock(), _DOCUMENT)
        found = documents.load(ResultsBlock, _DOCUMENT)
    assert found is not None
    return found
