"""Objects of a container of Azure's blob storage, by the client that adlfs opens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from stepwell.blocks.remote.storage_drivers.driver import Driver, Entry, Guarantee, Opened, Traffic, Versions

_T = TypeVar("_T")

_PAGE = 1000
_AT_ONCE = 16


class AzureContainer(Driver):
    """The blobs below a prefix of a container."""

    schemes: ClassVar[Mapping[str, Versions]] = dict.fromkeys(("az", "abfs", "abfss"), "unique tags")
    most: ClassVar[Guarantee] = "create+swap"
    for_all_threads: ClassVar[bool] = True

    def __init__(self, opened: Opened, traffic: Traffic, timeout: float) -> None:
        self._fs, root = opened()
        self._container, self._prefix, _ = self._fs.split_path(root)
        self._traffic = traffic
        self._asked: dict[str, Any] = {
            "connection_timeout": min(timeout, 5),
            "read_timeout": timeout,
            "retry_total": 0,
            "raw_request_hook": lambda _: traffic.count(1),
        }

    @staticmethod
    def options(options: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Return the options of the file system."""
        return {**options, "use_listings_cache": False}

    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""

        async def read(blob: Any) -> bytes:
            data: bytes = await (await blob.download_blob(**self._asked)).readall()
            return data

        data = self._found(name, read)
        self._traffic.count(received=len(data or b""))
        return data

    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file; return whether there is one."""
        with open(path, "wb") as target:

            async def read(blob: Any) -> int:
                return int(await (await blob.download_blob(**self._asked)).readinto(target))

            received = self._found(name, read)
        if received is None:
            path.unlink()
        self._traffic.count(received=received or 0)
        return received is not None

    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object; a large file goes in parts and appears at the end."""
        if isinstance(data, bytes):
            self._write(name, data, overwrite=True)
            return

        with open(data, "rb") as stream:

            async def write(blob: Any) -> None:
                await blob.upload_blob(stream, overwrite=True, **self._asked)

            self._at(name, write)
        self._traffic.count(sent=data.stat().st_size)

    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none, and return whether that is so."""
        return self._write(name, data, overwrite=False) is not None

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace the version of the object that has the tag, and return its new tag."""
        from azure.core import MatchConditions

        return self._write(name, data, overwrite=True, etag=tag, match_condition=MatchConditions.IfNotModified)

    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""

        async def look(blob: Any) -> Entry:
            return self._entry(await blob.get_blob_properties(**self._asked), name)

        return self._found(name, look)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name; a page of a thousand at a time."""
        token: str | None = None
        while True:
            found, token = self._sync(partial(self._page, prefix, token))
            yield from found
            if not token:
                return

    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects, several at once."""
        from azure.core.exceptions import ResourceNotFoundError

        async def remove(container: Any, name: str, limit: asyncio.Semaphore) -> None:
            async with limit:
                with suppress(ResourceNotFoundError):
                    await container.delete_blob(self._key(name), **self._asked)

        async def remove_all() -> None:
            limit = asyncio.Semaphore(_AT_ONCE)
            async with self._fs.service_client.get_container_client(self._container) as container:
                await asyncio.gather(*(remove(container, name, limit) for name in names))

        self._sync(remove_all)

    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Return 0: an object is there whole, or not at all."""
        return 0

    def now(self) -> float:
        """Return the time that the service tells in an answer."""
        told: list[str] = []

        async def ask() -> None:
            async with self._fs.service_client.get_container_client(self._container) as container:
                hook: Any = lambda answer: told.append(answer.http_response.headers["Date"])  # noqa: E731
                await container.get_container_properties(raw_response_hook=hook, **self._asked)

        self._sync(ask)
        return parsedate_to_datetime(told[-1]).timestamp()

    def reconnect(self) -> None:
        """Do nothing: its connections are made anew where one broke."""

    # ----------------------------------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _sync(self, action: Callable[[], Awaitable[_T]]) -> _T:
        from fsspec.asyn import sync

        found: _T = sync(self._fs.loop, action)
        return found

    def _at(self, name: str, action: Callable[[Any], Awaitable[_T]]) -> _T:
        async def on_blob() -> _T:
            async with self._fs.service_client.get_blob_client(self._container, self._key(name)) as blob:
                return await action(blob)

        return self._sync(on_blob)

    def _found(self, name: str, action: Callable[[Any], Awaitable[_T]]) -> _T | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self._at(name, action)
        except ResourceNotFoundError:
            return None

    def _write(self, name: str, data: bytes, **condition: Any) -> str | None:
        """Return the tag of the object written, None if the condition did not hold."""
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        async def write(blob: Any) -> str:
            return str((await blob.upload_blob(data, **condition, **self._asked))["etag"])

        try:
            tag = self._at(name, write)
        except (ResourceExistsError, ResourceModifiedError):
            return None
        except ResourceNotFoundError:
            if "etag" in condition:
                return None
            raise
        self._traffic.count(sent=len(data))
        return tag

    async def _page(self, prefix: str, token: str | None) -> tuple[Sequence[Entry], str | None]:
        async with self._fs.service_client.get_container_client(self._container) as container:
            listed = container.list_blobs(
                name_starts_with=self._key(prefix), results_per_page=_PAGE, **self._asked
            ).by_page(continuation_token=token)
            async for page in listed:
                found = [self._entry(blob, blob.name[len(self._key("")) :]) async for blob in page]
                return found, listed.continuation_token
        return [], None

    @staticmethod
    def _entry(blob: Any, name: str) -> Entry:
        return Entry(name, int(blob.size), str(blob.etag), blob.last_modified.timestamp())
