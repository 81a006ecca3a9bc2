"""`RemoteObjects`: the objects of a datastore, and what of several writers at once only one can do."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import fsspec

from stepwell.blocks.remote.silences import server_of, silence_of
from stepwell.blocks.remote.storage_drivers.any_filesystem import AnyFilesystem
from stepwell.blocks.remote.storage_drivers.driver import Driver, Entry, Guarantee, Opened, Traffic, driver_of
from stepwell.blocks.remote.storage_drivers.transient import PAUSES, is_transient, patiently, was_awaited
from stepwell.blocks.system.files import write_atomically
from stepwell.blocks.system.home import home
from stepwell.errors import DatastoreException
from stepwell.model.digests import digest
from stepwell.model.regular_files import read_bytes

_T = TypeVar("_T")

SECONDS = 30.0
"""How long an answer is waited for; a connection for five seconds at most."""

_QUICK_SECONDS = 1.0
_SHOWN = {"endpoint_url", "account_name", "account_host", "host", "username", "region_name"}
_SHORTEST_SECRET = 6
_TRIED = ("probe-", "clock-")
"""Objects at which a guarantee is tried, or the clock read; gone a moment later, unless whoever tried it was killed."""

_PROBED_FOR = 7 * 86400.0


class RemoteObjects:
    """The objects below the place that an fsspec URL names. May be used by many threads.

    What a store told earlier is never believed. What fails raises DatastoreException, after further tries of what may pass: of
    what was waited for in vain one, or none by those who rest. All of a process that ask a server share what is known of its silence.

    Args:
        url: The place, without secrets.
        options: The arguments of the fsspec file system, which are secret.
        timeout: How long an answer is waited for, in seconds.
        pauses: The seconds before each further try of what may pass.
        traffic: What counts requests and bytes.
        rests: Nothing is asked for a while after anybody in this process waited for that many seconds in vain: 0 also if
            the server refused at once, `timeout` only if as much was tried as here; None if it always is asked.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        *,
        timeout: float = SECONDS,
        pauses: Iterable[float] = PAUSES,
        traffic: Traffic | None = None,
        rests: float | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.traffic = traffic or Traffic()
        self._options = dict(options or {})
        self._timeout = timeout
        self._pauses = tuple(pauses)
        self._rests, self._silence = rests, silence_of(url, self._options)
        self._opening = threading.Lock()
        self._driver: Driver | None = None
        self._guarantee: Guarantee | None = None

    def get(self, name: str) -> bytes | None:
        """Return what the object holds, None if there is none."""
        return self._done(lambda driver: driver.get(_checked(name)))

    def get_to(self, name: str, path: Path) -> bool:
        """Write what the object holds to a local file, and return whether there is one."""
        return self._done(lambda driver: driver.get_to(_checked(name), path))

    def put(self, name: str, data: bytes | Path) -> None:
        """Write bytes or a local file to the object, whatever stands there."""
        self._done(lambda driver: driver.put(_checked(name), data))

    def create(self, name: str, data: bytes) -> bool:
        """Write the object if there is none, and return whether this call did: as safe among several as `guarantee` says."""
        tries = 0

        def create(driver: Driver) -> bool:
            nonlocal tries
            tries += 1
            # An answer that was lost on its way leaves our own object in our way.
            return driver.create(_checked(name), data) or (tries > 1 and driver.get(name) == data)

        return self._done(create)

    def swap(self, name: str, tag: str, data: bytes) -> str | None:
        """Replace the version of the object that has the tag, and return the new tag; None if it is another version.

        Raises:
            DatastoreException: The storage doesn't compare and swap: `guarantee` says so.
        """
        if self.guarantee != "create+swap":
            raise DatastoreException(
                "The datastore can't replace a file on a condition", {"url": self.url}, "Use a bucket of S3 or Azure."
            )
        tries = 0

        def swap(driver: Driver) -> str | None:
            nonlocal tries
            tries += 1
            new = driver.swap(_checked(name), tag, data)
            if new is None and tries > 1 and driver.get(name) == data:
                found = driver.stat(name)
                return found.tag if found else None
            return new

        return self._done(swap)

    def stat(self, name: str) -> Entry | None:
        """Return the object as it is now, None if there is none."""
        return self._done(lambda driver: driver.stat(_checked(name)))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Yield the objects whose names begin so, by name, page by page."""
        _checked(prefix)

        def begun(driver: Driver) -> tuple[Entry | None, Iterator[Entry]]:
            listed = driver.list(prefix)
            return next(listed, None), listed

        entry, rest = self._done(begun)
        while entry is not None:
            yield entry
            try:
                entry = next(rest, None)
            except Exception as error:  # each driver has errors of its own
                raise self._failed(error) from error

    def delete(self, names: Iterable[str]) -> None:
        """Remove the objects; those that are not there are fine."""
        known = [_checked(name) for name in names]
        if known:
            self._done(lambda driver: driver.delete(known))

    def remove_leftovers(self, before: float, *, dry_run: bool = False) -> int:
        """Remove what writers that were killed left since before that time, by the storage's clock, and return how many things that were."""
        tried = [entry.name for kind in _TRIED for entry in self.list(kind) if 0 < entry.modified < before]
        if not dry_run:
            self.delete(tried)
        return len(tried) + self._done(lambda driver: driver.remove_drafts(before, dry_run=dry_run))

    def now(self) -> float:
        """Return what the storage's own clock tells, in seconds since 1970."""
        return self._done(lambda driver: driver.now())

    def why_silent(self) -> str:
        """Return why the server does not answer now, '' if it does or refuses at once."""
        if not self._silence.is_worth(self._timeout):
            with suppress(DatastoreException):
                self.stat("answers")
        return _masked(self._silence.reason, self._options) if self._silence.is_worth(self._timeout) else ""

    @property
    def guarantee(self) -> Guarantee:
        """What of several writers at once only one can do here. It is tried, and known for a week."""
        if self._guarantee is None:  # Python 3.11's cached properties would wait for each other's datastores
            self._guarantee = self._known_guarantee() or self._tried_guarantee()
        return self._guarantee

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def _known(self) -> Path:
        return home() / "datastores" / f"{digest('objects', [self.url])}.json"

    def _known_guarantee(self) -> Guarantee | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(read_bytes(self._known))
            if 0 <= time.time() - found["at"] < _PROBED_FOR and found["guarantee"] in {"create+swap", "create", "none"}:
                guarantee: Guarantee = found["guarantee"]
                return guarantee
        return None

    def _tried_guarantee(self) -> Guarantee:
        guarantee = self._probed()
        with suppress(OSError):
            write_atomically(self._known, json.dumps({"guarantee": guarantee, "at": time.time()}).encode())
        return guarantee

    def _probed(self) -> Guarantee:
        name = f"probe-{os.urandom(8).hex()}"
        try:
            return self._done(lambda driver: _guarantee(driver, name))
        finally:
            self.delete([name])

    @property
    def rests(self) -> bool:
        """Whether others waited in vain a moment ago, so that nothing is asked."""
        return self._rests is not None and self._silence.is_worth(self._rests)

    def _done(self, action: Callable[[Driver], _T]) -> _T:
        if self.rests:
            raise self._not_done(_masked(self._silence.reason, self._options)) from TimeoutError()
        began = time.monotonic()

        def passes(error: Exception) -> bool:
            patient = self._rests is None or not was_awaited(error)
            return patient and is_transient(error) and time.monotonic() - began < self._timeout + _QUICK_SECONDS

        try:
            done = patiently(lambda: action(self._opened()), self._again, passes, pauses=self._pauses)
        except DatastoreException:
            raise
        except Exception as error:  # each driver has errors of its own
            raise self._failed(error) from error
        self._silence.end()
        return done

    def _again(self) -> None:
        if self._driver is not None:
            self._driver.reconnect()

    def _opened(self) -> Driver:
        with self._opening:
            if self._driver is None:
                self._driver = self._open()
            return self._driver

    def _open(self) -> Driver:
        scheme = fsspec.utils.get_protocol(self.url)
        kind = AnyFilesystem if "::" in self.url else driver_of(scheme) or AnyFilesystem
        options = kind.options(self._options, self._timeout)

        def opened() -> tuple[Any, str]:
            filesystem = _kept(self.url, options) if kind.for_all_threads else None
            if filesystem is None:
                filesystem, root = fsspec.core.url_to_fs(self.url, **options, skip_instance_cache=True)
                return filesystem, str(root)
            return filesystem, str(filesystem._strip_protocol(self.url))  # noqa: SLF001  (as fsspec's own functions do)

        return kind(Opened(opened, self.url, server_of(self.url, self._options)), self.traffic, self._timeout)

    def _failed(self, error: Exception) -> DatastoreException:
        reason = _masked(f"{type(error).__name__}: {error}", self._options)
        if is_transient(error):
            self._silence.begin(self._timeout if was_awaited(error) else 0.0, reason)
        return self._not_done(reason)

    def _not_done(self, reason: str) -> DatastoreException:
        return DatastoreException(
            "A datastore can't be read or written",
            {"url": self.url, "reason": reason},
            "Check that this machine reaches it, that the URL's driver is installed, and your rights.",
        )


def _kept(url: str, options: Mapping[str, Any]) -> Any:
    """Return a file system that was opened with the same options, since clients of clouds are large; None if that can't be told."""
    parts = urlsplit(url)
    try:
        return _client(f"{parts.scheme}://{parts.netloc}", json.dumps(options, sort_keys=True), os.getpid())
    except TypeError:
        return None


@lru_cache(maxsize=8)
def _client(url: str, options: str, _process: int) -> Any:
    return fsspec.core.url_to_fs(url, **json.loads(options), skip_instance_cache=True)[0]


def _masked(text: str, options: object) -> str:
    """Return the text without what the options hold, whole or as a part of a connection string."""
    values = options.items() if isinstance(options, Mapping) else ()
    for name, value in values:
        text = _masked(text, value)
        for part in re.split(r"[;&?]|(?<!=)=(?!=|$)", value) if isinstance(value, str) and name not in _SHOWN else ():
            text = text.replace(part, "***") if len(part) >= _SHORTEST_SECRET else text
    return text


def _checked(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
        raise DatastoreException(
            "A name is none of an object", {"name": repr(name)}, "Name a path below the datastore's root."
        )
    return name


def _guarantee(driver: Driver, name: str) -> Guarantee:
    """Try what the driver promises: servers that speak S3 may know no conditions, and write all the same."""
    if driver.most == "none":
        return "none"
    if not driver.create(name, b"first") or driver.create(name, b"second") or driver.get(name) != b"first":
        return "none"
    found = driver.stat(name)
    if driver.most == "create" or found is None:
        return "create"
    tag = driver.swap(name, found.tag, b"third")
    if tag and driver.swap(name, found.tag, b"fourth") is None and driver.get(name) == b"third":
        return "create+swap"
    return "create"
