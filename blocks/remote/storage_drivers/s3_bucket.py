"""Objects of a bucket that speaks S3, by s3fs: each operation is one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from stepwell.blocks.remote.storage_drivers.driver import Driver, Entry, Guarantee, Opened, Traffic, Versions

_MOST_AT_ONCE = 1000
_PART, _CHUNK = 1 << 20, 50 << 20
_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted", "409"}
"""Another conditional write of the object is at work: S3 asks to try again."""

_TRIES = 8
_SLOWEST = 20_000
"""The bytes a second below which a line counts as broken."""


class S3Bucket(Driver):
    """The objects below a prefix of a bucket."""

    schemes: ClassVar[Mapping[str, Versions]] = {"s3": "tags", "s3a": "tags"}
    most: ClassVar[Guarantee] = "create+swap"
    for_all_threads: ClassVar[bool] = True

    def __init__(self, opened: Opened, traffic: Traffic, timeout: float) -> None:
        self._fs, root = opened()
        self._bucket, self._prefix, _ = self._fs.split_path(root)
        self._traffic = traffic
        self._fs.retries = 1
        self._timeout = timeout

    @staticmethod
    def options(options: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Return the options of the file system, with bounded waiting unless they bound it."""
        config = {"connect_timeout": min(timeout, 5), "read_timeout": timeout, "retries": {"total_max_attempts": 1}}
        return {**options, "config_kwargs": {**config, **options.get("config_kwargs", {})}, "use_listings_cache": False}

    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""

        async def read() -> bytes:
            found = await self._asked("get_object", **self._at(name))
            async with found["Body"] as stream:
                data: bytes = await stream.read()
            return data

        try:
            data: bytes = self._synced(read)
        except FileNotFoundError:
            return None
        self._traffic.count(received=len(data))
        return data

    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file; return whether there is one."""

        async def read(target: BinaryIO) -> None:
            found = await self._asked("get_object", **self._at(name))
            async with found["Body"] as stream:
                while part := await stream.read(_PART):
                    target.write(part)
                    self._traffic.count(received=len(part))

        try:
            with open(path, "wb") as target:
                self._synced(lambda: read(target))
        except FileNotFoundError:
            path.unlink()
            return False
        return True

    def put(self, name: str, data: bytes | Path) -> None:
        """Write the object; a large file goes in parts and appears at the end."""
        if isinstance(data, bytes):
            self._write(name, data)
        else:
            size = data.stat().st_size
            target = f"{self._bucket}/{self._key(name)}"
            self._synced(self._fs._put_file, str(data), target, chunksize=_CHUNK, timeout=self._patience(size))  # noqa: SLF001
            self._traffic.count(1 if size < 2 * _CHUNK else 2 + -(-size // _CHUNK), sent=size)

    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none, and return whether that is so."""
        return self._write(name, data, IfNoneMatch="*") is not None

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace the version of the object that has the tag, and return its new tag."""
        try:
            return self._write(name, data, IfMatch=tag)
        except FileNotFoundError:
            return None

    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now."""
        try:
            found = self._ask("head_object", **self._at(name))
        except FileNotFoundError:
            return None
        return Entry(name, found["ContentLength"], found["ETag"], found["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name; a page of a thousand at a time."""
        more: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Bucket=self._bucket, Prefix=self._key(prefix), **more)
            for found in page.get("Contents", ()):
                name = found["Key"][len(self._key("")) :]
                yield Entry(name, found["Size"], found["ETag"], found["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, names: Sequence[str]) -> None:
        """Remove the objects, a thousand by each request."""
        for start in range(0, len(names), _MOST_AT_ONCE):
            keys = [{"Key": self._key(name)} for name in names[start : start + _MOST_AT_ONCE]]
            answer = self._ask("delete_objects", Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
            for failed in answer.get("Errors", ()):
                raise PermissionError(f"{failed.get('Key')}: {failed.get('Message') or failed.get('Code')}")

    def remove_drafts(self, before: float, *, dry_run: bool) -> int:
        """Return 0: an object is there whole, or not at all."""
        return 0

    def now(self) -> float:
        """Return the time that the service tells in an answer."""
        answer = self._ask("list_objects_v2", Bucket=self._bucket, Prefix=self._key(""), MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def reconnect(self) -> None:
        """Do nothing: its connections are made anew where one broke."""

    # ----------------------------------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _at(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key(name)}

    def _write(self, name: str, data: bytes, **condition: str) -> str | None:
        """Return the tag of the object written, None if the condition did not hold."""
        for attempt in range(_TRIES):
            try:
                tag: str = self._ask("put_object", **self._at(name), Body=data, **condition)["ETag"]
            except OSError as error:
                code = _code(error)
                if condition and code in {"PreconditionFailed", "412"}:
                    return None
                if condition and code in _CONFLICTS and attempt + 1 < _TRIES:
                    continue
                raise
            self._traffic.count(sent=len(data))
            return tag
        raise AssertionError

    def _synced(self, action: Any, *given: Any, timeout: float | None = None, **arguments: Any) -> Any:
        from fsspec.asyn import sync

        return sync(self._fs.loop, action, *given, timeout=timeout, **arguments)

    def _ask(self, method: str, **arguments: Any) -> Any:
        self._traffic.count(1)
        patience = self._patience(len(arguments.get("Body", b"")))
        return self._synced(self._fs._call_s3, method, timeout=patience, **arguments)  # noqa: SLF001

    def _patience(self, size: int) -> float:
        """Return how long a request may take that sends so much: the client waits without end for a server's leave to send."""
        return 2 * self._timeout + size / _SLOWEST

    async def _asked(self, method: str, **arguments: Any) -> Any:
        self._traffic.count(1)
        return await self._fs._call_s3(method, **arguments)  # noqa: SLF001  (what reads a stream is no single call)


def _code(error: OSError) -> str:
    response = getattr(error.__cause__, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) and "Error" in response else ""
