"""A datastore's block, and its files on fsspec by paths that are confined to it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from prefect.types import SecretDict
from pydantic import Field
from sqlalchemy.engine import make_url

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.datastores.datastore_places import VARIABLE, place_of
from stepwell.blocks.datastores.datastore_urls import local_path, options_of_this_machine, texts_in, what_names_a_place
from stepwell.blocks.datastores.remote_files import SECONDS, Facts, RemoteFiles
from stepwell.blocks.datastores.v1_kinds import KINDS, SqlKind, kind_of, own_facts
from stepwell.blocks.remote.objects import RemoteObjects
from stepwell.blocks.remote.remote_store import RemoteStore
from stepwell.blocks.remote.silences import silence_of
from stepwell.blocks.remote.storage_drivers.driver import bounded_options
from stepwell.blocks.server.documents import NamedBlock
from stepwell.blocks.system.home import home, make_folder
from stepwell.blocks.system.walk import files_below
from stepwell.errors import DatastoreException, StepwellError
from stepwell.model.regular_files import regular_only
from stepwell.model.trees.real_paths import real_path

PRIVATE = ".stepwell"
"""The folder of a default datastore that holds the store of results; no path of a user leads there."""


class DatastoreBlock(NamedBlock):
    """The place of a datastore's data, and the secrets that open it."""

    _block_type_name: ClassVar[str] = "Stepwell Datastore"
    _block_type_slug: ClassVar[str] = "stepwell-datastore"
    _description: ClassVar[str] = "Storage that pipelines read from and write to, by fsspec URL."

    workspace: str = Field(description="The workspace that the datastore belongs to.")
    name: str = Field(description="The datastore's name.")
    url: str = Field(default="", description="An fsspec URL; empty: a folder in Stepwell's home on this machine.")
    options: SecretDict | None = Field(default=None, description="fsspec options, such as account keys.")
    plain_options: dict[str, Any] = Field(default_factory=dict, description="fsspec options that are no secrets.")
    kind: str = Field(default="", description="What v1 calls it, if one of v1's methods registered it.")
    facts: dict[str, Any] = Field(default_factory=dict, description="What that method was given, without secrets.")
    trust_times: bool = Field(default=False, description="Whether files that keep size and time keep their content.")
    shared: bool = Field(default=False, description="Whether it is a folder that several machines have.")


_ELSEWHERE = f" Or lay the datastore on a folder: name its `account/container` in {VARIABLE}."


@checked
class DatastoreFiles:
    """The files of a datastore: every path is relative to its root and confined to it."""

    def __init__(self, block: DatastoreBlock, places: Mapping[str, str] | None = None) -> None:
        self.name = block.name
        self._block = block
        self._kind = KINDS.get(kind_of(block.kind, block.name, block.url))
        self._holds_tables = self._kind is not None and issubclass(self._kind, SqlKind)
        self._facts = block.facts if block.url else own_facts(block.workspace, block.name)
        self._place = ""
        if block.url:  # a folder of the home is nowhere else
            self._place = place_of(block.name, block.url, block.facts, places or {}, tables=self._holds_tables)

    @property
    def url(self) -> str:
        """The fsspec URL of the datastore's root, without secrets; SQLAlchemy's of one that holds tables."""
        return self._place or self._block.url or f"file://{self._home_folder}"

    def told_missing(self, facts: Mapping[str, object], hint: str) -> tuple[dict[str, object], str]:
        """Return facts and hint of the error that data are not there, with what to know of a folder of the home.

        Args:
            facts: What is known.
            hint: What to do in general.

        Returns:
            Both, with more where the folder is another one on each machine.
        """
        if self._block.url:
            return dict(facts), hint
        place = f"{self._home_folder}, in the home of this machine; every other machine has a folder of its own"
        hint += " Data of another machine: upload them here, too, or keep them where all reach them, `Datastore.register(ws, name, url)`."
        return {**facts, "the datastore is": place}, hint

    @property
    def secrets(self) -> list[str]:
        """The texts among the options that open the datastore."""
        return list(texts_in(self._block.options.get_secret_value() if self._block.options else {}))

    @property
    def trusts_times(self) -> bool:
        """Whether a file that has kept its size and time has kept its content, too."""
        return self._block.trust_times

    @property
    def identity(self) -> list[str]:
        """What tells its place from every other one, without what opens it, which changes often."""
        return [self.url, *what_names_a_place(self._options)]

    @property
    def storage_account(self) -> str:
        """The account of the container that the datastore is, '' if it is none or has it in its URL alone."""
        return str(self._options.get("account_name") or "")

    @property
    def datastore_type(self) -> str:
        """v1's word for its kind, such as `AzureBlob`; where v1 has none, `local` or the URL's scheme."""
        if self._kind is not None:
            return self._kind.service
        return "local" if self.local_root else self.url.partition("://")[0]

    @property
    def connection_url(self) -> str:
        """The URL by which SQLAlchemy opens a datastore that holds tables, with its user and password."""
        self._require(tables=True)
        secret, plain = self._options, self._block.plain_options
        user, password = (plain.get("username"), secret.get("password")) if not self._place else (None, None)
        return make_url(self.url).set(username=user, password=password).render_as_string(hide_password=False)

    def _require(self, *, tables: bool) -> None:
        """Raise DatastoreException if it holds files instead of tables, or the other way round."""
        if self._holds_tables != tables:
            facts = {"datastore": self.name, "datastore_type": self.datastore_type}
            what = "no tables" if tables else "tables, no files"
            raise DatastoreException(f"The datastore holds {what}", facts, "Choose another datastore.")

    @property
    def _options(self) -> dict[str, Any]:
        """The options of the file system; none of one that was laid elsewhere, whose keys are not that place's."""
        if self._place:
            return {}
        secret = self._block.options.get_secret_value() if self._block.options else {}
        return {**self._block.plain_options, **options_of_this_machine(self.url), **secret}

    @cached_property
    def local_root(self) -> Path | None:
        """The datastore's folder when it stands on a local file system, else None."""
        path = None if self._holds_tables else local_path(self.url)
        if path is not None and not os.path.isabs(os.path.expanduser(path)):  # registered by an earlier release
            warnings.warn(
                f"The datastore {self.name!r} has the URL {self.url!r}, which means another folder wherever a process works: "
                "register it again with `overwrite=True` and the whole path",
                stacklevel=2,
            )
        return None if path is None else Path(os.path.abspath(os.path.expanduser(path)))

    @property
    def is_shared(self) -> bool:
        """Whether other machines have it, too: it stands elsewhere, or is a folder that was registered as shared."""
        return self._block.shared or (self.local_root is None and not self._holds_tables)

    @property
    def filesystem(self) -> Any:
        """The fsspec file system that holds the data, one for each thread; an unusable one raises DatastoreException."""
        return self.remote.filesystem

    @cached_property
    def remote(self) -> RemoteFiles:
        """The files as they are on the file system that the URL names."""
        return RemoteFiles(self.name, self.url, self._opened, silence_of(self.url, self._options))

    def _opened(self, **more: Any) -> Any:
        self._require(tables=False)
        options = bounded_options(self.url, self._options, SECONDS)
        try:
            filesystem, _ = fsspec.core.url_to_fs(self.url, **{**options, **more})
            if self.local_root:
                make_folder(self.local_root)
        except (ImportError, ValueError, OSError, TypeError) as error:
            raise DatastoreException(
                f"The datastore {self.name!r} can't be opened",
                {"url": self.url, "reason": error},
                "Install the fsspec driver that the URL needs, or correct the URL or the rights on its folder."
                + (_ELSEWHERE if self._block.kind else ""),
            ) from error
        return filesystem

    @property
    def remote_store(self) -> RemoteStore | None:
        """The private folder through which trees reach other machines, None if the datastore is this machine's alone."""
        if self.local_root and not self.is_shared:
            return None
        return RemoteStore(f"{self.url.rstrip('/')}/{PRIVATE}/depot", self._options)

    def objects(self, below: str, **settings: Any) -> RemoteObjects:
        """Return the objects in a folder of the datastore that is Stepwell's own.

        Args:
            below: The folder's path in the private one.
            settings: More arguments of `RemoteObjects`.

        Returns:
            The objects, which nothing was asked of yet.
        """
        self._require(tables=False)
        return RemoteObjects(f"{self.url.rstrip('/')}/{PRIVATE}/{below}", self._options, **settings)

    @property
    def _home_folder(self) -> Path:
        return home() / "workspaces" / self._block.workspace / self.name

    def inside(self, path: str | None) -> str:
        """Return `path` in its normal form, relative to the datastore's root.

        Args:
            path: A path on the datastore; None and `''` are its root.

        Returns:
            The path with `/` between its parts, without `.` and empty parts.

        Raises:
            DatastoreException: The path leads out of the datastore, or to the folder that holds the store of results.
        """
        inner = self.readable(path)
        if self.local_root:
            real, root = real_path(self.local_root / inner), real_path(self.local_root)
            if real != root and not real.startswith(root + os.sep):
                raise self._leads_out(path)
        return inner

    def readable(self, path: str | None) -> str:
        """Return `path` in its normal form as `inside` does, for data to read: links on the way may lead anywhere.

        Args:
            path: A path on the datastore; None and `''` are its root.

        Returns:
            The path with `/` between its parts, without `.` and empty parts.

        Raises:
            DatastoreException: The path itself leads out of the datastore, or to the folder that holds the store.
        """
        given = path or ""
        parts = [part for part in given.split("/") if part not in ("", ".")]
        steps = parts if self.local_root else re.split(r"[/\\]", given)  # some servers take both for separators
        if given.startswith("/") or ".." in steps or "\0" in given or parts[:1] == [PRIVATE]:
            raise self._leads_out(path)
        return "/".join(parts)

    def _leads_out(self, path: str | None) -> DatastoreException:
        return DatastoreException(
            "A path leads out of its datastore",
            {"datastore": self.name, "path": repr(path)},
            "Use a path relative to the datastore's root.",
        )

    def locate(self, path: str | None) -> str:
        """Return the path on `filesystem` of a path on the datastore.

        Args:
            path: A path on the datastore; None and `''` are its root.

        Returns:
            The path that the fsspec file system takes.

        Raises:
            DatastoreException: The path leads out of the datastore.
        """
        root = str(self.local_root) if self.local_root else self.filesystem._strip_protocol(self.url)  # noqa: SLF001
        return "/".join(part for part in (root.rstrip("/"), self.inside(path)) if part)

    def exists(self, path: str | None) -> bool:
        """Return whether a file or folder stands at a path.

        Args:
            path: A path on the datastore; None and `''` are its root.

        Returns:
            Whether there is something.

        Raises:
            DatastoreException: The path leads out of the datastore.
        """
        place = self.locate(path)
        return bool(self.filesystem.exists(place)) if self.local_root else self.remote.facts(place) is not None

    def size(self, path: str) -> int | None:
        """Return the size of the file at a path.

        Args:
            path: A path on the datastore.

        Returns:
            The number of bytes, None if there is no file.

        Raises:
            DatastoreException: The path leads out of the datastore.
        """
        place = self.locate(path)
        if self.local_root:
            return int(self.filesystem.size(place)) if self.filesystem.isfile(place) else None
        facts = self.remote.facts(place)
        return int(facts["size"]) if facts and facts["type"] == "file" else None

    def files(self, prefix: str | None = None) -> Iterator[str]:
        """List every file whose path on the datastore starts with `prefix`, sorted.

        Links are followed, but neither out of the datastore nor in circles; pipes, sockets and devices are no files.

        Args:
            prefix: How the paths begin, not necessarily a whole folder; by default all files are listed.

        Returns:
            The paths, relative to the datastore's root.

        Raises:
            DatastoreException: The prefix leads out of the datastore, or its folders link each other too often.
        """
        wanted = (prefix or "").lstrip("/")
        folder = self.inside(wanted.rpartition("/")[0])
        found = self._below(folder) if self.local_root else dict(self._starting(folder, wanted))
        yield from sorted(path for path in found if path.startswith(wanted))

    def listed(self, path: str) -> dict[str, Facts]:
        """List the file at a path, or every file below it, of a datastore that stands elsewhere.

        Args:
            path: A path on the datastore.

        Returns:
            What fsspec tells of each file, by its path relative to the datastore's root; empty if there is none.

        Raises:
            DatastoreException: The path leads out of the datastore, or it can't be listed.
        """
        if not self.inside(path):
            return dict(self._starting("", ""))
        found = self.remote.below(self.locate(path))
        below = {self._relative(place): facts for place, facts in found.items()}
        return {name: facts for name, facts in below.items() if name}

    def put_file(self, source: Path, path: str) -> None:
        """Copy a local file to `path` on the datastore; on a local one, no part of it is ever seen there.

        Args:
            source: The local file.
            path: A path on the datastore; what stands there is replaced.

        Raises:
            DatastoreException: The path leads out of the datastore.
        """
        place = self.locate(path)
        if self.local_root is None:
            self.remote.put(str(source), place)
            return
        self.filesystem.makedirs(os.path.dirname(place), exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=".upload-", dir=os.path.dirname(place))
        try:
            with os.fdopen(handle, "wb") as target, open(source, "rb", opener=regular_only) as stream:
                shutil.copyfileobj(stream, target, 1 << 20)
            os.chmod(scratch, 0o644 | (source.stat().st_mode & 0o111))
            os.replace(scratch, place)
        except BaseException:
            os.unlink(scratch)
            raise

    def get_file(self, path: str, target: Path) -> None:
        """Copy the file at `path` on the datastore to the local file `target`.

        Args:
            path: A path on the datastore.
            target: The local file, in a folder that exists.

        Raises:
            DatastoreException: The path leads out of the datastore.
        """
        place = self.locate(path)
        get = self.filesystem.get_file if self.local_root else self.remote.get
        get(place, str(target))

    def _relative(self, place: str) -> str:
        return place.lstrip("/").removeprefix(self.locate("").lstrip("/")).lstrip("/")

    def _starting(self, folder: str, wanted: str) -> Iterator[tuple[str, Facts]]:
        """List the files of a folder elsewhere whose paths may start with `wanted`, without looking into other folders."""
        if folder and wanted == f"{folder}/":
            yield from self.listed(folder).items()
            return
        for facts in self.remote.children(self.locate(folder)):
            path = self._relative(str(facts["name"])).rstrip("/")
            if path and path != PRIVATE and path.startswith(wanted):
                yield from self.listed(path).items() if facts["type"] == "directory" else ((path, facts),)

    def _below(self, folder: str) -> Iterator[str]:
        assert self.local_root is not None
        try:
            yield from files_below(self.local_root, folder, without=PRIVATE)
        except StepwellError as error:
            raise DatastoreException(error.title, {"datastore": self.name, **error.facts}, error.hint) from None
